//! Where a webhook may point.

use url::{Host, ParseError, Url};

use crate::WebhookError;
use crate::address::AddressGuard;
use crate::model::check_length;

const SCHEMES: [&str; 2] = ["http", "https"];
/// The width of upstream's column.
const MOST_URL: usize = 500;

/// Reads a URL as a person wrote it. Addresses in odd notations (`0x7f.1`, `2130706433`) come out in the usual one.
pub(crate) fn parse(text: &str) -> Result<Url, WebhookError> {
    let given = || text.to_owned();
    if text.trim().is_empty() {
        return Err(WebhookError::BlankUrl { url: given() });
    }
    check_length("url", text, MOST_URL)?;
    let scheme = text.trim().split_once(':').map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    if !SCHEMES.contains(&scheme.as_str()) {
        return Err(WebhookError::Scheme { scheme });
    }
    let url = Url::parse(text).map_err(|cause| match cause {
        ParseError::EmptyHost => WebhookError::NoHost { url: given() },
        cause => WebhookError::Url { url: given(), cause },
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(WebhookError::Userinfo);
    }
    Ok(url)
}

/// Refuses a URL whose host is, or at this moment resolves to, an address that is not public. The resolver of
/// the client checks once more when it connects; this one gives the reader a reason.
pub(crate) async fn check_host(guard: &AddressGuard, url: &Url) -> Result<(), WebhookError> {
    match url.host() {
        Some(Host::Ipv4(address)) => guard.check_literal(address.into()),
        Some(Host::Ipv6(address)) => guard.check_literal(address.into()),
        // What the operator vouches for need not resolve yet.
        Some(Host::Domain(name)) if guard.is_allowed(name) => Ok(()),
        Some(Host::Domain(name)) => guard.resolve_host(name).await.map(drop),
        None => Err(WebhookError::NoHost { url: url.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use platform_primitives::Fault as _;

    use super::*;

    #[tokio::test]
    async fn urls_are_refused_for_a_reason() {
        let guard = AddressGuard::new(&["hooks.test".to_owned()]);
        let table = [
            ("   ", "webhooks/url"),
            ("ftp://example.com", "webhooks/scheme"),
            ("example.com/hook", "webhooks/scheme"),
            ("javascript:alert(1)", "webhooks/scheme"),
            ("http://[invalid", "webhooks/url"),
            ("http://", "webhooks/url"),
            ("https://user@hooks.test/", "webhooks/userinfo"),
            ("https://user:pass@hooks.test/", "webhooks/userinfo"),
            ("http://127.0.0.1/", "webhooks/not-public"),
            ("http://0177.0.0.1/", "webhooks/not-public"),
            ("http://0x7f.1/", "webhooks/not-public"),
            ("http://2130706433/", "webhooks/not-public"),
            ("http://127.1:8080/", "webhooks/not-public"),
            ("http://[::1]/", "webhooks/not-public"),
            ("http://[::ffff:169.254.169.254]/", "webhooks/not-public"),
            ("http://localhost:5000/", "webhooks/not-public"),
            ("https://1.1.1.1/hook", "ok"),
            ("HTTPS://HOOKS.TEST/hook?x=1", "ok"),
        ];
        for (text, expected) in table {
            let outcome = match parse(text) {
                Ok(url) => check_host(&guard, &url).await,
                Err(error) => Err(error),
            };
            let code = outcome.as_ref().map_or_else(|error| error.code(), |_| "ok");
            assert_eq!(code, expected, "{text}");
        }
        assert!(parse(&format!("https://hooks.test/{}", "a".repeat(500))).is_err());
    }
}
