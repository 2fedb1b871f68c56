//! Request bodies. Source: mlflow 3.17.2; `approval` is ours.

use platform_primitives::Timestamp;
use serde_json::{Value, json};

use crate::{Action, Entity, Subscription};

/// What every receiver gets: the event, when it happened (ISO 8601, UTC, as Python writes it), and what about.
pub(crate) fn envelope(subscription: Subscription, at: Timestamp, data: Value) -> String {
    let printed = at.to_string();
    let timestamp = format!("{}+00:00", printed.trim_end_matches('Z'));
    let body = json!({
        "entity": subscription.entity.name(),
        "action": subscription.action.name(),
        "timestamp": timestamp,
        "data": data,
    });
    body.to_string()
}

/// Data to test a webhook with: the fields of the real ones, and values that nobody takes for real.
pub(crate) fn example(subscription: Subscription) -> Value {
    let tags = || json!({"example_key": "example_value"});
    match (subscription.entity, subscription.action) {
        (Entity::RegisteredModel, _) => {
            json!({"name": "example_model", "tags": tags(), "description": "An example registered model"})
        }
        (Entity::ModelVersion, _) => json!({
            "name": "example_model",
            "version": "1",
            "source": "models:/123",
            "run_id": "abcd1234abcd5678",
            "tags": tags(),
            "description": "An example model version",
        }),
        (Entity::ModelVersionTag, action) => tag("example_model", true, action),
        (Entity::ModelVersionAlias, action) => alias("example_model", action),
        (Entity::Prompt, _) => {
            json!({"name": "example_prompt", "tags": tags(), "description": "An example prompt"})
        }
        (Entity::PromptVersion, _) => json!({
            "name": "example_prompt",
            "version": "1",
            "template": "Hello {{name}}!",
            "tags": tags(),
            "description": "An example prompt version",
        }),
        (Entity::PromptTag, action) => tag("example_prompt", false, action),
        (Entity::PromptVersionTag, action) => tag("example_prompt", true, action),
        (Entity::PromptAlias, action) => alias("example_prompt", action),
        (Entity::BudgetPolicy, _) => json!({
            "budget_policy_id": "bp-abc123",
            "budget_unit": "USD",
            "budget_amount": 100.0,
            "current_spend": 105.5,
            "duration_unit": "MONTHS",
            "duration_value": 1,
            "target_scope": "ENDPOINT",
            "target_value": "ep-abc123",
            "workspace": "default",
            "window_start": 1_704_067_200_000_i64,
        }),
        (Entity::Approval, _) => json!({
            "name": "example_model",
            "version": "1",
            "actor": "example_person",
            "reason": "an example reason",
        }),
    }
}

fn tag(name: &str, versioned: bool, action: Action) -> Value {
    let mut data = json!({"name": name});
    if versioned {
        data["version"] = "1".into();
    }
    data["key"] = "example_key".into();
    if action == Action::Set {
        data["value"] = "example_value".into();
    }
    data
}

fn alias(name: &str, action: Action) -> Value {
    let mut data = json!({"name": name, "alias": "example_alias"});
    if action == Action::Created {
        data["version"] = "1".into();
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_has_the_fields_and_the_time_format_of_upstream() {
        let subscription = Subscription::parse("model_version_alias", "deleted").unwrap();
        let at = Timestamp::parse("2019-02-01T10:30:00.250Z").unwrap();
        assert_eq!(
            envelope(subscription, at, example(subscription)),
            r#"{"entity":"model_version_alias","action":"deleted","timestamp":"2019-02-01T10:30:00.250+00:00","data":{"name":"example_model","alias":"example_alias"}}"#
        );
    }
}
