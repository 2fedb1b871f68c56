//! Creating, reading, changing and deleting; who may, and what is refused.

use platform_db::args;
use serde_json::{Value, json};

use crate::{event, servers};
use platform_testkit::http::ask_json;

#[tokio::test]
async fn a_webhook_lives_and_ends() {
    for server in servers().await {
        let engine = server.engine();
        let created = server
            .mlflow(
                "POST",
                "",
                json!({"name": "ci", "url": "https://hooks.test/ci", "secret": "geheim",
                    "events": [event("MODEL_VERSION_ALIAS", "CREATED"), event("MODEL_VERSION", "CREATED"),
                        event("MODEL_VERSION", "CREATED")]}),
            )
            .await;
        assert_eq!(created.status, 200, "{engine:?} {created:?}");
        let mut expected = created.json()["webhook"].clone();
        let id = expected["webhook_id"].as_str().unwrap().to_owned();
        assert_eq!(
            expected,
            json!({
                "webhook_id": id,
                "name": "ci",
                "url": "https://hooks.test/ci",
                "events": [event("MODEL_VERSION_ALIAS", "CREATED"), event("MODEL_VERSION", "CREATED")],
                "status": "ACTIVE",
                "creation_timestamp": 1_549_000_000_000_i64,
                "last_updated_timestamp": 1_549_000_000_000_i64,
            })
        );
        let path = format!("/{id}");
        assert_eq!(server.mlflow("GET", &path, Value::Null).await.json()["webhook"], expected);

        server.test.clock.advance_millis(5);
        let change = json!({"webhook_id": id, "name": "cd", "description": "tells cd"});
        let changed = server.mlflow("PATCH", &path, change).await;
        expected["name"] = "cd".into();
        expected["description"] = "tells cd".into();
        expected["last_updated_timestamp"] = 1_549_000_000_005_i64.into();
        assert_eq!(changed.json()["webhook"], expected, "{engine:?}");

        server.test.clock.advance_millis(5);
        let change = json!({"url": "https://hooks.test/cd", "status": "DISABLED", "description": "",
            "events": [event("REGISTERED_MODEL", "CREATED")]});
        let changed = server.mlflow("PATCH", &path, change).await.json()["webhook"].clone();
        assert_eq!(changed["url"], "https://hooks.test/cd");
        assert_eq!(changed["status"], "DISABLED");
        assert_eq!(changed["events"], json!([event("REGISTERED_MODEL", "CREATED")]));
        assert_eq!(changed.get("description"), None);

        assert_eq!(server.mlflow("DELETE", &path, Value::Null).await.status, 200);
        for (method, body) in [("GET", Value::Null), ("PATCH", json!({"name": "!"})), ("DELETE", Value::Null)]
        {
            let gone = server.mlflow(method, &path, body).await;
            assert_eq!((gone.status, gone.code().as_str()), (404, "RESOURCE_DOES_NOT_EXIST"), "{method}");
            assert!(gone.body.contains(&format!("Webhook with ID {id} not found")), "{gone:?}");
        }
        for table in ["webhooks", "webhook_subscriptions"] {
            let count = format!("SELECT COUNT(*) FROM {table}");
            let row = server.test.db.read_one(count, args![]).await.unwrap().unwrap();
            assert_eq!(row.int(0).unwrap(), 0, "{engine:?} {table}");
        }
    }
}

#[tokio::test]
async fn lists_go_by_key_newest_first() {
    for server in servers().await {
        let mut ids = Vec::new();
        for number in 0..5 {
            let body = json!({"name": format!("w{number}"), "url": "https://hooks.test/",
                "events": [event("PROMPT", "CREATED")]});
            ids.push(server.create(body).await);
        }
        ids.sort();
        ids.reverse();
        let mut seen = Vec::new();
        let mut query = "?max_results=2".to_owned();
        loop {
            let page = server.mlflow("GET", &query, Value::Null).await.json();
            let webhooks = page["webhooks"].as_array().unwrap();
            assert!(webhooks.iter().all(|webhook| webhook["events"] == json!([event("PROMPT", "CREATED")])));
            seen.extend(webhooks.iter().map(|webhook| webhook["webhook_id"].as_str().unwrap().to_owned()));
            let Some(token) = page.get("next_page_token").and_then(Value::as_str) else { break };
            assert_eq!(webhooks.len(), 2);
            query = format!("?max_results=2&page_token={token}");
        }
        assert_eq!(seen, ids, "{:?}", server.engine());
    }
}

