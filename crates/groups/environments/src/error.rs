use platform_db::DbError;
use platform_events::EventError;
use platform_jobs::JobError;
use platform_primitives::{ErrorKind, Fault};

#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    #[error("environment {id} does not exist")]
    NotFound { id: String },
    #[error("environment {id} holds an unreadable state {value:?}")]
    Corrupt { id: String, value: String },
    #[error("an environment cannot go from {from} to {to}")]
    Transition { from: &'static str, to: &'static str },
    #[error("{path} cannot be read: {source}")]
    File { path: String, source: std::io::Error },
    #[error("the program uv is not on PATH")]
    UvMissing,
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Event(#[from] EventError),
    #[error(transparent)]
    Job(#[from] JobError),
}

impl Fault for EnvironmentError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::File { .. } | Self::UvMissing => ErrorKind::Invalid,
            Self::Transition { .. } => ErrorKind::Conflict,
            Self::Corrupt { .. } => ErrorKind::Internal,
            Self::Db(error) => error.kind(),
            Self::Event(error) => error.kind(),
            Self::Job(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "environments/not-found",
            Self::Corrupt { .. } => "environments/corrupt",
            Self::Transition { .. } => "environments/transition",
            Self::File { .. } => "environments/file",
            Self::UvMissing => "environments/uv-missing",
            Self::Db(error) => error.code(),
            Self::Event(error) => error.code(),
            Self::Job(error) => error.code(),
        }
    }
    fn hint(&self) -> Option<String> {
        matches!(self, Self::UvMissing).then(|| "install it with `python3 -m pip install uv`".to_owned())
    }
}
