//! How well outputs fit labels.

use crate::InputError;

/// A measure of outputs against labels. Labels of the first four are 0 or 1 and outputs the probability of 1 (for AUC
/// any score).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Metric {
    /// Share of rows whose output is on the label's side: at least `threshold` counts as 1.
    Accuracy {
        threshold: f64,
    },
    /// Mean −ln of the probability given to the label, probabilities kept 2.2e-16 from 0 and 1.
    LogLoss,
    /// Mean squared difference of probability and label.
    Brier,
    /// Probability that a row with label 1 has a larger output than one with 0; ties count half.
    Auc,
    MeanAbsoluteError,
    RootMeanSquaredError,
    /// 1 − Σ(y − f)²/Σ(y − ȳ)².
    RSquared,
    /// Mean absolute difference to the outputs of the unchanged rows: needs no labels.
    PredictionChange,
}

impl Metric {
    /// Whether less is better.
    pub fn is_loss(self) -> bool {
        !matches!(self, Self::Accuracy { .. } | Self::Auc | Self::RSquared)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy { .. } => "accuracy",
            Self::LogLoss => "log loss",
            Self::Brier => "the Brier score",
            Self::Auc => "AUC",
            Self::MeanAbsoluteError => "the mean absolute error",
            Self::RootMeanSquaredError => "the root mean squared error",
            Self::RSquared => "R²",
            Self::PredictionChange => "the change of prediction",
        }
    }

    /// The metric of outputs, as scikit-learn 1.9.1 defines it (`accuracy_score`, `log_loss`, `brier_score_loss`,
    /// `roc_auc_score`, `mean_absolute_error`, `root_mean_squared_error`, `r2_score`); for
    /// [`Metric::PredictionChange`] the labels are the outputs to compare with. O(n), AUC O(n log n).
    ///
    /// Fails without rows, with another number of labels than outputs, labels that are not finite or not 0 and 1
    /// where they must be, outputs that are no probabilities where they must be (log loss), and labels of one value
    /// for AUC and R².
    ///
    /// ```
    /// use kernel_effects::Metric;
    ///
    /// let found = Metric::Auc.score(&[0.0, 0.0, 1.0, 1.0], &[0.1, 0.4, 0.35, 0.8]).unwrap();
    /// assert_eq!(found, 0.75);
    /// ```
    pub fn score(self, labels: &[f64], outputs: &[f64]) -> Result<f64, InputError> {
        self.check(labels, outputs.len())?;
        Ok(Judged::new(self, labels, outputs)?.value(None))
    }

    pub(super) fn check(self, labels: &[f64], rows: usize) -> Result<(), InputError> {
        if rows == 0 {
            return Err(InputError::NoRows);
        }
        if labels.len() != rows {
            return Err(InputError::Count { what: "labels", found: labels.len(), expected: rows });
        }
        let is_binary = matches!(self, Self::Accuracy { .. } | Self::LogLoss | Self::Brier | Self::Auc);
        let is_bad = |label: &&f64| !label.is_finite() || (is_binary && **label != 0.0 && **label != 1.0);
        if let Some(label) = labels.iter().find(is_bad) {
            let rule = if is_binary { "0 or 1" } else { "finite" };
            return Err(InputError::Setting { what: "a label", found: *label, rule });
        }
        let needs_two = matches!(self, Self::Auc | Self::RSquared);
        if needs_two && labels.iter().all(|label| *label == labels[0]) {
            return Err(InputError::OneLabel { metric: self.name() });
        }
        Ok(())
    }
}

/// How often each row comes.
#[derive(Clone, Copy)]
pub(super) struct Sample<'a> {
    /// By its output.
    pub outputs: &'a [u32],
    /// By its label, for what depends on labels alone.
    pub labels: &'a [u32],
}

/// Labels and outputs prepared for the metric, so that samples of their rows are judged quickly.
pub(super) enum Judged<'a> {
    /// The mean of a term per row, or the root of it.
    Mean { terms: Vec<f64>, is_root: bool },
    /// Squared errors; labels less their mean, and the squares of those.
    Explained { squares: Vec<f64>, labels: Vec<f64>, distances: Vec<f64> },
    /// Rows in the order of their outputs; where a run of equal outputs ends.
    Ranked { order: Vec<usize>, ends: Vec<bool>, labels: &'a [f64] },
}

