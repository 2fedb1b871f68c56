//! Predictions of versions on the same rows: metrics of one, and the paired comparison of two. Pure.

use std::collections::BTreeMap;

use platform_primitives::Timestamp;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF as _, Normal, StudentsT};

use crate::RegistryError;

/// Most rows of one evaluation.
pub(crate) const MAX_ROWS: usize = 1_000_000;
/// From here on the normal distribution stands for Student's t.
const LARGE_SAMPLE: usize = 1_000;
/// A probability is kept this far from 0 and 1 before its logarithm is taken.
const CLIP: f64 = 1e-15;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluationKind {
    Regression,
    /// Truth 0 or 1, prediction a probability of 1.
    Binary,
    /// Truth and prediction are numbers of classes.
    Multiclass,
}

impl EvaluationKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Regression => "regression",
            Self::Binary => "binary",
            Self::Multiclass => "multiclass",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Regression, Self::Binary, Self::Multiclass].into_iter().find(|kind| kind.name() == name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    AbsoluteError,
    SquaredError,
    LogLoss,
    ZeroOne,
}

impl Loss {
    pub fn name(self) -> &'static str {
        match self {
            Self::AbsoluteError => "absolute_error",
            Self::SquaredError => "squared_error",
            Self::LogLoss => "log_loss",
            Self::ZeroOne => "zero_one",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::AbsoluteError, Self::SquaredError, Self::LogLoss, Self::ZeroOne]
            .into_iter()
            .find(|loss| loss.name() == name)
    }

    /// Whether the loss says something of predictions of this kind.
    pub fn fits(self, kind: EvaluationKind) -> bool {
        match self {
            Self::AbsoluteError | Self::SquaredError => kind != EvaluationKind::Multiclass,
            Self::LogLoss => kind == EvaluationKind::Binary,
            Self::ZeroOne => kind != EvaluationKind::Regression,
        }
    }

    fn of(self, kind: EvaluationKind, truth: f64, prediction: f64) -> f64 {
        match self {
            Self::AbsoluteError => (prediction - truth).abs(),
            Self::SquaredError => (prediction - truth).powi(2),
            Self::LogLoss => {
                let p = prediction.clamp(CLIP, 1.0 - CLIP);
                -(truth * p.ln() + (1.0 - truth) * (1.0 - p).ln())
            }
            Self::ZeroOne => f64::from(decided(kind, prediction) != truth),
        }
    }
}

/// The class that a prediction means: a probability decides at one half.
fn decided(kind: EvaluationKind, prediction: f64) -> f64 {
    match kind {
        EvaluationKind::Binary => f64::from(prediction >= 0.5),
        _ => prediction,
    }
}

/// Rows with their truth and what a version predicted.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub kind: EvaluationKind,
    pub ids: Vec<String>,
    pub truth: Vec<f64>,
    pub prediction: Vec<f64>,
}

/// What is listed of an evaluation.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluation {
    pub id: String,
    pub dataset: String,
    pub kind: EvaluationKind,
    pub rows: i64,
    /// The Parquet file of the rows.
    pub digest: String,
    pub metrics: BTreeMap<String, f64>,
    pub actor: String,
    pub at: Timestamp,
}

impl Rows {
    pub(crate) fn check(&self, dataset: &str) -> Result<(), RegistryError> {
        let wrong = |rule: String| Err(RegistryError::Evaluation { dataset: dataset.to_owned(), rule });
        let rows = self.ids.len();
        if rows == 0 || rows > MAX_ROWS {
            return wrong(format!("{rows} rows, expected 1 to {MAX_ROWS}"));
        }
        if self.truth.len() != rows || self.prediction.len() != rows {
            let (truth, prediction) = (self.truth.len(), self.prediction.len());
            return wrong(format!("{rows} rows, {truth} truths and {prediction} predictions"));
        }
        for (name, values) in [("truth", &self.truth), ("prediction", &self.prediction)] {
            if let Some(place) = values.iter().position(|value| !value.is_finite()) {
                return wrong(format!("{name} at index {place} is not a finite number"));
            }
        }
        if self.kind == EvaluationKind::Binary {
            if let Some(place) = self.truth.iter().position(|truth| *truth != 0.0 && *truth != 1.0) {
                return wrong(format!("truth at index {place} is {}, expected 0 or 1", self.truth[place]));
            }
            if let Some(place) = self.prediction.iter().position(|p| !(0.0..=1.0).contains(p)) {
                let found = self.prediction[place];
                return wrong(format!("prediction at index {place} is {found}, expected 0 to 1"));
            }
        }
        let mut seen = std::collections::HashSet::with_capacity(rows);
        if let Some(id) = self.ids.iter().find(|id| !seen.insert(id.as_str())) {
            return wrong(format!("row {id:?} is there twice"));
        }
        Ok(())
    }

