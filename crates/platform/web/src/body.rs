//! Bodies of requests: read whole, in the time that is given, and the JSON of a call to our own API.

use std::error::Error;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{FromRequest, Request};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use platform_primitives::{ErrorKind, Failure};
use serde::de::DeserializeOwned;
use tower_http::timeout::{TimeoutBody, TimeoutError};

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
        let bytes = whole(request, state, dialect).await?;
        // axum's own reading, because it knows the path of the field; its opening words name a Rust type's.
        let Json(value) = Json::<T>::from_bytes(&bytes).map_err(|rejection| {
            let text = rejection.body_text();
            let detail = text.split_once(": ").map_or(text.as_str(), |(_, detail)| detail);
            invalid(dialect, format!("the body does not fit: {detail}"))
        })?;
        Ok(Self(value))
    }
}

/// The next piece of a body has to come within this time.
const DEADLINE: Duration = Duration::from_secs(30);

/// The request with a body that does not wait for ever; an empty one stays known as one.
pub(crate) fn in_time(request: Request) -> Request {
    request.map(|body| match body.is_end_stream() {
        true => body,
        false => Body::new(TimeoutBody::new(DEADLINE, body)),
    })
}

/// All bytes of a body, or what is wrong with it.
pub(crate) async fn whole<S: Send + Sync>(
    request: Request,
    state: &S,
    dialect: Dialect,
) -> Result<Bytes, Response> {
    let rejection = match Bytes::from_request(request, state).await {
        Ok(bytes) => return Ok(bytes),
        Err(rejection) => rejection,
    };
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let message = "the body is larger than this route takes";
        return Err(dialect.render(&Failure::new(ErrorKind::TooLarge, "web/body", message)));
    }
    let mut cause: Option<&dyn Error> = Some(&rejection);
    while let Some(error) = cause {
        if error.is::<TimeoutError>() {
            let message = format!("nothing more of the body came for {} s", DEADLINE.as_secs());
            let failure = Failure::new(ErrorKind::Invalid, "web/body-timeout", message);
            let mut response = dialect.render_with(&failure, StatusCode::REQUEST_TIMEOUT);
            // What still comes of it is no request.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return Err(response);
        }
        cause = error.source();
    }
    Err(invalid(dialect, rejection.body_text()))
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json")
}

fn invalid(dialect: Dialect, message: String) -> Response {
    dialect.render(&Failure::new(ErrorKind::Invalid, "web/body", message))
}
