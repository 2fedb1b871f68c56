//! What an explanation is.

use serde::{Deserialize, Serialize};

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
