//! ADWIN: a window over a stream that drops its past when the past has another mean.
//!
//! Source: Bifet & Gavaldà, "Learning from time-changing data with adaptive windowing" (SDM 2007), algorithm
//! ADWIN2 with exponential histograms; the constants and the cut are those of river 0.26 (clock 32, grace
//! period 10, shortest side 5, five buckets a row), whose core gives the golden indices. As in the paper the
//! shrunk window is kept.

const MAX_BUCKETS: usize = 5;
const CLOCK: u64 = 32;
const GRACE: u64 = 10;
const SHORTEST_SIDE: u64 = 5;

/// What an update found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Values since the change, as far as the window tells.
    pub width: u64,
    pub mean_before: f64,
    pub mean_after: f64,
}

impl Change {
    pub fn is_rise(&self) -> bool {
        self.mean_after > self.mean_before
    }
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    total: f64,
    /// Sum of squared deviations within the bucket.
    squares: f64,
}

/// Memory O(log n), an update O(log n) every 32 values and O(1) amortised otherwise.
#[derive(Debug, Clone)]
pub struct Adwin {
    delta: f64,
    /// Row r holds buckets of 2^r values, oldest first.
    rows: Vec<Vec<Bucket>>,
    width: u64,
    total: f64,
    squares: f64,
    ticks: u64,
}

impl Adwin {
    /// `delta`: bound on the false-alarm rate per cut, in (0, 1); 0.002 is the usual choice.
    pub fn new(delta: f64) -> Self {
        assert!(delta > 0.0 && delta < 1.0, "delta is a probability");
        Self { delta, rows: vec![Vec::new()], width: 0, total: 0.0, squares: 0.0, ticks: 0 }
    }

    pub fn width(&self) -> u64 {
        self.width
    }

    /// Mean of the window; 0 while it is empty.
    pub fn mean(&self) -> f64 {
        if self.width == 0 { 0.0 } else { self.total / self.width as f64 }
    }

    /// Takes one finite value; a change when the window was cut.
    pub fn update(&mut self, value: f64) -> Option<Change> {
        self.insert(value);
        self.ticks += 1;
        if !self.ticks.is_multiple_of(CLOCK) || self.width <= GRACE {
            return None;
        }
        let mut change = None;
        while let Some((mean_before, mean_after)) = self.find_cut() {
            let first_mean = change.map_or(mean_before, |found: Change| found.mean_before);
            self.drop_oldest();
            change = Some(Change { width: self.width, mean_before: first_mean, mean_after });
        }
        change.map(|found| Change { width: self.width, mean_after: self.mean(), ..found })
    }

    fn insert(&mut self, value: f64) {
        if self.width > 0 {
            let n = self.width as f64;
            self.squares += n * (value - self.total / n).powi(2) / (n + 1.0);
        }
        self.width += 1;
        self.total += value;
        self.rows[0].push(Bucket { total: value, squares: 0.0 });
        self.compress();
    }

    /// Merges the two oldest buckets of a full row into one of the next.
    fn compress(&mut self) {
        let mut row = 0;
        while self.rows[row].len() > MAX_BUCKETS {
            let size = (1u64 << row) as f64;
            let (a, b) = (self.rows[row].remove(0), self.rows[row].remove(0));
            let between = size / 2.0 * (a.total / size - b.total / size).powi(2);
            let merged = Bucket { total: a.total + b.total, squares: a.squares + b.squares + between };
            if row + 1 == self.rows.len() {
                self.rows.push(Vec::new());
            }
            self.rows[row + 1].push(merged);
            row += 1;
        }
    }

    /// Means on either side of the first cut, oldest first, where they differ by more than chance allows.
    fn find_cut(&self) -> Option<(f64, f64)> {
        let (mut n0, mut n1) = (0u64, self.width);
        let (mut u0, mut u1) = (0.0, self.total);
        for row in (0..self.rows.len()).rev() {
            for (index, bucket) in self.rows[row].iter().enumerate() {
                if row == 0 && index + 1 == self.rows[0].len() {
                    return None;
                }
                let size = 1u64 << row;
                n0 += size;
                n1 -= size;
                u0 += bucket.total;
                u1 -= bucket.total;
                if n0 < SHORTEST_SIDE || n1 < SHORTEST_SIDE {
                    continue;
                }
                let (mean0, mean1) = (u0 / n0 as f64, u1 / n1 as f64);
                if (mean0 - mean1).abs() > self.threshold(n0, n1) {
                    return Some((mean0, mean1));
                }
            }
        }
        None
    }

    fn threshold(&self, n0: u64, n1: u64) -> f64 {
        let width = self.width as f64;
        let d = (2.0 * width.ln() / self.delta).ln();
        let variance = self.squares / width;
        let m = 1.0 / (n0 - SHORTEST_SIDE + 1) as f64 + 1.0 / (n1 - SHORTEST_SIDE + 1) as f64;
        (2.0 * m * variance * d).sqrt() + 2.0 / 3.0 * m * d
    }

    fn drop_oldest(&mut self) {
        let row = self.rows.len() - 1;
        let bucket = self.rows[row].remove(0);
        let size = (1u64 << row) as f64;
        self.width -= 1 << row;
        self.total -= bucket.total;
        let rest = self.width as f64;
        let mean = bucket.total / size;
        self.squares -= bucket.squares + size * rest * (mean - self.total / rest).powi(2) / (size + rest);
        while self.rows.len() > 1 && self.rows.last().is_some_and(Vec::is_empty) {
            self.rows.pop();
        }
    }
}
