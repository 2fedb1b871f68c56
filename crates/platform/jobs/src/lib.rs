//! Work that is not the answer to a request: commands run by an engine, queued in the database.
//!
//! The default engine starts a small supervising shim per attempt. The shim outlives the server: after
//! kill -9 of the server the command goes on, its exit is written down, and the next server adopts it.
//! This is the only crate that starts processes.

mod engine;
mod error;
mod log;
mod model;
mod runner;
pub mod shim;
mod store;

use std::path::PathBuf;
use std::sync::Arc;

use platform_blobs::Blobs;
use platform_db::{Db, MigrationSet, Tx, migrations};
use platform_events::Events;
use platform_primitives::new_id;
use tokio::sync::{Notify, broadcast};

pub use engine::{Engine, ExitRecord, ProcessEngine, Progress};
pub use error::JobError;
pub use model::{Job, JobSpec, JobState, Limits, LogLine};

pub const MIGRATIONS: MigrationSet = migrations!("jobs", 1 => "0001_jobs");

/// Event kinds of this crate; the subject is `job:ID`.
pub mod kinds {
    pub const STARTED: &str = "jobs.started";
    pub const SUCCEEDED: &str = "jobs.succeeded";
    pub const FAILED: &str = "jobs.failed";
    pub const RETRIED: &str = "jobs.retried";
}

#[derive(Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub db: Db,
    pub events: Events,
    pub blobs: Blobs,
    pub engine: Arc<dyn Engine>,
    pub directory: PathBuf,
    pub slots: usize,
    /// Names this server in leases.
    pub owner: String,
    pub wake: Notify,
    pub lines: broadcast::Sender<LogLine>,
}

impl Jobs {
    /// `directory` keeps one folder per attempt; `slots` jobs run at the same time.
    pub fn new(
        db: Db,
        events: Events,
        blobs: Blobs,
        engine: Arc<dyn Engine>,
        directory: PathBuf,
        slots: usize,
    ) -> Self {
        let lines = broadcast::Sender::new(4096);
        let inner = Inner {
            db,
            events,
            blobs,
            engine,
            directory,
            slots,
            owner: new_id(),
            wake: Notify::new(),
            lines,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Queues a job in the caller's transaction; it starts after the commit.
    pub fn submit(&self, tx: &mut Tx<'_>, spec: JobSpec) -> Result<String, JobError> {
        let id = new_id();
        store::insert(tx, &id, &spec, self.inner.events.now())?;
        let inner = Arc::clone(&self.inner);
        tx.after_commit(move || inner.wake.notify_one());
        Ok(id)
    }

    pub async fn get(&self, id: &str) -> Result<Job, JobError> {
        store::find(&self.inner.db, id).await?.ok_or_else(|| JobError::NotFound { id: id.to_owned() })
    }

    /// Lines of running jobs from now on.
    pub fn listen(&self) -> broadcast::Receiver<LogLine> {
        self.inner.lines.subscribe()
    }

    /// The last lines of a job's newest attempt, oldest first.
    pub async fn log_tail(&self, id: &str, lines: usize) -> Result<Vec<String>, JobError> {
        let job = self.get(id).await?;
        log::tail(&self.inner, &job, lines).await
    }

    /// Starts, watches and finishes jobs until the process ends. Call it once per server.
    pub async fn run(self) {
        runner::run(self.inner).await;
    }
}
