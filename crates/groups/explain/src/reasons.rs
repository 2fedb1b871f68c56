//! Reason codes: the few factors that moved a score most in one direction, and that the model really used.

use serde::{Deserialize, Serialize};

use crate::model::Explanations;

/// Notices of adverse action name no more.
pub const MOST: usize = 4;

/// Which way a factor must have moved the score to be a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    #[default]
    Up,
    Down,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    pub feature: String,
    /// `null` is missing.
    pub value: Option<f64>,
    /// In the units of the raw score.
    pub contribution: f64,
    /// Of everything that moved the score this way.
    pub share: f64,
}

/// Up to `most` reasons, at most [`MOST`], the strongest first; ties in the model's order. A feature that no split on the row's way asks for has a
/// contribution of 0 and is never a reason.
pub fn reasons(
    explanations: &Explanations,
    output: usize,
    row: usize,
    direction: Direction,
    most: usize,
) -> Vec<Reason> {
    let sign = match direction {
        Direction::Up => 1.0,
        Direction::Down => -1.0,
    };
    let values = explanations.values(output, row);
    let mut moved: Vec<(usize, f64)> =
        values.iter().map(|value| sign * value).enumerate().filter(|(_, push)| *push > 0.0).collect();
    let all: f64 = moved.iter().map(|(_, push)| push).sum();
    moved.sort_by(|one, other| other.1.total_cmp(&one.1));
    let inputs = explanations.row(row);
    let reason = |(feature, push): (usize, f64)| Reason {
        feature: explanations.features[feature].clone(),
        value: Some(inputs[feature]).filter(|value| !value.is_nan()),
        contribution: values[feature],
        share: push / all,
    };
    moved.into_iter().take(most.min(MOST)).map(reason).collect()
}
