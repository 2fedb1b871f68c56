//! The JSON body of a call to our own API.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::Response;
use http::{StatusCode, header};
use platform_primitives::{ErrorKind, Failure};
use serde::de::DeserializeOwned;

use crate::dialect::Dialect;
use crate::edge::route_dialect;

/// Like [`axum::Json`], but what is wrong with the body is said in the dialect of the route: which field,
/// and what was expected there.
pub struct ApiJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let dialect = route_dialect(request.extensions());
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if let Some(kind) = kind.filter(|kind| !is_json(kind)) {
            return Err(invalid(dialect, format!("Content-Type is {kind:?}, expected application/json")));
        }
        let bytes =
            Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => {
                    let message = "the body is larger than this route takes";
                    dialect.render(&Failure::new(ErrorKind::TooLarge, "web/body", message))
                }
                _ => invalid(dialect, rejection.body_text()),
            })?;
        // axum's own reading, because it knows the path of the field; its opening words name a Rust type's.
        let Json(value) = Json::<T>::from_bytes(&bytes).map_err(|rejection| {
            let text = rejection.body_text();
            let detail = text.split_once(": ").map_or(text.as_str(), |(_, detail)| detail);
            invalid(dialect, format!("the body does not fit: {detail}"))
        })?;
        Ok(Self(value))
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json")
}

fn invalid(dialect: Dialect, message: String) -> Response {
    dialect.render(&Failure::new(ErrorKind::Invalid, "web/body", message))
}
