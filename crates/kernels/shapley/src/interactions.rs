//! Interactions: what two features add together beyond what each adds alone.
//!
//! Source: Lundberg, Erion and Lee, "Consistent individualized feature attribution for tree ensembles" (2018), SHAP interaction values: half the
//! Shapley interaction index Σ |S|!·(M−|S|−2)!/(M−1)! · (f(S+i+j) − f(S+i) − f(S+j) + f(S)) over the sets S of the other M−2 features stands at (i, j),
//! half at (j, i), and on the diagonal what is left of a feature's Shapley value. The matrices are laid out as those of XGBoost's
//! `pred_interactions`: a row and a column per feature, then one for the base, which holds nothing but the base at its end.
//!
//! When unknown features go both ways, a leaf's part in the index of i and j is ∫ P(t)·hᵢ(t)·hⱼ(t), with the product P of the factors of all features
//! on its path and the pulls h = (c−r)/((1−t)·r + t·c) (the names are those of `path`). Its degree is below that of the values, so their
//! points are enough. A pull is a sum over the splits of its feature: each split adds what it changes of its own feature's pull, times
//! the sum of the products below it, times the pulls of the other features above. So a split costs in proportion to the features above it.

mod background;
mod matrix;
mod plan;
mod row;
mod walk;

use std::borrow::Borrow;

use kernel_trees::Ensemble;

use crate::block::Real;
use crate::path::{Plans, PlansOf};
use crate::{ExplainError, PathDependent};
pub(crate) use background::Tallies;
use matrix::Matrices;
pub(crate) use plan::Plan;

/// Deeper trees are walked row by row: a level of a block's walk takes kilobytes of the stack.
const MOST_LEVELS: usize = 64;

impl<M: Borrow<Ensemble>> PathDependent<M> {
    /// Numbers per row that [`PathDependent::interactions`] writes: for each output (features + 1)².
    pub fn interactions_len(&self) -> usize {
        Matrices::of(self.model()).per_row()
    }

    /// Interactions of rows in the units of [`Ensemble::raw_scores`], row after row: output after output a symmetric matrix of features and base.
    /// A feature's row sums to its value as [`PathDependent::explain`] gives it, and the matrix to the score, which is checked: the
    /// error is [`ExplainError::NotAdditive`]. Panics when a slice has the wrong length.
    ///
    /// O(trees × splits × depth × points) a row, 32 rows at a time. They are calculated with the floats of the model's framework, and again
    /// with 64 bits when 32 do not add up; the bits are the same on every processor.
    pub fn interactions(&self, rows: &[f64], values: &mut [f64]) -> Result<(), ExplainError> {
        let matrices = Matrices::of(self.model());
        let count = matrices.count(rows, values);
        let (features, scores) = (self.model().features(), self.model().scores());
        match self.plans.as_ref().filter(|_| self.depth <= MOST_LEVELS && features > 0) {
            Some(Plans::Single(plans)) => return self.interactions_in_blocks(plans, rows, values),
            Some(Plans::Double(plans)) => return self.interactions_in_blocks(plans, rows, values),
            None => {}
        }
        let mut raw = vec![0.0; count * scores];
        self.model().raw_scores(rows, &mut raw);
        for number in 0..count {
            let own = &mut values[number * matrices.per_row()..][..matrices.per_row()];
            let row = &rows[number * features..][..features];
            self.interactions_alone(row, &raw[number * scores..][..scores], own)?;
        }
        Ok(())
    }

    fn interactions_in_blocks<T: Real>(
        &self,
        plans: &PlansOf<T>,
        rows: &[f64],
        values: &mut [f64],
    ) -> Result<(), ExplainError> {
        let (model, blocks) = (self.model(), self.block_plan(plans));
        let plan = plans.pairs.get_or_init(|| Plan::new(model, blocks, &self.quadratures));
        let matrices = Matrices::of(model);
        let (features, scores, most) = (model.features(), model.scores(), matrices.rows_at_once());
        for (rows, values) in rows.chunks(most * features).zip(values.chunks_mut(most * matrices.per_row())) {
            matrices.fill::<T>(model, rows, values, |output, columns, totals| {
                plan.add(model, blocks, output, columns, totals);
            });
            let mut raw = vec![0.0; rows.len() / features * scores];
            model.raw_scores(rows, &mut raw);
            let of_rows = rows.chunks(features).zip(raw.chunks(scores));
            for ((row, raw), own) in of_rows.zip(values.chunks_mut(matrices.per_row())) {
                if matrices.close(model, &self.base, raw, own).is_err() {
                    // 32-bit floats were not enough for it.
                    self.interactions_alone(row, raw, own)?;
                }
            }
        }
        Ok(())
    }

    /// With 64-bit floats, whatever the shape of the trees.
    fn interactions_alone(&self, row: &[f64], raw: &[f64], values: &mut [f64]) -> Result<(), ExplainError> {
        let matrices = Matrices::of(self.model());
        values.fill(0.0);
        let levels = (self.depth + 1) * self.quadratures.len();
        let mut stack = row::Stack::new(row.len(), levels);
        for (tree, count) in self.model().trees().iter().zip(&self.points) {
            let points = &self.quadratures[*count];
            let matrix = matrices.of_output(tree.output(), values);
            row::add(self.model(), tree, row, points, &mut stack, matrix);
        }
        matrices.close(self.model(), &self.base, raw, values)
    }
}
