//! How near rows are to one another, and how far a row is from the data.

use crate::quantile::{ascending, median_deviation};
use crate::random::sample_rows;
use crate::table::{check_row, same};
use crate::{InputError, Kind, Table};

/// What a difference of numbers is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scaling {
    /// The range of the column in the data: Gower's own.
    Range,
    /// Six robust standard deviations, 6 · 1.4826 · median absolute deviation: about the range of some hundred normal
    /// values, whatever a few outliers are. The range where the median deviation is 0.
    MedianDeviation,
}

/// A distance between rows of numbers and categories.
#[derive(Debug, Clone, PartialEq)]
pub struct Gower {
    kinds: Vec<Kind>,
    /// By column; 0 where the data has one value.
    scales: Vec<f64>,
}

impl Gower {
    /// Measures the columns. O(columns · n log n).
    pub fn new(data: Table<'_>, kinds: &[Kind], scaling: Scaling) -> Result<Self, InputError> {
        data.check_kinds(kinds)?;
        let mut scales = Vec::with_capacity(kinds.len());
        for (column, kind) in kinds.iter().enumerate() {
            scales.push(match kind {
                Kind::Number => scale(&ascending(data.column(column)?), scaling),
                Kind::Category => 0.0,
            });
        }
        Ok(Self { kinds: kinds.to_vec(), scales })
    }

    /// Mean over the columns of min(1, |a − b| / scale) for numbers and 0 or 1 for categories: symmetric, 0 to 1.
    ///
    /// Source: Gower, "A general coefficient of similarity and some of its properties" (1971), 1 − S. Two departures:
    /// a difference beyond the scale counts 1, and a missing value is a value (both missing 0, one missing 1) where
    /// Gower leaves the column out, which makes rows with little known near to everything. In a column that has one
    /// value in the data any other is at 1. Panics when a row has another number of columns.
    ///
    /// ```
    /// use kernel_effects::{Gower, Kind, Scaling, Table};
    ///
    /// let data = Table::new(&[0.0, 1.0, 10.0, 2.0], 2).unwrap();
    /// let gower = Gower::new(data, &[Kind::Number, Kind::Category], Scaling::Range).unwrap();
    /// assert_eq!(gower.distance(&[0.0, 1.0], &[5.0, 1.0]), 0.25);
    /// assert_eq!(gower.distance(&[0.0, 1.0], &[5.0, 2.0]), 0.75);
    /// ```
    pub fn distance(&self, a: &[f64], b: &[f64]) -> f64 {
        assert!(a.len() == self.scales.len() && b.len() == self.scales.len(), "a value per column");
        let mut sum = 0.0;
        for ((scale, kind), (a, b)) in self.scales.iter().zip(&self.kinds).zip(a.iter().zip(b)) {
            if same(*a, *b) {
                continue;
            }
            let difference = (a - b).abs();
            let is_measured = *kind == Kind::Number && difference < *scale;
            sum += if is_measured { difference / scale } else { 1.0 };
        }
        sum / self.scales.len() as f64
    }

    /// The `count` rows of the data nearest to a row, nearest first, the first of equally near ones first. O(columns
    /// · n + n log n).
    pub fn nearest(&self, data: Table<'_>, row: &[f64], count: usize) -> Result<Vec<Neighbour>, InputError> {
        data.check_kinds(&self.kinds)?;
        check_row(row, data.columns())?;
        let distances = data.iter().map(|other| self.distance(row, other));
        let mut found: Vec<Neighbour> =
            distances.enumerate().map(|(row, distance)| Neighbour { row, distance }).collect();
        found.sort_by(|a, b| a.distance.total_cmp(&b.distance));
        found.truncate(count);
        Ok(found)
    }
}

fn scale(sorted: &[f64], scaling: Scaling) -> f64 {
    let (Some(least), Some(largest)) = (sorted.first(), sorted.last()) else {
        return 0.0;
    };
    let robust = match scaling {
        Scaling::Range => 0.0,
        Scaling::MedianDeviation => 6.0 * 1.4826 * median_deviation(sorted),
    };
    if robust > 0.0 { robust } else { largest - least }
}

/// A row of the data and how far it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    pub row: usize,
    pub distance: f64,
}

/// How far a row is from the data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlyingness {
    pub nearest: Neighbour,
    /// Of the data's own rows, how many per cent are nearer to their nearest neighbour than this row is to its own:
    /// 50 is usual, 100 farther than any.
    pub percentile: f64,
}

/// How near rows of data are to one another, without the rows: it can be kept beside them.
#[derive(Debug, Clone)]
pub struct Spacing {
    gower: Gower,
    /// Distances of rows of the data to their nearest other row, ascending.
    own: Vec<f64>,
}

impl Spacing {
    /// Measures the columns and, for at most `references` rows chosen by the seed, the distance to the nearest other
    /// row. O(columns · n · references). Fails with fewer than two rows and without references.
    pub fn new(
        data: Table<'_>,
        kinds: &[Kind],
        scaling: Scaling,
        references: usize,
        seed: u64,
    ) -> Result<Self, InputError> {
        let gower = Gower::new(data, kinds, scaling)?;
        for (what, found, expected) in [("rows", data.rows(), 2), ("reference rows", references, 1)] {
            if found < expected {
                return Err(InputError::Count { what, found, expected });
            }
        }
        let nearest_other = |row: usize| {
            let others = data.iter().enumerate().filter(|(other, _)| *other != row);
            let distances = others.map(|(_, other)| gower.distance(data.row(row), other));
            distances.fold(f64::INFINITY, f64::min)
        };
        let own = ascending(sample_rows(data.rows(), references, seed).into_iter().map(nearest_other));
        Ok(Self { gower, own })
    }

    pub fn gower(&self) -> &Gower {
        &self.gower
    }

    /// Where a distance to the nearest row lies among the data's own: 100 · (share of own distances below + half the
    /// share of equal ones).
    pub fn percentile(&self, distance: f64) -> f64 {
        let below = self.own.partition_point(|own| *own < distance);
        let up_to = self.own.partition_point(|own| *own <= distance);
        100.0 * (below + up_to) as f64 / (2 * self.own.len()) as f64
    }
}

/// Training rows, and how near they are to one another.
#[derive(Debug, Clone)]
pub struct Neighbourhood<'a> {
    data: Table<'a>,
    spacing: Spacing,
}

impl<'a> Neighbourhood<'a> {
    /// Measures the rows; see [`Spacing::new`].
    pub fn new(
        data: Table<'a>,
        kinds: &[Kind],
        scaling: Scaling,
        references: usize,
        seed: u64,
    ) -> Result<Self, InputError> {
        Ok(Self { data, spacing: Spacing::new(data, kinds, scaling, references, seed)? })
    }

    pub fn gower(&self) -> &Gower {
        &self.spacing.gower
    }

    /// The `count` training rows nearest to a row; see [`Gower::nearest`].
    pub fn nearest(&self, row: &[f64], count: usize) -> Result<Vec<Neighbour>, InputError> {
        self.spacing.gower.nearest(self.data, row, count)
    }

    /// The distance to the nearest training row and its percentile among the data's own; see [`Spacing::percentile`]. A row
    /// of the data itself is at distance 0. O(columns · n).
    pub fn outlyingness(&self, row: &[f64]) -> Result<Outlyingness, InputError> {
        let nearest = self.nearest(row, 1)?.first().copied().ok_or(InputError::NoRows)?;
        Ok(Outlyingness { nearest, percentile: self.spacing.percentile(nearest.distance) })
    }
}
