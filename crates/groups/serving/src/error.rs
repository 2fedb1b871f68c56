use kernel_trees::ModelError;
use platform_db::DbError;
use platform_events::EventError;
use platform_primitives::{ErrorKind, Failure, Fault};

#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    #[error("endpoint {name:?} does not exist")]
    EndpointNotFound { name: String },
    #[error("endpoint {endpoint:?} does not serve version {version}")]
    VersionNotServed { endpoint: String, version: String },
    #[error("endpoint {endpoint:?} belongs to the loop of {project}, which moves its traffic")]
    Owned { endpoint: String, project: String },
    #[error("{model}/{version} cannot be served: {rule}")]
    NotServable { model: String, version: i64, rule: String },
    #[error("{model}/{version} cannot be served: {source}")]
    Model { model: String, version: i64, source: ModelError },
    #[error("input {name:?} is missing; the model takes {expected}")]
    InputMissing { name: String, expected: String },
    #[error("input {name:?} is not one of the model's; it takes {expected}")]
    InputUnknown { name: String, expected: String },
    #[error("input {name:?}{place}: {rule}")]
    InputValue { name: String, place: String, rule: String },
    #[error("{rule}")]
    Request { rule: String },
    #[error("content type {found:?} is not supported; send {supported}")]
    ContentType { found: String, supported: &'static str },
    #[error("endpoint {endpoint} holds an unreadable {what}")]
    Corrupt { endpoint: String, what: &'static str },
    #[error(transparent)]
    Port(#[from] Failure),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Event(#[from] EventError),
}

impl ServingError {
    pub(crate) fn request(rule: impl Into<String>) -> Self {
        Self::Request { rule: rule.into() }
    }
}

impl Fault for ServingError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::EndpointNotFound { .. } | Self::VersionNotServed { .. } => ErrorKind::NotFound,
            Self::NotServable { .. }
            | Self::Model { .. }
            | Self::InputMissing { .. }
            | Self::InputUnknown { .. }
            | Self::InputValue { .. }
            | Self::Request { .. }
            | Self::ContentType { .. } => ErrorKind::Invalid,
            Self::Owned { .. } => ErrorKind::Forbidden,
            Self::Corrupt { .. } => ErrorKind::Internal,
            Self::Port(error) => error.kind(),
            Self::Db(error) => error.kind(),
            Self::Event(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::EndpointNotFound { .. } => "serving/endpoint-not-found",
            Self::VersionNotServed { .. } => "serving/version-not-served",
            Self::Owned { .. } => "serving/owned",
            Self::NotServable { .. } => "serving/not-servable",
            Self::Model { .. } => "serving/model",
            Self::InputMissing { .. } => "serving/input-missing",
            Self::InputUnknown { .. } => "serving/input-unknown",
            Self::InputValue { .. } => "serving/input-value",
            Self::Request { .. } => "serving/request",
            Self::ContentType { .. } => "serving/content-type",
            Self::Corrupt { .. } => "serving/corrupt",
            Self::Port(error) => error.code(),
            Self::Db(error) => error.code(),
            Self::Event(error) => error.code(),
        }
    }
}
