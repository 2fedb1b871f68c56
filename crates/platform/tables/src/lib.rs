//! Tables in Parquet: reading what users and jobs write, writing what jobs read; Arrow files out.
//!
//! A [`Table`] is whole in memory and narrow in types: numbers (NaN is missing), texts and times. That is all
//! that training sets, baselines and prediction segments need.

mod read;
mod write;

use platform_primitives::{ErrorKind, Fault, Timestamp};

pub use read::{parquet_shape, read_parquet};
pub use write::{write_arrow, write_parquet};

/// One column; all columns of a table have the same length.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Reals; NaN is missing.
    Real(Vec<f64>),
    /// Whole numbers without missing values.
    Int(Vec<i64>),
    Text(Vec<Option<String>>),
    /// Times in UTC; `None` is missing.
    Time(Vec<Option<Timestamp>>),
}

impl Column {
    pub fn len(&self) -> usize {
        match self {
            Self::Real(values) => values.len(),
            Self::Int(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Time(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    columns: Vec<(String, Column)>,
    rows: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("the table has no column {name:?}; it has {present}")]
    ColumnMissing { name: String, present: String },
    #[error("column {name:?} holds {found}, expected {expected}")]
    ColumnType { name: String, found: String, expected: &'static str },
    #[error("column {name:?} has {found} rows, expected {expected}")]
    Length { name: String, found: usize, expected: usize },
    #[error("not a readable Parquet file: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    #[error("cannot convert a column: {0}")]
    Arrow(#[from] arrow_schema::ArrowError),
}

impl Fault for TableError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
    fn code(&self) -> &'static str {
        match self {
            Self::ColumnMissing { .. } => "tables/column-missing",
            Self::ColumnType { .. } => "tables/column-type",
            Self::Length { .. } => "tables/length",
            Self::Parquet(_) => "tables/parquet",
            Self::Arrow(_) => "tables/arrow",
        }
    }
}

impl Table {
    pub fn new(columns: Vec<(String, Column)>) -> Result<Self, TableError> {
        let rows = columns.first().map_or(0, |(_, column)| column.len());
        for (name, column) in &columns {
            if column.len() != rows {
                return Err(TableError::Length { name: name.clone(), found: column.len(), expected: rows });
            }
        }
        Ok(Self { columns, rows })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn columns(&self) -> &[(String, Column)] {
        &self.columns
    }

    pub fn column(&self, name: &str) -> Result<&Column, TableError> {
        self.columns.iter().find(|(present, _)| present == name).map(|(_, column)| column).ok_or_else(|| {
            let present = self.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
            TableError::ColumnMissing { name: name.to_owned(), present }
        })
    }

    /// A column as numbers: whole numbers are widened, NaN is missing.
    pub fn reals(&self, name: &str) -> Result<Vec<f64>, TableError> {
        match self.column(name)? {
            Column::Real(values) => Ok(values.clone()),
            Column::Int(values) => Ok(values.iter().map(|value| *value as f64).collect()),
            other => Err(self.wrong_type(name, other, "numbers")),
        }
    }

    pub fn times(&self, name: &str) -> Result<Vec<Option<Timestamp>>, TableError> {
        match self.column(name)? {
            Column::Time(values) => Ok(values.clone()),
            other => Err(self.wrong_type(name, other, "times")),
        }
    }

    pub fn texts(&self, name: &str) -> Result<Vec<Option<String>>, TableError> {
        match self.column(name)? {
            Column::Text(values) => Ok(values.clone()),
            other => Err(self.wrong_type(name, other, "texts")),
        }
    }

    fn wrong_type(&self, name: &str, found: &Column, expected: &'static str) -> TableError {
        let found = match found {
            Column::Real(_) | Column::Int(_) => "numbers",
            Column::Text(_) => "texts",
            Column::Time(_) => "times",
        };
        TableError::ColumnType { name: name.to_owned(), found: found.to_owned(), expected }
    }
}
