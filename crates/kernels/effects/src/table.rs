//! Rows of numbers.

use crate::InputError;

/// How the numbers of a column are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By their difference.
    Number,
    /// Equal or not.
    Category,
}

/// Rows one after the other. NaN is a missing value; infinite values and tables without rows are refused.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    values: &'a [f64],
    columns: usize,
}

impl<'a> Table<'a> {
    pub fn new(values: &'a [f64], columns: usize) -> Result<Self, InputError> {
        if columns == 0 || !values.len().is_multiple_of(columns) {
            return Err(InputError::Ragged { found: values.len(), columns });
        }
        if values.is_empty() {
            return Err(InputError::NoRows);
        }
        if let Some(place) = values.iter().position(|value| value.is_infinite()) {
            return Err(InputError::Infinite { row: place / columns, column: place % columns });
        }
        Ok(Self { values, columns })
    }

    pub fn rows(self) -> usize {
        self.values.len() / self.columns
    }

    pub fn columns(self) -> usize {
        self.columns
    }

    /// Panics when there is no such row.
    pub fn row(self, index: usize) -> &'a [f64] {
        &self.values[index * self.columns..][..self.columns]
    }

    pub fn iter(self) -> impl Iterator<Item = &'a [f64]> + Clone {
        self.values.chunks(self.columns)
    }

    /// The values of a column from the first row to the last.
    pub fn column(self, index: usize) -> Result<impl Iterator<Item = f64> + Clone + use<'a>, InputError> {
        self.check_column(index)?;
        Ok(self.values.iter().skip(index).step_by(self.columns).copied())
    }

    pub(crate) fn check_column(self, column: usize) -> Result<(), InputError> {
        if column < self.columns {
            return Ok(());
        }
        Err(InputError::NoColumn { column, columns: self.columns })
    }

    pub(crate) fn check_rows(self, rows: &[usize]) -> Result<(), InputError> {
        if rows.is_empty() {
            return Err(InputError::NoRows);
        }
        match rows.iter().find(|row| **row >= self.rows()) {
            Some(row) => Err(InputError::NoRow { row: *row, rows: self.rows() }),
            None => Ok(()),
        }
    }

    pub(crate) fn check_kinds(self, kinds: &[Kind]) -> Result<(), InputError> {
        if kinds.len() == self.columns {
            return Ok(());
        }
        Err(InputError::Count { what: "kinds of columns", found: kinds.len(), expected: self.columns })
    }
}

/// A row that stands beside a table: as many values as columns, none of them infinite.
pub(crate) fn check_row(row: &[f64], columns: usize) -> Result<(), InputError> {
    if row.len() != columns {
        return Err(InputError::Count { what: "values of a row", found: row.len(), expected: columns });
    }
    match row.iter().position(|value| value.is_infinite()) {
        Some(column) => Err(InputError::Infinite { row: 0, column }),
        None => Ok(()),
    }
}

/// The same value, or both missing.
pub(crate) fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}
