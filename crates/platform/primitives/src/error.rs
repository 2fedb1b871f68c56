//! What can go wrong, without any protocol's words for it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The closed set of failures. Each surface maps it to its own wire form exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    NotFound,
    AlreadyExists,
    Invalid,
    Conflict,
    Unauthenticated,
    Forbidden,
    TooLarge,
    RateLimited,
    Unsupported,
    Unavailable,
    Timeout,
    Internal,
}

/// An error that a surface can render: a kind, a stable code and a message for the reader.
///
/// The `Display` of an internal fault may hold details of this machine; surfaces show
/// [`Fault::public_message`] instead.
pub trait Fault: std::error::Error + Send + Sync + 'static {
    fn kind(&self) -> ErrorKind;
    /// Stable and unique, `group/what-happened`.
    fn code(&self) -> &'static str;
    /// The next step for the reader, where there is one.
    fn hint(&self) -> Option<String> {
        None
    }
    fn public_message(&self) -> String {
        match self.kind() {
            ErrorKind::Internal => "internal error; the server's log has the cause".to_owned(),
            _ => self.to_string(),
        }
    }
}

/// A fault that crossed a port: one group's error as another group sees it.
#[derive(Debug, Clone)]
pub struct Failure {
    kind: ErrorKind,
    code: &'static str,
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind, code, message: message.into(), hint: None }
    }

    pub fn of(fault: &dyn Fault) -> Self {
        Self { kind: fault.kind(), code: fault.code(), message: chain(fault), hint: fault.hint() }
    }
}

/// The message with every cause behind it, so that none is dropped on the way through a port.
fn chain(fault: &dyn Fault) -> String {
    let mut text = fault.to_string();
    let mut source = fault.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Fault for Failure {
    fn kind(&self) -> ErrorKind {
        self.kind
    }
    fn code(&self) -> &'static str {
        self.code
    }
    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}
