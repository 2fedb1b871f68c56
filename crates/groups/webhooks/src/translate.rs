//! From the registry's events to those that webhooks know. Kinds not listed are told to nobody.
//!
//! The kinds are the registry's, which no other group links to: the event log is the contract.

use platform_events::Event;
use serde_json::{Map, Value, json};

use crate::{Action, Entity, Subscription};

/// Tags that make a registered model a prompt; receivers are told of prompts, not of how they are kept.
const PROMPT_MARKS: [&str; 2] = ["mlflow.prompt.is_prompt", "_mlflow_prompt_type"];
/// The tag in which a prompt's version keeps its text.
const PROMPT_TEXT: &str = "mlflow.prompt.text";

/// What receivers are told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Notice {
    pub subscription: Subscription,
    pub data: Value,
}

/// An event says one thing, or two: who is promoted takes over from another.
pub(crate) fn notices(event: &Event) -> Vec<Notice> {
    let prompt = event.payload.get("prompt").and_then(Value::as_bool).unwrap_or(false);
    let pick = |plain: Entity, of_prompt: Entity| if prompt { of_prompt } else { plain };
    match event.kind.as_str() {
        "registry.model_created" => {
            let data = json!({
                "name": name(event),
                "tags": tags(event, prompt),
                "description": event.text("description"),
            });
            told(pick(Entity::RegisteredModel, Entity::Prompt), Action::Created, data)
        }
        "registry.version_registered" if prompt => {
            told(Entity::PromptVersion, Action::Created, prompt_version(event))
        }
        "registry.version_registered" => told(Entity::ModelVersion, Action::Created, model_version(event)),
        // Upstream tells of the tags of prompts, never of those of models.
        "registry.model_tag_set" if prompt => told(Entity::PromptTag, Action::Set, tag(event, true)),
        "registry.model_tag_deleted" if prompt => told(Entity::PromptTag, Action::Deleted, tag(event, false)),
        "registry.version_tag_set" => {
            told(pick(Entity::ModelVersionTag, Entity::PromptVersionTag), Action::Set, tag(event, true))
        }
        "registry.version_tag_deleted" => {
            told(pick(Entity::ModelVersionTag, Entity::PromptVersionTag), Action::Deleted, tag(event, false))
        }
        "registry.alias_set" => {
            let data = json!({
                "name": name(event),
                "alias": event.text("alias"),
                "version": number(event.payload.get("version")),
            });
            told(pick(Entity::ModelVersionAlias, Entity::PromptAlias), Action::Created, data)
        }
        "registry.alias_deleted" => {
            let data = json!({"name": name(event), "alias": event.text("alias")});
            told(pick(Entity::ModelVersionAlias, Entity::PromptAlias), Action::Deleted, data)
        }
        "registry.gate_passed" => approval(event, Action::Requested),
        "registry.approved" => approval(event, Action::Granted),
        "registry.rejected" => approval(event, Action::Rejected),
        "registry.rolled_back" => approval(event, Action::RolledBack),
        "registry.promoted" => {
            let mut both = approval(event, Action::Promoted);
            both.extend(retirement(event));
            both
        }
        _ => Vec::new(),
    }
}

fn told(entity: Entity, action: Action, data: Value) -> Vec<Notice> {
    vec![Notice { subscription: Subscription { entity, action }, data }]
}

fn model_version(event: &Event) -> Value {
    json!({
        "name": name(event),
        "version": version(event),
        "source": event.text("source"),
        "run_id": text_or_null(event.text("run_id")),
        "tags": tags(event, false),
        "description": text_or_null(event.text("description")),
    })
}

fn prompt_version(event: &Event) -> Value {
    let mut tags = tags(event, true);
    let template = tags.remove(PROMPT_TEXT).unwrap_or(Value::Null);
    json!({
        "name": name(event),
        "version": version(event),
        "template": template,
        "tags": tags,
        "description": text_or_null(event.text("description")),
    })
}

