//! MLflow's registry protocol: stages, sources, searches, tags, aliases and times.

use serde_json::{Value, json};

use crate::{MODEL, PROJECT, Server, servers};
use platform_testkit::http::{Answer, escaped};

impl Server {
    async fn created(&self, body: Value) -> Answer {
        self.mlflow("POST", "/model-versions/create", body).await
    }

    async fn version(&self, model: &str, version: i64) -> Value {
        let path = format!("/model-versions/get?name={}&version={version}", escaped(model));
        let answer = self.mlflow("GET", &path, Value::Null).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["model_version"].clone()
    }

    async fn model(&self, name: &str) -> Value {
        let path = format!("/registered-models/get?name={}", escaped(name));
        self.mlflow("GET", &path, Value::Null).await.json()["registered_model"].clone()
    }

    async fn put_in(&self, model: &str, version: i64, stage: &str, archive: bool) -> Answer {
        let body = json!({"name": model, "version": version.to_string(), "stage": stage,
            "archive_existing_versions": archive});
        self.mlflow("POST", "/model-versions/transition-stage", body).await
    }

    /// The names, or `NAME/VERSION`s, on every page of a search.
    async fn pages(&self, path: &str, query: &str, most: usize) -> Vec<Vec<String>> {
        let (mut pages, mut token) = (Vec::new(), String::new());
        loop {
            let path = format!("{path}?{query}&max_results={most}&page_token={}", escaped(&token));
            let answer = self.mlflow("GET", &path, Value::Null).await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            let page = answer.json();
            let rows = page.get("registered_models").or_else(|| page.get("model_versions")).unwrap();
            pages.push(rows.as_array().unwrap().iter().map(label).collect());
            match page["next_page_token"].as_str() {
                Some(next) => token = next.to_owned(),
                None => return pages,
            }
        }
    }
}

fn label(row: &Value) -> String {
    let name = row["name"].as_str().unwrap();
    match row["version"].as_str() {
        Some(version) => format!("{name}/{version}"),
        None => name.to_owned(),
    }
}

