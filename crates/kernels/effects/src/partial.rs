//! What the model says when a column is set to a value in every row: partial dependence and its curves row by row.

use crate::model::Meter;
use crate::quantile::{ascending, linear};
use crate::{Effort, InputError, Model, Scored, Table};

/// Outputs averaged over rows, at each grid value.
#[derive(Debug, Clone, PartialEq)]
pub struct PartialDependence {
    pub grid: Vec<f64>,
    /// In the order of the grid.
    pub average: Vec<f64>,
    pub effort: Effort,
}

/// PD(v) = 1/n · Σᵢ f(xᵢ with column = v), in the units of the model's outputs.
///
/// Source: Friedman, "Greedy function approximation" (2001), section 8;
/// `sklearn.inspection.partial_dependence(method="brute")` of scikit-learn 1.9.1 on the same grid. Rows in which the
/// column is missing count like the others; NaN on the grid is handed to the model. Where columns depend on one
/// another it averages over rows that do not occur: see [`accumulated_effect`](crate::accumulated_effect). Cost: rows
/// × grid rows of the model.
///
/// ```
/// use kernel_effects::{Formula, Table, partial_dependence};
///
/// let mut model = Formula::new(2, |row: &[f64]| row[0] * row[1]);
/// let data = Table::new(&[0.0, 1.0, 0.0, 3.0], 2).unwrap();
/// let found = partial_dependence(&mut model, data, 0, &[1.0, 5.0]).unwrap();
/// assert_eq!(found.average, [2.0, 10.0]);
/// ```
pub fn partial_dependence<M: Model>(
    model: &mut M,
    data: Table<'_>,
    column: usize,
    grid: &[f64],
) -> Scored<PartialDependence, M> {
    let mut meter = Meter::new(model, data.columns())?;
    data.check_column(column)?;
    check_grid(grid)?;
    let rows = data.rows();
    let mut average = vec![0.0; grid.len()];
    meter.score_each(
        rows * grid.len(),
        |number, row| {
            row.copy_from_slice(data.row(number % rows));
            row[column] = grid[number / rows];
        },
        |number, output| average[number / rows] += output,
    )?;
    average.iter_mut().for_each(|sum| *sum /= rows as f64);
    Ok(PartialDependence { grid: grid.to_vec(), average, effort: meter.effort() })
}

/// A curve per row: individual conditional expectation.
#[derive(Debug, Clone, PartialEq)]
pub struct IndividualCurves {
    pub grid: Vec<f64>,
    /// The rows of the data that the curves belong to.
    pub rows: Vec<usize>,
    /// Curve after curve, each in the order of the grid.
    pub outputs: Vec<f64>,
    pub effort: Effort,
}

/// f(xᵢ with column = v) of each row i in `rows` at each grid value v.
///
/// Source: Goldstein, Kapelner, Bleich & Pitkin, "Peeking inside the black box" (2015);
/// `partial_dependence(kind="individual")` of scikit-learn 1.9.1. Rows may come again. A random sample of rows is
/// made by [`sample_rows`](crate::sample_rows). Cost: rows × grid rows of the model.
pub fn individual_curves<M: Model>(
    model: &mut M,
    data: Table<'_>,
    column: usize,
    grid: &[f64],
    rows: &[usize],
) -> Scored<IndividualCurves, M> {
    let mut meter = Meter::new(model, data.columns())?;
    data.check_column(column)?;
    data.check_rows(rows)?;
    check_grid(grid)?;
    let outputs = meter.score(rows.len() * grid.len(), |number, row| {
        row.copy_from_slice(data.row(rows[number / grid.len()]));
        row[column] = grid[number % grid.len()];
    })?;
    Ok(IndividualCurves { grid: grid.to_vec(), rows: rows.to_vec(), outputs, effort: meter.effort() })
}

impl IndividualCurves {
    pub fn curves(&self) -> impl Iterator<Item = &[f64]> {
        self.outputs.chunks(self.grid.len())
    }

