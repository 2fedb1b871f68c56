//! A few rows that stand for the data.

use crate::random::{SplitMix64, sample_rows};
use crate::{Gower, InputError, Kind, Scaling, Table};

/// Rows are chosen among at most so many, so that the distances between all of them fit into memory (8 MB).
const MOST_CANDIDATES: usize = 1_000;
/// The alternation converges in a few rounds; it only ever improves.
const MOST_ROUNDS: usize = 30;

/// Rows of the data and the share of it that each stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Medoids {
    /// Ascending.
    pub rows: Vec<usize>,
    /// Share of the candidates nearest to each; their sum is 1.
    pub weights: Vec<f64>,
}

/// At most `count` rows with a small sum of distances of all rows to the nearest of them: k-medoids by Gower's
/// distance.
///
/// Starts with the rows that lower the sum most, one by one (BUILD of Kaufman & Rousseeuw, "Finding groups in data"
/// 1990), then takes turns between giving each row to its nearest medoid and taking the best medoid of each group
/// (Park & Jun, "A simple and fast algorithm for k-medoids clustering" 2009) until nothing changes. Of more than
/// 1,000 rows a sample by the seed is clustered; otherwise the seed is not used. Fewer rows come when the data has
/// fewer different ones. Deterministic; ties go to the earlier row. O(1,000² · (columns + count)).
///
/// Fails when `count` is 0.
pub fn medoids(data: Table<'_>, kinds: &[Kind], count: usize, seed: u64) -> Result<Medoids, InputError> {
    if count == 0 {
        return Err(InputError::Count { what: "medoids", found: 0, expected: 1 });
    }
    let gower = Gower::new(data, kinds, Scaling::Range)?;
    let candidates = sample_rows(data.rows(), MOST_CANDIDATES, SplitMix64::stream(seed, 0).draw());
    let size = candidates.len();
    let mut distances = vec![0.0; size * size];
    for (a, row) in candidates.iter().enumerate() {
        for (b, other) in candidates.iter().enumerate().skip(a + 1) {
            let distance = gower.distance(data.row(*row), data.row(*other));
            distances[a * size + b] = distance;
            distances[b * size + a] = distance;
        }
    }
    let clusters = Clusters { distances, size };
    let mut chosen = clusters.build(count);
    for _ in 0..MOST_ROUNDS {
        let next = clusters.improved(&chosen);
        if next == chosen {
            break;
        }
        chosen = next;
    }
    let mut weights = vec![0.0; chosen.len()];
    (0..size).for_each(|row| weights[clusters.nearest(&chosen, row)] += 1.0 / size as f64);
    let rows = chosen.iter().map(|place| candidates[*place]).collect();
    Ok(Medoids { rows, weights })
}

struct Clusters {
    distances: Vec<f64>,
    size: usize,
}

impl Clusters {
    fn distances_of(&self, row: usize) -> &[f64] {
        &self.distances[row * self.size..][..self.size]
    }

    /// Which of the medoids is nearest to a row.
    fn nearest(&self, chosen: &[usize], row: usize) -> usize {
        let distances = self.distances_of(row);
        let order = |a: &usize, b: &usize| distances[chosen[*a]].total_cmp(&distances[chosen[*b]]);
        (0..chosen.len()).min_by(order).unwrap_or_default()
    }

    fn build(&self, count: usize) -> Vec<usize> {
        let mut chosen = Vec::new();
        let mut nearest = vec![f64::INFINITY; self.size];
        while chosen.len() < count.min(self.size) {
            let left = |row: usize| -> f64 {
                self.distances_of(row)
                    .iter()
                    .zip(&nearest)
                    .map(|(distance, nearest)| distance.min(*nearest))
                    .sum()
            };
            let sums: Vec<f64> = (0..self.size).map(left).collect();
            let Some(best) = (0..self.size).min_by(|a, b| sums[*a].total_cmp(&sums[*b])) else { break };
            // Every row is already as near as can be: only copies of medoids are left.
            if nearest.iter().all(|distance| *distance == 0.0) {
                break;
            }
            chosen.push(best);
            for (nearest, distance) in nearest.iter_mut().zip(self.distances_of(best)) {
                *nearest = nearest.min(*distance);
            }
        }
        chosen.sort_unstable();
        chosen
    }

    /// The best medoid of each group, which is the nearest rows of a present one.
    fn improved(&self, chosen: &[usize]) -> Vec<usize> {
        let mut groups = vec![Vec::new(); chosen.len()];
        (0..self.size).for_each(|row| groups[self.nearest(chosen, row)].push(row));
        let mut next: Vec<usize> = Vec::with_capacity(chosen.len());
        for (medoid, group) in chosen.iter().zip(&groups) {
            let sum = |row: usize| group.iter().map(|other| self.distances_of(row)[*other]).sum::<f64>();
            let best = group.iter().copied().min_by(|a, b| sum(*a).total_cmp(&sum(*b)));
            // A medoid as good as the best stays, or equal ones would take turns.
            next.push(best.filter(|best| sum(*best) < sum(*medoid)).unwrap_or(*medoid));
        }
        next.sort_unstable();
        next
    }
}
