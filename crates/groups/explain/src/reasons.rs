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
    /// Of several with one code the strongest.
    pub feature: String,
    /// `null` is missing.
    pub value: Option<f64>,
    /// In the units of the raw score; of several with one code their sum.
    pub contribution: f64,
    /// Of everything that moved the score this way.
    pub share: f64,
    /// Of the catalogue; without it the factor has no entry there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// In words; only where there are settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Of the text; without it the text is the feature's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Every factor of the reason, where there are settings; the strongest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub factors: Vec<ReasonFactor>,
}

/// A factor of a reason that is worded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReasonFactor {
    pub feature: String,
    pub value: Option<f64>,
    pub contribution: f64,
}

/// The features that moved a row's score in a direction, and how far, the strongest first; ties in the model's order. A feature that no
/// split on the row's way asks for has a contribution of 0 and is not among them.
pub(crate) fn pushes(
    explanations: &Explanations,
    output: usize,
    row: usize,
    direction: Direction,
) -> Vec<(usize, f64)> {
    let sign = match direction {
        Direction::Up => 1.0,
        Direction::Down => -1.0,
    };
    let values = explanations.values(output, row).iter();
    let mut moved: Vec<(usize, f64)> =
        values.map(|value| sign * value).enumerate().filter(|(_, push)| *push > 0.0).collect();
    moved.sort_by(|one, other| other.1.total_cmp(&one.1));
    moved
}

/// Up to `most` reasons, at most [`MOST`], the strongest first, without words.
pub fn reasons(
    explanations: &Explanations,
    output: usize,
    row: usize,
    direction: Direction,
    most: usize,
) -> Vec<Reason> {
    let moved = pushes(explanations, output, row, direction);
    let all: f64 = moved.iter().map(|(_, push)| push).sum();
    let (values, inputs) = (explanations.values(output, row), explanations.row(row));
    let reason = |(feature, push): (usize, f64)| Reason {
        feature: explanations.features[feature].clone(),
        value: Some(inputs[feature]).filter(|value| !value.is_nan()),
        contribution: values[feature],
        share: push / all,
        code: None,
        text: None,
        language: None,
        factors: Vec::new(),
    };
    moved.into_iter().take(most.min(MOST)).map(reason).collect()
}
