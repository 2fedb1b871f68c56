//! Quantiles by the definitions that the references use. Inputs named `sorted` are ascending, without NaN, not empty.

/// Ascending copy without NaN.
pub(crate) fn ascending(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().filter(|value| !value.is_nan()).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// From `a` to `b`, from the nearer end, so that t = 1 gives b exactly (numpy's `_lerp`).
fn between(a: f64, b: f64, t: f64) -> f64 {
    if t < 0.5 { a + (b - a) * t } else { b - (b - a) * (1.0 - t) }
}

/// `numpy.quantile(…, method="linear")`: type 7 of Hyndman & Fan (1996).
pub(crate) fn linear(sorted: &[f64], q: f64) -> f64 {
    let last = sorted.len() - 1;
    let position = q.clamp(0.0, 1.0) * last as f64;
    let below = (position.floor() as usize).min(last);
    between(sorted[below], sorted[(below + 1).min(last)], position - below as f64)
}

/// `scipy.stats.mstats.mquantiles` with its defaults alphap = betap = 0.4 (Cunnane), which scikit-learn's grid uses.
pub(crate) fn cunnane(sorted: &[f64], q: f64) -> f64 {
    let count = sorted.len();
    let position = count as f64 * q + 0.4 + q * 0.2;
    let rank = position.clamp(1.0, (count - 1).max(1) as f64).floor();
    let share = (position - rank).clamp(0.0, 1.0);
    let below = rank as usize - 1;
    (1.0 - share) * sorted[below] + share * sorted[(below + 1).min(count - 1)]
}

/// The smallest value with at least part/parts of the values at or below it: type 1 of Hyndman & Fan, in whole
/// numbers, so that rounding decides no rank.
pub(crate) fn inverse_distribution(sorted: &[f64], part: usize, parts: usize) -> f64 {
    let rank = (sorted.len() * part).div_ceil(parts.max(1));
    sorted[rank.clamp(1, sorted.len()) - 1]
}

pub(crate) fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// Median of |x − median|; 0 when more than half of the values are equal.
pub(crate) fn median_deviation(sorted: &[f64]) -> f64 {
    let centre = median(sorted);
    median(&ascending(sorted.iter().map(|value| (value - centre).abs())))
}
