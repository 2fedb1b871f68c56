//! What an explanation is.

use platform_tables::{Column, Table, write_arrow};
use serde::{Deserialize, Serialize};

use crate::ExplainError;

/// The game whose Shapley values they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// An unknown value goes both ways at a split, as the training rows did.
    PathDependent,
    /// An unknown value is that of the rows of a background.
    Interventional,
    /// As interventional, of predictions instead of raw scores, by asking the model.
    Sampled,
}

/// Attributions of rows, in the units of raw scores; sampled ones in those of predictions.
#[derive(Debug, Clone)]
pub struct Explanations {
    pub method: Method,
    pub features: Vec<String>,
    /// The rows, as given; NaN is missing.
    pub rows: Vec<f64>,
    /// By output of the raw score.
    pub outputs: Vec<Attributions>,
    /// What the model answers, row after row.
    pub predictions: Vec<f64>,
}

/// Of one output: `base` and a row's values sum to its score.
#[derive(Debug, Clone)]
pub struct Attributions {
    pub base: f64,
    /// By row and feature.
    pub values: Vec<f64>,
    /// By row.
    pub scores: Vec<f64>,
}

impl Explanations {
    pub fn count(&self) -> usize {
        self.rows.len() / self.features.len().max(1)
    }

    /// Numbers that the model answers for a row.
    pub fn predicted(&self, row: usize) -> &[f64] {
        let width = self.predictions.len() / self.count().max(1);
        &self.predictions[row * width..][..width]
    }

    pub fn row(&self, row: usize) -> &[f64] {
        &self.rows[row * self.features.len()..][..self.features.len()]
    }

    pub fn values(&self, output: usize, row: usize) -> &[f64] {
        &self.outputs[output].values[row * self.features.len()..][..self.features.len()]
    }

    /// One Arrow file: by feature what its value adds, base, score, prediction, a line for each row; of several outputs with `#OUTPUT` behind
    /// the name.
    pub fn arrow(&self) -> Result<Vec<u8>, ExplainError> {
        let (width, several) = (self.features.len(), self.outputs.len() > 1);
        let mut columns = Vec::new();
        for (output, own) in self.outputs.iter().enumerate() {
            let named = |name: &str| if several { format!("{name}#{output}") } else { name.to_owned() };
            for (feature, name) in self.features.iter().enumerate() {
                let values = own.values.iter().skip(feature).step_by(width.max(1)).copied().collect();
                columns.push((named(name), Column::Real(values)));
            }
            columns.push((named("base"), Column::Real(vec![own.base; self.count()])));
            columns.push((named("score"), Column::Real(own.scores.clone())));
        }
        let outputs = self.predictions.len() / self.count().max(1);
        for output in 0..outputs {
            let name = if outputs > 1 { format!("prediction#{output}") } else { "prediction".to_owned() };
            let values = self.predictions.iter().skip(output).step_by(outputs).copied().collect();
            columns.push((name, Column::Real(values)));
        }
        Ok(write_arrow(&Table::new(columns)?)?)
    }

    /// Features by the mean of their values without signs, largest first; ties in the model's order.
    pub fn importance(&self, output: usize) -> Vec<(usize, f64)> {
        let (width, count) = (self.features.len(), self.count().max(1) as f64);
        let mut sums = vec![0.0; width];
        for values in self.outputs[output].values.chunks(width.max(1)) {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value.abs());
        }
        let mut ranked: Vec<(usize, f64)> = sums.into_iter().map(|sum| sum / count).enumerate().collect();
        ranked.sort_by(|one, other| other.1.total_cmp(&one.1));
        ranked
    }
}