/// A tag of a version where the subject is one, else of a model.
fn tag(event: &Event, with_value: bool) -> Value {
    let mut data = json!({"name": name(event)});
    if subject(event).1.is_some() {
        data["version"] = version(event);
    }
    data["key"] = event.text("key").into();
    if with_value {
        data["value"] = event.text("value").into();
    }
    data
}

fn approval(event: &Event, action: Action) -> Vec<Notice> {
    let data = json!({
        "name": name(event),
        "version": version(event),
        "actor": event.actor,
        "reason": event.text("reason"),
    });
    told(Entity::Approval, action, data)
}

/// The version that a promoted one took over from.
fn retirement(event: &Event) -> Vec<Notice> {
    let before = number(event.payload.get("before"));
    if before.is_null() || before == version(event) {
        return Vec::new();
    }
    let data = json!({
        "name": name(event),
        "version": before,
        "actor": event.actor,
        "reason": event.text("reason"),
    });
    told(Entity::Approval, Action::Retired, data)
}

/// The model's name and, of `model_version:NAME/N`, the number.
fn subject(event: &Event) -> (&str, Option<&str>) {
    if let Some(name) = event.subject.strip_prefix("model:") {
        return (name, None);
    }
    let rest = event.subject.strip_prefix("model_version:").unwrap_or(&event.subject);
    // The number stands behind the last slash; a workspace may stand before the name.
    rest.rsplit_once('/').map_or((rest, None), |(name, version)| (name, Some(version)))
}

fn name(event: &Event) -> &str {
    subject(event).0
}

fn version(event: &Event) -> Value {
    text_or_null(subject(event).1.unwrap_or_default())
}

/// Versions are text on MLflow's wire.
fn number(value: Option<&Value>) -> Value {
    match value {
        Some(Value::Number(number)) => number.to_string().into(),
        Some(Value::String(text)) => text_or_null(text),
        _ => Value::Null,
    }
}

