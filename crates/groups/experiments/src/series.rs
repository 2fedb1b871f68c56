//! Series that were read, decoded: a page draws the same ones again and again.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kernel_series::Point;

/// All decoded points that are kept, in bytes.
const BUDGET: usize = 64 * 1024 * 1024;
/// A shorter series is decoded in less time than a lookup is worth.
const WORTH_KEEPING: usize = 4_096;

/// The points of one metric, by time, step and value.
pub(crate) struct Series {
    points: Vec<Point>,
    by_step: bool,
    steps_differ: bool,
}

impl Series {
    /// Of sorted points.
    pub fn new(points: Vec<Point>) -> Self {
        let (mut by_step, mut steps_differ) = (true, true);
        for pair in points.windows(2) {
            by_step &= pair[0].step <= pair[1].step;
            steps_differ &= pair[0].step != pair[1].step;
        }
        Self { by_step, steps_differ, points }
    }

    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Whether the order of time is that of steps too.
    pub fn is_by_step(&self) -> bool {
        self.by_step
    }

    /// The points by step, then time and value.
    pub fn by_step(&self) -> Cow<'_, [Point]> {
        if self.by_step {
            return Cow::Borrowed(&self.points);
        }
        let mut points = self.points.clone();
        points.sort_by(|a, b| a.step.cmp(&b.step).then(a.order(b)));
        Cow::Owned(points)
    }

    /// Whether going through all points takes a millisecond or more.
    pub fn is_large(&self) -> bool {
        self.points.len() > 100_000
    }

    /// Whether every point has a step of its own, ascending.
    pub fn has_own_steps(&self) -> bool {
        self.by_step && self.steps_differ
    }
}

/// Where a chunk is stored: level, fold, part.
///
/// Chunks of a key only ever move up a level, so a list of places is never met again with other points in it.
pub(crate) type ChunkPlace = (i64, i64, i64);

#[derive(Default)]
pub(crate) struct SeriesCache {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: HashMap<(String, String), Entry>,
    bytes: usize,
    clock: u64,
}

struct Entry {
    chunks: Vec<ChunkPlace>,
    series: Arc<Series>,
    used: u64,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.series.points.len() * size_of::<Point>()
    }
}

impl SeriesCache {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing that can panic runs under the lock.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folded points of a metric, when they are still those of these chunks.
    pub fn get(&self, run: &str, key: &str, chunks: &[ChunkPlace]) -> Option<Arc<Series>> {
        let mut kept = self.kept();
        kept.clock += 1;
        let clock = kept.clock;
        let entry = kept.entries.get_mut(&(run.to_owned(), key.to_owned()))?;
        if entry.chunks != chunks {
            return None;
        }
        entry.used = clock;
        Some(Arc::clone(&entry.series))
    }

    pub fn put(&self, run: &str, key: &str, chunks: Vec<ChunkPlace>, series: &Arc<Series>) {
        let mut kept = self.kept();
        let entry = Entry { chunks, series: Arc::clone(series), used: kept.clock };
        let bytes = entry.bytes();
        if series.points.len() < WORTH_KEEPING || bytes > BUDGET {
            return;
        }
        if let Some(old) = kept.entries.insert((run.to_owned(), key.to_owned()), entry) {
            kept.bytes -= old.bytes();
        }
        kept.bytes += bytes;
        while kept.bytes > BUDGET {
            let oldest = kept.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            let Some(gone) = oldest.and_then(|key| kept.entries.remove(&key)) else { break };
            kept.bytes -= gone.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: usize) -> Arc<Series> {
        let point = |step| Point { at_ms: step, step, value: 0.0 };
        Arc::new(Series::new((0..points as i64).map(point).collect()))
    }

    #[test]
    fn a_series_is_met_again_only_with_the_same_chunks() {
        let cache = SeriesCache::default();
        cache.put("run", "loss", vec![(0, 0, 0)], &series(WORTH_KEEPING));
        assert!(cache.get("run", "loss", &[(0, 0, 0)]).is_some());
        assert!(cache.get("run", "loss", &[(0, 0, 0), (0, 1, 0)]).is_none());
        assert!(cache.get("run", "acc", &[(0, 0, 0)]).is_none());
        cache.put("run", "short", vec![(0, 0, 0)], &series(3));
        assert!(cache.get("run", "short", &[(0, 0, 0)]).is_none());
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first_and_the_budget_holds() {
        let cache = SeriesCache::default();
        let large = series(BUDGET / size_of::<Point>() / 3);
        for run in ["a", "b", "c"] {
            cache.put(run, "loss", vec![(0, 0, 0)], &large);
            assert!(cache.get("a", "loss", &[(0, 0, 0)]).is_some());
        }
        cache.put("d", "loss", vec![(0, 0, 0)], &large);
        let there = |run| cache.get(run, "loss", &[(0, 0, 0)]).is_some();
        assert_eq!(["a", "b", "c", "d"].map(there), [true, false, true, true]);
        assert!(cache.kept().bytes <= BUDGET);
    }
}
