use platform_db::DbError;
use platform_events::EventError;
use platform_primitives::{ErrorKind, Failure, Fault};
use platform_tables::TableError;

#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    #[error("the model cannot be explained: {0}")]
    Model(kernel_shapley::ExplainError),
    #[error("row {row}: input {name:?} {rule}")]
    Value { row: usize, name: String, rule: String },
    #[error("row {row} holds {found} values, the model takes {expected}")]
    Width { row: usize, found: usize, expected: usize },
    #[error("input {name:?} is missing; the model takes {expected}")]
    InputMissing { name: String, expected: String },
    #[error("{rule}")]
    Request { rule: String },
    /// `place` is the way to what is wrong, such as `catalogue[3].code`.
    #[error("{place} {rule}")]
    Settings { place: String, rule: String },
    #[error("endpoint {endpoint:?} has no explanation settings")]
    NoSettings { endpoint: String },
    #[error("endpoint {endpoint:?} has no explanation settings of version {version}")]
    SettingsVersion { endpoint: String, version: i64 },
    #[error(
        "the explanation settings of endpoint {endpoint:?} were changed at the same moment; send them again"
    )]
    SettingsRaced { endpoint: String },
    #[error("endpoint {endpoint:?}, version {version}: no reference data were put")]
    ReferenceNotFound { endpoint: String, version: String },
    #[error("{what} needs reference data, and endpoint {endpoint:?}, version {version} has none")]
    NoReference { what: &'static str, endpoint: String, version: String },
    #[error("the reference data of endpoint {endpoint:?}, version {version} do not fit the model: {cause}")]
    ReferenceUnfit { endpoint: String, version: String, cause: Box<ExplainError> },
    #[error(
        "the reference data of endpoint {endpoint:?}, version {version} were changed at the same moment; ask again"
    )]
    ReferenceRaced { endpoint: String, version: String },
    #[error("the {what} of endpoint {endpoint:?} cannot be read back")]
    Stored { endpoint: String, what: &'static str },
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("of {endpoint:?} no explanations are stored that could be compared")]
    NothingStored { endpoint: String },
    #[error(transparent)]
    Port(#[from] Failure),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Event(#[from] EventError),
}

impl ExplainError {
    pub(crate) fn request(rule: impl Into<String>) -> Self {
        Self::Request { rule: rule.into() }
    }
}

impl Fault for ExplainError {
    fn kind(&self) -> ErrorKind {
        match self {
            // That the values add up is ours to see to.
            Self::Model(kernel_shapley::ExplainError::NotAdditive { .. }) => ErrorKind::Internal,
            Self::Model(_) => ErrorKind::Unsupported,
            Self::Value { .. }
            | Self::Width { .. }
            | Self::InputMissing { .. }
            | Self::Request { .. }
            | Self::Settings { .. } => ErrorKind::Invalid,
            Self::NoSettings { .. }
            | Self::SettingsVersion { .. }
            | Self::ReferenceNotFound { .. }
            | Self::NothingStored { .. } => ErrorKind::NotFound,
            Self::SettingsRaced { .. }
            | Self::NoReference { .. }
            | Self::ReferenceRaced { .. }
            | Self::ReferenceUnfit { .. } => ErrorKind::Conflict,
            Self::Stored { .. } => ErrorKind::Internal,
            Self::Table(error) => error.kind(),
            Self::Port(error) => error.kind(),
            Self::Db(error) => error.kind(),
            Self::Event(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Model(kernel_shapley::ExplainError::NotAdditive { .. }) => "explain/not-additive",
            Self::Model(_) => "explain/model",
            Self::Value { .. } => "explain/value",
            Self::Width { .. } => "explain/width",
            Self::InputMissing { .. } => "explain/input-missing",
            Self::Request { .. } => "explain/request",
            Self::Settings { .. } => "explain/settings",
            Self::NoSettings { .. } | Self::SettingsVersion { .. } => "explain/settings-not-found",
            Self::SettingsRaced { .. } => "explain/settings-raced",
            Self::ReferenceNotFound { .. } => "explain/reference-not-found",
            Self::NoReference { .. } => "explain/no-reference",
            Self::ReferenceRaced { .. } => "explain/reference-raced",
            Self::ReferenceUnfit { .. } => "explain/reference-unfit",
            Self::Stored { .. } => "explain/stored",
            Self::NothingStored { .. } => "explain/nothing-stored",
            Self::Table(error) => error.code(),
            Self::Port(error) => error.code(),
            Self::Db(error) => error.code(),
            Self::Event(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoReference { endpoint, .. } | Self::ReferenceNotFound { endpoint, .. } => Some(format!(
                "PUT /api/v1/endpoints/{endpoint}/reference takes rows as CSV or Parquet; a monitored champion has its training table"
            )),
            Self::NothingStored { endpoint } => Some(format!(
                "PUT /api/v1/endpoints/{endpoint}/explain/settings with \"store\": true keeps explanations of what is answered from then on"
            )),
            Self::NoSettings { endpoint } => {
                Some(format!("PUT /api/v1/endpoints/{endpoint}/explain/settings takes them as JSON"))
            }
            Self::Port(error) => error.hint(),
            Self::Db(error) => error.hint(),
            _ => None,
        }
    }
}
