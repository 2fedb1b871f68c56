//! Scores for numbers. Inputs named `*_sorted` are ascending; see [`sorted`].

use crate::categorical::population_stability;

/// Ascending copy without NaN.
pub fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().filter(|value| !value.is_nan()).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// Population standard deviation (divisor n); 0 for fewer than two values. Two passes.
pub fn standard_deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// First Wasserstein distance ∫|F − G| in the unit of the values (Ramdas, García Trillos & Cuturi 2017, eq. 1;
/// `scipy.stats.wasserstein_distance` 1.17). NaN when a side is empty. One merge: O(n + m).
///
/// ```
/// assert_eq!(kernel_drift::wasserstein(&[0.0, 1.0, 3.0], &[5.0, 6.0, 8.0]), 5.0);
/// ```
pub fn wasserstein(reference_sorted: &[f64], current_sorted: &[f64]) -> f64 {
    if reference_sorted.is_empty() || current_sorted.is_empty() {
        return f64::NAN;
    }
    let mut area = 0.0;
    walk(reference_sorted, current_sorted, |width, difference| area += width * difference.abs());
    area
}

/// [`wasserstein`] in standard deviations of the reference, at least 0.001 (Evidently 0.7's default score for
/// numbers).
pub fn wasserstein_normed(reference_sorted: &[f64], current_sorted: &[f64]) -> f64 {
    wasserstein(reference_sorted, current_sorted) / standard_deviation(reference_sorted).max(0.001)
}

/// Two-sample Kolmogorov–Smirnov: sup|F − G| and its p-value by the limit law at √(nm/(n+m))·D
/// (Smirnov 1939). The limit is close from about 40 values a side. `(NaN, NaN)` when a side is empty. O(n + m).
pub fn kolmogorov_smirnov(reference_sorted: &[f64], current_sorted: &[f64]) -> (f64, f64) {
    if reference_sorted.is_empty() || current_sorted.is_empty() {
        return (f64::NAN, f64::NAN);
    }
    let mut largest = 0.0f64;
    walk(reference_sorted, current_sorted, |_, difference| largest = largest.max(difference.abs()));
    let (n, m) = (reference_sorted.len() as f64, current_sorted.len() as f64);
    (largest, kolmogorov_survival((n * m / (n + m)).sqrt() * largest))
}

/// Visits the steps of F − G: the width up to the next value and the difference on it.
/// The last step has width 0, so the supremum sees it.
fn walk(a: &[f64], b: &[f64], mut visit: impl FnMut(f64, f64)) {
    let (mut i, mut j) = (0, 0);
    let (n, m) = (a.len() as f64, b.len() as f64);
    while i < a.len() || j < b.len() {
        let here = match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) => x.min(*y),
            (Some(x), None) => *x,
            (None, Some(y)) => *y,
            (None, None) => break,
        };
        while i < a.len() && a[i] <= here {
            i += 1;
        }
        while j < b.len() && b[j] <= here {
            j += 1;
        }
        let next = match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) => x.min(*y),
            (Some(x), None) => *x,
            (None, Some(y)) => *y,
            (None, None) => here,
        };
        visit(next - here, i as f64 / n - j as f64 / m);
    }
}

/// P(K > x) of Kolmogorov's distribution: 2 Σ (−1)^(k−1) exp(−2k²x²), or its theta-function twin for small x.
fn kolmogorov_survival(x: f64) -> f64 {
    use std::f64::consts::PI;
    if x <= 0.0 {
        return 1.0;
    }
    if x < 1.0 {
        let series: f64 =
            (1..=20).map(|k| (-(2.0 * f64::from(k) - 1.0).powi(2) * PI * PI / (8.0 * x * x)).exp()).sum();
        return 1.0 - (2.0 * PI).sqrt() / x * series;
    }
    let series: f64 = (1..=20)
        .map(|k| {
            let sign = if k % 2 == 1 { 1.0 } else { -1.0 };
            sign * (-2.0 * f64::from(k * k) * x * x).exp()
        })
        .sum();
    (2.0 * series).clamp(0.0, 1.0)
}

/// Bins between quantiles of a reference: the population stability index of numbers in constant memory.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantileBins {
    inner_edges: Vec<f64>,
}

impl QuantileBins {
    /// `bins` equally filled bins: the distinct values of the k/bins quantiles (linear interpolation, numpy's
    /// default). A value on an edge belongs to the bin right of it.
    pub fn new(reference_sorted: &[f64], bins: usize) -> Self {
        let mut inner_edges: Vec<f64> = Vec::new();
        if !reference_sorted.is_empty() {
            inner_edges = (1..bins).map(|k| quantile(reference_sorted, k as f64 / bins as f64)).collect();
            inner_edges.dedup();
        }
        Self { inner_edges }
    }

    pub fn inner_edges(&self) -> &[f64] {
        &self.inner_edges
    }

    pub fn counts(&self, values: &[f64]) -> Vec<u64> {
        let mut counts = vec![0; self.inner_edges.len() + 1];
        for value in values {
            counts[self.inner_edges.partition_point(|edge| edge <= value)] += 1;
        }
        counts
    }

    /// PSI of two samples over these bins; see [`population_stability`].
    pub fn population_stability(&self, reference: &[f64], current: &[f64]) -> f64 {
        population_stability(&self.counts(reference), &self.counts(current))
    }
}

/// numpy's `quantile(…, method="linear")` on ascending values.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let t = position - below as f64;
    let (a, b) = (sorted[below], sorted[above]);
    // numpy's lerp: from the nearer end, so that t = 1 gives b exactly.
    if t < 0.5 { a + (b - a) * t } else { b - (b - a) * (1.0 - t) }
}
