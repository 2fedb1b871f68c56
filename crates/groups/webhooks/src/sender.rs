//! One HTTP request to a receiver, and nothing that could lead it elsewhere: no redirects, no proxies, no kept
//! connections.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use platform_primitives::Timestamp;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};

use crate::WebhookError;
use crate::address::AddressGuard;
use crate::delivery::{Outcome, retry_after_ms};
use crate::signature::sign;
use crate::target;

const SIGNATURE: &str = "X-MLflow-Signature";
const DELIVERY_ID: &str = "X-MLflow-Delivery-Id";
const TIMESTAMP: &str = "X-MLflow-Timestamp";
/// From look-up to the last byte of the answer; upstream's default.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// More of an answer's body is not read.
const MOST_ANSWER_BYTES: usize = 16 * 1024;

pub(crate) struct Parcel<'a> {
    pub url: &'a str,
    /// Unsigned without one.
    pub secret: Option<&'a str>,
    pub delivery_id: &'a str,
    pub body: &'a str,
    /// Of this attempt. Receivers refuse old requests by it, so it is not that of the first.
    pub now: Timestamp,
}

pub(crate) struct Reply {
    pub outcome: Outcome,
    /// The beginning of what the receiver said.
    pub body: String,
}

impl Reply {
    pub(crate) fn without_answer(outcome: Outcome) -> Self {
        Self { outcome, body: String::new() }
    }
}

#[derive(Clone)]
pub(crate) struct Sender {
    guard: AddressGuard,
    /// Or why there is none: a machine without CA certificates starts the server all the same.
    client: Result<Client, Arc<str>>,
}

impl Sender {
    pub(crate) fn new(guard: AddressGuard) -> Self {
        // An error says that the process has a provider already, and that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .dns_resolver(guard.clone())
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .pool_max_idle_per_host(0)
            .timeout(ANSWER_WITHIN)
            .user_agent(concat!("loopwright/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Arc::from(chain(&error)));
        Self { guard, client }
    }

    /// What a person wants to point a webhook at: refused now rather than at every delivery.
    pub(crate) async fn check_url(&self, url: &str) -> Result<(), WebhookError> {
        target::check_host(&self.guard, &target::parse(url)?).await
    }

    pub(crate) async fn post(&self, parcel: Parcel<'_>) -> Reply {
        let now = parcel.now;
        match self.send(parcel).await {
            Ok(response) => read(response, now).await,
            Err(outcome) => Reply::without_answer(outcome),
        }
    }

    async fn send(&self, parcel: Parcel<'_>) -> Result<Response, Outcome> {
        let unreachable = |cause: String| Outcome::Unreachable { cause };
        let refused = |error: WebhookError| Outcome::Refused { cause: error.to_string() };
        let url = target::parse(parcel.url).map_err(refused)?;
        match target::check_host(&self.guard, &url).await {
            Ok(()) => {}
            // A name server that does not answer may do so later.
            Err(error @ WebhookError::Unresolved { .. }) => return Err(unreachable(error.to_string())),
            Err(error) => return Err(refused(error)),
        }
        let client = self.client.as_ref().map_err(|cause| unreachable(cause.to_string()))?;
        let unix_seconds = parcel.now.as_millis() / 1_000;
        let mut request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(DELIVERY_ID, parcel.delivery_id)
            .header(TIMESTAMP, unix_seconds.to_string())
            .body(parcel.body.to_owned());
        if let Some(secret) = parcel.secret {
            request = request.header(SIGNATURE, sign(secret, parcel.delivery_id, unix_seconds, parcel.body));
        }
        // Paths of receivers often are secrets themselves.
        request.send().await.map_err(|error| unreachable(chain(&error.without_url())))
    }
}

/// The status counts; a body that breaks off changes nothing about it.
async fn read(mut response: Response, now: Timestamp) -> Reply {
    let status = response.status().as_u16();
    let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after_ms = asked.and_then(|text| retry_after_ms(text, now));
    let mut bytes = Vec::new();
    while bytes.len() < MOST_ANSWER_BYTES {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    bytes.truncate(MOST_ANSWER_BYTES);
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Reply { outcome: Outcome::Answered { status, retry_after_ms }, body }
}

/// The message with every cause behind it: alone it says only that sending failed.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
