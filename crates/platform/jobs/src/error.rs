use platform_blobs::BlobError;
use platform_db::DbError;
use platform_events::EventError;
use platform_primitives::{ErrorKind, Fault};

#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error("job {id} does not exist")]
    NotFound { id: String },
    #[error("job {id} holds an unreadable {what}")]
    Corrupt { id: String, what: &'static str },
    #[error("job cannot go from {from} to {to}")]
    Transition { from: &'static str, to: &'static str },
    #[error("cannot start the job: {0}")]
    Start(#[source] std::io::Error),
    #[error("process {pid} of a lost attempt does not end")]
    Leftover { pid: u32 },
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Event(#[from] EventError),
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl Fault for JobError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Transition { .. } => ErrorKind::Conflict,
            Self::Corrupt { .. } | Self::Start(_) | Self::Leftover { .. } | Self::Io(_) => {
                ErrorKind::Internal
            }
            Self::Db(error) => error.kind(),
            Self::Event(error) => error.kind(),
            Self::Blob(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "jobs/not-found",
            Self::Corrupt { .. } => "jobs/corrupt",
            Self::Transition { .. } => "jobs/transition",
            Self::Start(_) => "jobs/start",
            Self::Leftover { .. } => "jobs/leftover",
            Self::Io(_) => "jobs/io",
            Self::Db(error) => error.code(),
            Self::Event(error) => error.code(),
            Self::Blob(error) => error.code(),
        }
    }
}
