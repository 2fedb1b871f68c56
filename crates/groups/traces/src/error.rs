use platform_db::DbError;
use platform_events::EventError;
use platform_primitives::{ErrorKind, Failure, Fault};
use platform_web::mlflow::filter::FilterError;

#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    #[error("Trace with ID '{trace_id}' not found.")]
    TraceNotFound { trace_id: String },
    #[error("Trace with ID {trace_id} is not fully exported yet, please try again later.")]
    TraceIncomplete { trace_id: String },
    #[error("Trace with ID '{trace_id}' began at this very moment, please try again.")]
    JustBegun { trace_id: String },
    #[error("Assessment with ID '{assessment_id}' not found for trace '{trace_id}'")]
    AssessmentNotFound { trace_id: String, assessment_id: String },
    #[error("No trace tag with key '{key}' for trace with ID '{trace_id}'")]
    TagNotFound { trace_id: String, key: String },
    #[error("trace '{trace_id}' has no file '{path}'")]
    FileNotFound { trace_id: String, path: String },
    #[error(
        "Missing value for required parameter '{field}'. \
         See the API docs for more information about request parameters."
    )]
    Missing { field: &'static str },
    #[error("Invalid value {value:?} for parameter '{field}' supplied: {rule}")]
    Invalid { field: &'static str, value: String, rule: String },
    #[error("the request holds {count} {what}, at most {most} are taken")]
    TooMany { what: &'static str, count: usize, most: usize },
    #[error("{feature} is not supported by this server")]
    Unsupported { feature: &'static str },
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

impl TraceError {
    pub(crate) fn invalid(field: &'static str, value: impl Into<String>, rule: impl Into<String>) -> Self {
        let value: String = value.into();
        Self::Invalid { field, value: value.chars().take(200).collect(), rule: rule.into() }
    }
}

impl Fault for TraceError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TraceNotFound { .. }
            | Self::TraceIncomplete { .. }
            | Self::AssessmentNotFound { .. }
            | Self::TagNotFound { .. }
            | Self::FileNotFound { .. } => ErrorKind::NotFound,
            Self::JustBegun { .. } => ErrorKind::Unavailable,
            Self::Missing { .. } | Self::Invalid { .. } => ErrorKind::Invalid,
            Self::TooMany { .. } => ErrorKind::TooLarge,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Unreadable { .. } => ErrorKind::Internal,
            Self::Filter(error) => error.kind(),
            Self::Port(error) => error.kind(),
            Self::Db(error) => error.kind(),
            Self::Event(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::TraceNotFound { .. } => "traces/trace-not-found",
            Self::TraceIncomplete { .. } => "traces/trace-incomplete",
            Self::JustBegun { .. } => "traces/just-begun",
            Self::AssessmentNotFound { .. } => "traces/assessment-not-found",
            Self::TagNotFound { .. } => "traces/tag-not-found",
            Self::FileNotFound { .. } => "traces/file-not-found",
            Self::Missing { .. } => "traces/missing",
            Self::Invalid { .. } => "traces/invalid",
            Self::TooMany { .. } => "traces/too-many",
            Self::Unsupported { .. } => "traces/unsupported",
            Self::Unreadable { .. } => "traces/unreadable",
            Self::Filter(error) => error.code(),
            Self::Port(error) => error.code(),
            Self::Db(error) => error.code(),
            Self::Event(error) => error.code(),
        }
    }
}
