//! Native API: a whole model, cohorts, slices.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use kernel_effects::Metric;
use platform_auth::Permission::Predict;
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, ApiJson, Routes, Surface};
use serde::{Deserialize, Serialize};

use super::{ModelFound, Subject, Wanted, Whole};
use crate::Method;
use crate::cohorts::{Cohort, Comparison};
use crate::fairness::{Fairness, LEAST, Slicing, THRESHOLD};

pub(super) fn surface(whole: &Whole) -> Surface {
    let needs = Access::Needs(Predict);
    Routes::new(Dialect::Problem)
        .post("/api/v1/endpoints/{name}/explain/model", needs, model)
        .post("/api/v1/endpoints/{name}/explain/cohorts", needs, cohorts)
        .post("/api/v1/endpoints/{name}/explain/fairness", needs, fairness)
        .with_state(whole.clone())
}

/// What was explained, and what was found.
#[derive(Serialize)]
struct Answer<T> {
    model_name: String,
    model_version: String,
    /// Of attributions.
    method: Method,
    #[serde(flatten)]
    found: T,
}

impl<T> Answer<T> {
    fn json(name: String, subject: &Subject, found: T) -> Json<Self> {
        let method = subject.population.explanations().method;
        Json(Self { model_name: name, model_version: subject.ready.served.version.clone(), method, found })
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MetricName {
    Accuracy,
    LogLoss,
    Brier,
    Auc,
    Mae,
    Rmse,
    R2,
}

impl From<MetricName> for Metric {
    fn from(name: MetricName) -> Self {
        match name {
            MetricName::Accuracy => Self::Accuracy { threshold: THRESHOLD },
            MetricName::LogLoss => Self::LogLoss,
            MetricName::Brier => Self::Brier,
            MetricName::Auc => Self::Auc,
            MetricName::Mae => Self::MeanAbsoluteError,
            MetricName::Rmse => Self::RootMeanSquaredError,
            MetricName::R2 => Self::RSquared,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelBody {
    version: Option<String>,
    #[serde(default)]
    output: usize,
    /// Features whose partial dependence and local effects are asked for.
    #[serde(default)]
    effects: Vec<String>,
    /// Of permutation importance; without it the usual one.
    metric: Option<MetricName>,
}

async fn model(
    State(whole): State<Whole>,
    Path(name): Path<String>,
    ApiJson(body): ApiJson<ModelBody>,
) -> ProblemResult<Json<Answer<ModelFound>>> {
    let subject = whole.get("an explanation of the model", &name, body.version.as_deref()).await?;
    let metric = body.metric.map(Metric::from);
    let wanted = Wanted { output: body.output, effects: body.effects, metric };
    let found = whole.model(&subject, wanted).await?;
    Ok(Answer::json(name, &subject, found))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CohortsBody {
    version: Option<String>,
    #[serde(default)]
    output: usize,
    one: Cohort,
    /// Without it all rows that are not in `one`.
    two: Option<Cohort>,
}

async fn cohorts(
    State(whole): State<Whole>,
    Path(name): Path<String>,
    ApiJson(body): ApiJson<CohortsBody>,
) -> ProblemResult<Json<Answer<Comparison>>> {
    let subject = whole.get("a comparison of cohorts", &name, body.version.as_deref()).await?;
    let found = whole.compare(&subject, body.one, body.two, body.output).await?;
    Ok(Answer::json(name, &subject, found))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FairnessBody {
    version: Option<String>,
    #[serde(default)]
    output: usize,
    /// Columns; several are crossed.
    by: Vec<String>,
    /// By column of numbers: where it is cut, instead of its quartiles.
    #[serde(default)]
    edges: BTreeMap<String, Vec<f64>>,
    #[serde(default = "threshold")]
    threshold: f64,
    #[serde(default = "least")]
    least: usize,
    /// The name of a slice; the largest without it.
    reference: Option<String>,
}

fn threshold() -> f64 {
    THRESHOLD
}

fn least() -> usize {
    LEAST
}

async fn fairness(
    State(whole): State<Whole>,
    Path(name): Path<String>,
    ApiJson(body): ApiJson<FairnessBody>,
) -> ProblemResult<Json<Answer<Fairness>>> {
    let subject = whole.get("slices", &name, body.version.as_deref()).await?;
    let FairnessBody { by, edges, threshold, least, reference, output, .. } = body;
    let slicing = Slicing { by, edges, threshold, least, reference, output };
    let found = whole.fairness(&subject, slicing).await?;
    Ok(Answer::json(name, &subject, found))
}
