//! Open Inference Protocol v2 over REST, with the binary tensor extension, as tritonclient 2.73 speaks it.
//! Translates; decides nothing.

mod binary;
mod compression;
mod json;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, StatusCode, header};
use platform_auth::Permission::Predict;
use platform_primitives::Timestamp;
use platform_web::dialect::{Dialect, OpenInferenceResult};
use platform_web::{Access, Routes, Surface};
use serde_json::{Value, json};

use crate::service::{Batch, Description, Predictions};
use crate::{Serving, ServingError};
use json::{InferRequest, Parameters};

/// A hundred thousand rows of fifty numbers fit.
const BODY_LIMIT: usize = 64 * 1024 * 1024;
const PREDICT: Access = Access::Needs(Predict);
const HEALTH: Access = Access::Open("tells nothing but that the server answers");

const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

pub(crate) fn surface(service: &Serving) -> Surface {
    let mut routes = Routes::new(Dialect::OpenInference)
        .body_limit(BODY_LIMIT)
        .get("/v2", HEALTH, server)
        .get("/v2/health/live", HEALTH, async || StatusCode::OK)
        .get("/v2/health/ready", HEALTH, async || StatusCode::OK)
        .get("/v2/models", PREDICT, list);
    routes = routes
        .get("/v2/models/{model}", PREDICT, metadata)
        .get("/v2/models/{model}/ready", PREDICT, ready)
        .post("/v2/models/{model}/infer", PREDICT, infer)
        .get("/v2/models/{model}/versions/{version}", PREDICT, metadata_of_version)
        .get("/v2/models/{model}/versions/{version}/ready", PREDICT, ready_version)
        .post("/v2/models/{model}/versions/{version}/infer", PREDICT, infer_version);
    routes.with_state(service.clone())
}

async fn server() -> Json<Value> {
    Json(json!({
        "name": "loopwright",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data", "parameters"],
    }))
}

async fn list(State(service): State<Serving>) -> Json<Value> {
    Json(json!({"models": service.names()}))
}

async fn ready(
    State(service): State<Serving>,
    Path(model): Path<String>,
) -> OpenInferenceResult<Json<Value>> {
    service.describe(&model)?;
    Ok(Json(json!({"name": model, "ready": true})))
}

async fn ready_version(
    State(service): State<Serving>,
    Path((model, version)): Path<(String, String)>,
) -> OpenInferenceResult<Json<Value>> {
    service.check_version(&model, &version)?;
    Ok(Json(json!({"name": model, "ready": true})))
}

async fn metadata_of_version(
    service: State<Serving>,
    Path((model, version)): Path<(String, String)>,
) -> OpenInferenceResult<Json<Value>> {
    service.check_version(&model, &version)?;
    metadata(service, Path(model)).await
}

async fn metadata(
    State(service): State<Serving>,
    Path(model): Path<String>,
) -> OpenInferenceResult<Json<Value>> {
    let Description { signature, versions, outputs, platform } = service.describe(&model)?;
    let inputs: Vec<Value> = signature
        .inputs
        .iter()
        .map(|column| json!({"name": column.name, "datatype": column.kind.datatype(), "shape": [-1, 1]}))
        .collect();
    let shape = if outputs == 1 { json!([-1]) } else { json!([-1, outputs]) };
    Ok(Json(json!({
        "name": model,
        "versions": versions,
        "platform": platform,
        "inputs": inputs,
        "outputs": [{"name": "prediction", "datatype": "FP64", "shape": shape}],
    })))
}

