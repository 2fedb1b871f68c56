use platform_db::DbError;
use platform_events::EventError;
use platform_primitives::{ErrorKind, Failure, Fault};

#[derive(Debug, thiserror::Error)]
pub enum LoopError {
    #[error("project {project:?} has no loop yet; build it first")]
    NotFound { project: String },
    #[error("project {project:?} is being built already")]
    AlreadyBuilding { project: String },
    #[error("the loop of {project} holds an unreadable record")]
    Corrupt { project: String },
    #[error("an attempt cannot go from {from} to {to}")]
    Transition { from: &'static str, to: &'static str },
    #[error("the clock of {project} stands at {present} and cannot go back to {asked}")]
    ClockBackwards { project: String, present: String, asked: String },
    #[error("the clock of {project} is the wall clock: start the loop in replay mode to move it")]
    WallClock { project: String },
    #[error(transparent)]
    Port(#[from] Failure),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Event(#[from] EventError),
}

impl Fault for LoopError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::AlreadyBuilding { .. } | Self::Transition { .. } | Self::WallClock { .. } => {
                ErrorKind::Conflict
            }
            Self::ClockBackwards { .. } => ErrorKind::Invalid,
            Self::Corrupt { .. } => ErrorKind::Internal,
            Self::Port(error) => error.kind(),
            Self::Db(error) => error.kind(),
            Self::Event(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "loops/not-found",
            Self::AlreadyBuilding { .. } => "loops/already-building",
            Self::Corrupt { .. } => "loops/corrupt",
            Self::Transition { .. } => "loops/transition",
            Self::ClockBackwards { .. } => "loops/clock-backwards",
            Self::WallClock { .. } => "loops/wall-clock",
            Self::Port(error) => error.code(),
            Self::Db(error) => error.code(),
            Self::Event(error) => error.code(),
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Port(error) => error.hint(),
            _ => None,
        }
    }
}
