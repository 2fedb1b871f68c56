//! Accumulated local effects: what the model does when a column moves within the neighbourhood of each row, summed
//! up. Unlike partial dependence it asks for no rows far from the data.

mod pair;

pub use pair::{AccumulatedPair, accumulated_pair};

use crate::model::Meter;
use crate::quantile::{ascending, inverse_distribution};
use crate::{Effort, InputError, Model, Scored, Table};

/// The effect of a column of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct AccumulatedEffect {
    pub edges: Vec<f64>,
    /// At each edge, in the units of the outputs; their average over the rows is 0.
    pub effects: Vec<f64>,
    /// Rows between an edge and the next.
    pub counts: Vec<usize>,
    /// Rows in which the column is missing or beyond the edges.
    pub left_out: usize,
    pub effort: Effort,
}

/// Edges of at most `bins` bins with about as many rows each: the least value and the k/bins quantiles, distinct,
/// each a value of the data (quantiles of type 1 of Hyndman & Fan 1996, as the authors of the method take them). No bin
/// is empty. O(n log n).
///
/// Fails with no bins and with a column that has fewer than two different values.
///
/// ```
/// use kernel_effects::{Table, quantile_edges};
///
/// let data = Table::new(&[4.0, 1.0, 2.0, 3.0], 1).unwrap();
/// assert_eq!(quantile_edges(data, 0, 2).unwrap(), [1.0, 2.0, 4.0]);
/// ```
pub fn quantile_edges(data: Table<'_>, column: usize, bins: usize) -> Result<Vec<f64>, InputError> {
    let sorted = ascending(data.column(column)?);
    if bins == 0 {
        return Err(InputError::Setting { what: "the number of bins", found: 0.0, rule: "one or more" });
    }
    let Some(least) = sorted.first().copied() else {
        return Err(InputError::NoValues { column });
    };
    let mut edges = vec![least];
    edges.extend((1..=bins).map(|part| inverse_distribution(&sorted, part, bins)));
    edges.dedup();
    if edges.len() < 2 {
        return Err(InputError::OneValue { column });
    }
    Ok(edges)
}

/// First-order effect at edges z₀ < … < z_K: g(z_k) = Σ_{j ≤ k} mean over the rows of bin j, (z_{j−1}, z_j], of
/// f(x with z_j) − f(x with z_{j−1}), less its mean over the rows, for which a bin counts the middle of its two edges.
///
/// Source: Apley & Zhu, "Visualizing the effects of predictor variables in black box supervised learning models"
/// (JRSS B 82, 2020), the estimator of the first-order effect, as PyALE 1.2.0 calculates it. The first bin holds z₀.
/// A bin without rows (only with edges of the caller's own) is flat. For an additive model the effect is the column's
/// own term, centred. Cost: 2 × rows rows of the model.
///
/// Fails unless the edges ascend and a row lies between them.
pub fn accumulated_effect<M: Model>(
    model: &mut M,
    data: Table<'_>,
    column: usize,
    edges: &[f64],
) -> Scored<AccumulatedEffect, M> {
    let mut meter = Meter::new(model, data.columns())?;
    check_edges(edges)?;
    let places = data.column(column)?.map(|value| bin(edges, value)).enumerate();
    let kept: Vec<(usize, usize)> = places.filter_map(|(row, bin)| Some((row, bin?))).collect();
    if kept.is_empty() {
        return Err(InputError::NoValues { column }.into());
    }
    let bins = edges.len() - 1;
    let (mut sums, mut counts) = (vec![0.0; bins], vec![0; bins]);
    meter.score_each(
        2 * kept.len(),
        |number, row| {
            let (source, bin) = kept[number / 2];
            row.copy_from_slice(data.row(source));
            row[column] = edges[bin + number % 2];
        },
        |number, output| sums[kept[number / 2].1] += if number % 2 == 0 { -output } else { output },
    )?;
    kept.iter().for_each(|(_, bin)| counts[*bin] += 1);
    let mut effects = accumulated(&means(&sums, &counts));
    let middle = |bin: usize| (effects[bin] + effects[bin + 1]) / 2.0;
    let sum: f64 = counts.iter().enumerate().map(|(bin, count)| *count as f64 * middle(bin)).sum();
    let centre = sum / kept.len() as f64;
    effects.iter_mut().for_each(|effect| *effect -= centre);
    let left_out = data.rows() - kept.len();
    Ok(AccumulatedEffect { edges: edges.to_vec(), effects, counts, left_out, effort: meter.effort() })
}

/// The effect of a column of categories.
#[derive(Debug, Clone, PartialEq)]
pub struct AccumulatedLevels {
    /// Those that rows have, in the given order.
    pub levels: Vec<f64>,
    /// Of each level, in the units of the outputs; their average over the rows is 0.
    pub effects: Vec<f64>,
    /// Rows of each level.
    pub counts: Vec<usize>,
    /// Rows in which the column is missing or none of the levels.
    pub left_out: usize,
    pub effort: Effort,
}

