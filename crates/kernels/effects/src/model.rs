//! The model as a function of many rows, and how much was asked of it.

use crate::{EffectError, InputError};

/// A model behind a function: local or remote, costly or not.
///
/// Outputs are on one scale (a probability, a margin, an amount) and finite. The same row gives the same output: values
/// for a row that was scored are kept, not asked again.
pub trait Model {
    /// Why rows could not be scored; handed on as it is in [`EffectError::Model`].
    type Error: std::error::Error + 'static;

    /// Columns of a row.
    fn columns(&self) -> usize;

    /// Scores rows that stand one after the other in `rows` (a missing value is NaN), an output for each.
    fn predict(&mut self, rows: &[f64], outputs: &mut [f64]) -> Result<(), Self::Error>;

    /// The most rows of one call: the size of a request. Memory is in proportion to it.
    fn rows_per_call(&self) -> usize {
        8_192
    }
}

impl<M: Model + ?Sized> Model for &mut M {
    type Error = M::Error;

    fn columns(&self) -> usize {
        (**self).columns()
    }

    fn predict(&mut self, rows: &[f64], outputs: &mut [f64]) -> Result<(), Self::Error> {
        (**self).predict(rows, outputs)
    }

    fn rows_per_call(&self) -> usize {
        (**self).rows_per_call()
    }
}

/// What a calculation gives that asks the model `M`.
pub type Scored<T, M> = Result<T, EffectError<<M as Model>::Error>>;

/// A model that cannot fail: a function of one row.
///
/// ```
/// use kernel_effects::{Formula, Model};
///
/// let mut sum = Formula::new(2, |row: &[f64]| row[0] + row[1]);
/// let mut outputs = [0.0; 2];
/// sum.predict(&[1.0, 2.0, 3.0, 4.0], &mut outputs).unwrap();
/// assert_eq!(outputs, [3.0, 7.0]);
/// ```
#[derive(Debug, Clone)]
pub struct Formula<F> {
    columns: usize,
    output: F,
}

impl<F: FnMut(&[f64]) -> f64> Formula<F> {
    pub fn new(columns: usize, output: F) -> Self {
        Self { columns, output }
    }
}

impl<F: FnMut(&[f64]) -> f64> Model for Formula<F> {
    type Error = std::convert::Infallible;

    fn columns(&self) -> usize {
        self.columns
    }

    fn predict(&mut self, rows: &[f64], outputs: &mut [f64]) -> Result<(), Self::Error> {
        for (output, row) in outputs.iter_mut().zip(rows.chunks(self.columns.max(1))) {
            *output = (self.output)(row);
        }
        Ok(())
    }
}

/// What was asked of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effort {
    /// Calls of [`Model::predict`].
    pub calls: u64,
    /// Rows scored in them.
    pub rows: u64,
}

/// Asks the model in calls of bounded size, counts, and refuses outputs that are no numbers.
pub(crate) struct Meter<'m, M: Model> {
    model: &'m mut M,
    columns: usize,
    effort: Effort,
}

impl<'m, M: Model> Meter<'m, M> {
    /// Fails unless the model's rows have `columns` columns.
    pub fn new(model: &'m mut M, columns: usize) -> Result<Self, InputError> {
        let expected = model.columns();
        if expected != columns || columns == 0 {
            return Err(InputError::Count { what: "columns", found: columns, expected });
        }
        Ok(Self { model, columns, effort: Effort::default() })
    }

    pub fn effort(&self) -> Effort {
        self.effort
    }

    /// Scores rows `0..count`, each written by `fill`, in order; `visit` gets the number of a row and its output.
    pub fn score_each(
        &mut self,
        count: usize,
        mut fill: impl FnMut(usize, &mut [f64]),
        mut visit: impl FnMut(usize, f64),
    ) -> Scored<(), M> {
        let most = self.model.rows_per_call().max(1).min(count);
        let mut rows = vec![0.0; most * self.columns];
        let mut outputs = vec![0.0; most];
        let mut first = 0;
        while first < count {
            let size = most.min(count - first);
            for (number, row) in rows.chunks_mut(self.columns).take(size).enumerate() {
                fill(first + number, row);
            }
            // An output that the model forgets is then found.
            outputs.fill(f64::NAN);
            self.model
                .predict(&rows[..size * self.columns], &mut outputs[..size])
                .map_err(|source| EffectError::Model { rows: size, source })?;
            self.effort.calls += 1;
            self.effort.rows += size as u64;
            for (number, output) in outputs.iter().take(size).enumerate() {
                if !output.is_finite() {
                    return Err(EffectError::NotFinite { output: *output });
                }
                visit(first + number, *output);
            }
            first += size;
        }
        Ok(())
    }

    /// [`Meter::score_each`] with the outputs kept.
    pub fn score(&mut self, count: usize, fill: impl FnMut(usize, &mut [f64])) -> Scored<Vec<f64>, M> {
        let mut outputs = Vec::with_capacity(count);
        self.score_each(count, fill, |_, output| outputs.push(output))?;
        Ok(outputs)
    }
}
