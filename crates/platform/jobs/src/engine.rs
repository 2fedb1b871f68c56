//! Where a job runs. `process` is the engine that needs nothing installed.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use async_trait::async_trait;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::model::JobSpec;
use crate::shim;
use crate::JobError;

/// What an engine knows of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Nothing was started in this folder.
    NotStarted,
    Running,
    Exited(ExitRecord),
    /// It was started, is not running, and left no exit record: the machine went down.
    Lost,
}

/// How an attempt ended, written by its shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Absent when a signal ended it.
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// Why the command could not be started, or `deadline of N ms passed`.
    pub reason: Option<String>,
}

impl ExitRecord {
    pub fn succeeded(&self) -> bool {
        self.code == Some(0) && self.reason.is_none()
    }

    /// `exit status 1`, `killed by signal 9`, or the reason.
    pub fn describe(&self) -> String {
        match (&self.reason, self.code, self.signal) {
            (Some(reason), _, _) => reason.clone(),
            (None, Some(code), _) => format!("exit status {code}"),
            (None, None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None, None) => "ended without a status".to_owned(),
        }
    }
}

/// Contract: `start` is idempotent per folder (a second start of the same attempt must not run the
/// command twice), and `progress` is answerable by a server that did not start it.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    async fn start(&self, attempt: &Path, spec: &JobSpec) -> Result<(), JobError>;
    async fn progress(&self, attempt: &Path) -> Result<Progress, JobError>;
}

/// Runs the command on this machine under `shim_program job-shim FOLDER`.
pub struct ProcessEngine {
    shim_program: PathBuf,
}

impl ProcessEngine {
    pub fn new(shim_program: PathBuf) -> Self {
        Self { shim_program }
    }
}

#[async_trait]
impl Engine for ProcessEngine {
    async fn start(&self, attempt: &Path, spec: &JobSpec) -> Result<(), JobError> {
        shim::write_spec(attempt, spec)?;
        let mut command = tokio::process::Command::new(&self.shim_program);
        command.arg("job-shim").arg(attempt);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Its own process group: a Ctrl-C in the server's terminal is not for the job.
        command.process_group(0);
        // Dropping the handle leaves the child running; tokio reaps it.
        command.spawn().map_err(JobError::Start)?;
        Ok(())
    }

    async fn progress(&self, attempt: &Path) -> Result<Progress, JobError> {
        if let Ok(text) = fs::read_to_string(attempt.join(shim::EXIT_FILE)) {
            let record = serde_json::from_str(&text).map_err(std::io::Error::from)?;
            return Ok(Progress::Exited(record));
        }
        let Ok(text) = fs::read_to_string(attempt.join(shim::RUNNING_FILE)) else {
            return Ok(Progress::NotStarted);
        };
        let identity: shim::ProcessIdentity = match serde_json::from_str(&text) {
            Ok(identity) => identity,
            Err(_) => return Ok(Progress::Lost),
        };
        if identity.is_alive() {
            return Ok(Progress::Running);
        }
        // The shim may have written its record between the two looks.
        match fs::read_to_string(attempt.join(shim::EXIT_FILE)) {
            Ok(text) => Ok(Progress::Exited(serde_json::from_str(&text).map_err(std::io::Error::from)?)),
            Err(_) => Ok(Progress::Lost),
        }
    }
}
