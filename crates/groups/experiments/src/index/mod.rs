//! Searching runs: one column per searched key, in memory, over all runs of an experiment.
//!
//! A column is loaded when a search first asks for it and follows every acknowledged write: the write marks its run before it is
//! acknowledged, and the next search reads the marked runs again. While more columns are loaded, searches of the others go on. A
//! search scans columns, so its cost does not depend on how deep a page lies. Memory: 8 bytes a run for a metric, 4 and the different
//! texts for a param or tag.

mod columns;
mod plan;
mod shard;
pub(crate) mod window;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{Stream, TryStreamExt as _, stream};
use platform_db::Db;
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use crate::ExperimentError;
use crate::aside::aside;
use crate::store::{self, Fields, LIST_MAX, ScanKey, ScannedRun, View};

pub(crate) use plan::{Plan, Token, is_smaller_better};
pub(crate) use shard::Hit;
use shard::{Columns, Shard, empty_columns, fields, fill, fill_datasets, has_datasets};

/// How often a search loads its columns again because others made room for theirs.
const ATTEMPTS: usize = 8;
/// Runs read at a time while a column is loaded, and about how many bytes of them.
const LOAD_PAGE: usize = 2_000;
const LOAD_BYTES: usize = 8 * 1024 * 1024;
/// Parts of an experiment that are read side by side.
const LOAD_PARTS: usize = 2;
/// Scans of more runs than this leave the threads that answer everybody. A search of so many takes about as long as writing its answer.
const INLINE_RUNS: usize = 10_000;
const INLINE_SEARCH: usize = 100_000;

#[derive(Default)]
pub(crate) struct RunIndex {
    slots: Mutex<HashMap<i64, Slot>>,
    /// Runs that changed since their shard looked, for experiments that have a shard.
    changed: Mutex<HashMap<i64, HashSet<String>>>,
    keys: window::Keys,
}

/// The columns of an experiment.
#[derive(Clone, Default)]
struct Slot {
    shard: Arc<RwLock<Shard>>,
    /// Held while more columns are loaded: one load at a time.
    loads: Arc<tokio::sync::Mutex<()>>,
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

    fn slot(&self, experiment: i64) -> Slot {
        // Marks are kept from now on, so that nothing that is written while the shard loads is missed.
        lock(&self.changed).entry(experiment).or_default();
        lock(&self.slots).entry(experiment).or_default().clone()
    }

    /// The experiment's shard, held, with what the plan looks at.
    async fn ready(
        self: &Arc<Self>,
        db: &Db,
        experiment: i64,
        plan: &Arc<Plan>,
    ) -> Result<OwnedRwLockReadGuard<Shard>, ExperimentError> {
        let slot = self.slot(experiment);
        for _ in 0..ATTEMPTS {
            self.bring_up_to_date(db, experiment, &slot, plan).await?;
            let held = Arc::clone(&slot.shard).read_owned().await;
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
        slot: &Slot,
        plan: &Arc<Plan>,
    ) -> Result<(), ExperimentError> {
        let is_current = {
            let shard = slot.shard.read().await;
            let unchanged = lock(&self.changed).get(&experiment).is_none_or(HashSet::is_empty);
            unchanged && shard.missing(plan).is_none()
        };
        if is_current {
            return Ok(());
        }
        // A task of its own: a client that goes away must not leave marks taken and runs not read.
        let (index, db, own, plan) = (Arc::clone(self), db.clone(), slot.clone(), Arc::clone(plan));
        let refreshed = tokio::spawn(async move {
            index.refresh(&db, experiment, &own, &plan).await?;
            index.load_more(&db, experiment, &own, &plan).await
        });
        match refreshed.await {
            Ok(outcome) => outcome,
            Err(_) => {
                // It panicked half-way: the next search loads everything again.
                slot.shard.write().await.clear();
                Err(ExperimentError::SearchFailed)
            }
        }
    }

    /// Loads the runs, if none are loaded, with the columns of the plan; else reads those again that changed.
    async fn refresh(
        &self,
        db: &Db,
        experiment: i64,
        slot: &Slot,
        plan: &Plan,
    ) -> Result<(), ExperimentError> {
        let mut shard = slot.shard.write().await;
        let taken = lock(&self.changed).insert(experiment, HashSet::new()).unwrap_or_default();
        let outcome = match shard.is_loaded() {
            true => update(db, experiment, &mut shard, taken.iter().cloned().collect()).await,
            // A full pass sees every marked run in its newest state.
            false => load(db, experiment, &mut shard, plan).await,
        };
        if outcome.is_err() {
            if !shard.is_loaded() {
                shard.clear();
            }
            self.mark_all(experiment, taken);
        }
        outcome
    }

    /// Loads the columns of the plan that are not here, and lets others search meanwhile.
    async fn load_more(
        &self,
        db: &Db,
        experiment: i64,
        slot: &Slot,
        plan: &Plan,
    ) -> Result<(), ExperimentError> {
        if slot.shard.read().await.missing(plan).is_none() {
            return Ok(());
        }
        let _one = slot.loads.lock().await;
        let missing = {
            let mut shard = slot.shard.write().await;
            // Another search loaded them, or emptied the shard.
            let Some(missing) = shard.missing(plan).filter(|_| shard.is_loaded()) else { return Ok(()) };
            shard.make_room(plan, missing.len());
            shard.begin_load();
            missing
        };
        let loaded = load_columns(db, experiment, slot, missing).await;
        let mut shard = slot.shard.write().await;
        let changed = shard.end_load();
        let (columns, Some(changed)) = (loaded?, changed) else { return Ok(()) };
        // They may have been read before they changed.
        self.mark_all(experiment, changed);
        shard.install(columns);
        Ok(())
    }

    fn mark_all(&self, experiment: i64, runs: HashSet<String>) {
        lock(&self.changed).entry(experiment).or_default().extend(runs);
    }
}

/// Runs of an experiment, a page at a time; as many as fit in the memory that is meant for it.
struct Pages {
    db: Db,
    experiment: i64,
    fields: Fields,
    after: ScanKey,
    upto: Option<ScanKey>,
    limit: usize,
    ended: bool,
}

impl Pages {
    fn all(db: &Db, experiment: i64, fields: Fields) -> Self {
        Self {
            db: db.clone(),
            experiment,
            fields,
            after: (i64::MIN, String::new()),
            upto: None,
            limit: LOAD_PAGE / 16,
            ended: false,
        }
    }