impl<'a> Judged<'a> {
    /// Labels are checked already.
    pub fn new(metric: Metric, labels: &'a [f64], outputs: &[f64]) -> Result<Self, InputError> {
        let squares = || labels.iter().zip(outputs).map(|(label, output)| (label - output).powi(2)).collect();
        let mean = |terms| Self::Mean { terms, is_root: false };
        Ok(match metric {
            Metric::Accuracy { threshold } => {
                let right = |(label, output): (&f64, &f64)| (*output >= threshold) == (*label == 1.0);
                mean(labels.iter().zip(outputs).map(|pair| f64::from(u8::from(right(pair)))).collect())
            }
            Metric::LogLoss => {
                if let Some(output) = outputs.iter().find(|output| !(0.0..=1.0).contains(*output)) {
                    let rule = "a probability, which log loss needs";
                    return Err(InputError::Setting { what: "an output", found: *output, rule });
                }
                mean(labels.iter().zip(outputs).map(|(label, output)| surprise(*label, *output)).collect())
            }
            Metric::Brier => mean(squares()),
            Metric::MeanAbsoluteError | Metric::PredictionChange => {
                mean(labels.iter().zip(outputs).map(|(label, output)| (label - output).abs()).collect())
            }
            Metric::RootMeanSquaredError => Self::Mean { terms: squares(), is_root: true },
            Metric::RSquared => {
                let centre = labels.iter().sum::<f64>() / labels.len() as f64;
                let centred: Vec<f64> = labels.iter().map(|label| label - centre).collect();
                let distances = centred.iter().map(|label| label * label).collect();
                Self::Explained { squares: squares(), labels: centred, distances }
            }
            Metric::Auc => {
                let mut order: Vec<usize> = (0..outputs.len()).collect();
                order.sort_by(|a, b| outputs[*a].total_cmp(&outputs[*b]));
                let next = order.iter().skip(1).map(|row| outputs[*row]).chain([f64::NAN]);
                let ends = order.iter().zip(next).map(|(row, next)| outputs[*row] != next).collect();
                Self::Ranked { order, ends, labels }
            }
        })
    }

    /// The metric of a sample, or of every row once. NaN where a sample cannot be judged.
    pub fn value(&self, sample: Option<Sample<'_>>) -> f64 {
        let count = |row: usize| sample.map_or(1.0, |sample| f64::from(sample.outputs[row]));
        let label_count = |row: usize| sample.map_or(1.0, |sample| f64::from(sample.labels[row]));
        let mean = |terms: &[f64]| weighted_mean(terms, count);
        match self {
            Self::Mean { terms, is_root: false } => mean(terms),
            Self::Mean { terms, is_root: true } => mean(terms).sqrt(),
            Self::Explained { squares, labels, distances } => {
                let shift = weighted_mean(labels, label_count);
                let spread = weighted_mean(distances, label_count) - shift * shift;
                if spread > 0.0 { 1.0 - mean(squares) / spread } else { f64::NAN }
            }
            Self::Ranked { order, ends, labels } => {
                // Rows of either label below the present run of equal outputs, and in it.
                let (mut zeros, mut ones) = (0.0, 0.0);
                let (mut tied_zeros, mut tied_ones) = (0.0, 0.0);
                let mut above = 0.0;
                for (row, is_end) in order.iter().zip(ends) {
                    if labels[*row] == 1.0 {
                        tied_ones += count(*row);
                    } else {
                        tied_zeros += count(*row);
                    }
                    if *is_end {
                        above += tied_ones * (zeros + tied_zeros / 2.0);
                        zeros += tied_zeros;
                        ones += tied_ones;
                        (tied_zeros, tied_ones) = (0.0, 0.0);
                    }
                }
                above / (zeros * ones)
            }
        }
    }
}

fn weighted_mean(terms: &[f64], weight: impl Fn(usize) -> f64) -> f64 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (row, term) in terms.iter().enumerate() {
        sum += weight(row) * term;
        weights += weight(row);
    }
    sum / weights
}

fn surprise(label: f64, output: f64) -> f64 {
    let likely = output.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    -(if label == 1.0 { likely } else { 1.0 - likely }).ln()
}
