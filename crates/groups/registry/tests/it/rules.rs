//! Tags and aliases, what only decisions write, and approvals that end.

use std::collections::BTreeMap;

use group_registry::{ForeignVersion, RegisteredModel, RegistryError, Stage, VersionState, kinds};
use platform_events::EventFilter;
use serde_json::{Value, json};

use crate::{MODEL, PROJECT, Server, digest, servers};
use platform_testkit::http::escaped;

fn tag(key: &str, value: &str) -> Value {
    json!({"name": MODEL, "version": "1", "key": key, "value": value})
}

#[tokio::test]
async fn tags_and_aliases_are_checked() {
    let long = "k".repeat(251);
    let huge = "x".repeat(100_001);
    for server in servers().await {
        let engine = server.engine();
        server.create_model(MODEL, json!([])).await;
        server.register(MODEL).await;
        let cases = [
            ("a key", "x", 200, ""),
            ("empty", "", 200, ""),
            (long.as_str(), "x", 400, "'key' exceeds the maximum length of 250 characters"),
            ("k", huge.as_str(), 400, "'value' exceeds the maximum length of 100000 characters"),
            ("../k", "x", 400, "Invalid value"),
            ("k$", "x", 400, "Invalid value"),
            ("", "x", 400, "Invalid value"),
            ("loopwright.approval", "approved", 403, "written by decisions only"),
        ];
        for (key, value, status, message) in cases {
            for path in ["/registered-models/set-tag", "/model-versions/set-tag"] {
                let answer = server.mlflow("POST", path, tag(key, value)).await;
                assert_eq!(answer.status, status, "{engine:?} {path} {key}: {answer:?}");
                assert!(answer.body.contains(message), "{engine:?} {path} {key}: {answer:?}");
            }
        }
        for (key, status) in [("never set", 200), ("empty", 200), ("loopwright.state", 403)] {
            for path in ["/registered-models/delete-tag", "/model-versions/delete-tag"] {
                let answer = server.mlflow("DELETE", path, tag(key, "")).await;
                assert_eq!(answer.status, status, "{engine:?} {path} {key}: {answer:?}");
            }
        }
        let forged = json!([{"key": "loopwright.approval", "value": "approved"}]);
        let model = json!({"name": "forged", "tags": forged});
        let version = json!({"name": MODEL, "source": "s3://b/c", "tags": forged});
        for (path, body) in [("/registered-models/create", model), ("/model-versions/create", version)] {
            assert_eq!(server.mlflow("POST", path, body).await.status, 403, "{engine:?} {path}");
        }

        let alias = |alias: &str, version: &str| json!({"name": MODEL, "alias": alias, "version": version});
        let cases = [
            ("POST", alias("Best", "1"), 200, ""),
            ("POST", alias("best", "9"), 404, "not found"),
            ("POST", alias("best", "x"), 400, "must be an integer"),
            ("POST", alias("LATEST", "1"), 400, "reserved"),
            ("POST", alias("V3", "1"), 400, "reserved"),
            ("POST", alias("a b", "1"), 400, "Invalid alias name"),
            ("POST", alias("", "1"), 400, "cannot be empty"),
            ("DELETE", alias("never-set", "1"), 200, ""),
        ];
        for (method, body, status, message) in cases {
            let answer = server.mlflow(method, "/registered-models/alias", body.clone()).await;
            assert_eq!(answer.status, status, "{engine:?} {method} {body}: {answer:?}");
            assert!(answer.body.contains(message), "{engine:?} {method} {body}: {answer:?}");
        }
        for (alias, status, message) in [
            ("Best", 200, "\"version\":\"1\""),
            ("latest", 200, "\"version\":\"1\""),
            ("best", 400, "Registered model alias best not found."),
        ] {
            let path = format!("/registered-models/alias?name={MODEL}&alias={}", escaped(alias));
            let answer = server.mlflow("GET", &path, Value::Null).await;
            assert_eq!(answer.status, status, "{engine:?} {alias}: {answer:?}");
            assert!(
                answer.body.replace(": ", ":").contains(&message.replace(": ", ":")),
                "{alias}: {answer:?}"
            );
        }
    }
}

