//! How much worse a model does when a column's values are dealt out anew.

mod metric;

pub use metric::Metric;

use metric::{Judged, Sample};

use crate::model::Meter;
use crate::quantile::{ascending, linear};
use crate::random::SplitMix64;
use crate::{Effort, InputError, Model, Scored, Table};

/// Both ends of an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PermutationOptions {
    pub metric: Metric,
    /// Permutations of each column.
    pub repeats: usize,
    /// Of both intervals, between 0 and 1.
    pub confidence: f64,
    /// Samples of the rows for their interval.
    pub draws: usize,
    pub seed: u64,
}

impl PermutationOptions {
    /// Five repeats, intervals of 95 % with 200 draws.
    pub fn new(metric: Metric, seed: u64) -> Self {
        Self { metric, repeats: 5, confidence: 0.95, draws: 200, seed }
    }
}

/// How much worse the metric is without what a group of columns says.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    pub columns: Vec<usize>,
    /// By repeat, in the units of the metric: above 0 when the model does worse.
    pub drops: Vec<f64>,
    pub mean: f64,
    /// Of the drops, with divisor n as scikit-learn's `importances_std`.
    pub deviation: f64,
    /// Quantiles of the drops: how much depends on the permutation.
    pub over_repeats: Interval,
    /// Quantiles of the mean drop over samples of the rows: how much depends on these rows.
    pub over_rows: Interval,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PermutationImportance {
    /// The metric of the unchanged rows.
    pub score: f64,
    /// In the given order of the groups.
    pub groups: Vec<Importance>,
    pub effort: Effort,
}

/// The drop of the metric when the columns of a group are permuted together, so that what they say of one another
/// stays.
///
/// drop = metric(rows) − metric(rows with the group permuted), the sign turned for losses; a mean over the repeats.
///
/// Two intervals: quantiles of the drops over the repeats, and a paired bootstrap over the rows (percentile interval,
/// Efron & Tibshirani 1993): the metric and all its repeats are calculated on the same samples with replacement. A
/// permuted row stands for two, the one with the label and the one that gave its values, and comes as often as the
/// product of their counts says; to count the first alone makes intervals of 95 % cover some 80 %. Samples with one
/// label only are left out for AUC and R².
///
/// Source: Breiman, "Random forests" (2001), section 10; `sklearn.inspection.permutation_importance` of scikit-learn
/// 1.9.1, which is equal for the same permutations. Labels are empty for [`Metric::PredictionChange`]. Deterministic
/// in the seed; a group's result depends on its number, not on the groups before it. Cost: rows × (1 + groups
/// × repeats) rows of the model, and groups × draws × repeats × rows additions.
///
/// Fails as [`Metric::score`], without groups or with an empty one, without repeats or draws, and unless 0 <
/// confidence < 1.
pub fn permutation_importance<M: Model>(
    model: &mut M,
    data: Table<'_>,
    labels: &[f64],
    groups: &[Vec<usize>],
    options: &PermutationOptions,
) -> Scored<PermutationImportance, M> {
    let deal = |group: usize| {
        let mut random = SplitMix64::stream(options.seed, group as u64);
        let mut permutation: Vec<usize> = (0..data.rows()).collect();
        (0..options.repeats)
            .map(|_| {
                random.shuffle(&mut permutation);
                permutation.clone()
            })
            .collect()
    };
    judge(model, data, labels, groups, options, deal)
}

/// [`permutation_importance`] with the caller's own permutations, the same for each group: row i gets the group's
/// values of row `permutation[i]`. `options.repeats` is not used.
pub fn permutation_importance_with<M: Model>(
    model: &mut M,
    data: Table<'_>,
    labels: &[f64],
    groups: &[Vec<usize>],
    options: &PermutationOptions,
    permutations: &[Vec<usize>],
) -> Scored<PermutationImportance, M> {
    for permutation in permutations {
        if permutation.len() != data.rows() {
            let (found, expected) = (permutation.len(), data.rows());
            return Err(InputError::Count { what: "places of a permutation", found, expected }.into());
        }
        data.check_rows(permutation)?;
    }
    judge(model, data, labels, groups, options, |_| permutations.to_vec())
}