#[tokio::test]
async fn stages_are_free_where_nobody_decides() {
    for server in servers().await {
        let engine = server.engine();
        server.create_model("free", json!([])).await;
        for (version, stage) in [
            (1, "Archived"),
            (2, "production"),
            (3, "ARCHIVED"),
            (4, "Production"),
            (5, "Staging"),
            (6, "None"),
        ] {
            server.register("free").await;
            assert_eq!(server.version("free", version).await["current_stage"], json!("None"), "{engine:?}");
            let moved = server.put_in("free", version, stage, false).await;
            assert_eq!(moved.status, 200, "{engine:?} {version} {stage}: {moved:?}");
        }
        let cases: &[(&[&str], &[&str])] = &[
            (&[], &["free/6", "free/5", "free/4", "free/3"]),
            (&["Staging"], &["free/5"]),
            (&["none", "Production"], &["free/6", "free/4"]),
        ];
        for (stages, expected) in cases {
            let body = json!({"name": "free", "stages": stages});
            let path = "/registered-models/get-latest-versions";
            let posted = server.mlflow("POST", path, body).await.json();
            let query: Vec<String> = stages.iter().map(|stage| format!("&stages={stage}")).collect();
            let asked = format!("{path}?name=free{}", query.concat());
            assert_eq!(
                server.mlflow("GET", &asked, Value::Null).await.json(),
                posted,
                "{engine:?} {stages:?}"
            );
            let found: Vec<String> = posted["model_versions"].as_array().unwrap().iter().map(label).collect();
            assert_eq!(found, *expected, "{engine:?} {stages:?}");
        }
        let moved = server.put_in("free", 5, "Production", true).await;
        assert_eq!(moved.json()["model_version"]["current_stage"], json!("Production"), "{engine:?}");
        for version in [2, 4] {
            assert_eq!(
                server.version("free", version).await["current_stage"],
                json!("Archived"),
                "{engine:?}"
            );
        }
        for (version, stage, archive, status) in [
            (1, "Live", false, 400),
            (1, "None", true, 400),
            (1, "Archived", true, 400),
            (9, "Staging", false, 404),
        ] {
            let refused = server.put_in("free", version, stage, archive).await;
            assert_eq!(refused.status, status, "{engine:?} {version} {stage}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn production_of_a_claimed_model_needs_an_approval() {
    for server in servers().await {
        let engine = server.engine();
        server.registry.claim_model("platform:loops", MODEL, PROJECT).await.unwrap();
        server.register(MODEL).await;
        for stage in ["Staging", "Archived", "None"] {
            assert_eq!(server.put_in(MODEL, 1, stage, false).await.status, 200, "{engine:?} {stage}");
        }
        for gated in [false, true] {
            if gated {
                server.gate(1, true).await;
            }
            let refused = server.put_in(MODEL, 1, "Production", false).await;
            assert_eq!(refused.status, 403, "{engine:?} {gated}: {refused:?}");
            assert!(refused.body.contains("needs an approval"), "{engine:?}: {refused:?}");
        }
        let approved = server.approved().await;
        assert_eq!(server.put_in(MODEL, approved, "Production", true).await.status, 200, "{engine:?}");
        server.promote(approved).await;
        let next = server.approved().await;
        server.promote(next).await;
        assert_eq!(server.version(MODEL, approved).await["current_stage"], json!("Archived"), "{engine:?}");
        assert_eq!(server.version(MODEL, next).await["current_stage"], json!("Production"), "{engine:?}");

        // A free model whose version a gate looked at is decided on too.
        server.create_model("other", json!([])).await;
        server.register("other").await;
        let reason = "mae 2.1 on 400 rows";
        server.registry.record_gate("other", 1, false, "d", reason, Value::Null).await.unwrap();
        assert_eq!(server.put_in("other", 1, "Production", false).await.status, 403, "{engine:?}");
    }
}

#[tokio::test]
async fn sources_are_checked_before_a_number_is_given() {
    let local = "To use a local path as a model version";
    let relative = "If supplying a source as an http, https,";
    let prompt = json!([{"key": "mlflow.prompt.is_prompt", "value": "true"}]);
    let taken: &[(Value, &str)] = &[
        (json!({"source": "mlflow-artifacts:/models///"}), "mlflow-artifacts:/models///"),
        (json!({"source": "s3://bucket/model", "run_link": "https://ci/7"}), "s3://bucket/model"),
        (json!({"source": "models:/demand/1"}), "mlflow-artifacts:/models///"),
        (json!({"source": "models:/demand/3"}), "mlflow-artifacts:/models///"),
        (json!({"source": "prompt-template", "tags": prompt}), "prompt-template"),
    ];
    let refused = [
        (json!({"source": "/tmp"}), local),
        (json!({"source": "file:///tmp", "run_id": "run-7"}), local),
        (json!({"source": "file:///path", "model_id": "m-01"}), local),
        (json!({"source": "file://123.456.789.123/path", "run_id": "run-7"}), "is not a valid remote uri"),
        (json!({"source": "https://host/api/../../"}), relative),
        (json!({"source": "mlflow-artifacts://host:9000/models/..%2f..%2fartifacts"}), relative),
        (json!({"source": "file:///etc/passwd", "tags": prompt}), "Invalid prompt source"),
        (json!({"source": "models:/demand/9"}), "not found"),
        (json!({"source": ""}), "Missing value for required parameter 'source'"),
        (json!({}), "Missing value for required parameter 'source'"),
    ];
    for server in servers().await {
        let engine = server.engine();
        server.create_model(MODEL, json!([])).await;
        let named = |body: &Value| {
            let mut body = body.clone();
            body["name"] = json!(MODEL);
            body
        };
        for (number, (body, location)) in (1..).zip(taken) {
            let answer = server.created(named(body)).await;
            assert_eq!(answer.status, 200, "{engine:?} {body}: {answer:?}");
            let version = answer.json()["model_version"].clone();
            assert_eq!(version["version"], json!(format!("{number}")), "{engine:?} {body}");
            assert_eq!(version["source"], body["source"], "{engine:?}: a source stays as it was named");
            let path = format!("/model-versions/get-download-uri?name={MODEL}&version={number}");
            let uri = server.mlflow("GET", &path, Value::Null).await.json();
            assert_eq!(uri["artifact_uri"], json!(location), "{engine:?} {body}");
        }
        assert_eq!(server.version(MODEL, 2).await["run_link"], json!("https://ci/7"), "{engine:?}");
        for (body, message) in &refused {
            let answer = server.created(named(body)).await;
            assert!((400..500).contains(&answer.status), "{engine:?} {body}: {answer:?}");
            assert!(answer.body.contains(message), "{engine:?} {body}: {answer:?}");
        }
        assert_eq!(server.register(MODEL).await, "6", "{engine:?}");
        let logged = json!({"name": MODEL, "source": "models:/m-01", "model_id": "m-01"});
        assert_eq!(
            server.created(logged).await.json()["model_version"]["run_id"],
            json!("run-7"),
            "{engine:?}"
        );
        assert_eq!(*server.logged.noted.lock().unwrap(), ["m-01 demand/7"], "{engine:?}");
    }
}

#[tokio::test]
async fn searches_are_ordered_and_paged_by_key_and_leave_out_prompts() {
    for server in servers().await {
        let engine = server.engine();
        let prompt = json!([{"key": "mlflow.prompt.is_prompt", "value": "true"}]);
        for (name, tags) in [("a", json!([])), ("b", json!([])), ("c", json!([])), ("greeting", prompt)] {
            server.create_model(name, tags).await;
            server.test.clock.advance_millis(10);
        }
        for name in ["b", "a", "c", "b", "greeting"] {
            server.register(name).await;
            server.test.clock.advance_millis(10);
        }
        let models = "/registered-models/search";
        let versions = "/model-versions/search";
        let cases: &[(&str, &str, &[&str], &[&str])] = &[
            (models, "", &[], &["a", "b", "c"]),
            (models, "", &["name DESC"], &["c", "b", "a"]),
            (models, "", &["last_updated_timestamp DESC", "name ASC"], &["b", "c", "a"]),
            (models, "tags.`mlflow.prompt.is_prompt` = 'true'", &[], &["greeting"]),
            (models, "tag.`mlflow.prompt.is_prompt` != 'true'", &[], &["a", "b", "c"]),
            (models, "name = 'a' OR name ILIKE 'C'", &[], &["a", "c"]),
            (models, "NOT name IN ('a', 'b')", &[], &["c"]),
            (versions, "", &[], &["b/2", "c/1", "a/1", "b/1"]),
            (versions, "", &["name DESC"], &["c/1", "b/2", "b/1", "a/1"]),
            (versions, "", &["version_number DESC"], &["b/2", "a/1", "b/1", "c/1"]),
            (versions, "", &["creation_timestamp ASC"], &["b/1", "a/1", "c/1", "b/2"]),
            (versions, "version_number > 1", &[], &["b/2"]),
            (versions, "run_id IN ('run-7', 'x') AND name LIKE 'b%'", &[], &["b/2", "b/1"]),
            (versions, "source_path = 'models:/m-0123' AND name != 'b'", &[], &["c/1", "a/1"]),
        ];
        for (path, filter, order_by, expected) in cases {
            let order: Vec<String> =
                order_by.iter().map(|order| format!("&order_by={}", escaped(order))).collect();
            let query = format!("filter={}{}", escaped(filter), order.concat());
            for most in [1, 2, 100] {
                let pages = server.pages(path, &query, most).await;
                assert!(pages.iter().all(|page| page.len() <= most), "{engine:?} {path} {query}: {pages:?}");
                assert_eq!(pages.concat(), *expected, "{engine:?} {path} {query} by {most}");
            }
        }
        let page = server.mlflow("GET", models, Value::Null).await.json();
        assert_eq!(
            page["registered_models"][1]["latest_versions"],
            json!([server.version("b", 2).await]),
            "{engine:?}"
        );

        let refused = [
            (models, "max_results=0", "positive"),
            (models, "max_results=1001", "at most 1000"),
            (models, "max_results=ten", "must be an integer, got 'ten'"),
            (versions, "max_results=200001", "at most 200000"),
            (versions, "max_results=-1", "positive"),
            (versions, "order_by=color", "Invalid order by key 'color'"),
            (versions, "order_by=name&order_by=name%20DESC", "duplicate"),
            (versions, "page_token=x", "page_token"),
            (versions, "filter=version_number%20LIKE%20'1'", "Invalid comparator"),
        ];
        for (path, query, message) in refused {
            let answer = server.mlflow("GET", &format!("{path}?{query}"), Value::Null).await;
            assert_eq!(answer.status, 400, "{engine:?} {path} {query}: {answer:?}");
            assert!(answer.body.contains(message), "{engine:?} {path} {query}: {answer:?}");
        }
        let path = "/model-versions/get?name=a&version=first";
        let answer = server.mlflow("GET", path, Value::Null).await;
        let message = json!("Parameter 'version' must be an integer, got 'first'.");
        assert_eq!((answer.status, &answer.json()["message"]), (400, &message), "{engine:?}");
    }
}

#[tokio::test]
async fn what_changes_a_version_moves_its_time_and_what_changes_the_list_moves_the_models() {
    for server in servers().await {
        let engine = server.engine();
        server.create_model("a", json!([])).await;
        server.test.clock.advance_millis(10);
        server.register("a").await;
        server.register("a").await;
        let key = |more: Value| {
            let mut body = json!({"name": "a", "version": "1"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        // Method, path, body; whether the version's and the model's time moves.
        let cases = [
            ("PATCH", "/model-versions/update", key(json!({"description": "x"})), true, false),
            ("POST", "/model-versions/transition-stage", key(json!({"stage": "Staging"})), true, true),
            ("POST", "/model-versions/set-tag", key(json!({"key": "k", "value": "v"})), false, false),
            ("DELETE", "/model-versions/delete-tag", key(json!({"key": "k"})), false, false),
            ("POST", "/registered-models/set-tag", json!({"name": "a", "key": "k"}), false, false),
            ("POST", "/registered-models/alias", key(json!({"alias": "x"})), false, false),
            ("DELETE", "/registered-models/alias", key(json!({"alias": "x"})), false, false),
            ("PATCH", "/registered-models/update", json!({"name": "a", "description": "x"}), false, true),
            ("DELETE", "/model-versions/delete", json!({"name": "a", "version": "2"}), false, true),
            ("POST", "/model-versions/create", json!({"name": "a", "source": "s3://b/c"}), false, true),
        ];
        for (method, path, body, version_moves, model_moves) in cases {
            let (version, model) = (server.version("a", 1).await, server.model("a").await);
            server.test.clock.advance_millis(10);
            let answer = server.mlflow(method, path, body).await;
            assert_eq!(answer.status, 200, "{engine:?} {path}: {answer:?}");
            let after = (server.version("a", 1).await, server.model("a").await);
            let time = "last_updated_timestamp";
            let moved = (after.0[time] != version[time], after.1[time] != model[time]);
            assert_eq!(moved, (version_moves, model_moves), "{engine:?} {method} {path}");
            assert_eq!(after.0["creation_timestamp"], version["creation_timestamp"], "{engine:?} {path}");
        }
    }
}

#[tokio::test]
async fn names_are_ordered_by_their_bytes_on_both_engines() {
    for server in servers().await {
        for name in ["b", "Abc", "ab", "Z", "ä"] {
            server.create_model(name, json!([])).await;
        }
        let order = format!("order_by={}", escaped("name ASC"));
        let pages = server.pages("/registered-models/search", &order, 2).await;
        assert_eq!(pages, [vec!["Abc", "Z"], vec!["ab", "b"], vec!["ä"]], "{:?}", server.engine());
    }
}
