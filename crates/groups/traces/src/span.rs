//! Spans, and their content as MLflow's clients store and load it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::json::{dumped, loaded};
use crate::names::attribute;

pub(crate) const TRACE_ID_BYTES: usize = 16;
pub(crate) const SPAN_ID_BYTES: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanStatus {
    Unset,
    Ok,
    Error,
}

impl SpanStatus {
    /// As filters name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unset => "UNSET",
            Self::Ok => "OK",
            Self::Error => "ERROR",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SpanEvent {
    pub name: String,
    pub time_ns: i64,
    pub attributes: Map<String, Value>,
}

/// A span as it came. Attribute values are JSON texts, because that is how clients keep them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Span {
    pub otel_trace_id: [u8; TRACE_ID_BYTES],
    pub id: [u8; SPAN_ID_BYTES],
    pub parent: Option<[u8; SPAN_ID_BYTES]>,
    pub name: String,
    pub start_ns: i64,
    /// Absent while the span runs.
    pub end_ns: Option<i64>,
    pub status: SpanStatus,
    pub status_message: String,
    pub attributes: Map<String, Value>,
    pub events: Vec<SpanEvent>,
}

impl Span {
    /// The trace's id in MLflow: what the span says of it, else OpenTelemetry's id with a prefix.
    pub fn trace_id(&self) -> String {
        self.text(attribute::TRACE_ID).unwrap_or_else(|| mlflow_trace_id(&self.otel_trace_id))
    }

    pub fn span_id(&self) -> String {
        hex(&self.id)
    }

    pub fn parent_span_id(&self) -> Option<String> {
        self.parent.as_ref().map(|id| hex(id))
    }

    /// An attribute's JSON text.
    pub fn raw(&self, key: &str) -> Option<&str> {
        self.attributes.get(key).and_then(Value::as_str)
    }

    pub fn value(&self, key: &str) -> Option<Value> {
        self.raw(key).map(loaded)
    }

    /// An attribute that is a text and not empty.
    pub fn text(&self, key: &str) -> Option<String> {
        match self.value(key) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The numbers that an attribute holds under the given keys.
    pub fn numbers(&self, key: &str, names: &[&'static str]) -> Vec<(&'static str, f64)> {
        // An object may have been dumped twice.
        let value = match self.value(key) {
            Some(Value::String(text)) => loaded(&text),
            Some(value) => value,
            None => return Vec::new(),
        };
        let number = |name: &&'static str| Some((*name, value.get(*name)?.as_f64()?));
        names.iter().filter_map(number).collect()
    }

    pub fn set(&mut self, key: &str, value: &Value) {
        self.attributes.insert(key.to_owned(), Value::String(dumped(value)));
    }

    /// The span as a file of spans and a search of texts see it.
    pub fn content(&self) -> Value {
        let events: Vec<Value> = self
            .events
            .iter()
            .map(|event| {
                json!({"name": event.name, "time_unix_nano": event.time_ns, "attributes": event.attributes})
            })
            .collect();
        json!({
            "trace_id": STANDARD.encode(self.otel_trace_id),
            "span_id": STANDARD.encode(self.id),
            "parent_span_id": self.parent.map(|id| STANDARD.encode(id)),
            "name": self.name,
            "start_time_unix_nano": self.start_ns,
            "end_time_unix_nano": self.end_ns,
            "events": events,
            "status": {
                "code": format!("STATUS_CODE_{}", self.status.name()),
                "message": self.status_message,
            },
            "attributes": self.attributes,
        })
    }
}

pub(crate) fn mlflow_trace_id(otel_trace_id: &[u8; TRACE_ID_BYTES]) -> String {
    format!("tr-{}", hex(otel_trace_id))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The JSON text of an attribute that a client may have dumped before: one layer of text around a text, a list or an
/// object is taken off. Numbers stay as they are, for `"1"` is not 1.
pub(crate) fn attribute_text(value: &Value) -> String {
    if let Value::String(inner) = value {
        let nested = serde_json::from_str::<Value>(inner);
        if matches!(nested, Ok(Value::String(_) | Value::Array(_) | Value::Object(_))) {
            return inner.clone();
        }
    }
    dumped(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_dumped_once() {
        for (value, text) in [
            (json!("apple"), r#""apple""#),
            (json!(r#""apple""#), r#""apple""#),
            (json!(r#"{"a":1}"#), r#"{"a":1}"#),
            (json!("1"), r#""1""#),
            (json!(5), "5"),
            (json!({"a": 1}), r#"{"a": 1}"#),
        ] {
            assert_eq!(attribute_text(&value), text);
        }
    }
}