    /// MAE, RMSE and bias (mean of prediction minus truth); or log loss, accuracy and AUC.
    pub(crate) fn metrics(&self) -> BTreeMap<String, f64> {
        let mean = |loss: Loss| {
            let pairs = self.truth.iter().zip(&self.prediction);
            pairs.map(|(truth, p)| loss.of(self.kind, *truth, *p)).sum::<f64>() / self.truth.len() as f64
        };
        let mut metrics = BTreeMap::new();
        match self.kind {
            EvaluationKind::Regression => {
                let difference: f64 =
                    self.truth.iter().zip(&self.prediction).map(|(truth, p)| p - truth).sum();
                metrics.insert("mae".to_owned(), mean(Loss::AbsoluteError));
                metrics.insert("rmse".to_owned(), mean(Loss::SquaredError).sqrt());
                metrics.insert("bias".to_owned(), difference / self.truth.len() as f64);
            }
            EvaluationKind::Binary => {
                metrics.insert("log_loss".to_owned(), mean(Loss::LogLoss));
                metrics.insert("accuracy".to_owned(), 1.0 - mean(Loss::ZeroOne));
                metrics.extend(self.auc().map(|auc| ("auc".to_owned(), auc)));
            }
            EvaluationKind::Multiclass => {
                metrics.insert("accuracy".to_owned(), 1.0 - mean(Loss::ZeroOne));
            }
        }
        metrics.retain(|_, value| value.is_finite());
        metrics
    }

    /// Share of pairs of a positive and a negative in the right order, ties half (Mann and Whitney 1947). None with one class.
    fn auc(&self) -> Option<f64> {
        let mut order: Vec<usize> = (0..self.truth.len()).collect();
        order.sort_by(|a, b| self.prediction[*a].total_cmp(&self.prediction[*b]));
        let positives = self.truth.iter().filter(|truth| **truth == 1.0).count() as f64;
        let negatives = self.truth.len() as f64 - positives;
        let (mut rank_sum, mut start) = (0.0, 0);
        while start < order.len() {
            let value = self.prediction[order[start]];
            let tied = order[start..].iter().take_while(|row| self.prediction[**row] == value).count();
            let rank = start as f64 + (tied as f64 + 1.0) / 2.0;
            let hits = order[start..start + tied].iter().filter(|row| self.truth[**row] == 1.0).count();
            rank_sum += rank * hits as f64;
            start += tied;
        }
        let pairs = positives * negatives;
        (pairs > 0.0).then(|| (rank_sum - positives * (positives + 1.0) / 2.0) / pairs)
    }
}

/// Two versions on the rows that both predicted; differences are loss of `a` minus loss of `b`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    pub rows: usize,
    pub mean_difference: f64,
    /// Two-sided bounds of the mean difference.
    pub lower: f64,
    pub upper: f64,
    pub confidence: f64,
    /// Rows on which `a` lost less, the same, more.
    pub wins: usize,
    pub ties: usize,
    pub losses: usize,
    pub a: BTreeMap<String, f64>,
    pub b: BTreeMap<String, f64>,
}

