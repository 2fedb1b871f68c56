//! Whether a model's reasons are still those that they were: by day, how far the ranking of its features, and what each has of all, have moved
//! from the reference data.

use kernel_effects::{mean_absolute, ranking_ndcg, share_changes};
use platform_primitives::Timestamp;
use serde::Serialize;

use crate::store::{self, DaySums};
use crate::whole::Whole;
use crate::{Explain, ExplainError};

type Result<T> = std::result::Result<T, ExplainError>;

/// Days that are read.
const MOST_DAYS: i64 = 400;
/// Rows of a first day that others are compared with, where there is no reference.
const LEAST_ROWS: i64 = 100;
const DAY_MS: i64 = 86_400_000;
/// Below it the ranking counts as another one. Source: SageMaker Clarify's default.
pub(crate) const NDCG_LIMIT: f64 = 0.9;

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Drift {
    pub model_name: String,
    pub model_version: String,
    pub output: usize,
    pub baseline: Baseline,
    /// Oldest first; of stored explanations.
    pub days: Vec<DriftDay>,
    /// An NDCG below it counts as drift.
    pub ndcg_limit: f64,
}

/// What days are compared with.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Baseline {
    /// `reference`, or `first_day`: the first with a hundred rows.
    pub source: &'static str,
    pub rows: i64,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct DriftDay {
    /// The first moment of it, UTC.
    pub day: Timestamp,
    pub rows: i64,
    /// Of the ranking by mean |value|: 1 is the baseline's own.
    pub ndcg: f64,
    pub has_drifted: bool,
    pub features: Vec<FeatureDrift>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct FeatureDrift {
    pub feature: String,
    /// In units of the raw score.
    pub mean_absolute: f64,
    /// Of all features' mean |value|, in the baseline and now.
    pub baseline_share: f64,
    pub share: f64,
    pub baseline_rank: usize,
    pub rank: usize,
}

impl Explain {
    /// `None` where nothing is stored, or too little to compare with.
    pub(crate) async fn drift(
        &self,
        whole: &Whole,
        endpoint: &str,
        version: Option<&str>,
        output: usize,
    ) -> Result<Option<Drift>> {
        let ready = self.ready(endpoint, version)?;
        let outputs = ready.served.ensemble.scores();
        if output >= outputs {
            let rule = format!("output is {output}, the model has {outputs}");
            return Err(ExplainError::request(rule));
        }
        let features = ready.explainer.features();
        let days = store::days(&self.db, endpoint, &ready.served.version, MOST_DAYS).await?;
        let means = |day: &DaySums| -> Vec<f64> {
            let own = day.sums.iter().skip(output * features.len()).take(features.len());
            own.map(|sum| sum / day.rows.max(1) as f64).collect()
        };
        let subject = whole.find(endpoint, Some(&ready.served.version)).await?;
        let (baseline, from) = match subject {
            Some(subject) => {
                let explanations = subject.population.explanations();
                let values = &explanations.outputs[output].values;
                let baseline = mean_absolute(values, features.len()).map_err(broken)?;
                (baseline, Baseline { source: "reference", rows: explanations.count() as i64 })
            }
            None => {
                let Some(first) = days.iter().find(|day| day.rows >= LEAST_ROWS) else { return Ok(None) };
                (means(first), Baseline { source: "first_day", rows: first.rows })
            }
        };
        if days.is_empty() {
            return Ok(None);
        }
        let day = |own: &DaySums| -> Result<DriftDay> {
            let current = means(own);
            let ndcg = ranking_ndcg(&baseline, &current).map_err(broken)?;
            let changes = share_changes(&baseline, &current).map_err(broken)?;
            let feature = |((name, change), mean): ((&String, _), f64)| {
                let change: kernel_effects::ShareChange = change;
                FeatureDrift {
                    feature: name.clone(),
                    mean_absolute: mean,
                    baseline_share: change.baseline,
                    share: change.current,
                    baseline_rank: change.baseline_rank,
                    rank: change.current_rank,
                }
            };
            Ok(DriftDay {
                day: Timestamp::from_millis(own.day * DAY_MS),
                rows: own.rows,
                ndcg,
                has_drifted: ndcg < NDCG_LIMIT,
                features: features.iter().zip(changes).zip(current).map(feature).collect(),
            })
        };
        Ok(Some(Drift {
            model_name: endpoint.to_owned(),
            model_version: ready.served.version.clone(),
            output,
            baseline: from,
            days: days.iter().map(day).collect::<Result<_>>()?,
            ndcg_limit: NDCG_LIMIT,
        }))
    }
}

fn broken(error: kernel_effects::InputError) -> ExplainError {
    ExplainError::request(error.to_string())
}
