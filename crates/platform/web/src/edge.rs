//! What every request passes first: which host it was meant for, where it came from, who sends it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{Extensions, HeaderMap, Method, Uri, header};
use platform_auth::{AuthError, Authenticator, Principal};
use platform_primitives::{ErrorKind, Failure};

use crate::dialect::Dialect;

/// Which names this server answers to, and who knows its callers.
#[derive(Clone)]
pub struct EdgeConfig {
    pub authenticator: Authenticator,
    /// Host names besides loopback, without port.
    pub extra_hosts: Arc<[String]>,
}

/// The outcome of authentication; routes judge it.
#[derive(Clone)]
pub(crate) struct Identity(pub Result<Arc<Principal>, Failure>);

/// The caller, in handlers.
pub struct Caller(pub Arc<Principal>);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let dialect = route_dialect(&parts.extensions);
        match parts.extensions.get::<Identity>() {
            Some(Identity(Ok(principal))) => Ok(Self(Arc::clone(principal))),
            Some(Identity(Err(failure))) => Err(dialect.render(failure)),
            None => {
                let failure = Failure::new(ErrorKind::Internal, "web/no-identity", "the edge did not run");
                Err(dialect.render(&failure))
            }
        }
    }
}

/// The dialect of the route that was found; its guard has put it there.
pub(crate) fn route_dialect(extensions: &Extensions) -> Dialect {
    extensions.get::<Dialect>().copied().unwrap_or(Dialect::Problem)
}

pub(crate) async fn check(
    config: EdgeConfig,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let verdict = check_origin(&config, request.method(), request.uri(), request.headers());
    let mut response = match verdict {
        Err(failure) => Dialect::of_path(request.uri().path()).render(&failure),
        Ok(()) => {
            let identity = identify(&config, peer, request.headers()).await;
            request.extensions_mut().insert(Identity(identity.map_err(|error| Failure::of(&error))));
            next.run(request).await
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, http::HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, http::HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, http::HeaderValue::from_static("same-origin"));
    response
}

async fn identify(
    config: &EdgeConfig,
    peer: SocketAddr,
    headers: &HeaderMap,
) -> Result<Arc<Principal>, AuthError> {
    // A header that is no text is a credential all the same, and a wrong one.
    let header = headers.get(header::AUTHORIZATION);
    let authorization = header.map(|value| value.to_str()).transpose().map_err(|_| AuthError::Malformed)?;
    config.authenticator.authenticate(authorization, peer.ip().is_loopback()).await
}

/// A foreign Host is a rebound name; a foreign Origin on a change is another site's form.
fn check_origin(config: &EdgeConfig, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Failure> {
    let refuse = |code, message: String| Err(Failure::new(ErrorKind::Forbidden, code, message));
    let mut hosts = headers.get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or_default());
    let host = hosts.next().unwrap_or_default();
    // Two names, in two headers or in the target, are two opinions on whom this was meant for.
    if let Some(other) = hosts.next().or(uri.authority().map(|authority| authority.as_str()))
        && other != host
    {
        return refuse("web/foreign-host", format!("the request names two hosts, {host:?} and {other:?}"));
    }
    let name = host_name(host);
    let is_loopback = matches!(name, "localhost" | "127.0.0.1" | "[::1]");
    if !is_loopback && !config.extra_hosts.iter().any(|extra| extra == name) {
        return refuse("web/foreign-host", format!("this server does not answer to host {host:?}"));
    }
    if method.is_safe() {
        return Ok(());
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        // One that is no text is nobody's of ours.
        let origin = origin.to_str().unwrap_or("not a text");
        let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
        if authority != host {
            return refuse("web/foreign-origin", format!("origin {origin:?} may not change anything here"));
        }
    }
    Ok(())
}

/// The host without its port; brackets of an IPv6 address stay. What follows neither is part of the name.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_lose_their_port() {
        for (host, name) in [
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("localhost", "localhost"),
            ("", ""),
            ("[::1].evil.example", "[::1].evil.example"),
            ("localhost:80.evil.example", "localhost:80.evil.example"),
            ("localhost:80@evil.example", "localhost:80@evil.example"),
        ] {
            assert_eq!(host_name(host), name);
        }
    }
}
