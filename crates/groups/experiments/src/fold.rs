//! Folding: points that requests logged become sorted, compressed chunks, in the background.
//!
//! A fold takes the waiting batches of a run, writes chunks and the run's summaries and deletes the batches, in one
//! transaction: a reader sees the points before or after it, never twice and never not at all. Runs with few batches are folded
//! many at a time, for a transaction costs more than such a fold. Chunks of level 0 hold all keys of a fold; eight folds of a level
//! are merged into one of the next, so that a run with many metrics keeps few chunks per key.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kernel_series::{Point, Series, Summaries, decode_batch, decode_chunk, encode_chunk, sort_points};
use platform_db::Tx;
use tokio::sync::Notify;

use crate::ExperimentError;
use crate::aside::aside;
use crate::service::Experiments;
use crate::store::{self, Batch, Chunk};

/// A run is folded when so many batches or points wait, when it is finished, or when nothing came for a while.
const BATCHES: usize = 512;
const POINTS: usize = 32_768;
const QUIET: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Batches taken by one fold: bounds its memory at about 100 MB for the largest batches.
const FOLD_BATCHES: usize = 4_096;
/// Runs with at most `SMALL` batches are folded together, so many and with so many batches at a time: others write between.
const SMALL: usize = 64;
const TOGETHER: usize = 64;
const TOGETHER_BATCHES: usize = 512;
/// Points in one chunk.
const CHUNK_POINTS: usize = 16_384;
/// Folds of a level that are merged.
const MERGE: usize = 8;
/// Chunks of this level hold a key or two: merging them again would only copy.
const LAST_LEVEL: i64 = 2;

/// What waits, by run.
#[derive(Default)]
pub(crate) struct Waiting {
    runs: Mutex<HashMap<String, Pending>>,
    wake: Notify,
}

struct Pending {
    batches: usize,
    points: usize,
    last: Instant,
    finished: bool,
}

impl Waiting {
    fn runs(&self) -> MutexGuard<'_, HashMap<String, Pending>> {
        // Nothing that can panic runs under the lock.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn note(&self, run: &str, points: usize) {
        self.note_batches(run, 1, points);
    }

    fn note_batches(&self, run: &str, batches: usize, points: usize) {
        let mut runs = self.runs();
        let full = match runs.get_mut(run) {
            Some(pending) => {
                pending.batches += batches;
                pending.points += points;
                pending.last = Instant::now();
                pending.is_full()
            }
            None => {
                let pending = Pending { batches, points, last: Instant::now(), finished: false };
                let full = pending.is_full();
                runs.insert(run.to_owned(), pending);
                full
            }
        };
        drop(runs);
        if full {
            self.wake.notify_one();
        }
    }

    pub fn finished(&self, run: &str) {
        if let Some(pending) = self.runs().get_mut(run) {
            pending.finished = true;
        }
    }

    /// The runs to fold, in groups that are folded together; with the batches of each.
    fn take_due(&self) -> Vec<Vec<(String, usize)>> {
        let mut runs = self.runs();
        let (mut groups, mut small) = (Vec::new(), Vec::new());
        for (run, pending) in runs.extract_if(|_, pending| pending.is_due()) {
            match pending.batches <= SMALL {
                true => small.push((run, pending.batches)),
                false => groups.push(vec![(run, pending.batches)]),
            }
        }
        drop(runs);
        // Ids begin with the time: neighbours lie on the same pages.
        small.sort_unstable();
        let (mut group, mut batches) = (Vec::new(), 0);
        for one in small {
            if group.len() >= TOGETHER || batches + one.1 > TOGETHER_BATCHES {
                groups.push(std::mem::take(&mut group));
                batches = 0;
            }
            batches += one.1;
            group.push(one);
        }
        groups.extend((!group.is_empty()).then_some(group));
        groups
    }
}

impl Pending {
    fn is_full(&self) -> bool {
        self.batches >= BATCHES || self.points >= POINTS
    }

    fn is_due(&self) -> bool {
        self.is_full() || self.finished || self.last.elapsed() >= QUIET
    }
}

