//! Our records as MLflow's JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::wire;
use crate::assessment::{Assessment, Verdict};
use crate::json::{dumped, loaded};
use crate::model::Trace;
use crate::service::FullTrace;

// Upstream cuts what it answers to these lengths.
const MAX_KEY_CHARS: usize = 250;
const MAX_METADATA_CHARS: usize = 250;
const MAX_TAG_CHARS: usize = 4_096;

fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

fn map(texts: &BTreeMap<String, String>, most: usize) -> Map<String, Value> {
    texts
        .iter()
        .map(|(key, value)| (cut(key, MAX_KEY_CHARS).to_owned(), Value::from(cut(value, most))))
        .collect()
}

fn pairs(texts: &BTreeMap<String, String>, most: usize) -> Vec<Value> {
    texts
        .iter()
        .map(|(key, value)| json!({"key": cut(key, MAX_KEY_CHARS), "value": cut(value, most)}))
        .collect()
}

/// `TraceInfoV3`.
pub(super) fn trace(trace: &Trace) -> Value {
    let mut answer = json!({
        "trace_id": trace.trace_id,
        "trace_location": {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": trace.experiment_id},
        },
        "request_time": wire::time(trace.request),
        "state": trace.state.name(),
        "trace_metadata": map(&trace.metadata, MAX_METADATA_CHARS),
        "tags": map(&trace.tags, MAX_TAG_CHARS),
    });
    for (key, value) in [
        ("client_request_id", &trace.client_request_id),
        ("request_preview", &trace.request_preview),
        ("response_preview", &trace.response_preview),
    ] {
        if let Some(value) = value {
            answer[key] = json!(value);
        }
    }
    if let Some(ms) = trace.duration_ms {
        answer["execution_duration"] = json!(wire::duration(ms));
    }
    if !trace.assessments.is_empty() {
        answer["assessments"] = trace.assessments.iter().map(assessment).collect();
    }
    answer
}

/// `TraceInfo` of the second version; a trace that runs has taken no time yet.
pub(super) fn trace_v2(trace: &Trace) -> Value {
    json!({
        "request_id": trace.trace_id,
        "experiment_id": trace.experiment_id,
        "timestamp_ms": trace.request,
        "execution_time_ms": trace.duration_ms.unwrap_or(0),
        "status": wire::status(trace.state),
        "request_metadata": pairs(&trace.metadata, MAX_METADATA_CHARS),
        "tags": pairs(&trace.tags, MAX_TAG_CHARS),
    })
}

pub(super) fn full_trace(full: &FullTrace) -> Value {
    json!({
        "trace_info": trace(&full.trace),
        "spans": full.spans.iter().map(span).collect::<Vec<_>>(),
    })
}

/// A span's content as OpenTelemetry's message.
fn span(content: &Value) -> Value {
    let mut answer = Map::new();
    for key in ["trace_id", "span_id", "parent_span_id", "name", "start_time_unix_nano", "end_time_unix_nano"]
    {
        if let Some(value) = content.get(key).filter(|value| !value.is_null()) {
            answer.insert(key.to_owned(), value.clone());
        }
    }
    let attributes = content.get("attributes").and_then(Value::as_object);
    let of_span = |value: &Value| value.as_str().map_or_else(|| value.clone(), loaded);
    answer.insert("attributes".to_owned(), key_values(attributes, of_span));
    let events = content.get("events").and_then(Value::as_array).into_iter().flatten();
    answer.insert("events".to_owned(), events.map(event).collect());
    let mut status = Map::new();
    let said = content.get("status");
    if let Some(code) = said.and_then(|status| status.get("code")).and_then(Value::as_str)
        && code != "STATUS_CODE_UNSET"
    {
        status.insert("code".to_owned(), json!(code));
    }
    if let Some(text) = said.and_then(|status| status.get("message")).and_then(Value::as_str)
        && !text.is_empty()
    {
        status.insert("message".to_owned(), json!(text));
    }
    answer.insert("status".to_owned(), Value::Object(status));
    Value::Object(answer)
}

fn event(content: &Value) -> Value {
    let attributes = content.get("attributes").and_then(Value::as_object);
    json!({
        "name": content.get("name"),
        "time_unix_nano": content.get("time_unix_nano"),
        "attributes": key_values(attributes, Value::clone),
    })
}

fn key_values(attributes: Option<&Map<String, Value>>, read: impl Fn(&Value) -> Value) -> Value {
    let entry = |(key, value): (&String, &Value)| match any_value(&read(value)) {
        Some(value) => json!({"key": key, "value": value}),
        None => json!({"key": key}),
    };
    attributes.into_iter().flatten().map(entry).collect()
}

/// OpenTelemetry's `AnyValue`; null is one that is not set.
fn any_value(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => json!({"bool_value": value}),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => json!({"int_value": whole}),
            None => json!({"double_value": number}),
        },
        Value::String(text) => json!({"string_value": text}),
        Value::Array(list) => {
            let values: Vec<Value> =
                list.iter().map(|value| any_value(value).unwrap_or_else(|| json!({}))).collect();
            json!({"array_value": {"values": values}})
        }
        Value::Object(map) => json!({"kvlist_value": {"values": key_values(Some(map), Value::clone)}}),
    })
}

pub(super) fn assessment(assessment: &Assessment) -> Value {
    let mut answer = json!({
        "assessment_id": assessment.assessment_id,
        "assessment_name": assessment.name,
        "trace_id": assessment.trace_id,
        "source": {"source_type": assessment.source_type.name(), "source_id": assessment.source_id},
        "create_time": wire::time(assessment.created),
        "last_update_time": wire::time(assessment.updated),
        "valid": assessment.valid,
    });
    match &assessment.verdict {
        Verdict::Feedback { value, failure } => {
            answer["feedback"] = json!({"value": value});
            if let Some(failure) = failure {
                answer["feedback"]["error"] = json!(failure);
            }
        }
        // Protobuf has a form for plain values and one for the rest.
        Verdict::Expectation { value: value @ (Value::Array(_) | Value::Object(_)) } => {
            let serialized = json!({"serialization_format": "JSON_FORMAT", "value": dumped(value)});
            answer["expectation"] = json!({"serialized_value": serialized});
        }
        Verdict::Expectation { value } => answer["expectation"] = json!({"value": value}),
        Verdict::Issue { issue_name } => answer["issue"] = json!({"issue_name": issue_name}),
    }
    for (key, value) in [
        ("span_id", &assessment.span_id),
        ("rationale", &assessment.rationale),
        ("overrides", &assessment.overrides),
    ] {
        if let Some(value) = value {
            answer[key] = json!(value);
        }
    }
    if !assessment.metadata.is_empty() {
        answer["metadata"] = json!(assessment.metadata);
    }
    answer
}
