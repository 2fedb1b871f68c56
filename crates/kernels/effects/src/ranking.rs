//! Whether a model's reasons are still those that they were: attribution drift.

use crate::InputError;

/// Mean |value| per feature: how much a feature matters over many explained rows. Rows stand one after the other.
///
/// Source: "mean_abs" of SageMaker Clarify's global SHAP values. Fails without rows, with broken rows, and with a
/// value that is not finite.
pub fn mean_absolute(values: &[f64], features: usize) -> Result<Vec<f64>, InputError> {
    if features == 0 || !values.len().is_multiple_of(features) {
        return Err(InputError::Ragged { found: values.len(), columns: features });
    }
    if values.is_empty() {
        return Err(InputError::NoRows);
    }
    if let Some(value) = values.iter().find(|value| !value.is_finite()) {
        return Err(InputError::Setting { what: "a value", found: *value, rule: "finite" });
    }
    let mut means = vec![0.0; features];
    for row in values.chunks(features) {
        means.iter_mut().zip(row).for_each(|(sum, value)| *sum += value.abs());
    }
    let rows = (values.len() / features) as f64;
    Ok(means.into_iter().map(|sum| sum / rows).collect())
}

/// How much of the baseline's ranking the current ranking keeps: NDCG, 0 to 1, 1 when the order is the same.
///
/// DCG = Σᵢ a(f′ᵢ)/log₂(i + 1) over the features f′ in the order of their current scores, iDCG the same in the order
/// of the baseline's, a the baseline's score: a feature that mattered and fell weighs more than one that never did.
/// Clarify raises an alarm below 0.9.
///
/// Source: SageMaker Clarify, "Feature attribution drift for models in production". Features with equal current
/// scores share the mean of their discounts, as `sklearn.metrics.ndcg_score` of scikit-learn 1.9.1 does, so that
/// their order in the input decides nothing. NaN when the baseline is all 0. O(n log n).
///
/// Fails when the scores are not as many, and with a negative or missing one.
///
/// ```
/// // Clarify's example: SAT score, grade point average, class rank.
/// let found = kernel_effects::ranking_ndcg(&[0.70, 0.50, 0.05], &[0.10, 0.20, 0.70]).unwrap();
/// assert_eq!((found * 100.0).round(), 69.0);
/// ```
pub fn ranking_ndcg(baseline: &[f64], current: &[f64]) -> Result<f64, InputError> {
    check(baseline, current)?;
    let ideal = discounted(baseline, baseline);
    Ok(if ideal > 0.0 { (discounted(baseline, current) / ideal).clamp(0.0, 1.0) } else { f64::NAN })
}

/// Σ gain/log₂(place + 1) in descending order of the scores; equal scores share their places.
fn discounted(gains: &[f64], scores: &[f64]) -> f64 {
    let order = descending(scores);
    let mut sum = 0.0;
    let mut first = 0;
    for run in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        let discount: f64 = (first..first + run.len()).map(|place| 1.0 / (place as f64 + 2.0).log2()).sum();
        let gain: f64 = run.iter().map(|feature| gains[*feature]).sum();
        sum += discount * gain / run.len() as f64;
        first += run.len();
    }
    sum
}

fn descending(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}

/// A feature's part of all attribution, before and now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShareChange {
    pub feature: usize,
    /// Of the sum over all features, 0 to 1.
    pub baseline: f64,
    pub current: f64,
    /// Current less baseline; over all features the changes sum to 0.
    pub change: f64,
    /// Places in the ranking, 1 first; of equal scores the earlier feature is first.
    pub baseline_rank: usize,
    pub current_rank: usize,
}

/// Each feature's share of the scores (mean |value|) before and now, in the order of the features. Shares do not
/// depend on the scale of the model's outputs, so that a new version can be compared. NaN when all scores of a side
/// are 0.
///
/// Fails as [`ranking_ndcg`].
pub fn share_changes(baseline: &[f64], current: &[f64]) -> Result<Vec<ShareChange>, InputError> {
    check(baseline, current)?;
    let sums = [baseline, current].map(|scores| scores.iter().sum::<f64>());
    let ranks = [baseline, current].map(|scores| {
        let mut ranks = vec![0; scores.len()];
        descending(scores).into_iter().enumerate().for_each(|(place, feature)| ranks[feature] = place + 1);
        ranks
    });
    let changes = baseline.iter().zip(current).enumerate().map(|(feature, (before, now))| {
        let [before, now] = [before / sums[0], now / sums[1]];
        ShareChange {
            feature,
            baseline: before,
            current: now,
            change: now - before,
            baseline_rank: ranks[0][feature],
            current_rank: ranks[1][feature],
        }
    });
    Ok(changes.collect())
}

fn check(baseline: &[f64], current: &[f64]) -> Result<(), InputError> {
    if baseline.len() != current.len() || baseline.is_empty() {
        let (found, expected) = (current.len(), baseline.len().max(1));
        return Err(InputError::Count { what: "scores", found, expected });
    }
    match baseline.iter().chain(current).find(|score| !(score.is_finite() && **score >= 0.0)) {
        Some(score) => {
            Err(InputError::Setting { what: "a score", found: *score, rule: "finite and 0 or more" })
        }
        None => Ok(()),
    }
}
