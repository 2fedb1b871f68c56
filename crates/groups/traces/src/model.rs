use std::collections::BTreeMap;

use platform_primitives::Timestamp;

use crate::TraceError;
use crate::assessment::Assessment;
use crate::names::{metadata, tag};
use crate::span::SpanStatus;

const MAX_ID_CHARS: usize = 250;
const MAX_KEY_CHARS: usize = 250;
const MAX_VALUE_CHARS: usize = 8_000;
/// The last millisecond of the year 9999, which is as far as the protocol's times go.
const MAX_MS: i64 = 253_402_300_799_999;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceState {
    Unspecified,
    InProgress,
    Ok,
    Error,
}

impl TraceState {
    pub const ALL: [Self; 4] = [Self::Unspecified, Self::InProgress, Self::Ok, Self::Error];

    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "STATE_UNSPECIFIED",
            Self::InProgress => "IN_PROGRESS",
            Self::Ok => "OK",
            Self::Error => "ERROR",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// The state once a root span has come: a trace that has ended stays as it ended.
    pub(crate) fn after_root(self, root: SpanStatus) -> Self {
        match (self, root) {
            (Self::Ok | Self::Error, _) => self,
            (_, SpanStatus::Error) => Self::Error,
            (_, SpanStatus::Ok | SpanStatus::Unset) => Self::Ok,
        }
    }
}

/// What is known of a trace besides its spans.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    pub trace_id: String,
    pub experiment_id: String,
    pub client_request_id: Option<String>,
    pub request_preview: Option<String>,
    pub response_preview: Option<String>,
    pub request: Timestamp,
    pub duration_ms: Option<i64>,
    pub state: TraceState,
    pub metadata: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    pub assessments: Vec<Assessment>,
}

impl Trace {
    pub fn new(trace_id: impl Into<String>, experiment_id: impl Into<String>, request: Timestamp) -> Self {
        Self {
            trace_id: trace_id.into(),
            experiment_id: experiment_id.into(),
            client_request_id: None,
            request_preview: None,
            response_preview: None,
            request,
            duration_ms: None,
            state: TraceState::InProgress,
            metadata: BTreeMap::new(),
            tags: BTreeMap::new(),
            assessments: Vec::new(),
        }
    }

    /// Where the trace's files are below the artifact proxy's root.
    pub(crate) fn artifact_folder(&self) -> String {
        format!("{}/traces/{}/artifacts", self.experiment_id, self.trace_id)
    }

    pub(crate) fn artifact_location(&self) -> String {
        format!("mlflow-artifacts:/{}", self.artifact_folder())
    }

    pub(crate) fn has_stored_spans(&self) -> bool {
        self.tags.get(tag::SPANS_LOCATION).is_some_and(|location| location == tag::IN_DATABASE)
    }

    /// How many spans the client said it sends; 0 when it said nothing.
    pub(crate) fn expected_spans(&self) -> usize {
        let stats = self.metadata.get(metadata::SIZE_STATS).map(|text| crate::json::loaded(text));
        let count =
            stats.as_ref().and_then(|stats| stats.get("num_spans")).and_then(serde_json::Value::as_u64);
        usize::try_from(count.unwrap_or(0)).unwrap_or(usize::MAX)
    }

    /// What the database can hold and a client may say.
    pub(crate) fn check(&mut self) -> Result<(), TraceError> {
        check_trace_id(&self.trace_id)?;
        if self.experiment_id.is_empty() {
            return Err(TraceError::Missing { field: "experiment_id" });
        }
        for (field, ms) in
            [("request_time", self.request.as_millis()), ("duration", self.duration_ms.unwrap_or(0))]
        {
            if !(-MAX_MS..=MAX_MS).contains(&ms) {
                return Err(TraceError::invalid(field, ms.to_string(), "it is out of range"));
            }
        }
        for key in self.tags.keys().chain(self.metadata.keys()) {
            check_key_length(key)?;
        }
        for value in self.tags.values_mut().chain(self.metadata.values_mut()) {
            shorten(value);
        }
        Ok(())
    }
}

pub(crate) fn check_trace_id(trace_id: &str) -> Result<(), TraceError> {
    if trace_id.is_empty() {
        return Err(TraceError::Missing { field: "trace_id" });
    }
    if trace_id.chars().count() > MAX_ID_CHARS || trace_id.contains("..") {
        let rule = format!("expected at most {MAX_ID_CHARS} characters without '..'");
        return Err(TraceError::invalid("trace_id", trace_id, rule));
    }
    Ok(())
}

fn check_key_length(key: &str) -> Result<(), TraceError> {
    if key.chars().count() > MAX_KEY_CHARS {
        let rule = format!("exceeds the maximum length of {MAX_KEY_CHARS} characters");
        return Err(TraceError::invalid("key", key, rule));
    }
    Ok(())
}

/// A tag that is set by itself follows the rules for names, as upstream's does.
pub(crate) fn check_tag(key: &str, value: &mut String) -> Result<(), TraceError> {
    let known = |c: char| c.is_alphanumeric() || "_/.- :".contains(c);
    let is_path = key.split('/').any(|part| matches!(part, "" | "." | ".."));
    if key.is_empty() || !key.chars().all(known) || is_path {
        let rule =
            "names may only contain letters, digits, _ / . - : and blanks, and no empty or relative path";
        return Err(TraceError::invalid("key", key, rule));
    }
    check_key_length(key)?;
    shorten(value);
    Ok(())
}

/// Longer values are cut and not refused: a trace is worth more than the end of one of its tags.
fn shorten(value: &mut String) {
    if let Some((end, _)) = value.char_indices().nth(MAX_VALUE_CHARS) {
        value.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_ends_once() {
        use TraceState::{Error, InProgress, Ok, Unspecified};
        for (from, root, to) in [
            (InProgress, SpanStatus::Unset, Ok),
            (InProgress, SpanStatus::Error, Error),
            (Unspecified, SpanStatus::Ok, Ok),
            (Ok, SpanStatus::Error, Ok),
            (Error, SpanStatus::Ok, Error),
        ] {
            assert_eq!(from.after_root(root), to, "{from:?} {root:?}");
        }
        for state in TraceState::ALL {
            assert_eq!(TraceState::parse(state.name()), Some(state));
        }
    }

    #[test]
    fn tag_names_are_checked_and_long_values_cut() {
        for key in ["", "a\nb", "/x", "a/../b", &"k".repeat(251)] {
            assert!(check_tag(key, &mut String::new()).is_err(), "{key:?}");
        }
        let mut value = "ü".repeat(9_000);
        check_tag("mlflow.trace name/a:b", &mut value).unwrap();
        assert_eq!(value.chars().count(), 8_000);
    }
}
