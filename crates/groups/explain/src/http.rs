//! Native API: explanations of rows, with reasons.

pub(crate) mod reference;
pub(crate) mod settings;
pub(crate) mod stored;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use platform_auth::Permission::Predict;
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, ApiJson, Routes, Surface};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::{Explanations, Method};
use crate::reasons::{self, Direction, MOST};
use crate::rows::from_instances;
use crate::service::MOST_BACKGROUND;
use crate::{Explain, ExplainError, Wording};

const BODY_LIMIT: usize = 64 * 1024 * 1024;
/// Asked for by `Accept`: the values alone, as an Arrow file.
const ARROW: &str = "application/vnd.apache.arrow.file";

pub(crate) fn surface(service: &Explain) -> Surface {
    Routes::new(Dialect::Problem)
        .body_limit(BODY_LIMIT)
        .post("/api/v1/endpoints/{name}/explain", Access::Needs(Predict), explain)
        .with_state(service.clone())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainBody {
    /// Rows: lists in the order of the inputs, or objects.
    instances: Vec<Value>,
    /// Of those that are served; the champion without it.
    version: Option<String>,
    /// Rows like `instances`: what an unknown value is. Without them the values are path-dependent.
    background: Option<Vec<Value>>,
    /// `interventional` with a background, else `path_dependent`.
    method: Option<Method>,
    /// Of sampled values: rows that the model scores at most, for each row and output.
    budget_rows: Option<u64>,
    /// Reasons for each row: none without it.
    reasons: Option<ReasonsBody>,
    /// So many rows of the reference data for each row, and how far it is from them.
    nearest: Option<usize>,
    /// How far each value may move before any leaf changes.
    #[serde(default)]
    path: bool,
    /// Trees of which each row's way is told.
    trees: Option<Vec<usize>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReasonsBody {
    /// Without it that of the settings, else up.
    direction: Option<Direction>,
    #[serde(default = "most")]
    most: usize,
    #[serde(default)]
    output: usize,
    /// A tag such as `de-AT`.
    language: Option<String>,
    /// A version of the settings; the newest without it.
    wording: Option<i64>,
}

fn most() -> usize {
    MOST
}

async fn explain(
    State(service): State<Explain>,
    Path(name): Path<String>,
    headers: HeaderMap,
    ApiJson(body): ApiJson<ExplainBody>,
) -> ProblemResult<Response> {
    let ready = service.ready(&name, body.version.as_deref())?;
    let inputs = &ready.served.inputs;
    let rows = from_instances(&body.instances, inputs)?;
    let background = match &body.background {
        Some(rows) if rows.len() > MOST_BACKGROUND => {
            let rule = format!("the background has {} rows, at most {MOST_BACKGROUND}", rows.len());
            return Err(ExplainError::request(rule).into());
        }
        Some(rows) => Some(from_instances(rows, inputs)?),
        None => None,
    };
    match (body.method, &background) {
        (Some(Method::PathDependent), Some(_)) => {
            return Err(ExplainError::request("path_dependent values have no background").into());
        }
        (Some(Method::Interventional), None) => {
            return Err(ExplainError::request("interventional values need a background").into());
        }
        (method, _) if body.budget_rows.is_some() && method != Some(Method::Sampled) => {
            return Err(ExplainError::request("budget_rows is for sampled values").into());
        }
        _ => {}
    }
    if let Some(reasons) = &body.reasons {
        let outputs = match body.method {
            Some(Method::Sampled) => ready.served.ensemble.outputs(),
            _ => ready.served.ensemble.scores(),
        };
        if reasons.output >= outputs {
            let rule = format!("reasons.output is {}, the model has {outputs}", reasons.output);
            return Err(ExplainError::request(rule).into());
        }
        if !(1..=MOST).contains(&reasons.most) {
            let rule = format!("reasons.most is {}, expected 1 to {MOST}", reasons.most);
            return Err(ExplainError::request(rule).into());
        }
    }
    let wording = match &body.reasons {
        Some(wanted) => service.wording(&name, wanted.wording, wanted.language.as_deref()).await?,
        None => None,
    };
    let nearby = match body.nearest {
        Some(count) => Some(service.nearby(&ready, &rows, count).await?),
        None => None,
    };
    let ways = match body.path || body.trees.is_some() {
        true => Some(service.ways(&ready, &rows, body.trees.as_deref().unwrap_or_default()).await?),
        false => None,
    };
    let (explanations, samplings) = match body.method {
        Some(Method::Sampled) => service.sample(&ready, rows, background, body.budget_rows).await?,
        _ => (service.explain(&ready, rows, background).await?, Vec::new()),
    };
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accepts.contains(ARROW) {
        return Ok(([(header::CONTENT_TYPE, ARROW)], explanations.arrow()?).into_response());
    }
    let mut answer = answer(&name, &ready.served.version, &explanations);
    for (output, sampling) in samplings.iter().enumerate() {
        answer["explanations"][output]["sampling"] = json!(sampling);
    }
    if let Some(wanted) = body.reasons {
        let of_row = |row| match &wording {
            Some(wording) => {
                let direction = wanted.direction.unwrap_or(wording.direction());
                json!(wording.reasons(&explanations, wanted.output, row, direction, wanted.most))
            }
            None => {
                let direction = wanted.direction.unwrap_or_default();
                json!(reasons::reasons(&explanations, wanted.output, row, direction, wanted.most))
            }
        };
        answer["reasons"] = (0..explanations.count()).map(of_row).collect();
        if let Some(wording) = &wording {
            answer["wording"] = worded_by(wording);
        }
    }
    if let Some(nearby) = nearby {
        answer["nearest"] = nearby.iter().map(|nearby| json!(nearby.rows)).collect();
        answer["distance"] = nearby.iter().map(|nearby| json!(nearby.distance)).collect();
    }
    if let Some(ways) = ways {
        if body.path {
            answer["path"] = json!(ways.rooms);
        }
        if body.trees.is_some() {
            answer["trees"] = json!(ways.trees);
        }
    }
    Ok(Json(answer).into_response())
}

/// Which settings made the texts, and in which language.
fn worded_by(wording: &Wording) -> Value {
    let mut told = json!({"language": wording.language()});
    if let Some(version) = wording.version() {
        told["version"] = json!(version);
    }
    told
}

/// Adds reasons in words to the JSON of explanations that no server made: of every row, for the first output.
pub fn add_reasons(answer: &mut Value, explanations: &Explanations, wording: &Wording) {
    let of_row = |row| json!(wording.reasons(explanations, 0, row, wording.direction(), MOST));
    answer["reasons"] = (0..explanations.count()).map(of_row).collect();
    answer["wording"] = worded_by(wording);
}

/// The JSON of explanations; the Python package makes a `shap.Explanation` of it.
pub(crate) fn answer(model: &str, version: &str, explanations: &Explanations) -> Value {
    let mut answer = json(explanations);
    answer["model_name"] = json!(model);
    answer["model_version"] = json!(version);
    answer
}

/// What is not finite is `null`.
pub fn json(explanations: &Explanations) -> Value {
    let width = explanations.features.len().max(1);
    let table = |values: &[f64]| values.chunks(width).map(|row| json!(row)).collect::<Vec<_>>();
    let data = table(&explanations.rows);
    let of_output = |(output, own): (usize, &crate::model::Attributions)| {
        json!({
            "output": output,
            "base_value": own.base,
            "values": table(&own.values),
            "scores": own.scores,
            "data": data,
            "feature_names": explanations.features,
        })
    };
    let predictions = (0..explanations.count()).map(|row| match explanations.predicted(row) {
        [one] => json!(one),
        several => json!(several),
    });
    json!({
        "method": explanations.method,
        "explanations": explanations.outputs.iter().enumerate().map(of_output).collect::<Vec<_>>(),
        "predictions": predictions.collect::<Vec<_>>(),
    })
}
