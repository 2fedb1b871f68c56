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
use message::ExportRequest;

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
        Ok(()) => ([(header::CONTENT_TYPE, PROTOBUF)], Vec::<u8>::new()).into_response(),
        Err(error) => Dialect::Mlflow.render(&error),
    }
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<(String, ExportRequest), Refused> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(experiment) = text(EXPERIMENT) else {
        let missing = json!({
            "type": "missing", "loc": ["header", EXPERIMENT], "msg": "Field required", "input": null,
        });
        return Err(Refused { status: StatusCode::UNPROCESSABLE_ENTITY, detail: json!([missing]) });
    };
    let content_type = text("content-type").unwrap_or("None");
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
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
