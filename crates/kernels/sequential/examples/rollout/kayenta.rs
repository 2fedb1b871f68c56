//! The judge of Kayenta (spinnaker/kayenta a69573b, `NetflixACAJudge` and `MannWhitneyClassifier`), written anew from what its
//! source says, with its defaults: no outliers removed, confidence 0.98, tolerance 0.25, effect size "mean ratio" with 1 allowed.
//!
//! A metric is high when the lower end of the Mann-Whitney interval for the shift is above a quarter of the estimated shift
//! and the ratio of the means is at least 1. All metrics are critical, with direction "increase": one that is high fails the
//! canary. Samples are those of whole minutes from the start, judged every minute.
//!
//! Left out: the noise that is added when each arm has one value only, which makes any difference a significant one.

use crate::minutes::{METRICS, Minute};
use crate::trace::Z99;

/// Normal quantile of its confidence of 0.98.
pub const DEFAULT_Z: f64 = Z99;
const TOLERANCE: f64 = 0.25;

/// The first minute after which the canary fails.
pub fn first_alarm(minutes: &[Minute], threshold: f64) -> Option<usize> {
    (0..minutes.len()).find(|last| strongest_at(minutes, *last, threshold) > threshold)
}

/// The largest threshold that some minute would pass, for tuning.
pub fn strongest(minutes: &[Minute]) -> f64 {
    (0..minutes.len()).fold(0.0, |most, last| strongest_at(minutes, last, most).max(most))
}

/// z of the lower bounds at a quarter of the estimates, the largest over the metrics; what cannot be above `least` is left
/// out.
fn strongest_at(minutes: &[Minute], last: usize, least: f64) -> f64 {
    let mut strongest = f64::NEG_INFINITY;
    for metric in 0..METRICS {
        // Its default for a missing value is 0; minutes before the first label have no metric at all.
        let is_seen = |minute: &&Minute| {
            [minute.champion[metric], minute.candidate[metric]].iter().any(|sample| !sample.is_nan())
        };
        let seen = minutes[..=last].iter().filter(is_seen);
        let number = |value: f64| if value.is_nan() { 0.0 } else { value };
        let (candidate, champion): (Vec<f64>, Vec<f64>) =
            seen.map(|minute| (number(minute.candidate[metric]), number(minute.champion[metric]))).unzip();
        if candidate.is_empty() || z(&candidate, &champion, 0.0) <= least.max(0.0) {
            continue;
        }
        let (candidate_mean, champion_mean) = (mean(&candidate), mean(&champion));
        let is_lower = champion_mean != 0.0 && candidate_mean != 0.0 && candidate_mean < champion_mean;
        if !is_lower {
            let shift = estimate(&candidate, &champion);
            strongest = strongest.max(z(&candidate, &champion, TOLERANCE * shift.abs()));
        }
    }
    strongest
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The shift at which z is 0.
fn estimate(candidate: &[f64], champion: &[f64]) -> f64 {
    let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut low, mut high) = (least(candidate) - most(champion), most(candidate) - least(champion));
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        if z(candidate, champion, middle) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

/// Standardised rank sum of the candidate's values less `shift`, with average ranks, the variance corrected for ties, and a
/// continuity correction, as in R's `wilcox.test`. 0 when all values are tied.
fn z(candidate: &[f64], champion: &[f64], shift: f64) -> f64 {
    let candidates = candidate.iter().map(|value| (value - shift, true));
    let champions = champion.iter().map(|value| (*value, false));
    let mut all: Vec<(f64, bool)> = candidates.chain(champions).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut rank_sum, mut ties, mut start) = (0.0, 0.0, 0);
    while start < all.len() {
        let equal = all[start..].iter().take_while(|(value, _)| *value == all[start].0);
        let (mut tied, mut of_candidate) = (0, 0);
        for (_, is_candidate) in equal {
            tied += 1;
            of_candidate += usize::from(*is_candidate);
        }
        let rank = (2 * start + tied + 1) as f64 / 2.0;
        rank_sum += rank * of_candidate as f64;
        ties += (tied as f64).powi(3) - tied as f64;
        start += tied;
    }
    let (n, m) = (candidate.len() as f64, champion.len() as f64);
    let distance = rank_sum - n * (n + 1.0) / 2.0 - n * m / 2.0;
    let variance = n * m / 12.0 * (n + m + 1.0 - ties / ((n + m) * (n + m - 1.0)));
    let correction = if distance == 0.0 { 0.0 } else { 0.5 * distance.signum() };
    if variance > 0.0 { (distance - correction) / variance.sqrt() } else { 0.0 }
}
