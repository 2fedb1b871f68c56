//! A leaf: how rows of the background reach it, and what it adds to the values of a row.

use std::ops::{BitOrAssign, Shl};

use crate::block::{LANES, Lanes, Real};
use crate::quadrature::Point;

#[derive(Debug)]
pub(crate) struct Leaf {
    pub value: f64,
    /// That its splits ask for, each once: a bit of a set each, from the lowest.
    pub features: Vec<u32>,
    /// By feature: the edge whose mark says whether a row takes all of its splits.
    pub edges: Vec<u32>,
    /// First number of its table: by feature and set.
    pub table: Option<usize>,
    /// Without a table: sets of the background's rows, and their share.
    pub sets: Vec<(u64, f64)>,
}

impl Leaf {
    pub fn new(value: f64, path: &[(u32, u32)]) -> Self {
        let (features, edges) = path.iter().copied().unzip();
        Self { value, features, edges, table: None, sets: Vec::new() }
    }

    /// The sets of `count` rows whose marks are by edge and block, ascending, with their share of the rows.
    pub fn count(&self, marks: &[u32], count: usize) -> Vec<(u64, f64)> {
        let tally = self.tally(marks, count);
        tally.into_iter().map(|(set, rows)| (set, rows as f64 / count as f64)).collect()
    }

    /// Likewise, with the number of rows.
    pub fn tally(&self, marks: &[u32], count: usize) -> Vec<(u64, usize)> {
        if self.features.len() <= 8 {
            let mut rows = [0usize; 256];
            self.each_set(marks, count, |sets: &[u8]| {
                sets.iter().for_each(|set| rows[usize::from(*set)] += 1)
            });
            let found = rows.iter().enumerate().filter(|(_, rows)| **rows > 0);
            return found.map(|(set, rows)| (set as u64, *rows)).collect();
        }
        let mut found: Vec<u64> = Vec::with_capacity(count);
        self.each_set(marks, count, |sets| found.extend_from_slice(sets));
        found.sort_unstable();
        found.chunk_by(|one, next| one == next).map(|sets| (sets[0], sets.len())).collect()
    }

    /// Hands over the sets of a block's rows, block after block.
    pub fn each_set<S>(&self, marks: &[u32], count: usize, mut take: impl FnMut(&[S]))
    where
        S: Copy + Default + From<bool> + Shl<usize, Output = S> + BitOrAssign,
    {
        let blocks = count.div_ceil(LANES);
        for block in 0..blocks {
            let mut sets = [S::default(); LANES];
            for (bit, edge) in self.edges.iter().enumerate() {
                let mark = marks[*edge as usize * blocks + block];
                for (lane, set) in sets.iter_mut().enumerate() {
                    *set |= S::from(mark >> lane & 1 == 1) << bit;
                }
            }
            take(&sets[..LANES.min(count - block * LANES)]);
        }
    }

    pub fn keep(&mut self, sets: Vec<(u64, f64)>) {
        self.sets = sets;
    }

    /// Appends the table: for every set of a row what the leaf adds to its features. At a point t of the quadrature the shares of
    /// background sets, multiplied feature by feature with t where only the row has it, 1−t where only the background has it and 0
    /// where neither has, sum to the integrand; the feature whose value it is counts with 1/t or −1/(1−t) of it.
    pub fn tabulate<T: Real>(
        &mut self,
        sets: &[(u64, f64)],
        quadratures: &[Vec<Point>],
        numbers: &mut Vec<T>,
    ) {
        let count = self.features.len();
        let size = 1usize << count;
        let mut table = vec![0.0; count * size];
        for point in &quadratures[count.div_ceil(2)] {
            let (t, weight) = (point.at, point.weight * self.value);
            let mut sums = vec![0.0; size];
            sets.iter().for_each(|(set, share)| sums[*set as usize] = *share);
            for bit in 0..count {
                for pair in sums.chunks_exact_mut(2 << bit) {
                    let (without, with) = pair.split_at_mut(1 << bit);
                    for (without, with) in without.iter_mut().zip(with) {
                        // The background has the feature, or not; the row without it, or with it.
                        (*without, *with) = ((1.0 - t) * *with, t * *without + *with);
                    }
                }
            }
            for (bit, values) in table.chunks_exact_mut(size).enumerate() {
                let (loss, gain) = (-weight / (1.0 - t), weight / t);
                for (values, sums) in values.chunks_exact_mut(2 << bit).zip(sums.chunks_exact(2 << bit)) {
                    let (value_without, value_with) = values.split_at_mut(1 << bit);
                    let (without, with) = sums.split_at(1 << bit);
                    for (place, value) in value_without.iter_mut().enumerate() {
                        *value += loss * without[place];
                    }
                    for (place, value) in value_with.iter_mut().enumerate() {
                        // Less the part in which the background has it too.
                        *value += gain * (with[place] - without[place] / (1.0 - t));
                    }
                }
            }
        }
        self.table = Some(numbers.len());
        numbers.extend(table.into_iter().map(T::of));
    }

    /// Adds to the sums of a block, by feature, set by set of the background.
    #[allow(clippy::needless_range_loop, reason = "a lane of several sums")]
    pub fn add_by_counts<T: Real>(&self, marks: &[u32], blocks: usize, block: usize, sums: &mut [Lanes<T>]) {
        let all = if self.features.len() == 64 { !0 } else { (1u64 << self.features.len()) - 1 };
        for lane in 0..LANES {
            let mut own = 0u64;
            for (bit, edge) in self.edges.iter().enumerate() {
                own |= u64::from(marks[*edge as usize * blocks + block] >> lane & 1) << bit;
            }
            for (set, share) in &self.sets {
                if own | set != all {
                    continue;
                }
                let (mut gains, mut losses) = (own & !set, set & !own);
                let (a, b) = (gains.count_ones(), losses.count_ones());
                let value = self.value * share;
                let (gain, loss) = (T::of(value * weight(a, b)), T::of(-value * weight(b, a)));
                while gains != 0 {
                    let sum = &mut sums[self.features[gains.trailing_zeros() as usize] as usize][lane];
                    *sum = sum.plus(gain);
                    gains &= gains - 1;
                }
                while losses != 0 {
                    let sum = &mut sums[self.features[losses.trailing_zeros() as usize] as usize][lane];
                    *sum = sum.plus(loss);
                    losses &= losses - 1;
                }
            }
        }
    }
}

/// (a−1)!·b!/(a+b)!, which is 1 over a times the number of ways to choose a of a+b.
pub(crate) fn weight(a: u32, b: u32) -> f64 {
    let ways = (1..=b).map(|k| f64::from(a + k) / f64::from(k)).product::<f64>();
    1.0 / (f64::from(a) * ways)
}