async fn infer(
    State(service): State<Serving>,
    Path(model): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> OpenInferenceResult<Response> {
    Ok(answer(&service, &model, None, &headers, &body)?)
}

async fn infer_version(
    State(service): State<Serving>,
    Path((model, version)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> OpenInferenceResult<Response> {
    Ok(answer(&service, &model, Some(&version), &headers, &body)?)
}

fn answer(
    service: &Serving,
    model: &str,
    version: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, ServingError> {
    let body = compression::plain(headers, body, BODY_LIMIT)?;
    let body: &[u8] = &body;
    let (text, tensors) = split(headers, body)?;
    let request: InferRequest = json::parse(text)?;
    let wants_binary = request.wants_binary();
    let id = request.id.clone();
    let batch = batch(request, tensors)?;
    let predictions = service.predict(model, version, batch)?;
    Ok(render(model, id.as_deref(), &predictions, wants_binary))
}

/// The JSON and, behind it, the raw tensors.
fn split<'b>(headers: &HeaderMap, body: &'b [u8]) -> Result<(&'b [u8], &'b [u8]), ServingError> {
    let Some(length) = headers.get(&JSON_LENGTH) else { return Ok((body, &[])) };
    let length: usize = length
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|length| *length <= body.len())
        .ok_or_else(|| {
            let rule = "Inference-Header-Content-Length must be a number of bytes inside the body";
            ServingError::request(rule)
        })?;
    Ok(body.split_at(length))
}

fn batch(request: InferRequest, mut tensors: &[u8]) -> Result<Batch, ServingError> {
    let at = request.parameters.as_ref().map(event_time).transpose()?.flatten();
    let mut columns = Vec::with_capacity(request.inputs.len());
    for input in request.inputs {
        let (name, values) = input.values(&mut tensors)?;
        columns.push((name, values));
    }
    if !tensors.is_empty() {
        return Err(ServingError::request(format!("{} bytes follow the last tensor", tensors.len())));
    }
    let explain = request.parameters.as_ref().is_some_and(|parameters| parameters.flag("explain"));
    Ok(Batch { columns, id: request.id, at, extra_is_error: true, explain })
}

/// Our request parameter `event_time`: milliseconds since 1970 or RFC 3339.
fn event_time(parameters: &Parameters) -> Result<Option<Timestamp>, ServingError> {
    match parameters.0.get("event_time") {
        None => Ok(None),
        Some(Value::Number(millis)) => Ok(millis.as_i64().map(Timestamp::from_millis)),
        Some(Value::String(text)) => Timestamp::parse(text)
            .map(Some)
            .map_err(|error| ServingError::request(format!("parameter event_time: {error}"))),
        Some(other) => {
            Err(ServingError::request(format!("parameter event_time is {other}, expected a time")))
        }
    }
}

fn render(model: &str, id: Option<&str>, predictions: &Predictions, binary: bool) -> Response {
    let shape = match predictions.outputs {
        1 => json!([predictions.rows]),
        outputs => json!([predictions.rows, outputs]),
    };
    let mut tensors = vec![("prediction", shape, &predictions.values)];
    if let Some(explanations) = &predictions.explanations {
        let (rows, outputs) = (predictions.rows, explanations.outputs);
        let features = explanations.values.len() / (rows * outputs).max(1);
        tensors.push(("explanation", json!([rows, outputs, features]), &explanations.values));
        tensors.push(("explanation_base", json!([rows, outputs]), &explanations.bases));
    }
    let mut raw = Vec::new();
    let mut outputs = Vec::with_capacity(tensors.len());
    for (name, shape, values) in tensors {
        let mut output = json!({"name": name, "datatype": "FP64", "shape": shape});
        if binary {
            raw.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            output["parameters"] = json!({"binary_data_size": 8 * values.len()});
        } else {
            output["data"] = json!(values);
        }
        outputs.push(output);
    }
    let mut body = json!({
        "model_name": model,
        "model_version": predictions.revision.to_string(),
        "outputs": outputs,
    });
    if let Some(id) = id {
        body["id"] = id.into();
    }
    if !binary {
        return Json(body).into_response();
    }
    let text = body.to_string();
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (JSON_LENGTH, text.len().to_string()),
    ];
    (headers, [text.into_bytes(), raw].concat()).into_response()
}
