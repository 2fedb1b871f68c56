//! From [`ErrorKind`] to each protocol's error, once per protocol.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use platform_primitives::{ErrorKind, Failure, Fault};
use serde_json::json;

/// More than any extractor says of a request.
const REFUSAL_BYTES: usize = 64 * 1024;

/// The form errors take on a surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// RFC 9457 `application/problem+json`: our own API.
    Problem,
    /// MLflow 3: `{"error_code", "message"}`.
    Mlflow,
    /// Open Inference Protocol v2: `{"error"}`.
    OpenInference,
    /// A page for a person.
    Page,
}

/// A fault on its way out: `?` in a handler turns any [`Fault`] into it.
pub struct Refusal<const D: u8>(Box<Response>);

/// Results of handlers, by surface.
pub type ProblemResult<T> = Result<T, Refusal<0>>;
pub type MlflowResult<T> = Result<T, Refusal<1>>;
pub type OpenInferenceResult<T> = Result<T, Refusal<2>>;
pub type PageResult<T> = Result<T, Refusal<3>>;

impl<const D: u8, F: Fault> From<F> for Refusal<D> {
    fn from(fault: F) -> Self {
        let dialect = match D {
            0 => Dialect::Problem,
            1 => Dialect::Mlflow,
            2 => Dialect::OpenInference,
            _ => Dialect::Page,
        };
        Self(Box::new(dialect.render(&fault)))
    }
}

impl<const D: u8> IntoResponse for Refusal<D> {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl Dialect {
    /// What a client at `path` speaks, where no route says it.
    pub(crate) fn of_path(path: &str) -> Self {
        if ["/api/2.0/mlflow", "/api/3.0/mlflow", "/ajax-api/", "/v1/traces"]
            .iter()
            .any(|mlflow| path.starts_with(mlflow))
        {
            return Self::Mlflow;
        }
        match path == "/v2" || path.starts_with("/v2/") {
            true => Self::OpenInference,
            false => Self::Problem,
        }
    }

    pub fn render(self, fault: &dyn Fault) -> Response {
        self.render_with(fault, self.status(fault.kind()))
    }

    fn status(self, kind: ErrorKind) -> StatusCode {
        match self {
            Self::Mlflow => mlflow_code(kind).0,
            Self::Problem | Self::OpenInference | Self::Page => http_status(kind),
        }
    }

    /// For what HTTP tells apart and [`ErrorKind`] does not, for example 405.
    pub(crate) fn render_with(self, fault: &dyn Fault, status: StatusCode) -> Response {
        if fault.kind() == ErrorKind::Internal {
            let mut causes = Vec::new();
            let mut source = fault.source();
            while let Some(cause) = source {
                causes.push(cause.to_string());
                source = cause.source();
            }
            tracing::error!(code = fault.code(), error = %fault, ?causes, "internal error");
        }
        let message = fault.public_message();
        let mut response = match self {
            Self::Problem => problem(fault, status, &message),
            Self::Mlflow => {
                let (_, error_code) = mlflow_code(fault.kind());
                (status, Json(json!({"error_code": error_code, "message": message}))).into_response()
            }
            Self::OpenInference => (status, Json(json!({"error": message}))).into_response(),
            Self::Page => {
                (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], message).into_response()
            }
        };
        if fault.kind() == ErrorKind::Unauthenticated {
            let challenge = http::HeaderValue::from_static("Basic realm=\"loopwright\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if matches!(fault.kind(), ErrorKind::Unavailable | ErrorKind::RateLimited) {
            response.headers_mut().insert(header::RETRY_AFTER, http::HeaderValue::from_static("1"));
        }
        response
    }

    /// Says in this dialect what an extractor of axum's refused in plain text. A page is read by a person
    /// and stays as it is.
    pub(crate) async fn translate(self, response: Response) -> Response {
        let kind = match response.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ErrorKind::TooLarge,
            StatusCode::BAD_REQUEST
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY => ErrorKind::Invalid,
            _ => return response,
        };
        let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if self == Self::Page || !content_type.is_some_and(|text| text.starts_with("text/plain")) {
            return response;
        }
        let status = response.status();
        let text = axum::body::to_bytes(response.into_body(), REFUSAL_BYTES).await.unwrap_or_default();
        let message = match String::from_utf8_lossy(&text).trim() {
            "" => "the request cannot be read".to_owned(),
            text => text.to_owned(),
        };
        self.render_with(&Failure::new(kind, "web/request", message), status)
    }
}

pub fn http_status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::AlreadyExists | ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn problem(fault: &dyn Fault, status: StatusCode, message: &str) -> Response {
    let mut body = json!({
        "type": format!("urn:loopwright:error:{}", fault.code()),
        "title": fault.code(),
        "status": status.as_u16(),
        "detail": message,
    });
    if let Some(hint) = fault.hint() {
        body["hint"] = hint.into();
    }
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

/// MLflow's error codes; a client retries 429 and 5xx, so nothing the caller can mend may become one.
fn mlflow_code(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST"),
        ErrorKind::AlreadyExists => (StatusCode::BAD_REQUEST, "RESOURCE_ALREADY_EXISTS"),
        ErrorKind::Invalid | ErrorKind::Conflict => (StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE"),
        ErrorKind::Unauthenticated => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
        ErrorKind::Forbidden => (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
        ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "INVALID_PARAMETER_VALUE"),
        ErrorKind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "REQUEST_LIMIT_EXCEEDED"),
        ErrorKind::Unsupported => (StatusCode::NOT_IMPLEMENTED, "NOT_IMPLEMENTED"),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "TEMPORARILY_UNAVAILABLE"),
        ErrorKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED"),
        ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
    }
}