impl Server {
    /// Payloads of the events of one kind, oldest first.
    async fn payloads(&self, kind: &str) -> Vec<Value> {
        let filter = EventFilter { kind_prefix: Some(kind.to_owned()), ..EventFilter::default() };
        let events = self.test.events.list(filter, 0, 100).await.unwrap();
        events.into_iter().map(|event| event.payload).collect()
    }

    async fn decided_tags(&self, version: i64) -> Vec<(String, String)> {
        let path = format!("/model-versions/get?name={MODEL}&version={version}");
        let found = self.mlflow("GET", &path, Value::Null).await.json();
        let text = |tag: &Value, key: &str| tag[key].as_str().unwrap().to_owned();
        let tags = found["model_version"]["tags"].as_array().unwrap().iter();
        tags.map(|tag| (text(tag, "key"), text(tag, "value"))).collect()
    }
}

#[tokio::test]
async fn every_change_is_told_with_what_changed() {
    for server in servers().await {
        let engine = server.engine();
        let is_prompt = json!([{"key": "mlflow.prompt.is_prompt", "value": "true"}]);
        for (name, tags, prompt) in [(MODEL, json!([]), false), ("greeting", is_prompt, true)] {
            server.create_model(name, tags).await;
            let key = json!({"name": name, "version": "1", "key": "k", "value": "v", "alias": "best"});
            let version = json!({"name": name, "source": "s3://b/c", "run_id": "r", "description": "d",
                "tags": [{"key": "team", "value": "taxi"}]});
            let calls = [
                ("POST", "/model-versions/create", version),
                ("POST", "/registered-models/set-tag", key.clone()),
                ("DELETE", "/registered-models/delete-tag", key.clone()),
                ("POST", "/model-versions/set-tag", key.clone()),
                ("DELETE", "/model-versions/delete-tag", key.clone()),
                ("POST", "/registered-models/alias", key.clone()),
                ("DELETE", "/registered-models/alias", key.clone()),
            ];
            for (method, path, body) in calls {
                let answer = server.mlflow(method, path, body).await;
                assert_eq!(answer.status, 200, "{engine:?} {path}: {answer:?}");
            }
            let registered = json!({"name": name, "version": 1, "source": "s3://b/c", "run_id": "r",
                "description": "d", "tags": {"team": "taxi"}, "prompt": prompt});
            let expected = [
                (kinds::MODEL_CREATED, json!({"name": name, "description": "", "prompt": prompt})),
                (kinds::VERSION_REGISTERED, registered),
                (kinds::MODEL_TAG_SET, json!({"name": name, "key": "k", "value": "v", "prompt": prompt})),
                (kinds::MODEL_TAG_DELETED, json!({"name": name, "key": "k", "prompt": prompt})),
                (
                    kinds::VERSION_TAG_SET,
                    json!({"name": name, "version": 1, "key": "k", "value": "v", "prompt": prompt}),
                ),
                (
                    kinds::VERSION_TAG_DELETED,
                    json!({"name": name, "version": 1, "key": "k", "prompt": prompt}),
                ),
                (kinds::ALIAS_SET, json!({"name": name, "alias": "best", "version": 1, "prompt": prompt})),
                (
                    kinds::ALIAS_DELETED,
                    json!({"name": name, "alias": "best", "version": 1, "prompt": prompt}),
                ),
            ];
            for (kind, fields) in expected {
                let told = server.payloads(kind).await.pop().unwrap();
                for (field, value) in fields.as_object().unwrap() {
                    assert_eq!(told[field], *value, "{engine:?} {kind} {field}: {told}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_was_imported_is_told_once() {
    for server in servers().await {
        let engine = server.engine();
        let now = server.test.events.now();
        let model = RegisteredModel {
            name: "line".to_owned(),
            description: "a line".to_owned(),
            project: String::new(),
            created: now,
            updated: now,
            tags: BTreeMap::new(),
            aliases: BTreeMap::new(),
        };
        let version = ForeignVersion {
            model: "line".to_owned(),
            version: 3,
            stage: Stage::Staging,
            source: "s3://b/c".to_owned(),
            run_id: String::new(),
            run_link: String::new(),
            logged_model_id: String::new(),
            description: String::new(),
            author: String::new(),
            created: now,
            updated: now,
            tags: BTreeMap::new(),
            aliases: vec!["best".to_owned()],
        };
        for new in [true, false] {
            assert_eq!(server.registry.import_model("ada", model.clone()).await.unwrap(), new, "{engine:?}");
            let imported = server.registry.import_version("ada", version.clone()).await.unwrap();
            assert_eq!(imported, new, "{engine:?}");
        }
        let filter = EventFilter { kind_prefix: Some("registry.".to_owned()), ..EventFilter::default() };
        let events = server.test.events.list(filter, 0, 100).await.unwrap();
        let told: Vec<_> = events
            .iter()
            .map(|event| (event.kind.as_str(), event.subject.as_str(), event.actor.as_str()))
            .collect();
        let expected = [
            (kinds::MODEL_IMPORTED, "model:line", "ada"),
            (kinds::VERSION_IMPORTED, "model_version:line/3", "ada"),
        ];
        assert_eq!(told, expected, "{engine:?}");
    }
}

#[tokio::test]
async fn decisions_show_as_tags_that_a_copy_does_not_carry() {
    for server in servers().await {
        let engine = server.engine();
        server.registry.claim_model("platform:loops", MODEL, PROJECT).await.unwrap();
        let approved = server.approved().await;
        server.register(MODEL).await;
        server.gate(2, true).await;
        let no = server.decide(&server.omar, 2, "reject", json!({"reason": "holidays are missing"})).await;
        assert_eq!(no.status, 200, "{engine:?}: {no:?}");
        server.register(MODEL).await;
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        for (version, expected) in [
            (1, vec![pair("loopwright.state", "approved"), pair("loopwright.approval", "approved")]),
            (2, vec![pair("loopwright.state", "rejected"), pair("loopwright.approval", "rejected")]),
            (3, vec![]),
        ] {
            assert_eq!(server.decided_tags(version).await, expected, "{engine:?} {version}");
        }
        let copy = json!({"name": MODEL, "source": format!("models:/{MODEL}/{approved}"),
            "tags": [{"key": "loopwright.approval", "value": "approved"}, {"key": "team", "value": "taxi"}]});
        assert_eq!(server.mlflow("POST", "/model-versions/create", copy).await.status, 200, "{engine:?}");
        assert_eq!(server.decided_tags(4).await, [pair("team", "taxi")], "{engine:?}");
        assert_eq!(server.state(4).await, VersionState::Registered, "{engine:?}");
    }
}

#[tokio::test]
async fn an_approval_that_is_over_promotes_nothing_until_it_is_given_again() {
    for server in servers().await {
        let engine = server.engine();
        server.registry.claim_model("platform:loops", MODEL, PROJECT).await.unwrap();
        server.register(MODEL).await;
        server.gate(1, true).await;
        let now = server.test.events.now();
        let past = json!({"reason": "looks right", "expires_at": now.as_millis()});
        let refused = server.decide(&server.omar, 1, "approve", past).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "registry/invalid"), "{engine:?}");

        let ends = now.plus_millis(60_000);
        let yes = json!({"reason": "looks right", "digest": digest(1), "expires_at": ends.as_millis()});
        let given = server.decide(&server.omar, 1, "approve", yes).await;
        assert_eq!(given.json()["approval_expires"], json!(ends.as_millis()), "{engine:?}: {given:?}");
        server.test.clock.advance_millis(60_000);
        let late = server.registry.promote(MODEL, 1, "surely better", Value::Null).await;
        let Err(error @ RegistryError::ApprovalExpired { .. }) = late else {
            panic!("{engine:?}: {late:?}");
        };
        for time in [ends, server.test.events.now()] {
            assert!(error.to_string().contains(&time.to_string()), "{engine:?}: {error}");
        }
        let stage = json!({"name": MODEL, "version": "1", "stage": "Production"});
        let answer = server.mlflow("POST", "/model-versions/transition-stage", stage).await;
        assert_eq!(answer.status, 400, "{engine:?}: {answer:?}");
        assert_eq!(
            (server.state(1).await, server.champion().await),
            (VersionState::Approved, None),
            "{engine:?}"
        );

        let again = server.decide(&server.omar, 1, "approve", json!({"reason": "still right"})).await;
        assert_eq!(again.json()["approval_expires"], Value::Null, "{engine:?}: {again:?}");
        server.promote(1).await;
        assert_eq!(server.champion().await, Some(1), "{engine:?}");
    }
}
