use platform_db::DbError;
use platform_events::EventError;
use platform_primitives::{ErrorKind, Fault};

#[derive(Debug, thiserror::Error)]
pub enum LineageError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Event(#[from] EventError),
}

impl Fault for LineageError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Db(error) => error.kind(),
            Self::Event(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Db(error) => error.code(),
            Self::Event(error) => error.code(),
        }
    }
}
