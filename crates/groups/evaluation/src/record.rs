//! Records of an evaluation data set: how one is checked, told apart from others and merged, and the schema they give.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::EvaluationError;

/// A record that a client sent.
pub(crate) struct NewRecord {
    pub input_hash: String,
    pub fields: Map<String, Value>,
}

const OBJECTS: [&str; 3] = ["expectations", "tags", "source"];

/// Reads a list of records; what is wrong is told with the record's number.
pub(crate) fn parse(text: &str) -> Result<Vec<NewRecord>, EvaluationError> {
    let wrong = |value: String, rule: String| EvaluationError::invalid("records", value, rule);
    let list: Vec<Value> = serde_json::from_str(text)
        .map_err(|error| wrong(text.to_owned(), format!("expected a JSON list of records: {error}")))?;
    list.into_iter()
        .enumerate()
        .map(|(place, value)| {
            let shown = value.to_string();
            let Value::Object(mut fields) = value else {
                return Err(wrong(shown, format!("record {place} is not an object")));
            };
            let inputs = fields.entry("inputs").or_insert_with(|| json!({}));
            if !inputs.is_object() {
                return Err(wrong(shown, format!("'inputs' of record {place} is not an object")));
            }
            let input_hash = hex(&Sha256::digest(sorted(inputs).to_string()));
            for field in OBJECTS {
                if fields.get(field).is_some_and(|value| !value.is_object() && !value.is_null()) {
                    return Err(wrong(shown, format!("'{field}' of record {place} is not an object")));
                }
            }
            Ok(NewRecord { input_hash, fields })
        })
        .collect()
}

/// The same value with the keys of its objects in order: equal values give equal texts.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, Value> =
                fields.iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(fields.into_iter().map(|(key, value)| (key.clone(), value)).collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Who logged a record, as its tags say.
pub(crate) fn user(fields: &Map<String, Value>) -> Option<String> {
    Some(fields.get("tags")?.get("mlflow.user")?.as_str()?.to_owned())
}

/// The fields a record keeps when it is new.
pub(crate) fn body(fields: Map<String, Value>) -> Map<String, Value> {
    let user = user(&fields);
    let known = ["inputs", "outputs", "expectations", "tags", "source"];
    let mut body: Map<String, Value> =
        fields.into_iter().filter(|(key, value)| known.contains(&key.as_str()) && !value.is_null()).collect();
    if let Some(user) = user {
        body.insert("created_by".to_owned(), user.clone().into());
        body.insert("last_updated_by".to_owned(), user.into());
    }
    body
}

/// Outputs are replaced; expectations and tags are added to those that are there.
pub(crate) fn merge(body: &mut Map<String, Value>, fields: Map<String, Value>) {
    if let Some(user) = user(&fields) {
        body.insert("last_updated_by".to_owned(), user.into());
    }
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("outputs", Value::Null) => drop(body.remove("outputs")),
            ("outputs", outputs) => drop(body.insert(key, outputs)),
            ("expectations" | "tags", Value::Object(more)) => match body.get_mut(&key) {
                Some(Value::Object(own)) => own.extend(more),
                _ => drop(body.insert(key, Value::Object(more))),
            },
            _ => {}
        }
    }
}

/// The first type that each field was seen with; fields are never taken back.
pub(crate) fn extend_schema(schema: &mut Option<Value>, fields: &Map<String, Value>) {
    let schema = schema
        .get_or_insert_with(|| json!({"inputs": {}, "outputs": {}, "expectations": {}, "version": "1.0"}));
    for part in ["inputs", "outputs", "expectations"] {
        match (fields.get(part), &mut schema[part]) {
            (Some(Value::Object(values)), Value::Object(own)) => {
                for (key, value) in values {
                    own.entry(key.clone()).or_insert_with(|| kind(value).into());
                }
            }
            (Some(value), own)
                if part == "outputs" && !value.is_null() && own.as_object().is_some_and(Map::is_empty) =>
            {
                *own = kind(value).into();
            }
            _ => {}
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_inputs_in_another_order_are_the_same_record() {
        let records = parse(
            r#"[{"inputs": {"a": {"x": 1, "y": 2}, "b": 2}}, {"inputs": {"b": 2, "a": {"y": 2, "x": 1}}}]"#,
        )
        .unwrap();
        assert_eq!(records[0].input_hash, records[1].input_hash);
        assert!(parse(r#"[{"inputs": 3}]"#).is_err());
        assert!(parse(r#"[{"inputs": {}, "tags": []}]"#).is_err());
        assert!(parse("{}").is_err());
    }

    #[test]
    fn a_record_that_comes_again_is_merged() {
        let mut records = parse(
            r#"[{"inputs": {}, "expectations": {"a": 1}, "outputs": "x"},
                {"inputs": {}, "expectations": {"b": 2.5}, "outputs": null}]"#,
        )
        .unwrap();
        let (second, first) = (records.pop().unwrap(), records.pop().unwrap());
        let mut schema = None;
        extend_schema(&mut schema, &first.fields);
        extend_schema(&mut schema, &second.fields);
        let mut merged = body(first.fields);
        merge(&mut merged, second.fields);
        assert_eq!(Value::Object(merged), json!({"inputs": {}, "expectations": {"a": 1, "b": 2.5}}));
        let schema = schema.unwrap();
        assert_eq!(schema["expectations"], json!({"a": "integer", "b": "float"}));
        assert_eq!(schema["outputs"], "string");
    }
}
