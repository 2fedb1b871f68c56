//! The life of a trace: begun, ended, tagged, linked, deleted.

use serde_json::{Value, json};

use crate::server::servers;
use platform_testkit::http::escaped;

#[tokio::test]
async fn a_trace_comes_back_as_it_was_sent() {
    for server in servers().await {
        let more = json!({
            "client_request_id": "req-1",
            "request_preview": "in",
            "tags": {"mlflow.traceName": "chat"},
            "trace_metadata": {"mlflow.trace.tokenUsage": "{\"input_tokens\": 3, \"total_tokens\": 5}"},
            "assessments": [{
                "assessment_name": "good", "feedback": {"value": true},
                "source": {"source_type": "HUMAN", "source_id": "ann"},
            }],
        });
        server.start_trace("tr-1", 1_500, more).await;
        let trace = server.v3("GET", "/tr-1", Value::Null).await["trace"]["trace_info"].clone();
        for (pointer, expected) in [
            ("/trace_id", json!("tr-1")),
            ("/trace_location/mlflow_experiment/experiment_id", json!("1")),
            ("/request_time", json!("1970-01-01T00:00:01.500Z")),
            ("/execution_duration", json!("0.250s")),
            ("/state", json!("OK")),
            ("/client_request_id", json!("req-1")),
            ("/request_preview", json!("in")),
            ("/tags/mlflow.traceName", json!("chat")),
            ("/tags/mlflow.artifactLocation", json!("mlflow-artifacts:/1/traces/tr-1/artifacts")),
            ("/assessments/0/assessment_name", json!("good")),
            ("/assessments/0/trace_id", json!("tr-1")),
        ] {
            assert_eq!(trace.pointer(pointer), Some(&expected), "{pointer} of {trace}");
        }
        // Sent again, it is the same trace; what it leaves out stays.
        server.start_trace("tr-1", 1_500, json!({"tags": {"more": "x"}})).await;
        let trace = server.v3("GET", "/tr-1", Value::Null).await["trace"]["trace_info"].clone();
        assert_eq!(trace["request_preview"], "in");
        assert_eq!(trace["tags"]["mlflow.traceName"], "chat");
        assert_eq!(trace["assessments"].as_array().unwrap().len(), 1);
        let found = server.v3("POST", "/batchGetInfos", json!({"trace_ids": ["nobody", "tr-1"]})).await;
        assert_eq!(found["trace_infos"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn version_two_begins_and_ends() {
    for server in servers().await {
        let pairs = |pairs: &[(&str, &str)]| -> Value {
            pairs.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
        };
        let body = json!({
            "experiment_id": "1", "timestamp_ms": "1000", "request_metadata": pairs(&[("m1", "apple")]),
            "tags": pairs(&[("t1", "football"), ("t2", "basketball")]),
        });
        let answer = server.ask("POST", "/api/2.0/mlflow/traces", body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let begun = answer.json()["trace_info"].clone();
        assert_eq!(begun["status"], "IN_PROGRESS");
        assert_eq!(begun["execution_time_ms"], 0);
        assert_eq!(begun["request_metadata"], pairs(&[("m1", "apple")]));
        let id = begun["request_id"].as_str().unwrap();
        let body = json!({
            "timestamp_ms": 3_000, "status": "OK", "request_metadata": pairs(&[("m1", "orange")]),
            "tags": pairs(&[("t1", "soccer")]),
        });
        let answer = server.ask("PATCH", &format!("/ajax-api/2.0/mlflow/traces/{id}"), body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = server.ask("GET", &format!("/api/2.0/mlflow/traces/{id}/info"), Value::Null).await;
        let ended = answer.json()["trace_info"].clone();
        assert_eq!(ended["execution_time_ms"], 2_000);
        assert_eq!(ended["status"], "OK");
        assert_eq!(ended["request_metadata"], pairs(&[("m1", "orange")]));
        let path =
            format!("/api/2.0/mlflow/traces?experiment_ids=1&filter={}", escaped("tags.t1 = 'soccer'"));
        let answer = server.ask("GET", &path, Value::Null).await;
        assert_eq!(answer.json()["traces"][0]["request_id"], id, "{answer:?}");
    }
}

#[tokio::test]
async fn tags_come_and_go() {
    for server in servers().await {
        server.start_trace("tr-1", 0, json!({})).await;
        let tags = "/api/3.0/mlflow/traces/tr-1/tags";
        for (method, path, body, status) in [
            ("PATCH", tags, json!({"key": "color", "value": "red"}), 200),
            ("PATCH", tags, json!({"key": "color", "value": "green"}), 200),
            ("PATCH", tags, json!({"key": "", "value": "x"}), 400),
            ("PATCH", tags, json!({"key": "k".repeat(251), "value": "x"}), 400),
            ("PATCH", tags, json!({"value": "x"}), 400),
            ("PATCH", "/api/2.0/mlflow/traces/tr-2/tags", json!({"key": "a", "value": "x"}), 404),
            (
                "PATCH",
                "/api/2.0/mlflow/traces/tr-1/tags",
                json!({"key": "long", "value": "v".repeat(9_000)}),
                200,
            ),
            ("DELETE", tags, json!({"key": "long"}), 200),
            ("DELETE", tags, json!({"key": "long"}), 404),
        ] {
            let answer = server.ask(method, path, body.clone()).await;
            assert_eq!(answer.status, status, "{method} {path} {body}: {answer:?}");
        }
        let trace = server.v3("GET", "/tr-1", Value::Null).await;
        assert_eq!(trace["trace"]["trace_info"]["tags"]["color"], "green");
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_mlflows_words() {
    for server in servers().await {
        let located = |id: &str| {
            let location = json!({"mlflow_experiment": {"experiment_id": id}});
            json!({"trace": {"trace_info": {"trace_id": "tr-1", "trace_location": location}}})
        };
        let many: Vec<String> = (0..101).map(|n| format!("tr-{n}")).collect();
        for (method, path, body, status, code) in [
            ("POST", "/3.0/mlflow/traces", json!({}), 400, "INVALID_PARAMETER_VALUE"),
            ("POST", "/3.0/mlflow/traces", located("9"), 404, "RESOURCE_DOES_NOT_EXIST"),
            ("POST", "/3.0/mlflow/traces", located(""), 400, "INVALID_PARAMETER_VALUE"),
            ("GET", "/3.0/mlflow/traces/tr-9", Value::Null, 404, "RESOURCE_DOES_NOT_EXIST"),
            ("GET", "/3.0/mlflow/traces/get?trace_id=tr-9", Value::Null, 404, "RESOURCE_DOES_NOT_EXIST"),
            ("GET", "/3.0/mlflow/traces/get", Value::Null, 400, "INVALID_PARAMETER_VALUE"),
            ("POST", "/3.0/mlflow/traces/search", json!({"locations": []}), 400, "INVALID_PARAMETER_VALUE"),
            (
                "POST",
                "/3.0/mlflow/traces/delete-traces",
                json!({"experiment_id": "1"}),
                400,
                "INVALID_PARAMETER_VALUE",
            ),
            (
                "POST",
                "/2.0/mlflow/traces/link-to-run",
                json!({"trace_ids": many, "run_id": "run-7"}),
                400,
                "INVALID_PARAMETER_VALUE",
            ),
            (
                "POST",
                "/2.0/mlflow/traces/link-to-run",
                json!({"trace_ids": ["tr-1"], "run_id": "run-8"}),
                404,
                "RESOURCE_DOES_NOT_EXIST",
            ),
            ("GET", "/2.0/mlflow/unified-traces", Value::Null, 501, "NOT_IMPLEMENTED"),
        ] {
            for prefix in ["/api", "/ajax-api"] {
                let answer = server.ask(method, &format!("{prefix}{path}"), body.clone()).await;
                assert_eq!(
                    (answer.status, answer.code().as_str()),
                    (status, code),
                    "{path} {body}: {answer:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn traces_are_deleted_by_age_or_by_name() {
    for server in servers().await {
        for n in 0..4 {
            server.start_trace(&format!("tr-{n}"), n * 1_000, json!({})).await;
        }
        for (body, gone, left) in [
            (
                json!({"experiment_id": "1", "max_timestamp_millis": 9_000, "max_traces": 1}),
                1,
                "tr-3 tr-2 tr-1",
            ),
            (json!({"experiment_id": "1", "request_ids": ["tr-2", "tr-9"]}), 1, "tr-3 tr-1"),
            (json!({"experiment_id": "2", "max_timestamp_millis": "9000"}), 0, "tr-3 tr-1"),
            (json!({"experiment_id": "1", "max_timestamp_millis": "9000"}), 2, ""),
        ] {
            let answer = server.v3("POST", "/delete-traces", body.clone()).await;
            assert_eq!(answer["traces_deleted"], gone, "{body}");
            assert_eq!(server.search("", &[]).await.join(" "), left, "{body}");
        }
    }
}

#[tokio::test]
async fn uploaded_files_are_served() {
    for server in servers().await {
        server.start_trace("tr-1", 0, json!({})).await;
        let span = json!({
            "trace_id": "AAAAAAAAAAAAAAAAAAAAAQ==", "span_id": "AAAAAAAAAAE=", "parent_span_id": null,
            "name": "root", "start_time_unix_nano": 1, "end_time_unix_nano": 2, "events": [],
            "status": {"code": "STATUS_CODE_OK", "message": ""}, "attributes": {"fruit": "\"apple\""},
        });
        let folder = "1/traces/tr-1/artifacts";
        let content = json!({"spans": [span]}).to_string();
        let mut files = server.files.0.lock().unwrap().clone();
        files.insert(format!("{folder}/traces.json"), content.into_bytes());
        files.insert(format!("{folder}/attachments/a.txt"), b"hello".to_vec());
        *server.files.0.lock().unwrap() = files;
        let full = server.v3("GET", "/get?trace_id=tr-1", Value::Null).await;
        let attributes = full["trace"]["spans"][0]["attributes"].clone();
        assert_eq!(attributes, json!([{"key": "fruit", "value": {"string_value": "apple"}}]));
        let file = "/ajax-api/2.0/mlflow/get-trace-artifact?request_id=tr-1";
        let answer = server.ask("GET", file, Value::Null).await;
        assert_eq!(
            answer.header("content-disposition"),
            Some("attachment; filename=traces.json"),
            "{answer:?}"
        );
        assert_eq!(answer.json()["spans"][0]["name"], "root");
        for (path, status) in [("a.txt", 200), ("b.txt", 404), ("..%2Ftraces.json", 404)] {
            let answer = server.ask("GET", &format!("{file}&path={path}"), Value::Null).await;
            assert_eq!(answer.status, status, "{path}: {answer:?}");
        }
    }
}