fn text_or_null(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

fn tags(event: &Event, of_prompt: bool) -> Map<String, Value> {
    let tags = event.payload.get("tags").and_then(Value::as_object).cloned().unwrap_or_default();
    let kept = |key: &str| !of_prompt || !PROMPT_MARKS.contains(&key);
    tags.into_iter().filter(|(key, _)| kept(key)).collect()
}

#[cfg(test)]
mod tests {
    use platform_primitives::Timestamp;

    use super::*;

    fn event(kind: &str, subject: &str, payload: Value) -> Event {
        Event {
            seq: 1,
            at: Timestamp::from_millis(0),
            actor: "omar".to_owned(),
            kind: kind.to_owned(),
            project: String::new(),
            subject: subject.to_owned(),
            cause: None,
            payload,
        }
    }

    /// What a receiver is told, as `entity.action` and data.
    fn told_of(kind: &str, subject: &str, payload: Value) -> Vec<(String, Value)> {
        let told = notices(&event(kind, subject, payload)).into_iter();
        told.map(|Notice { subscription, data }| {
            // Only what can be subscribed to is told.
            Subscription::new(subscription.entity, subscription.action).unwrap();
            (format!("{}.{}", subscription.entity.name(), subscription.action.name()), data)
        })
        .collect()
    }

    #[test]
    fn models_and_versions() {
        let table = [
            (
                ("registry.model_created", "model:m"),
                json!({"name": "m", "description": "d", "tags": {"k": "v"}}),
                ("registered_model.created", json!({"name": "m", "tags": {"k": "v"}, "description": "d"})),
            ),
            (
                ("registry.version_registered", "model_version:m/2"),
                json!({"name": "m", "version": 2, "source": "models:/m-1", "run_id": "", "description": "",
                    "tags": {}, "run": "r", "state": "registered"}),
                (
                    "model_version.created",
                    json!({"name": "m", "version": "2", "source": "models:/m-1", "run_id": null, "tags": {},
                        "description": null}),
                ),
            ),
            (
                ("registry.version_tag_set", "model_version:m/2"),
                json!({"key": "k", "value": ""}),
                ("model_version_tag.set", json!({"name": "m", "version": "2", "key": "k", "value": ""})),
            ),
            (
                ("registry.version_tag_deleted", "model_version:m/2"),
                json!({"key": "k", "value": null}),
                ("model_version_tag.deleted", json!({"name": "m", "version": "2", "key": "k"})),
            ),
            (
                ("registry.alias_set", "model:m"),
                json!({"alias": "a", "version": 3}),
                ("model_version_alias.created", json!({"name": "m", "alias": "a", "version": "3"})),
            ),
            (
                ("registry.alias_deleted", "model:m"),
                json!({"alias": "a", "version": null}),
                ("model_version_alias.deleted", json!({"name": "m", "alias": "a"})),
            ),
            (
                ("registry.approved", "model_version:m/2"),
                json!({"before": "awaiting_approval", "after": "approved", "reason": "fine"}),
                ("approval.granted", json!({"name": "m", "version": "2", "actor": "omar", "reason": "fine"})),
            ),
        ];
        for ((kind, subject), payload, (name, data)) in table {
            assert_eq!(told_of(kind, subject, payload), [(name.to_owned(), data)], "{kind}");
        }
    }

    #[test]
    fn prompts_are_told_without_the_tags_that_make_them_one() {
        let marks = json!({"mlflow.prompt.is_prompt": "true", "_mlflow_prompt_type": "text", "k": "v"});
        let payload = json!({"name": "p", "description": "", "tags": marks, "prompt": true});
        let expected = json!({"name": "p", "tags": {"k": "v"}, "description": ""});
        let told = told_of("registry.model_created", "model:p", payload);
        assert_eq!(told, [("prompt.created".to_owned(), expected)]);

        let mut tags = marks;
        tags["mlflow.prompt.text"] = "Hello {{name}}".into();
        let payload = json!({"description": "d", "tags": tags, "prompt": true});
        let expected = json!({"name": "p", "version": "1", "template": "Hello {{name}}", "tags": {"k": "v"},
            "description": "d"});
        let told = told_of("registry.version_registered", "model_version:p/1", payload);
        assert_eq!(told, [("prompt_version.created".to_owned(), expected)]);

        let table = [
            ("registry.model_tag_set", "model:p", "prompt_tag.set"),
            ("registry.model_tag_deleted", "model:p", "prompt_tag.deleted"),
            ("registry.version_tag_set", "model_version:p/1", "prompt_version_tag.set"),
            ("registry.version_tag_deleted", "model_version:p/1", "prompt_version_tag.deleted"),
            ("registry.alias_set", "model:p", "prompt_alias.created"),
            ("registry.alias_deleted", "model:p", "prompt_alias.deleted"),
        ];
        for (kind, subject, expected) in table {
            let told = told_of(kind, subject, json!({"prompt": true, "key": "k", "alias": "a"}));
            assert_eq!(told.len(), 1, "{kind}");
            assert_eq!(told[0].0, expected, "{kind}");
        }
    }

    #[test]
    fn a_promotion_retires_the_one_before() {
        let names = |before: Value| {
            let payload = json!({"before": before, "after": 2, "reason": "better"});
            let told = told_of("registry.promoted", "model_version:m/2", payload);
            told.into_iter().map(|(name, data)| (name, data["version"].clone())).collect::<Vec<_>>()
        };
        let promoted = ("approval.promoted".to_owned(), json!("2"));
        assert_eq!(names(Value::Null), std::slice::from_ref(&promoted));
        assert_eq!(names(json!(2)), std::slice::from_ref(&promoted));
        assert_eq!(names(json!(1)), [promoted, ("approval.retired".to_owned(), json!("1"))]);
    }

    #[test]
    fn the_rest_is_told_to_nobody() {
        for kind in [
            "registry.model_tag_set",
            "registry.model_changed",
            "registry.gate_refused",
            "registry.alias_moved",
            "jobs.failed",
            "webhooks.created",
        ] {
            assert!(notices(&event(kind, "model:m", json!({"key": "k"}))).is_empty(), "{kind}");
        }
    }
}
