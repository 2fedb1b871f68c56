//! What two columns do together, beyond what each does by itself.

use super::{accumulated, bin, check_edges, means};
use crate::model::Meter;
use crate::partial::check_pair;
use crate::{Effort, InputError, Model, Scored, Table};

/// The effect of a pair of columns of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct AccumulatedPair {
    pub edges: [Vec<f64>; 2],
    /// At each edge of the first column, for each of the second, in the units of the outputs; their average over the
    /// rows is 0, and so are their accumulated effects along each column.
    pub effects: Vec<f64>,
    /// Rows of each cell: bin of the first column after bin, in the order of the second's. A cell without rows has
    /// taken its step from the nearest one with rows: show it as a guess.
    pub counts: Vec<usize>,
    /// Rows in which a column is missing or beyond the edges.
    pub left_out: usize,
    pub effort: Effort,
}

/// Second-order effect: the mean over the rows of a cell of the second difference
/// (f(z_k, z_m) − f(z_{k−1}, z_m)) − (f(z_k, z_{m−1}) − f(z_{k−1}, z_{m−1})), summed up over both columns, less the
/// accumulated effect of either column that is in the sum, less its mean over the rows.
///
/// Source: Apley & Zhu (2020), the estimator of the second-order effect, as PyALE 1.2.0 calculates it. A cell without
/// rows takes the mean of the nearest one that has some: by the distance of the centres in units of the columns'
/// ranges, the first of equally near ones. 0 for an additive model. Cost: 4 × rows rows of the model, and cells² for
/// empty cells.
///
/// Fails when both columns are the same, unless the edges ascend, and when no row lies between them.
pub fn accumulated_pair<M: Model>(
    model: &mut M,
    data: Table<'_>,
    columns: [usize; 2],
    edges: [&[f64]; 2],
) -> Scored<AccumulatedPair, M> {
    let mut meter = Meter::new(model, data.columns())?;
    check_pair(data, columns)?;
    edges.into_iter().try_for_each(check_edges)?;
    let wide = edges[1].len() - 1;
    let mut kept: Vec<(usize, [usize; 2])> = Vec::with_capacity(data.rows());
    for (number, row) in data.iter().enumerate() {
        if let (Some(first), Some(second)) = (bin(edges[0], row[columns[0]]), bin(edges[1], row[columns[1]]))
        {
            kept.push((number, [first, second]));
        }
    }
    if kept.is_empty() {
        return Err(InputError::NoValues { column: columns[0] }.into());
    }
    let cells = (edges[0].len() - 1) * wide;
    let (mut sums, mut counts) = (vec![0.0; cells], vec![0; cells]);
    meter.score_each(
        4 * kept.len(),
        |number, row| {
            let (source, bins) = kept[number / 4];
            row.copy_from_slice(data.row(source));
            row[columns[0]] = edges[0][bins[0] + number % 4 / 2];
            row[columns[1]] = edges[1][bins[1] + number % 2];
        },
        |number, output| {
            let [first, second] = kept[number / 4].1;
            // The corners come as 00, 01, 10, 11.
            let sign = if matches!(number % 4, 0 | 3) { 1.0 } else { -1.0 };
            sums[first * wide + second] += sign * output;
        },
    )?;
    kept.iter().for_each(|(_, [first, second])| counts[first * wide + second] += 1);
    let steps = filled(edges, means(&sums, &counts), &counts);
    let effects = centred(&steps, &counts, wide, kept.len());
    Ok(AccumulatedPair {
        edges: edges.map(<[f64]>::to_vec),
        effects,
        counts,
        left_out: data.rows() - kept.len(),
        effort: meter.effort(),
    })
}

/// Cells without rows get the step of the nearest one with rows.
fn filled(edges: [&[f64]; 2], mut steps: Vec<f64>, counts: &[usize]) -> Vec<f64> {
    let centres = edges.map(|edges| {
        let range = edges[edges.len() - 1] - edges[0];
        edges.windows(2).map(|pair| (pair[0] + pair[1]) / (2.0 * range)).collect::<Vec<f64>>()
    });
    let wide = centres[1].len();
    let distance = |a: usize, b: usize| {
        let first = centres[0][a / wide] - centres[0][b / wide];
        let second = centres[1][a % wide] - centres[1][b % wide];
        first * first + second * second
    };
    let known: Vec<usize> = (0..steps.len()).filter(|cell| counts[*cell] > 0).collect();
    for cell in (0..steps.len()).filter(|cell| counts[*cell] == 0) {
        let nearest = known.iter().min_by(|a, b| distance(cell, **a).total_cmp(&distance(cell, **b)));
        if let Some(nearest) = nearest {
            steps[cell] = steps[*nearest];
        }
    }
    steps
}

/// Sums of the steps at the edges, without the effects of the single columns and without the mean over the rows.
fn centred(steps: &[f64], counts: &[usize], wide: usize, rows: usize) -> Vec<f64> {
    let tall = steps.len() / wide;
    let width = wide + 1;
    let mut sums = vec![0.0; (tall + 1) * width];
    for (cell, step) in steps.iter().enumerate() {
        let corner = (cell / wide + 1) * width + cell % wide + 1;
        sums[corner] = step + sums[corner - 1] + sums[corner - width] - sums[corner - width - 1];
    }
    let (mut first, mut second) = (vec![0.0; tall], vec![0.0; wide]);
    let (mut first_rows, mut second_rows) = (vec![0; tall], vec![0; wide]);
    for (cell, count) in counts.iter().enumerate() {
        let (row, column) = (cell / wide, cell % wide);
        let corner = row * width + column;
        let weight = *count as f64 / 2.0;
        first[row] +=
            weight * (sums[corner + width] - sums[corner] + sums[corner + width + 1] - sums[corner + 1]);
        second[column] +=
            weight * (sums[corner + 1] - sums[corner] + sums[corner + width + 1] - sums[corner + width]);
        first_rows[row] += count;
        second_rows[column] += count;
    }
    let first = accumulated(&means(&first, &first_rows));
    let second = accumulated(&means(&second, &second_rows));
    for (place, sum) in sums.iter_mut().enumerate() {
        *sum -= first[place / width] + second[place % width];
    }
    let mut total = 0.0;
    for (cell, count) in counts.iter().enumerate() {
        let corner = cell / wide * width + cell % wide;
        let around = sums[corner] + sums[corner + 1] + sums[corner + width] + sums[corner + width + 1];
        total += *count as f64 * around / 4.0;
    }
    let mean = total / rows as f64;
    sums.into_iter().map(|sum| sum - mean).collect()
}
