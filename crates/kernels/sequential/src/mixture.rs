//! Many bets at once: their wealth is averaged, in logs.
//!
//! An average of nonnegative supermartingales that begin at 1 is one too, whatever its weights (Robbins 1970, the method
//! of mixtures). It is at most ln(1/weight) behind the bet that turns out best. With bets fixed beforehand it is a
//! function of counts, so the order of the observations does not matter.

/// Growth per observation below which a bet is taken to stand still.
const LEAST_GROWTH: f64 = 1e-12;

/// Weight of the bet of size 2^`power`, largest at 2^`centre`: 1/(1 + (distance/3)²).
pub(crate) fn weight(power: i32, centre: i32) -> f64 {
    let distance = f64::from(power - centre);
    9.0 / (9.0 + distance * distance)
}

/// ln(Σ w·eˣ / Σ w) over pairs (w, x) of finite numbers, at least one of them.
pub(crate) fn log_mean(terms: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut largest, mut sum, mut weights) = (f64::NEG_INFINITY, 0.0, 0.0);
    for (weight, log) in terms {
        if log > largest {
            sum = sum * (largest - log).exp() + weight;
            largest = log;
        } else {
            sum += weight * (log - largest).exp();
        }
        weights += weight;
    }
    largest + (sum / weights).ln()
}

/// One bet of a mixture: where it stands, and what it gains per observation under the present estimate.
pub(crate) struct Prospect {
    pub weight: f64,
    pub log_wealth: f64,
    pub growth: f64,
}

/// Observations until one bet alone lifts the mixture to `log_threshold`; none when no bet grows.
pub(crate) fn until(log_threshold: f64, prospects: &[Prospect]) -> Option<f64> {
    let weights: f64 = prospects.iter().map(|prospect| prospect.weight).sum();
    let missing =
        |prospect: &Prospect| log_threshold - prospect.log_wealth - (prospect.weight / weights).ln();
    prospects
        .iter()
        .filter(|prospect| prospect.growth > LEAST_GROWTH)
        .map(|prospect| (missing(prospect) / prospect.growth).max(0.0))
        .min_by(f64::total_cmp)
}

/// The last place between `low` and `high` up to which `holds`, by halving; `low` when it holds nowhere.
pub(crate) fn last_true(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    if !holds(low) {
        return low;
    }
    if holds(high) {
        return high;
    }
    for _ in 0..60 {
        let middle = low + (high - low) / 2.0;
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}
