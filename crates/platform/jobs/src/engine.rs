//! Where a job runs. `process` is the engine that needs nothing installed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::JobError;
use crate::model::JobSpec;
use crate::shim;

/// How long a killed command may take to be gone; the disk it waits for may be slow.
const KILL_PATIENCE: Duration = Duration::from_secs(2);

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
    /// Ends what a lost attempt left running, so that no retry runs beside it. Returns when it is gone.
    async fn end_leftovers(&self, attempt: &Path) -> Result<(), JobError>;
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
        // In the server's process group: `setsid`, the first thing the shim does, is refused to a leader.
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

    async fn end_leftovers(&self, attempt: &Path) -> Result<(), JobError> {
        let Ok(text) = fs::read_to_string(attempt.join(shim::CHILD_FILE)) else { return Ok(()) };
        // Written whole or not at all, so this is a file of somebody else's.
        let Ok(child) = serde_json::from_str::<shim::ProcessIdentity>(&text) else { return Ok(()) };
        child.kill_group();
        let started = Instant::now();
        while child.is_alive() {
            if started.elapsed() > KILL_PATIENCE {
                return Err(JobError::Leftover { pid: child.pid() });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}
