//! What every MLflow adapter needs of the wire: bodies, 64-bit numbers as text, numbers JSON cannot say.
//! Source: observed with mlflow 3.17.2.

pub mod filter;
mod numbers;
mod pair;
pub mod search;
mod unquote;
mod workspace;

pub use pair::Pair;
pub use unquote::unquoted;

pub use numbers::{int64, optional_int64, optional_real, real, real_to_json};
pub(crate) use workspace::{Asked, refusal};
pub use workspace::{
    DEFAULT_WORKSPACE, KnownWorkspaces, Scoped, Unscoped, WORKSPACE_HEADER, Within, Workspace,
    check_workspace_name, no_workspace,
};

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::header;
use platform_primitives::{ErrorKind, Failure};
use serde::de::DeserializeOwned;

use crate::body::whole;
use crate::dialect::Dialect;

/// A JSON body of an MLflow call; an empty body is `{}`.
pub struct MlflowJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for MlflowJson<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let invalid = |message: String| {
            Dialect::Mlflow.render(&Failure::new(ErrorKind::Invalid, "mlflow/body", message))
        };
        let kind =
            request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
        if let Some(kind) = kind.filter(|kind| !kind.starts_with("application/json")) {
            return Err(invalid(format!("Bad Request. Content-Type is {kind:?}, expected application/json")));
        }
        let bytes = whole(request, state, Dialect::Mlflow).await?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        // A list would be read as the fields of an object, in their order.
        if text.trim_ascii_start().first().is_some_and(|first| *first == b'[') {
            return Err(invalid("Invalid request body: expected a JSON object, found a list".to_owned()));
        }
        let first = serde_json::from_slice(text);
        let read = match first {
            // Python writes NaN and Infinity, which JSON does not know: they mean what they say.
            Err(error) if error.is_syntax() => match numbers::quote_literals(text) {
                Some(mended) => serde_json::from_slice(&mended),
                None => Err(error),
            },
            other => other,
        };
        read.map(Self).map_err(|_| invalid(explain::<T>(text)))
    }
}

/// What is wrong with a body, with the path of the field: read again, because the usual case must not pay for it.
fn explain<T: DeserializeOwned>(text: &[u8]) -> String {
    const SEE: &str = "See the API docs for more information about request parameters.";
    let mended = numbers::quote_literals(text);
    let text = mended.as_deref().unwrap_or(text);
    let error =
        match serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(text)) {
            Err(error) => error,
            Ok(_) => return "Invalid request body: text follows the JSON value".to_owned(),
        };
    let path = error.path().to_string();
    let message = error.inner().to_string();
    let is_root = path == "." || path.is_empty();
    if let Some((field, _)) = message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
        let field = if is_root { field.to_owned() } else { format!("{path}.{field}") };
        return format!("Missing value for required parameter '{field}'. {SEE}");
    }
    let whole: Option<serde_json::Value> = serde_json::from_slice(text).ok();
    let pointer: String =
        path.replace('[', ".").replace(']', "").split('.').map(|part| format!("/{part}")).collect();
    match whole.as_ref().and_then(|whole| whole.pointer(&pointer)).filter(|_| !is_root) {
        Some(serde_json::Value::Null) => format!("Missing value for required parameter '{path}'. {SEE}"),
        Some(value) => {
            let shown: String = value.to_string().chars().take(200).collect();
            format!("Invalid value {shown} for parameter '{path}' supplied: {message}. {SEE}")
        }
        None => format!("Invalid request body: {message}"),
    }
}

/// Features of MLflow's server that have no routes here, by what their paths hold.
const NOT_SERVED: [(&str, &str); 12] = [
    ("/mlflow/gateway/", "the LLM gateway"),
    ("/mlflow/gateway-proxy", "the LLM gateway"),
    ("/mlflow/endpoints", "the LLM gateway"),
    ("/mlflow/secrets", "secrets of the LLM gateway"),
    ("/mlflow/scorers/online-config", "online scoring"),
    ("/mlflow/scorer/", "running scorers"),
    ("/mlflow/genai/", "GenAI evaluation"),
    ("/mlflow/issues/invoke", "the search for issues"),
    ("/mlflow/label-schemas", "label schemas"),
    ("/mlflow/review-queues", "review queues"),
    ("/mlflow/prompt-optimization", "prompt optimization"),
    ("/mlflow/runs/create-promptlab-run", "the prompt lab"),
];

/// Answers a call that has no route: 501 naming the feature where it is one of MLflow's, else 404.
pub(crate) fn no_route(method: &http::Method, path: &str) -> Response {
    if let Some((_, feature)) = NOT_SERVED.iter().find(|(part, _)| path.contains(part)) {
        let message = format!("not implemented by this server: {feature} ({method} {path})");
        return Dialect::Mlflow.render(&Failure::new(ErrorKind::Unsupported, "mlflow/not-served", message));
    }
    let message = format!("no route {method} {path}");
    let body = serde_json::json!({"error_code": "ENDPOINT_NOT_FOUND", "message": message});
    (http::StatusCode::NOT_FOUND, axum::Json(body)).into_response()
}
