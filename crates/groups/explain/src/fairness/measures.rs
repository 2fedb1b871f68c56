//! What is measured of a slice, and against another one.

use serde::Serialize;

use crate::intervals::{Estimate, Moments, Share};

/// What labels and predictions allow to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Labels of 0 and 1.
    Classification,
    Regression,
    /// No labels; predictions are between 0 and 1.
    Probabilities,
    /// No labels.
    Numbers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    MeanPrediction,
    SelectionRate,
    TruePositiveRate,
    FalsePositiveRate,
    Precision,
    Accuracy,
    BaseRate,
    CalibrationGap,
    BrierScore,
    MeanError,
    MeanAbsoluteError,
    RootMeanSquaredError,
}

impl Measure {
    pub fn title(self) -> &'static str {
        match self {
            Self::MeanPrediction => "Mean prediction",
            Self::SelectionRate => "Selection rate",
            Self::TruePositiveRate => "True positive rate",
            Self::FalsePositiveRate => "False positive rate",
            Self::Precision => "Precision",
            Self::Accuracy => "Accuracy",
            Self::BaseRate => "Base rate",
            Self::CalibrationGap => "Calibration gap",
            Self::BrierScore => "Brier score",
            Self::MeanError => "Mean error",
            Self::MeanAbsoluteError => "Mean absolute error",
            Self::RootMeanSquaredError => "Root mean squared error",
        }
    }

    pub fn definition(self) -> &'static str {
        match self {
            Self::MeanPrediction => "mean of the predictions",
            Self::SelectionRate => "share of rows whose prediction is at least the threshold",
            Self::TruePositiveRate => "of rows with label 1, the share that is selected",
            Self::FalsePositiveRate => "of rows with label 0, the share that is selected",
            Self::Precision => "of selected rows, the share with label 1",
            Self::Accuracy => "share of rows that are selected with label 1 or not selected with label 0",
            Self::BaseRate => "share of rows with label 1",
            Self::CalibrationGap => "mean of prediction less label",
            Self::BrierScore => "mean of (prediction less label)²",
            Self::MeanError => "mean of prediction less label",
            Self::MeanAbsoluteError => "mean of prediction less label without its sign",
            Self::RootMeanSquaredError => "root of the mean of (prediction less label)²",
        }
    }
}

/// What an estimate is made of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sample {
    Rate(Share),
    Mean(Moments),
    /// Of squares; the measure is the root of their mean.
    Root(Moments),
}

/// How a slice differs from the reference slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contrast {
    pub difference: Estimate,
    /// Of rates only.
    pub ratio: Option<Estimate>,
    pub p_value: f64,
}

impl Sample {
    /// Rates have Wilson's interval, means Student's.
    pub fn estimate(&self) -> Estimate {
        match self {
            Self::Rate(share) => share.wilson(),
            Self::Mean(moments) => moments.interval(),
            Self::Root(moments) => moments.root(),
        }
    }

    pub fn count(&self) -> u64 {
        match self {
            Self::Rate(share) => share.count,
            Self::Mean(moments) | Self::Root(moments) => moments.count(),
        }
    }

    /// Rates by Newcombe, Katz and chi-square, means by Welch; of roots the difference has no interval, and the test is that of the squares.
    /// `None` of samples of different kinds.
    pub fn against(&self, other: &Self) -> Option<Contrast> {
        match (self, other) {
            (Self::Rate(one), Self::Rate(two)) => Some(Contrast {
                difference: one.difference(*two),
                ratio: Some(one.ratio(*two)),
                p_value: one.p_value(*two),
            }),
            (Self::Mean(one), Self::Mean(two)) => {
                let (difference, p_value) = one.welch(two);
                Some(Contrast { difference, ratio: None, p_value })
            }
            (Self::Root(one), Self::Root(two)) => {
                let value = one.root().value - two.root().value;
                let difference = Estimate { value, low: f64::NAN, high: f64::NAN };
                Some(Contrast { difference, ratio: None, p_value: one.welch(two).1 })
            }
            _ => None,
        }
    }
}

/// Everything of some rows that their kind allows. Rows without a label count where none is needed.
pub(super) fn samples(
    kind: Kind,
    predictions: &[f64],
    truths: Option<&[f64]>,
    rows: &[usize],
    threshold: f64,
) -> Vec<(Measure, Sample)> {
    let predicted = || rows.iter().map(|row| predictions[*row]);
    let mut samples = vec![(Measure::MeanPrediction, Sample::Mean(Moments::of(predicted())))];
    if matches!(kind, Kind::Classification | Kind::Probabilities) {
        let selected = Share::of(predicted().map(|prediction| prediction >= threshold));
        samples.push((Measure::SelectionRate, Sample::Rate(selected)));
    }
    let Some(truths) = truths else { return samples };
    let known: Vec<(f64, f64)> = rows
        .iter()
        .map(|row| (predictions[*row], truths[*row]))
        .filter(|(_, truth)| !truth.is_nan())
        .collect();
    let errors = || known.iter().map(|(prediction, truth)| prediction - truth);
    let mean_error = Sample::Mean(Moments::of(errors()));
    let squares = Moments::of(errors().map(|error| error * error));
    if kind != Kind::Classification {
        let absolute = Moments::of(errors().map(f64::abs));
        samples.push((Measure::MeanError, mean_error));
        samples.push((Measure::MeanAbsoluteError, Sample::Mean(absolute)));
        samples.push((Measure::RootMeanSquaredError, Sample::Root(squares)));
        return samples;
    }
    // Whether a row is selected, and whether its label is 1.
    let judged: Vec<(bool, bool)> =
        known.iter().map(|(prediction, truth)| (*prediction >= threshold, *truth == 1.0)).collect();
    let selected_of = |label: bool| {
        let own = judged.iter().filter(|(_, is_one)| *is_one == label);
        Sample::Rate(Share::of(own.map(|(is_selected, _)| *is_selected)))
    };
    let precise = judged.iter().filter(|(is_selected, _)| *is_selected).map(|(_, is_one)| *is_one);
    let right = judged.iter().map(|(is_selected, is_one)| is_selected == is_one);
    let ones = judged.iter().map(|(_, is_one)| *is_one);
    samples.extend([
        (Measure::TruePositiveRate, selected_of(true)),
        (Measure::FalsePositiveRate, selected_of(false)),
        (Measure::Precision, Sample::Rate(Share::of(precise))),
        (Measure::Accuracy, Sample::Rate(Share::of(right))),
        (Measure::BaseRate, Sample::Rate(Share::of(ones))),
        (Measure::CalibrationGap, mean_error),
        (Measure::BrierScore, Sample::Mean(squares)),
    ]);
    samples
}
