//! OpenTelemetry's OTLP over HTTP: `POST /v1/traces`, protobuf and JSON, with MLflow's header for the experiment.
//!
//! Status codes are those of mlflow 3.17, because exporters decide by them what to send again: 400 for what cannot be
//! read, 422 for what is no span and for a missing header.

mod convert;
mod json;
mod message;
mod unpack;

use axum::Json;
use axum::body::Bytes;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};
use platform_auth::Permission::Track;
use platform_web::dialect::Dialect;
use platform_web::mlflow::{Scoped, Unscoped};
use platform_web::{Access, Routes, Surface};
use prost::Message as _;
use serde_json::{Value, json};

use crate::Traces;
use message::{ExportAnswer, ExportRequest, PartialSuccess};

const EXPERIMENT: &str = "x-mlflow-experiment-id";
const PROTOBUF: &str = "application/x-protobuf";

/// A request as it is sent, and as it is when unpacked.
const BODY_LIMIT_BYTES: usize = 32 * 1024 * 1024;
const UNPACKED_LIMIT_BYTES: usize = 64 * 1024 * 1024;

pub(crate) fn surface(service: &Traces) -> Surface {
    Routes::new(Dialect::Mlflow)
        .body_limit(BODY_LIMIT_BYTES)
        .post("/v1/traces", Access::Needs(Track), export)
        .with_state(Unscoped::new(service.clone()))
}

/// Why a request is not taken, as upstream's web framework says it: `{"detail": …}`.
struct Refused {
    status: StatusCode,
    detail: Value,
}

impl Refused {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: Value::String(detail.into()) }
    }

    fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }
}

async fn export(Scoped(service): Scoped<Traces>, headers: HeaderMap, body: Bytes) -> Response {
    let (experiment, request) = match read(&headers, &body) {
        Ok(read) => read,
        Err(refused) => return (refused.status, Json(json!({"detail": refused.detail}))).into_response(),
    };
    let spans = match convert::spans(request) {
        Ok(spans) => spans,
        Err(reason) => {
            let detail = format!("Cannot convert OpenTelemetry span to MLflow span: {reason}");
            return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"detail": detail}))).into_response();
        }
    };
    match service.log_spans(&experiment, spans).await {
        // An empty answer says that all spans were taken.
        Ok(0) => ([(header::CONTENT_TYPE, PROTOBUF)], Vec::<u8>::new()).into_response(),
        Ok(rejected) => partly_taken(rejected, media_type(&headers)),
        Err(error) => Dialect::Mlflow.render(&error),
    }
}

/// Does not say why: whoever sends spans of another's trace learns nothing of it.
fn partly_taken(rejected: usize, media_type: &str) -> Response {
    let message = format!("{rejected} spans were not accepted");
    if media_type != PROTOBUF {
        // Numbers of 64 bits are texts in the JSON of protobuf.
        let partial = json!({"rejectedSpans": rejected.to_string(), "errorMessage": message});
        return Json(json!({"partialSuccess": partial})).into_response();
    }
    let rejected_spans = i64::try_from(rejected).unwrap_or(i64::MAX);
    let partial_success = Some(PartialSuccess { rejected_spans, error_message: message });
    let bytes = ExportAnswer { partial_success }.encode_to_vec();
    ([(header::CONTENT_TYPE, PROTOBUF)], bytes).into_response()
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("None")
}

fn media_type(headers: &HeaderMap) -> &str {
    content_type(headers).split(';').next().unwrap_or_default().trim()
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<(String, ExportRequest), Refused> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(experiment) = text(EXPERIMENT) else {
        let missing = json!({
            "type": "missing", "loc": ["header", EXPERIMENT], "msg": "Field required", "input": null,
        });
        return Err(Refused { status: StatusCode::UNPROCESSABLE_ENTITY, detail: json!([missing]) });
    };
    let (content_type, media_type) = (content_type(headers), media_type(headers));
    if !matches!(media_type, PROTOBUF | "application/json") {
        return Err(Refused::unreadable(format!(
            "Invalid Content-Type: {content_type}. Expected: application/x-protobuf or application/json"
        )));
    }
    let encoding = text("content-encoding").unwrap_or_default().to_ascii_lowercase();
    let plain = unpack::plain(&encoding, body, UNPACKED_LIMIT_BYTES)?;
    let wrong = |reason: String| Refused::unreadable(format!("Invalid OpenTelemetry format: {reason}"));
    let request: ExportRequest = match media_type {
        PROTOBUF => ExportRequest::decode(&*plain).map_err(|error| wrong(error.to_string()))?,
        _ => serde_json::from_slice(&plain).map_err(|error| wrong(error.to_string()))?,
    };
    if request.resource_spans.is_empty() {
        return Err(Refused::unreadable("Invalid OpenTelemetry format - no spans found"));
    }
    Ok((experiment.to_owned(), request))
}
