//! Searching runs: one column per searched key, in memory, over all runs of an experiment.
//!
//! A column is loaded when a search first asks for it and follows every acknowledged write: the write marks its run before it is
//! acknowledged, and the next search reads the marked runs again. A search scans columns, so its cost does not depend on how
//! deep a page lies. Memory: 8 bytes a run for a metric, 4 and the different texts for a param or tag.

mod columns;
mod plan;
mod shard;
pub(crate) mod window;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use platform_db::Db;
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use crate::ExperimentError;
use crate::aside::aside;
use crate::store::{self, LIST_MAX, StoredRun, View};

pub(crate) use plan::{Plan, Token, is_smaller_better};
pub(crate) use shard::Hit;
use shard::Shard;

/// How often a search loads its columns again because others made room for theirs.
const ATTEMPTS: usize = 8;
/// Runs read at a time while a column is loaded, and about how many bytes of them.
const LOAD_PAGE: usize = 2_000;
const LOAD_BYTES: usize = 8 * 1024 * 1024;
/// Scans of more runs than this leave the threads that answer everybody. A search of so many takes about as long as writing its answer.
const INLINE_RUNS: usize = 10_000;
const INLINE_SEARCH: usize = 100_000;

#[derive(Default)]
pub(crate) struct RunIndex {
    shards: Mutex<HashMap<i64, Arc<RwLock<Shard>>>>,
    /// Runs that changed since their shard looked, for experiments that have a shard.
    changed: Mutex<HashMap<i64, HashSet<String>>>,
    keys: window::Keys,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic runs under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RunIndex {
    /// After a commit and before its acknowledgement.
    pub fn mark(&self, experiment: i64, run: &str) {
        self.keys.mark(experiment, run);
        if let Some(runs) = lock(&self.changed).get_mut(&experiment)
            && !runs.contains(run)
        {
            runs.insert(run.to_owned());
        }
    }

    /// The first `limit` runs of the experiments behind `token`, in the order of the plan.
    pub async fn search(
        self: &Arc<Self>,
        db: &Db,
        experiments: &[i64],
        view: View,
        plan: &Arc<Plan>,
        token: Option<Token>,
        limit: usize,
    ) -> Result<Vec<Hit>, ExperimentError> {
        let token = token.map(Arc::new);
        let mut hits: Vec<Hit> = Vec::new();
        for experiment in experiments {
            let shard = self.ready(db, *experiment, plan).await?;
            let (plan, token) = (Arc::clone(plan), token.clone());
            let is_large = shard.len() > INLINE_SEARCH;
            hits.extend(aside(is_large, move || shard.search(view, &plan, token.as_deref(), limit)).await?);
        }
        if experiments.len() > 1 {
            hits.sort_by(|a, b| plan.compare(a, b));
            hits.truncate(limit);
        }
        Ok(hits)
    }

    fn shard(&self, experiment: i64) -> Arc<RwLock<Shard>> {
        // Marks are kept from now on, so that nothing that is written while the shard loads is missed.
        lock(&self.changed).entry(experiment).or_default();
        Arc::clone(lock(&self.shards).entry(experiment).or_default())
    }

    /// The experiment's shard, held, with what the plan looks at.
    async fn ready(
        self: &Arc<Self>,
        db: &Db,
        experiment: i64,
        plan: &Arc<Plan>,
    ) -> Result<OwnedRwLockReadGuard<Shard>, ExperimentError> {
        let shard = self.shard(experiment);
        for _ in 0..ATTEMPTS {
            self.bring_up_to_date(db, experiment, &shard, plan).await?;
            let held = Arc::clone(&shard).read_owned().await;
            // Another search may have made room for its own columns meanwhile.
            if held.missing(plan).is_none() {
                return Ok(held);
            }
        }
        Err(ExperimentError::SearchFailed)
    }

    async fn bring_up_to_date(
        self: &Arc<Self>,
        db: &Db,
        experiment: i64,
        shard: &Arc<RwLock<Shard>>,
        plan: &Arc<Plan>,
    ) -> Result<(), ExperimentError> {
        let is_current = {
            let shard = shard.read().await;
            let unchanged = lock(&self.changed).get(&experiment).is_none_or(HashSet::is_empty);
            unchanged && shard.missing(plan).is_none()
        };
        if is_current {
            return Ok(());
        }
        // A task of its own: a client that goes away must not leave marks taken and runs not read.
        let (index, db, own, plan) = (Arc::clone(self), db.clone(), Arc::clone(shard), Arc::clone(plan));
        let refreshed = tokio::spawn(async move { index.refresh(&db, experiment, &own, &plan).await });
        match refreshed.await {
            Ok(outcome) => outcome,
            Err(_) => {
                // It panicked half-way: the next search loads everything again.
                shard.write().await.clear();
                Err(ExperimentError::SearchFailed)
            }
        }
    }

    async fn refresh(
        &self,
        db: &Db,
        experiment: i64,
        shard: &Arc<RwLock<Shard>>,
        plan: &Plan,
    ) -> Result<(), ExperimentError> {
        let mut shard = shard.write().await;
        if let Some(missing) = shard.missing(plan) {
            shard.make_room(plan, missing.len());
            // A full pass sees every marked run in its newest state.
            let taken = lock(&self.changed).insert(experiment, HashSet::new());
            if let Err(error) = load(db, experiment, &mut shard, missing).await {
                shard.clear();
                self.mark_all(experiment, taken.unwrap_or_default());
                return Err(error);
            }
            return Ok(());
        }
        let taken = lock(&self.changed).insert(experiment, HashSet::new()).unwrap_or_default();
        let runs: Vec<String> = taken.iter().cloned().collect();
        if let Err(error) = update(db, experiment, &mut shard, runs).await {
            self.mark_all(experiment, taken);
            return Err(error);
        }
        Ok(())
    }

    fn mark_all(&self, experiment: i64, runs: HashSet<String>) {
        lock(&self.changed).entry(experiment).or_default().extend(runs);
    }
}

/// All runs of an experiment, a page at a time; as many as fit in the memory that is meant for it.
struct Pages {
    experiment: i64,
    after: (i64, String),
    limit: usize,
    ended: bool,
}

impl Pages {
    fn of(experiment: i64) -> Self {
        Self { experiment, after: (i64::MIN, String::new()), limit: LOAD_PAGE / 16, ended: false }
    }

