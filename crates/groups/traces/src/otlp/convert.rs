//! From OpenTelemetry's messages to our spans.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::message::{AnyValue, Content, EventMessage, ExportRequest, KeyValue, Resource, SpanMessage};
use crate::names::attribute;
use crate::span::{Span, SpanEvent, SpanStatus, attribute_text, mlflow_trace_id};

/// Programs that are known to send traces. Other names of services are free text of strangers and are not kept, as
/// upstream does not.
const SERVICES: [&str; 5] = ["claude-code", "codex_cli_rs", "codex_vscode", "gemini-cli", "qwen-code"];

/// All spans of a request, or what is wrong with one of them.
pub(super) fn spans(request: ExportRequest) -> Result<Vec<Span>, String> {
    let mut spans = Vec::new();
    for group in request.resource_spans {
        let service = group.resource.as_ref().and_then(service);
        for message in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let mut span = span(message)?;
            if let Some(name) = service.filter(|_| span.parent.is_none()) {
                span.set(attribute::SERVICE, &json!(name));
            }
            spans.push(span);
        }
    }
    Ok(spans)
}

fn service(resource: &Resource) -> Option<&'static str> {
    let name = resource.attributes.iter().find(|pair| pair.key == attribute::SERVICE)?;
    match name.value.as_ref()?.content.as_ref()? {
        Content::Text(name) => SERVICES.into_iter().find(|known| known == name),
        _ => None,
    }
}

fn span(message: SpanMessage) -> Result<Span, String> {
    let otel_trace_id = padded("trace_id", &message.trace_id)?;
    let id = padded("span_id", &message.span_id)?;
    let parent = match message.parent_span_id.as_slice() {
        [] => None,
        bytes => Some(padded("parent_span_id", bytes)?),
    };
    let mut attributes = Map::new();
    attributes.insert(
        attribute::TRACE_ID.to_owned(),
        Value::String(attribute_text(&json!(mlflow_trace_id(&otel_trace_id)))),
    );
    for KeyValue { key, value } in message.attributes {
        let text = attribute_text(&value.map_or(Value::Null, json_of));
        attributes.insert(key, Value::String(text));
    }
    let status = message.status.unwrap_or_default();
    let end_ns = nanoseconds("end_time_unix_nano", message.end_time_unix_nano)?;
    Ok(Span {
        otel_trace_id,
        id,
        parent,
        name: message.name.replace('\0', ""),
        start_ns: nanoseconds("start_time_unix_nano", message.start_time_unix_nano)?,
        end_ns: (end_ns != 0).then_some(end_ns),
        status: match status.code {
            1 => SpanStatus::Ok,
            2 => SpanStatus::Error,
            _ => SpanStatus::Unset,
        },
        status_message: status.message,
        attributes,
        events: message.events.into_iter().map(event).collect::<Result<_, _>>()?,
    })
}

fn event(message: EventMessage) -> Result<SpanEvent, String> {
    Ok(SpanEvent {
        name: message.name,
        time_ns: nanoseconds("time_unix_nano", message.time_unix_nano)?,
        attributes: map_of(message.attributes),
    })
}

/// An id with zeros before it where it is short.
fn padded<const N: usize>(field: &str, bytes: &[u8]) -> Result<[u8; N], String> {
    if bytes.is_empty() || bytes.len() > N {
        return Err(format!("{field} has {} bytes, expected {N}", bytes.len()));
    }
    let mut id = [0; N];
    id[N - bytes.len()..].copy_from_slice(bytes);
    Ok(id)
}

fn nanoseconds(field: &str, value: u64) -> Result<i64, String> {
    i64::try_from(value).map_err(|_| format!("{field} {value} is out of range"))
}

fn map_of(pairs: Vec<KeyValue>) -> Map<String, Value> {
    pairs.into_iter().map(|pair| (pair.key, pair.value.map_or(Value::Null, json_of))).collect()
}

fn json_of(value: AnyValue) -> Value {
    match value.content {
        None => Value::Null,
        Some(Content::Text(text)) => Value::String(text),
        Some(Content::Bool(value)) => Value::Bool(value),
        Some(Content::Int(value)) => json!(value),
        // JSON has no NaN and no infinities: their names stand for them.
        Some(Content::Double(value)) if !value.is_finite() => Value::String(value.to_string()),
        Some(Content::Double(value)) => json!(value),
        Some(Content::Array(list)) => list.values.into_iter().map(json_of).collect(),
        Some(Content::Map(pairs)) => Value::Object(map_of(pairs.values)),
        Some(Content::Bytes(bytes)) => Value::String(STANDARD.encode(bytes)),
    }
}