fn judge<M: Model>(
    model: &mut M,
    data: Table<'_>,
    labels: &[f64],
    groups: &[Vec<usize>],
    options: &PermutationOptions,
    deal: impl Fn(usize) -> Vec<Vec<usize>>,
) -> Scored<PermutationImportance, M> {
    let mut meter = Meter::new(model, data.columns())?;
    check(data, groups, options)?;
    let rows = data.rows();
    let needs_labels = options.metric != Metric::PredictionChange;
    if needs_labels {
        options.metric.check(labels, rows)?;
    } else if !labels.is_empty() {
        return Err(InputError::Count { what: "labels", found: labels.len(), expected: 0 }.into());
    }
    let outputs = meter.score(rows, |number, row| row.copy_from_slice(data.row(number)))?;
    let labels = if needs_labels { labels } else { &outputs };
    let whole = Judged::new(options.metric, labels, &outputs)?;
    let score = whole.value(None);
    let mut found = Vec::with_capacity(groups.len());
    for (number, group) in groups.iter().enumerate() {
        let permutations = deal(number);
        if permutations.is_empty() {
            return Err(InputError::Count { what: "repeats", found: 0, expected: 1 }.into());
        }
        let permuted = meter.score(rows * permutations.len(), |number, row| {
            let other = data.row(permutations[number / rows][number % rows]);
            row.copy_from_slice(data.row(number % rows));
            group.iter().for_each(|column| row[*column] = other[*column]);
        })?;
        let repeats = permuted.chunks(rows).map(|outputs| Judged::new(options.metric, labels, outputs));
        let repeats = repeats.collect::<Result<Vec<Judged<'_>>, InputError>>()?;
        found.push(importance(group, &whole, &repeats, &permutations, options));
    }
    Ok(PermutationImportance { score, groups: found, effort: meter.effort() })
}

fn importance(
    columns: &[usize],
    whole: &Judged<'_>,
    repeats: &[Judged<'_>],
    permutations: &[Vec<usize>],
    options: &PermutationOptions,
) -> Importance {
    let sign = if options.metric.is_loss() { -1.0 } else { 1.0 };
    let count = repeats.len() as f64;
    let score = whole.value(None);
    let drops: Vec<f64> = repeats.iter().map(|repeat| sign * (score - repeat.value(None))).collect();
    let mean = drops.iter().sum::<f64>() / count;
    let deviation = (drops.iter().map(|drop| (drop - mean).powi(2)).sum::<f64>() / count).sqrt();
    let rows = permutations.first().map_or(0, Vec::len);
    // The same samples for every group, so that groups are compared on the same rows.
    let mut random = SplitMix64::stream(options.seed, u64::MAX);
    let (mut counts, mut pairs) = (vec![0u32; rows], vec![0u32; rows]);
    let sampled = (0..options.draws).map(|_| {
        counts.fill(0);
        (0..rows).for_each(|_| counts[random.below(rows)] += 1);
        let mut permuted = 0.0;
        for (repeat, permutation) in repeats.iter().zip(permutations) {
            for (row, pair) in pairs.iter_mut().enumerate() {
                *pair = counts[row] * counts[permutation[row]];
            }
            permuted += repeat.value(Some(Sample { outputs: &pairs, labels: &counts })) / count;
        }
        sign * (whole.value(Some(Sample { outputs: &counts, labels: &counts })) - permuted)
    });
    let sampled = ascending(sampled);
    let over_repeats = interval(&ascending(drops.iter().copied()), options.confidence);
    let over_rows = interval(&sampled, options.confidence);
    Importance { columns: columns.to_vec(), drops, mean, deviation, over_repeats, over_rows }
}

/// NaN when no sample could be judged.
fn interval(sorted: &[f64], confidence: f64) -> Interval {
    if sorted.is_empty() {
        return Interval { low: f64::NAN, high: f64::NAN };
    }
    let outside = (1.0 - confidence) / 2.0;
    Interval { low: linear(sorted, outside), high: linear(sorted, 1.0 - outside) }
}

fn check(data: Table<'_>, groups: &[Vec<usize>], options: &PermutationOptions) -> Result<(), InputError> {
    if groups.is_empty() || groups.iter().any(Vec::is_empty) {
        return Err(InputError::Count { what: "columns of a group", found: 0, expected: 1 });
    }
    groups.iter().flatten().try_for_each(|column| data.check_column(*column))?;
    if options.draws == 0 {
        return Err(InputError::Count { what: "draws", found: 0, expected: 1 });
    }
    if !(options.confidence > 0.0 && options.confidence < 1.0) {
        return Err(InputError::Setting {
            what: "the confidence",
            found: options.confidence,
            rule: "between 0 and 1",
        });
    }
    Ok(())
}
