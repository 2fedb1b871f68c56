//! Checks of fixed limits, as Flagger makes them (fluxcd/flagger, `pkg/controller/scheduler.go`): once a minute, on the
//! candidate's last minute; a check fails when any metric is above its limit; the candidate is rolled back at the fifth failed
//! check, counted from the start.
//!
//! The documented example: success rate 99 %, 99th percentile 500 ms, threshold 5. There is none for accuracy: 85 % here.

use crate::minutes::{METRICS, Minute};

pub type Limits = [f64; METRICS];

pub const DOCUMENTED: Limits = [0.01, 500.0, 0.15];
const FAILED_CHECKS: usize = 5;

/// The minute of the fifth failed check.
pub fn first_alarm(minutes: &[Minute], limits: &Limits) -> Option<usize> {
    let fails = |minute: &Minute| minute.candidate.iter().zip(limits).any(|(sample, limit)| sample > limit);
    let failed = minutes.iter().enumerate().filter(|(_, minute)| fails(minute));
    failed.map(|(place, _)| place).nth(FAILED_CHECKS - 1)
}

/// The lowest limits, each the same quantile of its metric's minutes, with which at most the part `alpha` of these runs is
/// rolled back.
pub fn tuned(runs: &[Vec<Minute>], alpha: f64) -> Limits {
    let mut pooled: [Vec<f64>; METRICS] = Default::default();
    for minute in runs.iter().flatten() {
        for (values, sample) in pooled.iter_mut().zip(minute.candidate) {
            if !sample.is_nan() {
                values.push(sample);
            }
        }
    }
    pooled.iter_mut().for_each(|values| values.sort_by(f64::total_cmp));
    let limits = |quantile: f64| {
        pooled.each_ref().map(|values| {
            let place = (quantile * values.len() as f64) as usize;
            values.get(place.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::INFINITY)
        })
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        let alarms = runs.iter().filter(|run| first_alarm(run, &limits(middle)).is_some()).count();
        if alarms as f64 <= alpha * runs.len() as f64 {
            high = middle;
        } else {
            low = middle;
        }
    }
    limits(high)
}