    async fn next(&mut self, db: &Db) -> Result<Option<Vec<StoredRun>>, ExperimentError> {
        if self.ended {
            return Ok(None);
        }
        let (experiment, after, limit) = (self.experiment, self.after.clone(), self.limit);
        let page =
            db.snapshot(move |rows| store::runs_of_experiment(rows, experiment, &after, limit)).await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.after = (last.run.start.as_millis(), last.run.id.clone());
        self.ended = page.len() < limit;
        let bytes: usize = page.iter().map(StoredRun::bytes).sum();
        self.limit = (LOAD_BYTES / (bytes / page.len()).max(1)).clamp(1, LOAD_PAGE);
        Ok(Some(page))
    }
}

/// Reads all runs once, for the columns that are missing; the others follow the same pass.
async fn load(
    db: &Db,
    experiment: i64,
    shard: &mut Shard,
    missing: Vec<plan::ColumnKey>,
) -> Result<(), ExperimentError> {
    shard.begin(missing);
    let mut pages = Pages::of(experiment);
    while let Some(page) = pages.next(db).await? {
        page.iter().for_each(|stored| shard.put(stored));
    }
    if shard.has_datasets() {
        let keys = db.snapshot(move |rows| store::input_keys(rows, experiment, None)).await?;
        shard.put_datasets(&keys);
    }
    shard.finish();
    Ok(())
}

async fn update(
    db: &Db,
    experiment: i64,
    shard: &mut Shard,
    runs: Vec<String>,
) -> Result<(), ExperimentError> {
    let with_datasets = shard.has_datasets();
    for page in runs.chunks(LIST_MAX) {
        let ids = page.to_vec();
        let (stored, inputs) = db
            .snapshot(move |rows| {
                let stored = store::stored_runs(rows, &ids)?;
                let inputs = match with_datasets {
                    true => store::input_keys(rows, experiment, Some(&ids))?,
                    false => Vec::new(),
                };
                Ok::<_, ExperimentError>((stored, inputs))
            })
            .await?;
        for id in page {
            if !stored.iter().any(|stored| stored.run.id == *id) {
                shard.remove(id);
            }
        }
        stored.iter().for_each(|stored| shard.put(stored));
        shard.put_datasets(&inputs);
    }
    shard.finish();
    Ok(())
}
