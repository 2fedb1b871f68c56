//! Bodies of requests: read whole, in the time that is given, and the JSON of a call to our own API.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::middleware::Next;
use axum::response::Response;
use axum::{BoxError, Json};
use http::{HeaderValue, StatusCode, header};
use hyper::body::Frame;
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

/// A body that notes when it was given up because nothing more of it came.
struct Watched {
    body: Pin<Box<TimeoutBody<Body>>>,
    stalled: Arc<AtomicBool>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = self.body.as_mut().poll_frame(context);
        if let Poll::Ready(Some(Err(error))) = &polled
            && error.is::<TimeoutError>()
        {
            self.stalled.store(true, Ordering::Relaxed);
        }
        polled
    }
}

/// The answer to a request whose body does not wait for ever. However the handler reads it, and whatever it makes of one that
/// stopped coming, that is answered 408; an empty one stays known as one.
pub(crate) async fn in_time(dialect: Dialect, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let stalled = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&stalled);
    let watched =
        |body: Body| Body::new(Watched { body: Box::pin(TimeoutBody::new(DEADLINE, body)), stalled: noted });
    let response = next.run(request.map(watched)).await;
    if response.status().is_success() || !stalled.load(Ordering::Relaxed) {
        return response;
    }
    let message = format!("nothing more of the body came for {} s", DEADLINE.as_secs());
    let failure = Failure::new(ErrorKind::Invalid, "web/body-timeout", message);
    let mut response = dialect.render_with(&failure, StatusCode::REQUEST_TIMEOUT);
    // What still comes of it is no request.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
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
    Err(invalid(dialect, rejection.body_text()))
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json")
}

fn invalid(dialect: Dialect, message: String) -> Response {
    dialect.render(&Failure::new(ErrorKind::Invalid, "web/body", message))
}