    /// The average of the curves: the partial dependence over these rows.
    pub fn average(&self) -> Vec<f64> {
        let mut average = vec![0.0; self.grid.len()];
        for curve in self.curves() {
            average.iter_mut().zip(curve).for_each(|(sum, output)| *sum += output);
        }
        average.iter_mut().for_each(|sum| *sum /= self.rows.len() as f64);
        average
    }

    /// At each grid value the quantile `q` of the curves there (`numpy.quantile`), `q` kept between 0 and 1. Where quantiles are far
    /// apart, or cross the average, rows differ in what the column does.
    ///
    /// ```
    /// use kernel_effects::{Formula, Table, individual_curves};
    ///
    /// let mut model = Formula::new(2, |row: &[f64]| row[0] * row[1]);
    /// let data = Table::new(&[0.0, 1.0, 0.0, 3.0, 0.0, 11.0], 2).unwrap();
    /// let found = individual_curves(&mut model, data, 0, &[1.0, 2.0], &[0, 1, 2]).unwrap();
    /// assert_eq!(found.quantiles(0.5), [3.0, 6.0]);
    /// assert_eq!(found.quantiles(0.25), [2.0, 4.0]);
    /// ```
    pub fn quantiles(&self, q: f64) -> Vec<f64> {
        let at = |place: usize| ascending(self.curves().map(|curve| curve[place]));
        (0..self.grid.len()).map(|place| linear(&at(place), q)).collect()
    }

    /// Each curve less its first value: c-ICE (Goldstein et al. 2015), `centered=True` of scikit-learn's plots. Curves
    /// that part from one another then show an interaction with other columns.
    pub fn centred(&self) -> Self {
        let mut centred = self.clone();
        for curve in centred.outputs.chunks_mut(self.grid.len()) {
            let anchor = curve[0];
            curve.iter_mut().for_each(|output| *output -= anchor);
        }
        centred
    }
}

/// Outputs averaged over rows, at each pair of grid values.
#[derive(Debug, Clone, PartialEq)]
pub struct JointDependence {
    pub grids: [Vec<f64>; 2],
    /// For each value of the first grid, in the order of the second.
    pub average: Vec<f64>,
    pub effort: Effort,
}

/// [`partial_dependence`] of two columns at once. Cost: rows × first grid × second grid rows of the model.
///
/// Fails when both columns are the same.
pub fn joint_dependence<M: Model>(
    model: &mut M,
    data: Table<'_>,
    columns: [usize; 2],
    grids: [&[f64]; 2],
) -> Scored<JointDependence, M> {
    let mut meter = Meter::new(model, data.columns())?;
    check_pair(data, columns)?;
    grids.into_iter().try_for_each(check_grid)?;
    let rows = data.rows();
    let mut average = vec![0.0; grids[0].len() * grids[1].len()];
    meter.score_each(
        rows * average.len(),
        |number, row| {
            let cell = number / rows;
            row.copy_from_slice(data.row(number % rows));
            row[columns[0]] = grids[0][cell / grids[1].len()];
            row[columns[1]] = grids[1][cell % grids[1].len()];
        },
        |number, output| average[number / rows] += output,
    )?;
    average.iter_mut().for_each(|sum| *sum /= rows as f64);
    Ok(JointDependence { grids: grids.map(<[f64]>::to_vec), average, effort: meter.effort() })
}

pub(crate) fn check_pair(data: Table<'_>, columns: [usize; 2]) -> Result<(), InputError> {
    data.check_column(columns[0])?;
    data.check_column(columns[1])?;
    if columns[0] == columns[1] {
        return Err(InputError::Setting {
            what: "the second column of a pair",
            found: columns[1] as f64,
            rule: "another one than the first",
        });
    }
    Ok(())
}

fn check_grid(grid: &[f64]) -> Result<(), InputError> {
    if grid.is_empty() {
        return Err(InputError::Count { what: "grid values", found: 0, expected: 1 });
    }
    match grid.iter().find(|value| value.is_infinite()) {
        Some(value) => {
            Err(InputError::Setting { what: "a grid value", found: *value, rule: "finite or missing" })
        }
        None => Ok(()),
    }
}
