use std::path::PathBuf;

use crate::EnvironmentError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvironmentState {
    Building,
    Ready,
    Failed,
}

impl EnvironmentState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Building, Self::Ready, Self::Failed].into_iter().find(|state| state.name() == name)
    }

    /// A failed environment may be built again; a ready one never changes.
    pub fn advance(self, to: Self) -> Result<Self, EnvironmentError> {
        match (self, to) {
            (Self::Building, Self::Ready | Self::Failed) | (Self::Failed, Self::Building) => Ok(to),
            (from, to) => Err(EnvironmentError::Transition { from: from.name(), to: to.name() }),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Environment {
    /// First 16 digits of the SHA-256 over lock and project file.
    pub id: String,
    pub project: String,
    pub state: EnvironmentState,
    pub job_id: String,
    pub lock_digest: String,
    pub error: Option<String>,
    /// Where its `bin` is; meaningful once ready.
    pub directory: PathBuf,
}
