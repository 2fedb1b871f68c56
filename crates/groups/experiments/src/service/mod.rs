//! The verbs: where a transaction, its rules and its event meet.

mod datasets;
mod experiments;
mod files;
mod history;
mod import;
mod logging;
mod models;
mod runs;
mod scans;
mod scope;
mod uploads;
mod workspace;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use platform_blobs::Blobs;
use platform_db::Db;
use platform_events::Events;
use platform_primitives::Timestamp;

use crate::ExperimentError;
use crate::cache::RecordCache;
use crate::fold::{self, Waiting};
use crate::homes::Homes;
use crate::index::RunIndex;
use crate::ports::Uploads;
use crate::series::SeriesCache;
use crate::turns::Turns;

pub use import::Imported;
pub(crate) use logging::Batch;
pub use runs::NewRun;
pub(crate) use runs::RunChange;
pub use scans::StoredFile;
pub(crate) use uploads::NamedPart;
pub(crate) use workspace::{Axis, RunWindow};

type Result<T> = std::result::Result<T, ExperimentError>;

#[derive(Clone)]
pub struct Experiments {
    pub(crate) db: Db,
    pub(crate) events: Events,
    pub(crate) blobs: Blobs,
    pub(crate) cache: Arc<RecordCache>,
    pub(crate) index: Arc<RunIndex>,
    pub(crate) series: Arc<SeriesCache>,
    pub(crate) waiting: Arc<Waiting>,
    /// The last batch number given out.
    pub(crate) seq: Arc<AtomicI64>,
    uploads: Option<Arc<dyn Uploads>>,
    /// Nothing outside of it is seen; without one, everything is.
    workspace: Option<Arc<str>>,
    homes: Arc<Homes>,
    /// For uploads in parts, by their ids.
    turns: Arc<Turns>,
}

impl Experiments {
    pub fn new(db: Db, events: Events, blobs: Blobs) -> Self {
        Self {
            db,
            events,
            blobs,
            cache: Arc::new(RecordCache::new()),
            index: Arc::default(),
            series: Arc::default(),
            waiting: Arc::default(),
            seq: Arc::default(),
            uploads: None,
            workspace: None,
            homes: Arc::default(),
            turns: Arc::default(),
        }
    }

    /// Tells of every file that a client uploads.
    pub fn with_uploads(self, uploads: Arc<dyn Uploads>) -> Self {
        Self { uploads: Some(uploads), ..self }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.events.now()
    }

    /// Folds points in the background; runs until the process ends.
    pub async fn fold_points(self) {
        fold::run(self).await;
    }

    /// What a commit that changed a run does before it is acknowledged: nobody reads the old state afterwards.
    pub(crate) fn changed(&self, experiment: i64, run: &str) -> impl FnOnce() + Send + 'static {
        let (cache, index, run) = (Arc::clone(&self.cache), Arc::clone(&self.index), run.to_owned());
        move || {
            cache.forget(&run);
            index.mark(experiment, &run);
        }
    }
}
