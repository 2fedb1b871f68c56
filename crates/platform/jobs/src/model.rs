use std::collections::BTreeMap;
use std::path::PathBuf;

use platform_primitives::Timestamp;
use serde::{Deserialize, Serialize};

use crate::JobError;

/// What to run. Kept as JSON with the job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobSpec {
    pub project: String,
    /// What a person calls it, for example `train`.
    pub name: String,
    /// Program and arguments; no shell in between.
    pub command: Vec<String>,
    pub directory: PathBuf,
    /// Added to a minimal environment (`PATH`, `HOME`, `LANG`, `TMPDIR`).
    pub environment: BTreeMap<String, String>,
    pub deadline_ms: u64,
    /// How often a failed attempt is tried again.
    pub retries: u32,
    pub limits: Limits,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Limits {
    pub memory_bytes: Option<u64>,
    pub cpu_seconds: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Queued,
    Running,
    Succeeded,
    Failed,
}

impl JobState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Queued, Self::Running, Self::Succeeded, Self::Failed].into_iter().find(|s| s.name() == name)
    }

    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }

    /// The one place that says which change of state is legal.
    pub fn advance(self, to: JobState) -> Result<JobState, JobError> {
        use JobState::{Failed, Queued, Running, Succeeded};
        match (self, to) {
            (Queued, Running) | (Running, Succeeded | Failed | Queued) => Ok(to),
            (from, to) => Err(JobError::Transition { from: from.name(), to: to.name() }),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Job {
    pub id: String,
    pub spec: JobSpec,
    pub state: JobState,
    /// 0 before the first start.
    pub attempt: u32,
    pub created: Timestamp,
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    pub exit_code: Option<i64>,
    pub error: Option<String>,
    pub log_digest: Option<String>,
    /// The server that looks after the job, once there was one.
    pub(crate) lease: Option<Lease>,
}

#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub owner: String,
    pub until: Timestamp,
}

/// One line that a running job printed.
#[derive(Debug, Clone)]
pub struct LogLine {
    pub job: String,
    pub name: String,
    pub text: String,
}
