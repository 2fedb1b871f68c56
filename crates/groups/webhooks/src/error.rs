use std::net::IpAddr;

use platform_db::DbError;
use platform_events::EventError;
use platform_primitives::{ErrorKind, Fault};

/// The opening words of what a client sends wrongly are MLflow's: its clients' tests match on them.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("Webhook with ID {id} not found.")]
    NotFound { id: String },
    #[error("Missing value for required parameter '{parameter}'.")]
    Missing { parameter: &'static str },
    #[error(
        "Webhook name '{name}' is invalid: expected 1 to 63 letters, digits, dots, underscores or hyphens, \
         with a letter or a digit at both ends"
    )]
    Name { name: String },
    #[error("Webhook URL cannot be empty or just whitespace: '{url}'")]
    BlankUrl { url: String },
    #[error("Invalid webhook URL scheme: '{scheme}'. Allowed schemes are: http, https.")]
    Scheme { scheme: String },
    #[error("Webhook URL must include a hostname: '{url}'")]
    NoHost { url: String },
    #[error("Invalid webhook URL '{url}': {cause}")]
    Url { url: String, cause: url::ParseError },
    /// The URL is not repeated: it holds a password.
    #[error("Invalid webhook URL: it holds a user name or a password; use a secret instead")]
    Userinfo,
    #[error("Cannot resolve Webhook URL hostname '{host}': {cause}")]
    Unresolved { host: String, cause: String },
    #[error("Webhook URL must not resolve to a non-public IP address. '{host}' resolves to {address}.")]
    NotPublic { host: String, address: IpAddr },
    #[error("Webhook events must be a non-empty list")]
    NoEvents,
    #[error("Invalid action '{action}' for entity '{entity}'. Valid actions are: {valid}")]
    Combination { entity: &'static str, action: &'static str, valid: String },
    #[error("Invalid value '{value}' for '{field}': expected one of {expected}")]
    Word { field: &'static str, value: String, expected: String },
    #[error("Invalid value for '{field}': {length} characters, at most {most} are taken")]
    TooLong { field: &'static str, length: usize, most: usize },
    #[error("max_results must be between 1 and 1000.")]
    MaxResults,
    #[error("Invalid page token '{token}'")]
    PageToken { token: String },
    #[error("the operating system gives no random bytes")]
    NoRandomness,
    #[error("the key of the webhooks' secrets cannot be read or written")]
    KeyFile(#[source] std::io::Error),
    #[error("the key file of the webhooks' secrets holds {length} bytes, a key has 32")]
    KeyLength { length: usize },
    #[error("the secret of webhook {id} does not open with the key file of this server")]
    Sealed { id: String },
    #[error("the table {table} holds {value:?} as {column}")]
    Stored { table: &'static str, column: &'static str, value: String },
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Event(#[from] EventError),
}

impl Fault for WebhookError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Missing { .. }
            | Self::Name { .. }
            | Self::BlankUrl { .. }
            | Self::Scheme { .. }
            | Self::NoHost { .. }
            | Self::Url { .. }
            | Self::Userinfo
            | Self::Unresolved { .. }
            | Self::NotPublic { .. }
            | Self::NoEvents
            | Self::Combination { .. }
            | Self::Word { .. }
            | Self::TooLong { .. }
            | Self::MaxResults
            | Self::PageToken { .. } => ErrorKind::Invalid,
            Self::NoRandomness
            | Self::KeyFile(_)
            | Self::KeyLength { .. }
            | Self::Sealed { .. }
            | Self::Stored { .. } => ErrorKind::Internal,
            Self::Db(error) => error.kind(),
            Self::Event(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "webhooks/not-found",
            Self::Missing { .. } => "webhooks/missing",
            Self::Name { .. } => "webhooks/name",
            Self::BlankUrl { .. } | Self::NoHost { .. } | Self::Url { .. } => "webhooks/url",
            Self::Scheme { .. } => "webhooks/scheme",
            Self::Userinfo => "webhooks/userinfo",
            Self::Unresolved { .. } => "webhooks/unresolved",
            Self::NotPublic { .. } => "webhooks/not-public",
            Self::NoEvents => "webhooks/no-events",
            Self::Combination { .. } => "webhooks/combination",
            Self::Word { .. } => "webhooks/word",
            Self::TooLong { .. } => "webhooks/too-long",
            Self::MaxResults => "webhooks/max-results",
            Self::PageToken { .. } => "webhooks/page-token",
            Self::NoRandomness => "webhooks/no-randomness",
            Self::KeyFile(_) | Self::KeyLength { .. } => "webhooks/key-file",
            Self::Sealed { .. } => "webhooks/sealed",
            Self::Stored { .. } => "webhooks/stored",
            Self::Db(error) => error.code(),
            Self::Event(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotPublic { .. } => {
                Some("hosts named in LOOPWRIGHT_WEBHOOK_ALLOW_HOSTS may have such addresses".to_owned())
            }
            Self::Sealed { .. } => Some("set the webhook's secret again".to_owned()),
            _ => None,
        }
    }
}
