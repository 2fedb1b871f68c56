//! Requests to an MLflow server: JSON and files, tried again while the server is busy.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use url::Url;

use crate::cli::CommandError;

/// MLflow's own client tries as often.
const TRIES: u32 = 7;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A page of a long history takes MLflow seconds.
const SILENCE: Duration = Duration::from_secs(120);
/// As much of a refusal is shown.
const SHOWN_CHARS: usize = 300;

/// One request: path segments, query, and a body for POST.
pub struct Ask<'a> {
    pub path: Vec<&'a str>,
    pub query: Vec<(&'a str, String)>,
    pub body: Option<Value>,
}

impl<'a> Ask<'a> {
    /// `path` is cut at its slashes.
    pub fn get(path: &'a str) -> Self {
        Self { path: path.split('/').collect(), query: Vec::new(), body: None }
    }

    pub fn post(path: &'a str, body: Value) -> Self {
        Self { body: Some(body), ..Self::get(path) }
    }

    /// Behind the path: data, of which each part is quoted.
    pub fn under(mut self, data: &'a str) -> Self {
        self.path.extend(data.split('/'));
        self
    }

    pub fn with(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }
}

enum Credentials {
    None,
    Basic { user: String, password: String },
    Token(String),
}

impl Credentials {
    /// The variables of MLflow's own client.
    fn from_environment() -> Self {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(user) = read("MLFLOW_TRACKING_USERNAME") {
            return Self::Basic { user, password: read("MLFLOW_TRACKING_PASSWORD").unwrap_or_default() };
        }
        read("MLFLOW_TRACKING_TOKEN").map_or(Self::None, Self::Token)
    }
}

pub struct Server {
    address: Url,
    client: Client,
    credentials: Credentials,
}

/// Why an exchange failed, and whether another try may succeed.
enum Failed {
    Now { why: String, wait: Option<Duration> },
    Always(CommandError),
}

impl Server {
    pub fn new(address: &str) -> Result<Self, CommandError> {
        let address = Url::parse(address).map_err(|error| format!("{address:?} is no address: {error}"))?;
        // An error says that the process has a provider already, and that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(SILENCE)
            .user_agent(concat!("loopwright/", env!("CARGO_PKG_VERSION")));
        if matches!(address.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            builder = builder.no_proxy();
        }
        Ok(Self { address, client: builder.build()?, credentials: Credentials::from_environment() })
    }

    fn request(&self, ask: &Ask<'_>) -> Result<RequestBuilder, CommandError> {
        let mut url = self.address.clone();
        url.path_segments_mut()
            .map_err(|()| format!("{} has no paths", self.address))?
            .pop_if_empty()
            .extend(&ask.path);
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&ask.query);
        }
        let request = match &ask.body {
            Some(body) => {
                self.client.post(url).header("Content-Type", "application/json").body(body.to_string())
            }
            None => self.client.get(url),
        };
        Ok(match &self.credentials {
            Credentials::None => request,
            Credentials::Basic { user, password } => request.basic_auth(user, Some(password)),
            Credentials::Token(token) => request.bearer_auth(token),
        })
    }

    /// The answer as JSON; `None` for 404.
    pub async fn find(&self, ask: &Ask<'_>) -> Result<Option<Value>, CommandError> {
        let mut patience = Patience::default();
        loop {
            match self.try_json(ask).await {
                Ok(found) => return Ok(found),
                Err(failed) => patience.wait(failed).await?,
            }
        }
    }

    /// The answer as JSON.
    pub async fn json(&self, ask: &Ask<'_>) -> Result<Value, CommandError> {
        let missing = || format!("{} answered 404: is it an MLflow tracking server?", self.shown(ask));
        self.find(ask).await?.ok_or_else(|| missing().into())
    }

    async fn try_json(&self, ask: &Ask<'_>) -> Result<Option<Value>, Failed> {
        let response = self.exchange(ask).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let passing = |error: reqwest::Error| Failed::Now { why: chain(&error), wait: None };
        let bytes = response.bytes().await.map_err(passing)?;
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            Failed::Always(format!("{} answered something else than JSON: {error}", self.shown(ask)).into())
        })?;
        Ok(Some(value))
    }

    /// A body to be read as it comes.
    pub async fn open(&self, ask: &Ask<'_>) -> Result<Response, CommandError> {
        let mut patience = Patience::default();
        loop {
            match self.exchange(ask).await {
                Ok(response) if response.status() == StatusCode::NOT_FOUND => {
                    return Err(format!("{} answered 404", self.shown(ask)).into());
                }
                Ok(response) => return Ok(response),
                Err(failed) => patience.wait(failed).await?,
            }
        }
    }

    /// A success or a 404.
    async fn exchange(&self, ask: &Ask<'_>) -> Result<Response, Failed> {
        let request = self.request(ask).map_err(Failed::Always)?;
        let unreachable = |error: reqwest::Error| Failed::Now { why: chain(&error), wait: None };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() || status == StatusCode::NOT_FOUND {
            return Ok(response);
        }
        let wait = asked_wait(&response);
        let body = response.text().await.unwrap_or_default();
        let why = format!("{} answered {status}: {}", self.shown(ask), words(&body));
        let busy = status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT
            || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED);
        Err(if busy { Failed::Now { why, wait } } else { Failed::Always(why.into()) })
    }

    fn shown(&self, ask: &Ask<'_>) -> String {
        format!("{}/{}", self.address.as_str().trim_end_matches('/'), ask.path.join("/"))
    }
}

/// Waits twice as long after every failure, or as long as the server asks for.
struct Patience {
    tried: u32,
    next: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { tried: 0, next: FIRST_WAIT }
    }
}

impl Patience {
    async fn wait(&mut self, failed: Failed) -> Result<(), CommandError> {
        self.tried += 1;
        match failed {
            Failed::Always(error) => Err(error),
            Failed::Now { why, .. } if self.tried >= TRIES => Err(why.into()),
            Failed::Now { why, wait } => {
                tracing::warn!(why, tried = self.tried, "the source is asked again");
                tokio::time::sleep(wait.unwrap_or(self.next).min(LONGEST_WAIT)).await;
                self.next *= 2;
                Ok(())
            }
        }
    }
}

/// `Retry-After` in seconds.
fn asked_wait(response: &Response) -> Option<Duration> {
    let text = response.headers().get("Retry-After")?.to_str().ok()?;
    text.parse().ok().map(Duration::from_secs)
}

/// The server's own words where it has some.
fn words(body: &str) -> String {
    let value: Value = serde_json::from_str(body).unwrap_or_default();
    let text = value["message"].as_str().unwrap_or(body);
    text.chars().take(SHOWN_CHARS).collect()
}

/// The message with every cause behind it: alone it says only that sending failed.
pub fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