    /// The same runs in parts that can be read side by side: what lies between the keys, and around them.
    fn split(self, keys: Vec<ScanKey>) -> Vec<Self> {
        let starts = std::iter::once(self.after).chain(keys.iter().cloned());
        let ends = keys.iter().cloned().map(Some).chain([self.upto]);
        let part = |(after, upto)| Self { db: self.db.clone(), after, upto, ..self };
        starts.zip(ends).map(part).collect()
    }

    async fn next(&mut self) -> Result<Option<Vec<ScannedRun>>, ExperimentError> {
        if self.ended {
            return Ok(None);
        }
        let (experiment, fields, limit) = (self.experiment, self.fields, self.limit);
        let (after, upto) = (self.after.clone(), self.upto.clone());
        let scan = self.db.snapshot(move |rows| {
            store::scan_experiment(rows, experiment, fields, (&after, upto.as_ref()), limit)
        });
        let page = scan.await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.after = (last.start_ms, last.id.clone());
        self.ended = page.len() < limit;
        let bytes: usize = page.iter().map(ScannedRun::bytes).sum();
        self.limit = (LOAD_BYTES / (bytes / page.len()).max(1)).clamp(1, LOAD_PAGE);
        Ok(Some(page))
    }

    fn stream(self) -> impl Stream<Item = Result<Vec<ScannedRun>, ExperimentError>> {
        stream::try_unfold(self, async |mut pages| Ok(pages.next().await?.map(|page| (page, pages))))
    }
}

/// Reads all runs, with the columns of the plan.
async fn load(db: &Db, experiment: i64, shard: &mut Shard, plan: &Plan) -> Result<(), ExperimentError> {
    shard.columns = empty_columns(shard.missing(plan).unwrap_or_default());
    let mut pages = Pages::all(db, experiment, fields(&shard.columns));
    while let Some(page) = pages.next().await? {
        page.iter().try_for_each(|scanned| shard.put(scanned))?;
    }
    if has_datasets(&shard.columns) {
        shard.put_datasets(&db.snapshot(move |rows| store::input_keys(rows, experiment, None)).await?);
    }
    shard.finish();
    Ok(())
}

/// Columns of the runs that the shard has; those that it has not are marked, for they came meanwhile.
async fn load_columns(
    db: &Db,
    experiment: i64,
    slot: &Slot,
    missing: Vec<plan::ColumnKey>,
) -> Result<Columns, ExperimentError> {
    let mut columns = empty_columns(missing);
    let fields = fields(&columns);
    if !fields.is_none() {
        let parts = Pages::all(db, experiment, fields).split(slot.shard.read().await.scan_keys(LOAD_PARTS));
        let mut pages = stream::select_all(parts.into_iter().map(|part| Box::pin(part.stream())));
        while let Some(page) = pages.try_next().await? {
            let shard = slot.shard.read().await;
            for scanned in page {
                if let Some(place) = shard.place(&scanned.id) {
                    fill(&mut columns, place, &scanned)?;
                }
            }
        }
    }
    if has_datasets(&columns) {
        let keys = db.snapshot(move |rows| store::input_keys(rows, experiment, None)).await?;
        let shard = slot.shard.read().await;
        fill_datasets(&mut columns, shard.len(), |run| shard.place(run), &keys);
    }
    Ok(columns)
}

async fn update(
    db: &Db,
    experiment: i64,
    shard: &mut Shard,
    runs: Vec<String>,
) -> Result<(), ExperimentError> {
    let with_datasets = has_datasets(&shard.columns);
    for page in runs.chunks(LIST_MAX) {
        let ids = page.to_vec();
        let (scanned, inputs) = db
            .snapshot(move |rows| {
                let scanned = store::scan_runs(rows, &ids)?;
                let inputs = match with_datasets {
                    true => store::input_keys(rows, experiment, Some(&ids))?,
                    false => Vec::new(),
                };
                Ok::<_, ExperimentError>((scanned, inputs))
            })
            .await?;
        for id in page {
            if !scanned.iter().any(|scanned| scanned.id == *id) {
                shard.remove(id);
            }
        }
        scanned.iter().try_for_each(|scanned| shard.put(scanned))?;
        shard.put_datasets(&inputs);
    }
    shard.finish();
    Ok(())
}
