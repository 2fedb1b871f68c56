//! What a row is compared with.

use crate::medoids::medoids;
use crate::{InputError, Kind, Table};

/// Background rows and their weights. The cost of an explanation is in proportion to the rows: a hundred well chosen
/// ones say nearly what all the data says.
#[derive(Debug, Clone, PartialEq)]
pub struct Background {
    values: Vec<f64>,
    columns: usize,
    /// Sum 1.
    weights: Vec<f64>,
}

impl Background {
    /// All rows of a table, with equal weights.
    pub fn new(rows: Table<'_>) -> Self {
        let weights = vec![1.0 / rows.rows() as f64; rows.rows()];
        Self { values: rows.iter().flatten().copied().collect(), columns: rows.columns(), weights }
    }

    /// At most `count` rows that stand for the data, each with the share of the data that it stands for; see
    /// [`medoids`]. 100 are enough for most data.
    pub fn medoids(data: Table<'_>, kinds: &[Kind], count: usize, seed: u64) -> Result<Self, InputError> {
        let chosen = medoids(data, kinds, count, seed)?;
        let values = chosen.rows.iter().flat_map(|row| data.row(*row)).copied().collect();
        Ok(Self { values, columns: data.columns(), weights: chosen.weights })
    }

    pub fn rows(&self) -> usize {
        self.weights.len()
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Panics when there is no such row.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.columns..][..self.columns]
    }
}
