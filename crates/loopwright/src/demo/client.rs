//! A small HTTP client: JSON in, JSON out, connections kept.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::cli::CommandError;

const TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Clone)]
pub struct Client {
    url: String,
    pool: Pool<HttpConnector, Full<Bytes>>,
}

impl Client {
    pub fn new(url: &str) -> Result<Self, CommandError> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pool = Pool::builder(TokioExecutor::new()).build(connector);
        Ok(Self { url: url.to_owned(), pool })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub async fn get(&self, path: &str) -> Result<Value, CommandError> {
        let (status, body) = self.send(Method::GET, path, Bytes::new()).await?;
        answer(path, status, &body)
    }

    /// `None` when the server says 404.
    pub async fn find(&self, path: &str) -> Result<Option<Value>, CommandError> {
        let (status, body) = self.send(Method::GET, path, Bytes::new()).await?;
        if status == StatusCode::NOT_FOUND { Ok(None) } else { answer(path, status, &body).map(Some) }
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, CommandError> {
        let (status, body) = self.send(Method::POST, path, Bytes::from(body.to_string())).await?;
        answer(path, status, &body)
    }

    /// Posts text that is JSON already; the status and the body come back as they are.
    pub async fn post_text(&self, path: &str, body: String) -> Result<(StatusCode, Bytes), CommandError> {
        self.send(Method::POST, path, Bytes::from(body)).await
    }

    pub async fn download(&self, path: &str) -> Result<Bytes, CommandError> {
        let (status, body) = self.send(Method::GET, path, Bytes::new()).await?;
        if status.is_success() { Ok(body) } else { Err(refusal(path, status, &body)) }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), CommandError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let exchange = async {
            let response = self.pool.request(request).await?;
            let status = response.status();
            let bytes = response.into_body().collect().await?.to_bytes();
            Ok::<_, CommandError>((status, bytes))
        };
        let waited = tokio::time::timeout(TIMEOUT, exchange).await;
        waited.map_err(|_| format!("{path}: no answer within {} s", TIMEOUT.as_secs()))?
    }
}

fn answer(path: &str, status: StatusCode, body: &[u8]) -> Result<Value, CommandError> {
    if !status.is_success() {
        return Err(refusal(path, status, body));
    }
    Ok(serde_json::from_slice(body)?)
}

/// The server's own words where it has some.
fn refusal(path: &str, status: StatusCode, body: &[u8]) -> CommandError {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let detail = value["detail"].as_str().or(value["error"].as_str()).or(value["message"].as_str());
    match (detail, value["hint"].as_str()) {
        (Some(detail), Some(hint)) => format!("{detail} ({hint})").into(),
        (Some(detail), None) => detail.to_owned().into(),
        (None, _) => format!("{path} answered {status}").into(),
    }
}
