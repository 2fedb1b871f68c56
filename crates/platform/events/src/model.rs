use platform_db::DbError;
use platform_primitives::{ErrorKind, Fault, Timestamp};
use serde::Serialize;
use serde_json::Value;

/// A fact as it was recorded.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    pub seq: i64,
    pub at: Timestamp,
    /// Who: a person, a token or a part of the platform.
    pub actor: String,
    /// What, `group.past_tense`.
    pub kind: String,
    pub project: String,
    /// On which object, `noun:name`.
    pub subject: String,
    /// The event that led to this one.
    pub cause: Option<i64>,
    pub payload: Value,
}

impl Event {
    pub fn text(&self, key: &str) -> &str {
        self.payload.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

#[derive(Debug, Clone)]
pub struct NewEvent {
    pub actor: String,
    pub kind: &'static str,
    pub project: String,
    pub subject: String,
    pub cause: Option<i64>,
    pub payload: Value,
}

impl NewEvent {
    pub fn new(kind: &'static str, actor: impl Into<String>, subject: impl Into<String>) -> Self {
        Self {
            actor: actor.into(),
            kind,
            project: String::new(),
            subject: subject.into(),
            cause: None,
            payload: Value::Null,
        }
    }

    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.project = project.into();
        self
    }

    pub fn cause(mut self, cause: Option<i64>) -> Self {
        self.cause = cause;
        self
    }

    pub fn payload(mut self, payload: Value) -> Self {
        self.payload = payload;
        self
    }
}

/// Which events of the log to read.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    pub project: Option<String>,
    pub subject: Option<String>,
    /// Kinds that start with this text, for example `loops.`.
    pub kind_prefix: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum EventError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("event {seq} holds a payload that is not JSON")]
    Payload { seq: i64 },
}

impl Fault for EventError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Db(error) => error.kind(),
            Self::Payload { .. } => ErrorKind::Internal,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Db(error) => error.code(),
            Self::Payload { .. } => "events/payload",
        }
    }
}