#[tokio::test]
async fn what_mlflow_does_not_know_its_clients_do_not_see() {
    for server in servers().await {
        let granted = event("APPROVAL", "GRANTED");
        let own = json!({"name": "own", "url": "https://hooks.test/", "events": [granted]});
        let mixed = json!({"name": "mixed", "url": "https://hooks.test/",
            "events": [granted, event("PROMPT", "CREATED")]});
        server.create(own).await;
        let mixed = server.create(mixed).await;
        let list = server.mlflow("GET", "", Value::Null).await.json();
        let webhooks = list["webhooks"].as_array().unwrap();
        assert_eq!(webhooks.len(), 1, "{list}");
        assert_eq!(webhooks[0]["webhook_id"], mixed.as_str());
        assert_eq!(webhooks[0]["events"], json!([event("PROMPT", "CREATED")]));
        assert_eq!(webhooks[0]["loopwright_events"], json!([granted]));
        let native =
            ask_json(server.address, "GET /api/v1/webhooks", &server.reader, &Value::Null).await.json();
        assert_eq!(native["items"].as_array().unwrap().len(), 2, "{native}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_a_reason() {
    let base = json!({"name": "w", "url": "https://hooks.test/", "events": [event("PROMPT", "CREATED")]});
    let table = [
        ("name", Value::Null, "Missing value for required parameter 'name'"),
        ("name", json!(""), "Missing value for required parameter 'name'"),
        ("name", json!("-w"), "Webhook name '-w' is invalid"),
        ("name", json!("a".repeat(64)), "is invalid"),
        ("url", Value::Null, "Missing value for required parameter 'url'"),
        ("url", json!("   "), "Webhook URL cannot be empty or just whitespace"),
        ("url", json!("ftp://example.com"), "Invalid webhook URL scheme: 'ftp'"),
        ("url", json!("http://[invalid"), "Invalid webhook URL"),
        ("url", json!("https://user:pass@hooks.test/"), "user name or a password"),
        ("url", json!("http://127.0.0.2/"), "must not resolve to a non-public IP address"),
        ("url", json!("http://[::1]:5000/"), "must not resolve to a non-public IP address"),
        ("url", json!("http://169.254.169.254/latest"), "must not resolve to a non-public IP address"),
        ("url", json!("http://localhost/"), "must not resolve to a non-public IP address"),
        ("events", Value::Null, "Missing value for required parameter 'events'"),
        ("events", json!([]), "Webhook events must be a non-empty list"),
        ("events", json!([event("PROMPT", "DELETED")]), "Invalid action 'deleted' for entity 'prompt'"),
        ("events", json!([event("MODEL", "CREATED")]), "Invalid value 'MODEL' for 'entity'"),
        ("events", json!([event("PROMPT", "BORN")]), "Invalid value 'BORN' for 'action'"),
        ("status", json!("PAUSED"), "Invalid value 'PAUSED' for 'status'"),
        ("description", json!("d".repeat(1_001)), "at most 1000 are taken"),
        ("secret", json!("s".repeat(1_001)), "at most 1000 are taken"),
    ];
    for server in servers().await {
        let id = server.create(base.clone()).await;
        for (field, value, reason) in &table {
            let mut body = base.clone();
            body[*field] = value.clone();
            let refused = server.mlflow("POST", "", body).await;
            assert_eq!(
                (refused.status, refused.code().as_str()),
                (400, "INVALID_PARAMETER_VALUE"),
                "{reason}"
            );
            assert!(refused.body.contains(reason), "{reason}: {refused:?}");
            // In a change, what is missing or empty stays.
            let is_absent = value.is_null() || *value == json!("") || *value == json!([]);
            if !is_absent {
                let mut change = json!({});
                change[*field] = value.clone();
                let refused = server.mlflow("PATCH", &format!("/{id}"), change).await;
                assert_eq!(refused.status, 400, "{reason}: {refused:?}");
            }
        }
        for query in ["?max_results=1001", "?max_results=-1", "?page_token=nonsense"] {
            assert_eq!(server.mlflow("GET", query, Value::Null).await.status, 400, "{query}");
        }
    }
}

#[tokio::test]
async fn only_an_owner_says_where_requests_go() {
    for server in servers().await {
        let body = json!({"name": "w", "url": "https://hooks.test/", "events": [event("PROMPT", "CREATED")]});
        let id = server.create(body.clone()).await;
        let table = [
            ("GET", String::new(), 200),
            ("GET", format!("/{id}"), 200),
            ("POST", String::new(), 403),
            ("PATCH", format!("/{id}"), 403),
            ("POST", format!("/{id}/test"), 403),
            ("DELETE", format!("/{id}"), 403),
        ];
        for prefix in ["/api/2.0", "/ajax-api/2.0"] {
            for (method, path, status) in &table {
                let line = format!("{method} {prefix}/mlflow/webhooks{path}");
                let sent = if *method == "GET" { Value::Null } else { body.clone() };
                let answer = ask_json(server.address, &line, &server.reader, &sent).await;
                assert_eq!(answer.status, *status, "{line}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_dump_of_the_database_tells_no_secret() {
    const SECRET: &str = "nobody-reads-this";
    for server in servers().await {
        let body = json!({"name": "w", "url": "https://hooks.test/hidden-path", "secret": SECRET,
            "events": [event("PROMPT", "CREATED")]});
        let id = server.create(body).await;
        let row = server.test.db.read_one("SELECT secret FROM webhooks", args![]).await.unwrap().unwrap();
        let sealed = row.bytes(0).unwrap();
        assert!(!sealed.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
        let events = server.test.db.read("SELECT payload FROM events", args![]).await.unwrap();
        assert!(!events.is_empty());
        for row in &events {
            let payload = row.text(0).unwrap();
            assert!(!payload.contains(SECRET) && !payload.contains("hidden-path"), "{payload}");
        }
        for path in ["", format!("/{id}").as_str()] {
            let answer = server.mlflow("GET", path, Value::Null).await;
            assert!(!answer.body.contains("secret") && !answer.body.contains(SECRET), "{answer:?}");
        }
        // An empty one takes it away.
        server.mlflow("PATCH", &format!("/{id}"), json!({"secret": ""})).await;
        let row = server.test.db.read_one("SELECT secret FROM webhooks", args![]).await.unwrap().unwrap();
        assert_eq!(*row.value(0), platform_db::Value::Null);
    }
}
