use platform_db::DbError;
use platform_events::EventError;
use platform_loopfile::InvalidLoopFile;
use platform_primitives::{ErrorKind, Fault};

#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    #[error("project {name:?} does not exist")]
    NotFound { name: String },
    #[error("cannot read the loop file: {0}")]
    Unreadable(std::io::Error),
    #[error("{directory:?} is not an absolute path of a folder on this machine")]
    Directory { directory: String },
    #[error("project {name:?} lives in {present:?}; it cannot be applied from {asked:?} too")]
    Elsewhere { name: String, present: String, asked: String },
    #[error(transparent)]
    Invalid(#[from] InvalidLoopFile),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Event(#[from] EventError),
}

impl Fault for ProjectError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Unreadable(_) | Self::Directory { .. } => ErrorKind::Invalid,
            Self::Elsewhere { .. } => ErrorKind::Conflict,
            Self::Invalid(error) => error.kind(),
            Self::Db(error) => error.kind(),
            Self::Event(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "projects/not-found",
            Self::Unreadable(_) => "projects/unreadable",
            Self::Directory { .. } => "projects/directory",
            Self::Elsewhere { .. } => "projects/elsewhere",
            Self::Invalid(error) => error.code(),
            Self::Db(error) => error.code(),
            Self::Event(error) => error.code(),
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid(error) => error.hint(),
            _ => None,
        }
    }
}
