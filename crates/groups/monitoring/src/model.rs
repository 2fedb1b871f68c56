use std::collections::BTreeMap;

use kernel_sequential::Moments;
use kernel_value::CostOfError;
use platform_loopfile::{Feature, QualityRule, Watch};
use platform_primitives::Timestamp;
use serde::{Deserialize, Serialize};

/// What is watched about an endpoint. Comes from the loop file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MonitorSpec {
    pub features: Vec<Feature>,
    pub quality: Vec<QualityRule>,
    pub label: String,
    pub label_lag_ms: i64,
    pub watch: Watch,
    pub currency: String,
    pub cost_under: f64,
    pub cost_over: f64,
    pub decisions_per_month: f64,
    /// Error rate of the bound on the window's mean error.
    pub alpha: f64,
    /// Rows this old are of no use to any window.
    pub retention_ms: i64,
}

impl MonitorSpec {
    pub fn cost(&self) -> CostOfError {
        CostOfError {
            under: self.cost_under,
            over: self.cost_over,
            volume_per_month: self.decisions_per_month,
        }
    }

    /// Whether a row counts: every bounded column is inside its bounds. A missing value breaks no bound.
    pub(crate) fn is_sound(&self, inputs: &[f64], label: f64) -> bool {
        self.quality.iter().all(|rule| {
            let value = match self.features.iter().position(|feature| feature.name == rule.column) {
                Some(index) => inputs.get(index).copied().unwrap_or(f64::NAN),
                None => label,
            };
            let low = rule.min.is_none_or(|min| value.is_nan() || value >= min);
            let high = rule.max.is_none_or(|max| value.is_nan() || value <= max);
            low && high
        })
    }
}

/// One answered row as the log keeps it.
#[derive(Debug, Clone)]
pub struct LoggedPrediction {
    pub id: String,
    pub at: Timestamp,
    pub inputs: Box<[f64]>,
    pub revision: i64,
    pub prediction: f64,
    pub champion: i64,
    pub champion_prediction: f64,
    pub candidate: i64,
    pub candidate_prediction: f64,
    pub reference_prediction: f64,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Label {
    /// The prediction's id.
    pub id: String,
    pub value: f64,
    /// When the truth became known; RFC 3339.
    pub observed_at: String,
}

/// The live model's accuracy at one moment, with its evidence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Assessment {
    pub at: Timestamp,
    pub champion: i64,
    /// Labelled, sound rows in the window.
    pub rows: u64,
    /// Share of the window's predictions whose truth is known.
    #[serde(deserialize_with = "platform_primitives::json::nan")]
    pub coverage: f64,
    /// Mean absolute error and mean error (prediction − truth) over the window, in units of the label.
    #[serde(deserialize_with = "platform_primitives::json::nan")]
    pub mae: f64,
    #[serde(deserialize_with = "platform_primitives::json::nan")]
    pub bias: f64,
    /// Cost per decision.
    #[serde(deserialize_with = "platform_primitives::json::nan")]
    pub cost: f64,
    /// Lower confidence bound of the mean absolute error.
    #[serde(deserialize_with = "platform_primitives::json::no_lower_bound")]
    pub mae_lower: f64,
    /// The champion's error at its gate.
    #[serde(deserialize_with = "platform_primitives::json::nan")]
    pub baseline_mae: f64,
    /// `mae / baseline_mae`.
    #[serde(deserialize_with = "platform_primitives::json::nan")]
    pub ratio: f64,
    /// The last rise of the error that the sequential detector found under this champion.
    pub change: Option<ErrorChange>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ErrorChange {
    /// When the detector spoke.
    pub found_at: Timestamp,
    /// Where it puts the beginning.
    pub onset: Timestamp,
    pub mean_before: f64,
    pub mean_after: f64,
}

/// Drift of one column against the champion's training set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DriftScore {
    pub at: Timestamp,
    pub column: String,
    /// `normed_wasserstein` or `jensen_shannon`.
    pub method: String,
    #[serde(deserialize_with = "platform_primitives::json::nan")]
    pub score: f64,
    /// Calibrated, never below the configured floor.
    #[serde(deserialize_with = "platform_primitives::json::no_upper_bound")]
    pub threshold: f64,
    #[serde(deserialize_with = "platform_primitives::json::nan")]
    pub psi: f64,
    /// Two-sample chi-square for categories, Kolmogorov-Smirnov for numbers.
    pub p_value: Option<f64>,
    /// Share of missing values in the window and in the baseline.
    #[serde(deserialize_with = "platform_primitives::json::nan")]
    pub missing: f64,
    #[serde(deserialize_with = "platform_primitives::json::nan")]
    pub missing_baseline: f64,
    pub rows: u64,
}

impl DriftScore {
    pub fn drifted(&self) -> bool {
        self.score > self.threshold
    }
}

/// Paired evidence on a candidate: both versions predicted the same rows.
#[derive(Debug, Clone, Copy)]
pub struct PairedEvidence {
    /// |error of the candidate| − |error of the champion| per row.
    pub difference: Moments,
    pub candidate_mae: f64,
    pub champion_mae: f64,
    /// Rows that the candidate answered since the given moment.
    pub served: u64,
}

/// One month: what was answered, and what the first model would have answered.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MonthLine {
    pub month: String,
    pub predictions: u64,
    pub labelled: u64,
    /// Labelled rows that break a quality rule; they count in no metric.
    pub excluded: u64,
    pub loop_mae: f64,
    pub loop_bias: f64,
    /// Money a month at the configured volume.
    pub loop_cost: f64,
    pub static_mae: f64,
    pub static_bias: f64,
    pub static_cost: f64,
    /// Rows answered per revision.
    pub answered_by: BTreeMap<i64, u64>,
}