/// Rows in common by id; their truths must agree. Bounds: mean ± t(n−1) · s / √n, the normal quantile from 1,000 rows.
pub(crate) fn compare(
    dataset: &str,
    a: &Rows,
    b: &Rows,
    loss: Loss,
    confidence: f64,
) -> Result<Paired, RegistryError> {
    let wrong = |rule: String| RegistryError::Evaluation { dataset: dataset.to_owned(), rule };
    if a.kind != b.kind || !loss.fits(a.kind) {
        let (a, b) = (a.kind.name(), b.kind.name());
        return Err(wrong(format!("{} does not compare {a} with {b}", loss.name())));
    }
    let places: std::collections::HashMap<&str, usize> =
        b.ids.iter().enumerate().map(|(place, id)| (id.as_str(), place)).collect();
    let empty = || Rows { kind: a.kind, ids: Vec::new(), truth: Vec::new(), prediction: Vec::new() };
    let (mut left, mut right) = (empty(), empty());
    let mut differences = Vec::new();
    for (place, id) in a.ids.iter().enumerate() {
        let Some(other) = places.get(id.as_str()).copied() else { continue };
        if a.truth[place] != b.truth[other] {
            let (own, theirs) = (a.truth[place], b.truth[other]);
            return Err(wrong(format!("the truth of row {id:?} is {own} in one and {theirs} in the other")));
        }
        left.truth.push(a.truth[place]);
        left.prediction.push(a.prediction[place]);
        right.truth.push(a.truth[place]);
        right.prediction.push(b.prediction[other]);
        let of = |prediction: f64| loss.of(a.kind, a.truth[place], prediction);
        differences.push(of(a.prediction[place]) - of(b.prediction[other]));
    }
    let rows = differences.len();
    if rows < 2 {
        return Err(wrong(format!("{rows} rows in common, at least 2 are needed")));
    }
    let mean = differences.iter().sum::<f64>() / rows as f64;
    let square = differences.iter().map(|difference| (difference - mean).powi(2)).sum::<f64>();
    let error = (square / (rows as f64 - 1.0) / rows as f64).sqrt();
    let reach =
        quantile((1.0 + confidence) / 2.0, rows).ok_or_else(|| wrong("no quantile".to_owned()))? * error;
    Ok(Paired {
        rows,
        mean_difference: mean,
        lower: mean - reach,
        upper: mean + reach,
        confidence,
        wins: differences.iter().filter(|difference| **difference < 0.0).count(),
        ties: differences.iter().filter(|difference| **difference == 0.0).count(),
        losses: differences.iter().filter(|difference| **difference > 0.0).count(),
        a: left.metrics(),
        b: right.metrics(),
    })
}

fn quantile(probability: f64, rows: usize) -> Option<f64> {
    if rows >= LARGE_SAMPLE {
        return Some(Normal::new(0.0, 1.0).ok()?.inverse_cdf(probability));
    }
    Some(StudentsT::new(0.0, 1.0, rows as f64 - 1.0).ok()?.inverse_cdf(probability))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(kind: EvaluationKind, truth: &[f64], prediction: &[f64]) -> Rows {
        let ids = (0..truth.len()).map(|id| id.to_string()).collect();
        Rows { kind, ids, truth: truth.to_vec(), prediction: prediction.to_vec() }
    }

    /// scikit-learn 1.9.1: `roc_auc_score([0, 0, 1, 1, 1], [.1, .4, .35, .8, .4])` is 0.75.
    #[test]
    fn auc_counts_ties_half() {
        let binary = rows(EvaluationKind::Binary, &[0.0, 0.0, 1.0, 1.0, 1.0], &[0.1, 0.4, 0.35, 0.8, 0.4]);
        assert!((binary.metrics()["auc"] - 0.75).abs() < 1e-12);
        let one_class = rows(EvaluationKind::Binary, &[1.0, 1.0], &[0.2, 0.9]);
        assert!(!one_class.metrics().contains_key("auc"));
    }

    /// scipy 1.17: differences 1, 2, 3 have mean 2 and the 95 % interval 2 ± 4.302653 · 1 / √3.
    #[test]
    fn the_interval_is_students() {
        let truth = [0.0, 0.0, 0.0];
        let a = rows(EvaluationKind::Regression, &truth, &[2.0, 3.0, 4.0]);
        let b = rows(EvaluationKind::Regression, &truth, &[1.0, 1.0, 1.0]);
        let paired = compare("d", &a, &b, Loss::AbsoluteError, 0.95).unwrap();
        assert!((paired.mean_difference - 2.0).abs() < 1e-12);
        assert!((paired.upper - 2.0 - 2.484_138).abs() < 1e-5, "{paired:?}");
        assert_eq!((paired.wins, paired.ties, paired.losses), (0, 0, 3));
        let mut other = b.clone();
        other.truth[1] = 5.0;
        let refused = compare("d", &a, &other, Loss::AbsoluteError, 0.95).unwrap_err().to_string();
        assert!(refused.contains("row \"1\""), "{refused}");
    }

    #[test]
    fn what_is_no_number_is_refused_with_its_place() {
        let bad = rows(EvaluationKind::Regression, &[1.0, 2.0], &[1.0, f64::NAN]);
        assert!(bad.check("d").unwrap_err().to_string().contains("prediction at index 1"));
    }
}
