//! Model cards as JSON: what changes between two, and what a decision adds. Pure.

use serde::Serialize;
use serde_json::{Value, json};

use crate::RegistryError;
use crate::model::{Approval, Decision, ModelVersion};

/// What people say of a model; the rest of a card is recorded.
pub(crate) const QUESTIONS: [&str; 5] =
    ["intended_use", "limits", "owner", "ethical_considerations", "contact"];
/// Without these the evidence `card` is missing.
pub(crate) const NEEDED: [&str; 3] = ["intended_use", "limits", "owner"];
const MAX_ANSWER_CHARS: usize = 20_000;

/// Texts under the names of [`QUESTIONS`], and nothing else.
pub(crate) fn check_fields(fields: &Value) -> Result<(), RegistryError> {
    let Value::Object(fields) = fields else {
        return Err(RegistryError::Card("expected an object of texts".to_owned()));
    };
    for (key, value) in fields {
        if !QUESTIONS.contains(&key.as_str()) {
            let known = QUESTIONS.join(", ");
            return Err(RegistryError::Card(format!("unknown field {key:?}, expected one of {known}")));
        }
        match value.as_str() {
            Some(text) if text.chars().count() <= MAX_ANSWER_CHARS && !text.contains('\0') => {}
            _ => {
                let rule = format!("{key} is a text of at most {MAX_ANSWER_CHARS} characters");
                return Err(RegistryError::Card(rule));
            }
        }
    }
    Ok(())
}

/// The model's answers, with those of the version over them.
pub(crate) fn answers(model: Option<Value>, version: Option<Value>) -> Value {
    let mut merged = json!({});
    for fields in [model, version].into_iter().flatten() {
        if let Value::Object(fields) = fields {
            for (key, value) in fields {
                merged[key] = value;
            }
        }
    }
    merged
}

pub(crate) fn with_gate(mut card: Value, gate: &Decision) -> Value {
    card["gate"] = json!({"outcome": gate.outcome, "reason": gate.reason, "at": gate.at,
        "checks": gate.evidence["checks"], "policy_digest": gate.evidence["policy_digest"]});
    card
}

/// Where the version stands after the decision.
pub(crate) fn with_state(mut card: Value, version: &ModelVersion) -> Value {
    card["state"] = json!(version.state);
    card["manifest"] = json!(version.manifest);
    card
}

pub(crate) fn with_approvals(mut card: Value, approvals: &[Approval]) -> Value {
    card["approvals"] = json!(approvals);
    card
}

/// A place in which two cards differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Keys joined by dots; places in lists in brackets.
    pub path: String,
    pub before: Value,
    pub after: Value,
}

/// Every leaf that differs, by the order of the first card, then what only the second has.
pub(crate) fn diff(before: &Value, after: &Value) -> Vec<Difference> {
    let mut differences = Vec::new();
    collect("", before, after, &mut differences);
    differences
}

fn collect(path: &str, before: &Value, after: &Value, differences: &mut Vec<Difference>) {
    match (before, after) {
        (Value::Object(left), Value::Object(right)) => {
            let inner = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            for (key, value) in left {
                collect(&inner(key), value, right.get(key).unwrap_or(&Value::Null), differences);
            }
            for (key, value) in right.iter().filter(|(key, _)| !left.contains_key(*key)) {
                collect(&inner(key), &Value::Null, value, differences);
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            for place in 0..left.len().max(right.len()) {
                let of = |list: &[Value]| list.get(place).cloned().unwrap_or(Value::Null);
                collect(&format!("{path}[{place}]"), &of(left), &of(right), differences);
            }
        }
        _ if before == after => {}
        _ => {
            let (before, after) = (before.clone(), after.clone());
            differences.push(Difference { path: path.to_owned(), before, after });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_its_place() {
        let before = json!({"a": 1, "b": {"c": [1, 2]}, "gone": "x"});
        let after = json!({"a": 1, "b": {"c": [1, 3, 4]}, "new": true});
        let found = diff(&before, &after);
        let paths: Vec<&str> = found.iter().map(|difference| difference.path.as_str()).collect();
        assert_eq!(paths, ["b.c[1]", "b.c[2]", "gone", "new"]);
        assert!(diff(&before, &before).is_empty());
    }

    #[test]
    fn only_known_questions_are_answered() {
        assert!(check_fields(&json!({"owner": "Risk"})).is_ok());
        let refused = check_fields(&json!({"ovner": "Risk"})).unwrap_err().to_string();
        assert!(refused.contains("ovner") && refused.contains("intended_use"), "{refused}");
        assert!(check_fields(&json!({"owner": 1})).is_err());
    }
}
