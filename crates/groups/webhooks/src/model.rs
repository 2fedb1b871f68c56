use platform_primitives::Timestamp;
use serde::Serialize;

use crate::{Subscription, WebhookError};

const MOST_NAME: usize = 63;
/// The widths of upstream's columns.
const MOST_DESCRIPTION: usize = 1_000;
const MOST_SECRET: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum WebhookStatus {
    Active,
    /// Hears of nothing; what was still to be delivered fails.
    Disabled,
}

impl WebhookStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Disabled => "DISABLED",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Active, Self::Disabled].into_iter().find(|status| status.name() == name)
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct Webhook {
    pub id: String,
    pub name: String,
    pub description: String,
    pub url: String,
    /// Never empty, in the order given.
    pub subscriptions: Vec<Subscription>,
    pub status: WebhookStatus,
    /// Leaves this process only as a signature.
    #[serde(skip)]
    pub(crate) sealed_secret: Option<Vec<u8>>,
    /// Events up to this one are not for this webhook: they happened before it was created, or while it was disabled.
    #[serde(skip)]
    pub(crate) since_seq: i64,
    pub created: Timestamp,
    pub updated: Timestamp,
}

impl Webhook {
    pub(crate) fn subject(&self) -> String {
        format!("webhook:{}", self.id)
    }
}

#[derive(Debug, Clone)]
pub struct NewWebhook {
    pub name: String,
    pub url: String,
    pub subscriptions: Vec<Subscription>,
    pub description: String,
    /// `None` or empty: requests are not signed.
    pub secret: Option<String>,
    pub status: WebhookStatus,
}

/// What is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct WebhookChange {
    pub name: Option<String>,
    pub url: Option<String>,
    pub subscriptions: Option<Vec<Subscription>>,
    pub description: Option<String>,
    /// Empty: requests are no longer signed.
    pub secret: Option<String>,
    pub status: Option<WebhookStatus>,
}

/// What came of a request with an example body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestOutcome {
    pub success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}

pub(crate) fn check_name(name: &str) -> Result<(), WebhookError> {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let sound = name.len() <= MOST_NAME
        && name.chars().all(inner)
        && edge(name.chars().next())
        && edge(name.chars().next_back());
    if sound { Ok(()) } else { Err(WebhookError::Name { name: name.to_owned() }) }
}

pub(crate) fn check_description(description: &str) -> Result<(), WebhookError> {
    check_length("description", description, MOST_DESCRIPTION)
}

pub(crate) fn check_secret(secret: &str) -> Result<(), WebhookError> {
    check_length("secret", secret, MOST_SECRET)
}

pub(crate) fn check_length(field: &'static str, text: &str, most: usize) -> Result<(), WebhookError> {
    let length = text.chars().count();
    if length > most { Err(WebhookError::TooLong { field, length, most }) } else { Ok(()) }
}

/// The same, each once, in the order of first mention; a list without any is refused.
pub(crate) fn distinct(subscriptions: Vec<Subscription>) -> Result<Vec<Subscription>, WebhookError> {
    let mut kept: Vec<Subscription> = Vec::with_capacity(subscriptions.len());
    for subscription in subscriptions {
        if !kept.contains(&subscription) {
            kept.push(subscription);
        }
    }
    if kept.is_empty() { Err(WebhookError::NoEvents) } else { Ok(kept) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_upstream() {
        let longest = "a".repeat(63);
        for name in ["a", "9", "test_webhook", "A.b-c_d", longest.as_str()] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let too_long = "a".repeat(64);
        for name in ["", " ", "_a", "a-", "a b", "ä", "a/b", "a\n", too_long.as_str()] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