/// First-order effect of categories in a given order: a step from a level to the next is the mean change of the output
/// over the rows of both, those of the lower one moved up and those of the upper one as they are less moved down.
///
/// Source: Apley & Zhu (2020), categories, as PyALE 1.2.0 calculates it for discrete columns. The effect depends on
/// the order, which is the caller's: for an additive model it does not. Levels without rows are dropped. Cost: at
/// most 3 × rows rows of the model.
///
/// Fails when a level is missing (NaN) or comes twice, or when fewer than two have rows.
pub fn accumulated_levels<M: Model>(
    model: &mut M,
    data: Table<'_>,
    column: usize,
    levels: &[f64],
) -> Scored<AccumulatedLevels, M> {
    let mut meter = Meter::new(model, data.columns())?;
    let twice = |place: usize| levels[..place].contains(&levels[place]);
    if let Some(place) = (0..levels.len()).find(|place| !levels[*place].is_finite() || twice(*place)) {
        let rule = "finite and in the list once";
        return Err(InputError::Setting { what: "a level", found: levels[place], rule }.into());
    }
    let levels: Vec<f64> = {
        let values: Vec<f64> = data.column(column)?.collect();
        levels.iter().copied().filter(|level| values.contains(level)).collect()
    };
    if levels.len() < 2 {
        return Err(InputError::OneValue { column }.into());
    }
    let places = data.column(column)?.map(|value| levels.iter().position(|level| *level == value));
    let kept: Vec<(usize, usize)> =
        places.enumerate().filter_map(|(row, level)| Some((row, level?))).collect();
    let mut counts = vec![0; levels.len()];
    kept.iter().for_each(|(_, level)| counts[*level] += 1);
    let own = meter.score(kept.len(), |number, row| row.copy_from_slice(data.row(kept[number].0)))?;
    // Which of the rows moves to which level.
    let mut moves: Vec<(usize, usize)> = Vec::with_capacity(2 * kept.len());
    for (place, (_, level)) in kept.iter().enumerate() {
        let around = [level.checked_sub(1), Some(level + 1).filter(|next| *next < levels.len())];
        moves.extend(around.into_iter().flatten().map(|other| (place, other)));
    }
    let mut sums = vec![0.0; levels.len() - 1];
    let mut steps = vec![0; levels.len() - 1];
    meter.score_each(
        moves.len(),
        |number, row| {
            let (place, other) = moves[number];
            row.copy_from_slice(data.row(kept[place].0));
            row[column] = levels[other];
        },
        |number, output| {
            let (place, other) = moves[number];
            let level = kept[place].1;
            let change = if other > level { output - own[place] } else { own[place] - output };
            sums[level.min(other)] += change;
            steps[level.min(other)] += 1;
        },
    )?;
    let mut effects = accumulated(&means(&sums, &steps));
    let sum: f64 = effects.iter().zip(&counts).map(|(effect, count)| effect * *count as f64).sum();
    let centre = sum / kept.len() as f64;
    effects.iter_mut().for_each(|effect| *effect -= centre);
    let left_out = data.rows() - kept.len();
    Ok(AccumulatedLevels { levels, effects, counts, left_out, effort: meter.effort() })
}

/// The bin of a value: number k holds (edge k, edge k + 1], the first also its lower edge.
fn bin(edges: &[f64], value: f64) -> Option<usize> {
    let (first, last) = (edges.first()?, edges.last()?);
    if value.is_nan() || value < *first || value > *last {
        return None;
    }
    Some(edges.partition_point(|edge| *edge < value).saturating_sub(1))
}

fn means(sums: &[f64], counts: &[usize]) -> Vec<f64> {
    let mean = |(sum, count): (&f64, &usize)| if *count == 0 { 0.0 } else { sum / *count as f64 };
    sums.iter().zip(counts).map(mean).collect()
}

/// 0 and the sums of the first k steps.
fn accumulated(steps: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0];
    let mut sum = 0.0;
    for step in steps {
        sum += step;
        sums.push(sum);
    }
    sums
}

fn check_edges(edges: &[f64]) -> Result<(), InputError> {
    if edges.len() < 2 {
        return Err(InputError::Count { what: "edges", found: edges.len(), expected: 2 });
    }
    let bad =
        edges.windows(2).find(|pair| !(pair[0].is_finite() && pair[1].is_finite() && pair[0] < pair[1]));
    match bad {
        Some(pair) => Err(InputError::Setting {
            what: "an edge",
            found: pair[1],
            rule: "finite and above the one before it",
        }),
        None => Ok(()),
    }
}