/// Folds until the process ends. What waited when it ended is folded after the next start.
pub(crate) async fn run(experiments: Experiments) {
    match store::runs_with_tail(&experiments.db).await {
        Ok(runs) => runs.iter().for_each(|(run, batches)| {
            experiments.waiting.note_batches(run, *batches, *batches);
            experiments.waiting.finished(run);
        }),
        Err(error) => tracing::error!(%error, "the runs with points to fold cannot be listed"),
    }
    loop {
        let woken = tokio::time::timeout(LOOK_EVERY, experiments.waiting.wake.notified()).await;
        for group in experiments.waiting.take_due() {
            let runs: Vec<String> = group.iter().map(|(run, _)| run.clone()).collect();
            if fold(&experiments, &runs).await.is_ok() {
                continue;
            }
            // One of them: the others are not to wait for it.
            for (run, batches) in group {
                if let Err(error) = fold(&experiments, std::slice::from_ref(&run)).await {
                    tracing::error!(%error, run, "points are not folded; they stay as they are");
                    experiments.waiting.note_batches(&run, batches, batches);
                }
            }
        }
        if woken.is_ok() {
            // Bursts are folded together.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Folds everything that waits for at most [`store::LIST_MAX`] runs and merges the levels that have become full.
pub(crate) async fn fold(experiments: &Experiments, runs: &[String]) -> Result<(), ExperimentError> {
    let db = &experiments.db;
    loop {
        let batches = store::tail_batches(db, runs, FOLD_BATCHES).await?;
        if batches.is_empty() {
            return Ok(());
        }
        let is_last = batches.len() < FOLD_BATCHES;
        let folded = aside(true, move || compress(&batches)).await??;
        let written =
            db.write(move |tx| folded.into_iter().map(|one| one.write(tx)).collect::<Result<Vec<_>, _>>());
        for (run, fold) in written.await?.into_iter().flatten() {
            if fold + 1 >= MERGE as i64 {
                for level in 0..LAST_LEVEL {
                    merge(experiments, &run, level).await?;
                }
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

/// What a fold writes for one run.
struct Folded {
    run: String,
    seqs: Vec<i64>,
    summaries: Summaries,
    chunks: Vec<Chunk>,
}

impl Folded {
    /// The run and the number of its fold, if it was not purged meanwhile, and its points with it.
    fn write(self, tx: &mut Tx<'_>) -> Result<Option<(String, i64)>, ExperimentError> {
        if !store::merge_summaries(tx, &self.run, &self.summaries)? {
            return Ok(None);
        }
        if store::delete_batches(tx, &self.run, &self.seqs)? != self.seqs.len() as u64 {
            return Err(ExperimentError::FoldedTwice { run: self.run });
        }
        let fold = store::insert_fold(tx, &self.run, 0, self.chunks)?;
        Ok(Some((self.run, fold)))
    }
}

/// `batches` come run by run.
fn compress(batches: &[Batch]) -> Result<Vec<Folded>, ExperimentError> {
    let of_runs = batches.chunk_by(|one, next| one.run == next.run);
    of_runs
        .map(|batches| {
            let mut series: BTreeMap<String, Vec<Point>> = BTreeMap::new();
            let mut summaries = Summaries::default();
            for batch in batches {
                decode_batch(&batch.points, |key, point| {
                    summaries.add(key, point);
                    match series.get_mut(key) {
                        Some(points) => points.push(point),
                        None => drop(series.insert(key.to_owned(), vec![point])),
                    }
                })?;
            }
            Ok(Folded {
                run: batches[0].run.clone(),
                seqs: batches.iter().map(|batch| batch.seq).collect(),
                summaries,
                chunks: chunks(series),
            })
        })
        .collect()
}

/// Sorted by key and time, cut into chunks of about [`CHUNK_POINTS`].
fn chunks(series: BTreeMap<String, Vec<Point>>) -> Vec<Chunk> {
    let mut all = Vec::new();
    let mut open: Vec<Series> = Vec::new();
    let mut size = 0;
    for (key, mut points) in series {
        sort_points(&mut points);
        for part in points.chunks(CHUNK_POINTS) {
            if size > 0 && size + part.len() > CHUNK_POINTS {
                all.push(chunk(std::mem::take(&mut open)));
                size = 0;
            }
            size += part.len();
            open.push(Series { key: key.clone(), points: part.to_vec() });
        }
    }
    if !open.is_empty() {
        all.push(chunk(open));
    }
    all
}

fn chunk(series: Vec<Series>) -> Chunk {
    let times = || series.iter().flat_map(|one| one.points.iter().map(|point| point.at_ms));
    Chunk {
        first_key: series.first().map(|one| one.key.clone()).unwrap_or_default(),
        last_key: series.last().map(|one| one.key.clone()).unwrap_or_default(),
        first_ms: times().min().unwrap_or(0),
        last_ms: times().max().unwrap_or(0),
        points: encode_chunk(&series),
    }
}

async fn merge(experiments: &Experiments, run: &str, level: i64) -> Result<(), ExperimentError> {
    let db = &experiments.db;
    let folds = store::folds(db, run, level).await?;
    let Some(upto) = folds.last().copied().filter(|_| folds.len() >= MERGE) else { return Ok(()) };
    let old = store::chunks_of_level(db, run, level, upto).await?;
    let count = old.len() as u64;
    let merged = aside(true, move || {
        let mut series: BTreeMap<String, Vec<Point>> = BTreeMap::new();
        let mut moved = Vec::new();
        for chunk in old {
            // A full chunk of one key is as good as it gets.
            if chunk.first_key == chunk.last_key && chunk.points.len() >= CHUNK_POINTS {
                moved.push(chunk);
                continue;
            }
            for one in decode_chunk(&chunk.points)? {
                series.entry(one.key).or_default().extend(one.points);
            }
        }
        moved.extend(chunks(series));
        Ok::<_, ExperimentError>(moved)
    });
    let merged = merged.await??;
    let run = run.to_owned();
    db.write(move |tx| {
        if store::delete_level(tx, &run, level, upto)? != count {
            return Err(ExperimentError::FoldedTwice { run });
        }
        store::insert_fold(tx, &run, level + 1, merged)?;
        Ok(())
    })
    .await
}
