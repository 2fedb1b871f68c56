//! What every MLflow adapter needs of the wire: bodies, 64-bit numbers as text, numbers JSON cannot say.
//! Source: observed with mlflow 3.17.2.

pub mod search;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::Response;
use http::header;
use platform_primitives::{ErrorKind, Failure};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::Value;

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
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            let kind = if rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE {
                ErrorKind::TooLarge
            } else {
                ErrorKind::Invalid
            };
            Dialect::Mlflow.render(&Failure::new(kind, "mlflow/body", rejection.body_text()))
        })?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Self).map_err(|error| {
            let message = error.to_string();
            match message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
                Some((field, _)) => invalid(format!(
                    "Missing value for required parameter '{field}'. \
                     See the API docs for more information about request parameters."
                )),
                None => invalid(format!("Invalid request body: {message}")),
            }
        })
    }
}

/// A 64-bit whole number, as a number or as text.
pub fn int64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    parse_int64(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
}

pub fn optional_int64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        value => parse_int64(&value).map(Some).map_err(D::Error::custom),
    }
}

fn parse_int64(value: &Value) -> Result<i64, String> {
    let parsed = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    parsed.ok_or_else(|| format!("{value} is not a 64-bit whole number"))
}

/// A number, or one of the texts `NaN`, `Infinity`, `-Infinity`.
pub fn real<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let parsed = match &value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    parsed.ok_or_else(|| D::Error::custom(format!("{value} is not a number")))
}

/// The other way: NaN as text, infinities as the largest numbers, as upstream answers.
pub fn real_to_json(value: f64) -> Value {
    if value.is_nan() { Value::from("NaN") } else { Value::from(value.clamp(f64::MIN, f64::MAX)) }
}
