//! Folding: points that requests logged become sorted, compressed chunks, in the background.
//!
//! A fold takes the waiting batches of one run, writes chunks and the run's summaries and deletes the batches, in one
//! transaction: a reader sees the points before or after it, never twice and never not at all. Chunks of level 0 hold all keys of
//! a fold; eight folds of a level are merged into one of the next, so that a run with many metrics keeps few chunks per key.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kernel_series::{Point, Series, Summaries, decode_batch, decode_chunk, encode_chunk, sort_points};
use tokio::sync::Notify;

use crate::ExperimentError;
use crate::aside::aside;
use crate::service::Experiments;
use crate::store::{self, Chunk};

/// A run is folded when so many batches or points wait, when it is finished, or when nothing came for a while.
const BATCHES: usize = 512;
const POINTS: usize = 32_768;
const QUIET: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Batches taken by one fold: bounds its memory at about 100 MB for the largest batches.
const FOLD_BATCHES: usize = 4_096;
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
        let mut runs = self.runs();
        let full = match runs.get_mut(run) {
            Some(pending) => {
                pending.batches += 1;
                pending.points += points;
                pending.last = Instant::now();
                pending.is_full()
            }
            None => {
                let pending = Pending { batches: 1, points, last: Instant::now(), finished: false };
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

    fn take_due(&self) -> Vec<String> {
        let mut runs = self.runs();
        let mut due = Vec::new();
        runs.retain(|run, pending| {
            let is_due = pending.is_due();
            if is_due {
                due.push(run.clone());
            }
            !is_due
        });
        due
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
        Ok(runs) => runs.iter().for_each(|run| {
            experiments.waiting.note(run, 1);
            experiments.waiting.finished(run);
        }),
        Err(error) => tracing::error!(%error, "the runs with points to fold cannot be listed"),
    }
    loop {
        let woken = tokio::time::timeout(LOOK_EVERY, experiments.waiting.wake.notified()).await;
        for run in experiments.waiting.take_due() {
            if let Err(error) = fold(&experiments, &run).await {
                tracing::error!(%error, run, "points are not folded; they stay as they are");
                experiments.waiting.note(&run, 1);
            }
        }
        if woken.is_ok() {
            // Bursts are folded together.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Folds everything that waits for `run` and merges the levels that have become full.
pub(crate) async fn fold(experiments: &Experiments, run: &str) -> Result<(), ExperimentError> {
    let db = &experiments.db;
    loop {
        let batches = store::tail_batches(db, run, FOLD_BATCHES).await?;
        if batches.is_empty() {
            break;
        }
        let last = batches.len() < FOLD_BATCHES;
        let (seqs, summaries, chunks) = compress(batches).await?;
        let owned = run.to_owned();
        db.write(move |tx| {
            if !store::merge_summaries(tx, &owned, &summaries)? {
                // The run was purged meanwhile, and its points with it.
                return Ok(());
            }
            if store::delete_batches(tx, &owned, &seqs)? != seqs.len() as u64 {
                return Err(ExperimentError::FoldedTwice { run: owned });
            }
            store::insert_fold(tx, &owned, 0, chunks)
        })
        .await?;
        if last {
            break;
        }
    }
    for level in 0..LAST_LEVEL {
        merge(experiments, run, level).await?;
    }
    Ok(())
}

type Folded = (Vec<i64>, Summaries, Vec<Chunk>);

async fn compress(batches: Vec<(i64, Vec<u8>)>) -> Result<Folded, ExperimentError> {
    let work = move || {
        let mut series: BTreeMap<String, Vec<Point>> = BTreeMap::new();
        let mut summaries = Summaries::default();
        for (_, bytes) in &batches {
            decode_batch(bytes, |key, point| {
                summaries.add(key, point);
                match series.get_mut(key) {
                    Some(points) => points.push(point),
                    None => drop(series.insert(key.to_owned(), vec![point])),
                }
            })?;
        }
        Ok((batches.into_iter().map(|(seq, _)| seq).collect(), summaries, chunks(series)))
    };
    aside(true, work).await?
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
        store::insert_fold(tx, &run, level + 1, merged)
    })
    .await
}
