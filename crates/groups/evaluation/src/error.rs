use platform_db::DbError;
use platform_events::EventError;
use platform_primitives::{ErrorKind, Failure, Fault};
use platform_web::mlflow::filter::FilterError;

#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    #[error("Evaluation dataset with id '{id}' not found")]
    DatasetNotFound { id: String },
    #[error("Scorer with name '{name}'{} not found for experiment {experiment}.", at(*version))]
    ScorerNotFound { experiment: String, name: String, version: Option<i64> },
    #[error("Issue with ID '{id}' not found")]
    IssueNotFound { id: String },
    #[error(
        "Missing value for required parameter '{field}'. \
         See the API docs for more information about request parameters."
    )]
    Missing { field: &'static str },
    #[error("Invalid value {value:?} for parameter '{field}' supplied: {rule}")]
    Invalid { field: &'static str, value: String, rule: String },
    #[error("a stored {what} cannot be read")]
    Unreadable { what: &'static str, source: serde_json::Error },
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error(transparent)]
    Port(#[from] Failure),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Event(#[from] EventError),
}

fn at(version: Option<i64>) -> String {
    version.map_or(String::new(), |version| format!(" and version {version}"))
}

impl EvaluationError {
    pub(crate) fn invalid(field: &'static str, value: impl Into<String>, rule: impl Into<String>) -> Self {
        let value: String = value.into();
        Self::Invalid { field, value: value.chars().take(200).collect(), rule: rule.into() }
    }
}

impl Fault for EvaluationError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::DatasetNotFound { .. } | Self::ScorerNotFound { .. } | Self::IssueNotFound { .. } => {
                ErrorKind::NotFound
            }
            Self::Missing { .. } | Self::Invalid { .. } => ErrorKind::Invalid,
            Self::Unreadable { .. } => ErrorKind::Internal,
            Self::Filter(error) => error.kind(),
            Self::Port(error) => error.kind(),
            Self::Db(error) => error.kind(),
            Self::Event(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::DatasetNotFound { .. } => "evaluation/dataset-not-found",
            Self::ScorerNotFound { .. } => "evaluation/scorer-not-found",
            Self::IssueNotFound { .. } => "evaluation/issue-not-found",
            Self::Missing { .. } => "evaluation/missing",
            Self::Invalid { .. } => "evaluation/invalid",
            Self::Unreadable { .. } => "evaluation/unreadable",
            Self::Filter(error) => error.code(),
            Self::Port(error) => error.code(),
            Self::Db(error) => error.code(),
            Self::Event(error) => error.code(),
        }
    }
}
