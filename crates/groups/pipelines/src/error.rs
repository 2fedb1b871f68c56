use platform_blobs::BlobError;
use platform_db::DbError;
use platform_events::EventError;
use platform_jobs::JobError;
use platform_primitives::{ErrorKind, Failure, Fault};

#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    #[error("pipeline run {id} does not exist")]
    NotFound { id: String },
    #[error("pipeline run {run} wrote no file {path:?}")]
    FileNotFound { run: String, path: String },
    #[error("pipeline run {id} holds an unreadable {what}")]
    Corrupt { id: String, what: &'static str },
    #[error("a {what} cannot go from {from} to {to}")]
    Transition { what: &'static str, from: &'static str, to: &'static str },
    #[error("stages wait for each other: {stages}")]
    Cycle { stages: String },
    #[error("stage {stage}: dependency {path:?} does not exist in the project and no stage writes it")]
    DependencyMissing { stage: String, path: String },
    #[error("stage {stage} ended well but did not write {path:?}")]
    OutputMissing { stage: String, path: String },
    #[error("stage {stage}: the command {command:?} has an unclosed quote")]
    Command { stage: String, command: String },
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error(transparent)]
    Port(#[from] Failure),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Event(#[from] EventError),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl Fault for PipelineError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::FileNotFound { .. } => ErrorKind::NotFound,
            Self::Transition { .. } => ErrorKind::Conflict,
            Self::Cycle { .. }
            | Self::DependencyMissing { .. }
            | Self::OutputMissing { .. }
            | Self::Command { .. } => ErrorKind::Invalid,
            Self::Corrupt { .. } | Self::File { .. } => ErrorKind::Internal,
            Self::Port(error) => error.kind(),
            Self::Db(error) => error.kind(),
            Self::Event(error) => error.kind(),
            Self::Job(error) => error.kind(),
            Self::Blob(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "pipelines/not-found",
            Self::FileNotFound { .. } => "pipelines/file-not-found",
            Self::Corrupt { .. } => "pipelines/corrupt",
            Self::Transition { .. } => "pipelines/transition",
            Self::Cycle { .. } => "pipelines/cycle",
            Self::DependencyMissing { .. } => "pipelines/dependency-missing",
            Self::OutputMissing { .. } => "pipelines/output-missing",
            Self::Command { .. } => "pipelines/command",
            Self::File { .. } => "pipelines/file",
            Self::Port(error) => error.code(),
            Self::Db(error) => error.code(),
            Self::Event(error) => error.code(),
            Self::Job(error) => error.code(),
            Self::Blob(error) => error.code(),
        }
    }
}
