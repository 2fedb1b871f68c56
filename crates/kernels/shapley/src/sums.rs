//! From what the kernels found to the values of a row.

use kernel_trees::Ensemble;

use crate::ExplainError;
use crate::block::{LANES, Lanes};

/// Rows by block and feature; the last block is filled up with zeros.
pub(crate) fn columns<T: crate::block::Real>(model: &Ensemble, rows: &[f64]) -> Vec<Lanes<T>> {
    let features = model.features();
    let blocks = (rows.len() / features).div_ceil(LANES);
    let mut columns = vec![[T::default(); LANES]; blocks * features];
    for (number, row) in rows.chunks(features).enumerate() {
        let block = &mut columns[number / LANES * features..][..features];
        for (column, value) in block.iter_mut().zip(row) {
            column[number % LANES] = T::of(model.read(*value));
        }
    }
    columns
}

/// One row of what was found by block, output and feature; the places of the bases stay as they are.
pub(crate) fn take(model: &Ensemble, found: &[Lanes<f64>], row: usize, values: &mut [f64]) {
    let (features, scores) = (model.features(), model.scores());
    let found = &found[row / LANES * scores * features..][..scores * features];
    for (own, found) in values.chunks_mut(features + 1).zip(found.chunks(features)) {
        for (own, found) in own.iter_mut().zip(found) {
            *own = found[row % LANES];
        }
    }
}

/// Puts the bases to the values of a row and checks the sums.
pub(crate) fn close(
    model: &Ensemble,
    base: &[f64],
    values: &mut [f64],
    raw: &[f64],
) -> Result<(), ExplainError> {
    let features = model.features();
    for (output, score) in raw.iter().copied().enumerate() {
        let own = &mut values[output * (features + 1)..][..=features];
        own[features] = base[output];
        let sum: f64 = own.iter().sum();
        let gap = (sum - score).abs();
        if gap.is_nan() || gap > model.precision() * score.abs().max(1.0) {
            return Err(ExplainError::NotAdditive { output, sum, score });
        }
    }
    Ok(())
}
