//! Native API: explanations of rows, with reasons.

use axum::Json;
use axum::extract::{Path, State};
use platform_auth::Permission::Predict;
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, ApiJson, Routes, Surface};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::Explanations;
use crate::reasons::{self, Direction, MOST};
use crate::rows::from_instances;
use crate::service::MOST_BACKGROUND;
use crate::{Explain, ExplainError};

const BODY_LIMIT: usize = 64 * 1024 * 1024;

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
    /// Reasons for each row: none without it.
    reasons: Option<ReasonsBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReasonsBody {
    #[serde(default)]
    direction: Direction,
    #[serde(default = "most")]
    most: usize,
    #[serde(default)]
    output: usize,
}

fn most() -> usize {
    MOST
}

async fn explain(
    State(service): State<Explain>,
    Path(name): Path<String>,
    ApiJson(body): ApiJson<ExplainBody>,
) -> ProblemResult<Json<Value>> {
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
    if let Some(reasons) = &body.reasons {
        let outputs = ready.served.ensemble.scores();
        if reasons.output >= outputs {
            let rule = format!("reasons.output is {}, the model has {outputs}", reasons.output);
            return Err(ExplainError::request(rule).into());
        }
        if !(1..=MOST).contains(&reasons.most) {
            let rule = format!("reasons.most is {}, expected 1 to {MOST}", reasons.most);
            return Err(ExplainError::request(rule).into());
        }
    }
    let explanations = service.explain(&ready, rows, background).await?;
    let mut answer = answer(&name, &ready.served.version, &explanations);
    if let Some(wanted) = body.reasons {
        let ReasonsBody { direction, most, output } = wanted;
        let of_row = |row| json!(reasons::reasons(&explanations, output, row, direction, most));
        answer["reasons"] = (0..explanations.count()).map(of_row).collect();
    }
    Ok(Json(answer))
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
