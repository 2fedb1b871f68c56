//! Where the numbers of a matrix lie.

use kernel_trees::Ensemble;

use crate::ExplainError;
use crate::block::{BLOCKS, LANES, Lanes, Real};
use crate::sums::columns;

/// Of the 64-bit sums of all blocks that are calculated at a time: 4 MB, unless one block has more.
const MOST_SUMS: usize = 1 << 19;

/// Numbers of an upper triangle with its diagonal, row after row.
pub(super) fn cells(features: usize) -> usize {
    features * (features + 1) / 2
}

/// The place of a pair in it, in whichever order.
pub(super) fn cell(features: usize, one: usize, other: usize) -> usize {
    let (low, high) = (one.min(other), one.max(other));
    low * (2 * features + 1 - low) / 2 + high - low
}

/// The matrices of a model's rows: row after row, output after output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrices {
    features: usize,
    scores: usize,
}

impl Matrices {
    pub fn of(model: &Ensemble) -> Self {
        Self { features: model.features(), scores: model.scores() }
    }

    fn size(self) -> usize {
        (self.features + 1) * (self.features + 1)
    }

    pub fn per_row(self) -> usize {
        self.scores * self.size()
    }

    pub fn rows_at_once(self) -> usize {
        let blocks = MOST_SUMS / (cells(self.features) * LANES).max(1);
        blocks.clamp(1, BLOCKS) * LANES
    }

    /// The number of rows. Panics when a slice has the wrong length.
    pub fn count(self, rows: &[f64], values: &[f64]) -> usize {
        let count = values.len() / self.per_row();
        assert_eq!(values.len(), count * self.per_row(), "a matrix per row and output");
        assert_eq!(rows.len(), count * self.features, "a row holds one value per feature");
        count
    }

    pub fn of_output(self, output: usize, values: &mut [f64]) -> &mut [f64] {
        &mut values[output * self.size()..][..self.size()]
    }

    /// Puts the upper triangles of rows, as many as are calculated at once, into their values. `add` adds those of an output to sums by block and
    /// cell, of rows by block and feature.
    pub fn fill<T: Real>(
        self,
        model: &Ensemble,
        rows: &[f64],
        values: &mut [f64],
        add: impl Fn(usize, &[Lanes<T>], &mut [Lanes<f64>]),
    ) {
        let columns: Vec<Lanes<T>> = columns(model, rows);
        let cells = cells(self.features);
        let mut totals = vec![[0.0; LANES]; columns.len() / self.features * cells];
        for output in 0..self.scores {
            totals.fill([0.0; LANES]);
            add(output, &columns, &mut totals);
            let matrices = values.chunks_mut(self.size()).skip(output).step_by(self.scores);
            for (number, matrix) in matrices.enumerate() {
                let mut totals = &totals[number / LANES * cells..][..cells];
                for low in 0..self.features {
                    let row = &mut matrix[low * (self.features + 1) + low..][..self.features - low];
                    let (own, rest) = totals.split_at(row.len());
                    for (value, total) in row.iter_mut().zip(own) {
                        *value = total[number % LANES];
                    }
                    totals = rest;
                }
            }
        }
    }

    /// Completes the matrices of a row, whose upper triangles hold the indices of pairs and, on the diagonal, the values of features; and
    /// checks their sums.
    pub fn close(
        self,
        model: &Ensemble,
        base: &[f64],
        raw: &[f64],
        values: &mut [f64],
    ) -> Result<(), ExplainError> {
        for (output, (base, score)) in base.iter().copied().zip(raw.iter().copied()).enumerate() {
            let matrix = self.of_output(output, values);
            self.complete(matrix, base);
            let rows = matrix.chunks(self.features + 1);
            let sum: f64 = rows.map(|row| row.iter().sum::<f64>()).sum();
            let gap = (sum - score).abs();
            if gap.is_nan() || gap > model.precision() * score.abs().max(1.0) {
                return Err(ExplainError::NotAdditive { output, sum, score });
            }
        }
        Ok(())
    }

    fn complete(self, matrix: &mut [f64], base: f64) {
        let (features, stride) = (self.features, self.features + 1);
        for low in 0..features {
            let mut left = matrix[low * stride + low];
            for high in low + 1..features {
                let half = matrix[low * stride + high] / 2.0;
                matrix[low * stride + high] = half;
                matrix[high * stride + low] = half;
                matrix[high * stride + high] -= half;
                left -= half;
            }
            matrix[low * stride + low] = left;
            matrix[low * stride + features] = 0.0;
            matrix[features * stride + low] = 0.0;
        }
        matrix[features * stride + features] = base;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_numbered_row_after_row() {
        for features in 1..9 {
            let mut next = 0;
            for low in 0..features {
                for high in low..features {
                    assert_eq!(cell(features, low, high), next);
                    assert_eq!(cell(features, high, low), next);
                    next += 1;
                }
            }
            assert_eq!(cells(features), next);
        }
    }
}
