//! Files of a trace, as the web client loads them.

use axum::extract::Query;
use axum::response::{IntoResponse as _, Response};
use http::header;
use platform_web::dialect::MlflowResult;
use platform_web::mlflow::Scoped;
use serde::Deserialize;
use serde_json::json;

use crate::{TraceError, Traces};

#[derive(Deserialize)]
pub(super) struct Wanted {
    request_id: Option<String>,
    /// An attachment; none means the spans.
    path: Option<String>,
}

pub(super) async fn get(
    Scoped(service): Scoped<Traces>,
    Query(wanted): Query<Wanted>,
) -> MlflowResult<Response> {
    let trace_id =
        wanted.request_id.filter(|id| !id.is_empty()).ok_or(TraceError::Missing { field: "request_id" })?;
    match wanted.path.filter(|path| !path.is_empty() && path != "traces.json") {
        Some(path) => {
            let bytes = service.file(&trace_id, &format!("attachments/{path}")).await?;
            Ok(attachment(path.rsplit('/').next().unwrap_or_default(), "application/octet-stream", bytes))
        }
        None => {
            // A trace that still runs is shown as far as it is.
            let full = service.get_full(&trace_id, true).await?;
            let text = json!({"spans": full.spans}).to_string();
            Ok(attachment("traces.json", "application/json", text.into_bytes()))
        }
    }
}

fn attachment(name: &str, content_type: &'static str, bytes: Vec<u8>) -> Response {
    // Names of attachments are ids; anything else in a header would be a way in.
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    let headers = [
        (header::CONTENT_TYPE, content_type.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename={name}")),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, bytes).into_response()
}
