//! Asking the server's own routes, without a connection.

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Extensions, Method, Request, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt;

use crate::edge::Identity;
use crate::mlflow::Asked;
use crate::routes::Surface;

/// A larger answer is none.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// The routes of some surfaces, asked as the caller of a request that is being answered: permissions are checked where they always
/// are, and its workspace is theirs.
#[derive(Clone)]
pub struct Inside {
    router: Router,
}

impl Inside {
    pub fn of(surfaces: &[Surface]) -> Self {
        let merged =
            surfaces.iter().fold(Router::new(), |router, surface| router.merge(surface.router.clone()));
        Self { router: merged }
    }

    /// `caller` are the extensions of the request that is being answered.
    pub async fn ask(
        &self,
        caller: &Extensions,
        method: Method,
        uri: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let failed =
            |message: String| (StatusCode::INTERNAL_SERVER_ERROR, serde_json::json!({"message": message}));
        let bytes = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request =
            Request::builder().method(method).uri(uri).header(header::CONTENT_TYPE, "application/json");
        let mut request = match request.body(bytes) {
            Ok(request) => request,
            Err(error) => return failed(error.to_string()),
        };
        if let Some(identity) = caller.get::<Identity>() {
            request.extensions_mut().insert(identity.clone());
        }
        if let Some(asked) = caller.get::<Asked>() {
            request.extensions_mut().insert(asked.clone());
        }
        let response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status();
        match to_bytes(response.into_body(), ANSWER_BYTES).await {
            Ok(bytes) => (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)),
            Err(error) => failed(error.to_string()),
        }
    }
}
