//! The values of a column at which an effect is calculated.

use crate::quantile::{ascending, cunnane, linear};
use crate::{InputError, Table};

/// How the values are chosen. A missing value is never on a grid: a caller who wants to see it adds NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Grid {
    /// scikit-learn's: all distinct values when there are fewer than `points`, else `points` equal steps between two
    /// quantiles of the data.
    Even { points: usize, from: f64, to: f64 },
    /// `points` quantiles from the least value to the largest, distinct: steps where the data is.
    Quantiles { points: usize },
    /// All distinct values: for categories and small counts.
    Levels,
}

impl Default for Grid {
    /// scikit-learn's `grid_resolution=100, percentiles=(0.05, 0.95)`.
    fn default() -> Self {
        Self::Even { points: 100, from: 0.05, to: 0.95 }
    }
}

impl Grid {
    /// The grid of a column, ascending.
    ///
    /// [`Grid::Even`] is `_grid_from_X` of scikit-learn 1.9.1: quantiles by `scipy.stats.mstats.mquantiles`, equal
    /// steps by `numpy.linspace`. Where both quantiles are equal scikit-learn refuses; here the steps then go from
    /// the least value to the largest. [`Grid::Quantiles`] are numpy's, at k/(points − 1). O(n log n).
    ///
    /// Fails with fewer than two points, quantiles that are not 0 ≤ from < to ≤ 1, and a column without values.
    ///
    /// ```
    /// use kernel_effects::{Grid, Table};
    ///
    /// let values = [5.0, 1.0, f64::NAN, 3.0, 1.0];
    /// let data = Table::new(&values, 1).unwrap();
    /// assert_eq!(Grid::Levels.values(data, 0).unwrap(), [1.0, 3.0, 5.0]);
    /// assert_eq!(Grid::Quantiles { points: 2 }.values(data, 0).unwrap(), [1.0, 5.0]);
    /// ```
    pub fn values(self, data: Table<'_>, column: usize) -> Result<Vec<f64>, InputError> {
        let sorted = ascending(data.column(column)?);
        let (Some(least), Some(largest)) = (sorted.first().copied(), sorted.last().copied()) else {
            return Err(InputError::NoValues { column });
        };
        let points = match self {
            Self::Levels => 2,
            Self::Even { points, .. } | Self::Quantiles { points } => points,
        };
        if points < 2 {
            return Err(InputError::Setting {
                what: "the number of grid points",
                found: points as f64,
                rule: "two or more",
            });
        }
        let mut levels = sorted.clone();
        levels.dedup();
        match self {
            Self::Levels => Ok(levels),
            Self::Even { from, to, .. } => {
                check_span(from, to)?;
                if levels.len() < points {
                    return Ok(levels);
                }
                let (start, stop) = (cunnane(&sorted, from), cunnane(&sorted, to));
                if stop > start { Ok(steps(start, stop, points)) } else { Ok(steps(least, largest, points)) }
            }
            Self::Quantiles { .. } => {
                let mut values: Vec<f64> =
                    (0..points).map(|k| linear(&sorted, k as f64 / (points - 1) as f64)).collect();
                values.dedup();
                Ok(values)
            }
        }
    }
}

fn check_span(from: f64, to: f64) -> Result<(), InputError> {
    if !(0.0..=1.0).contains(&from) {
        return Err(InputError::Setting {
            what: "the grid's first quantile",
            found: from,
            rule: "between 0 and 1",
        });
    }
    if to.is_nan() || to <= from || to > 1.0 {
        return Err(InputError::Setting {
            what: "the grid's last quantile",
            found: to,
            rule: "above the first and at most 1",
        });
    }
    Ok(())
}

/// `numpy.linspace`.
fn steps(start: f64, stop: f64, points: usize) -> Vec<f64> {
    let step = (stop - start) / (points - 1) as f64;
    let mut values: Vec<f64> = (0..points).map(|k| start + k as f64 * step).collect();
    if let Some(last) = values.last_mut() {
        *last = stop;
    }
    values
}
