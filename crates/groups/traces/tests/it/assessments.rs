//! Assessments: made, changed, replaced, taken back.

use group_traces::MIGRATIONS;
use platform_db::{DbError, MigrationSet, args};
use platform_testkit::both_engines;
use serde_json::{Value, json};

use crate::server::{Server, servers};

#[tokio::test]
async fn an_assessment_replaces_another_until_it_is_deleted() {
    for server in servers().await {
        server.start_trace("tr-1", 0, json!({})).await;
        let all = "/tr-1/assessments";
        let body = json!({"assessment": {
            "assessment_name": "quality", "feedback": {"value": {"rating": 4}}, "rationale": "fine",
            "source": {"source_type": "HUMAN", "source_id": "ann"}, "metadata": {"model": "m", "version": "1"},
        }});
        let made = server.v3("POST", all, body).await["assessment"].clone();
        assert_eq!(made["valid"], true);
        assert_eq!(made["feedback"]["value"]["rating"], 4);
        let first = format!("{all}/{}", made["assessment_id"].as_str().unwrap());
        let body = json!({
            "assessment": {
                "assessment_name": "better", "feedback": {"value": {"rating": 5}}, "rationale": "not in the mask",
                "metadata": {"version": "2"},
            },
            "update_mask": "assessmentName,feedback,metadata",
        });
        let changed = server.v3("PATCH", &first, body).await["assessment"].clone();
        assert_eq!(changed["assessment_name"], "better");
        assert_eq!(changed["feedback"]["value"]["rating"], 5);
        assert_eq!(changed["rationale"], "fine");
        assert_eq!(changed["metadata"], json!({"model": "m", "version": "2"}));
        let body = json!({"assessment": {
            "assessment_name": "corrected", "feedback": {"value": 3}, "overrides": made["assessment_id"],
            "source": {"source_type": "LLM_JUDGE", "source_id": "judge"},
        }});
        let second = server.v3("POST", all, body).await["assessment"].clone();
        assert_eq!(server.v3("GET", &first, Value::Null).await["assessment"]["valid"], false);
        let second = format!("{all}/{}", second["assessment_id"].as_str().unwrap());
        for _ in 0..2 {
            server.v3("DELETE", &second, Value::Null).await;
        }
        assert_eq!(server.v3("GET", &first, Value::Null).await["assessment"]["valid"], true);
        let gone = server.ask("GET", &format!("/api/3.0/mlflow/traces{second}"), Value::Null).await;
        assert_eq!((gone.status, gone.code().as_str()), (404, "RESOURCE_DOES_NOT_EXIST"));
    }
}

#[tokio::test]
async fn expectations_and_issues_keep_their_form() {
    for server in servers().await {
        server.start_trace("tr-1", 0, json!({})).await;
        for (sent, pointer, expected) in [
            (json!({"expectation": {"value": 5}}), "/expectation/value", json!(5)),
            (
                json!({"expectation": {"value": {"a": [1]}}}),
                "/expectation/serialized_value/value",
                json!("{\"a\": [1]}"),
            ),
            (
                json!({"expectation": {"serialized_value": {"serialization_format": "JSON_FORMAT", "value": "[1]"}}}),
                "/expectation/serialized_value/value",
                json!("[1]"),
            ),
            (json!({"issue": {"issue_name": "slow"}}), "/issue/issue_name", json!("slow")),
            (
                json!({"feedback": {"error": {"error_code": "LIMIT"}}}),
                "/feedback/error",
                json!({"error_code": "LIMIT"}),
            ),
            (json!({"feedback": {"value": null}}), "/feedback/value", Value::Null),
        ] {
            let mut assessment = json!({"assessment_name": "x"});
            for (key, value) in sent.as_object().unwrap() {
                assessment[key] = value.clone();
            }
            let body = json!({"assessment": assessment});
            let made = server.v3("POST", "/tr-1/assessments", body).await["assessment"].clone();
            assert_eq!(made.pointer(pointer), Some(&expected), "{sent}: {made}");
        }
    }
}

#[tokio::test]
async fn what_is_no_assessment_is_refused() {
    for server in servers().await {
        server.start_trace("tr-1", 0, json!({})).await;
        let feedback = json!({"value": 1});
        for (trace, assessment, status) in [
            ("tr-1", json!({"assessment_name": "x"}), 400),
            ("tr-1", json!({"feedback": feedback}), 400),
            ("tr-1", json!({"assessment_name": "x", "feedback": feedback, "expectation": feedback}), 400),
            ("tr-1", json!({"assessment_name": "x", "expectation": {}}), 400),
            ("tr-1", json!({"assessment_name": "x", "feedback": feedback, "overrides": "a-9"}), 404),
            (
                "tr-1",
                json!({"assessment_name": "x", "feedback": feedback, "source": {"source_type": "CAT"}}),
                400,
            ),
            ("tr-9", json!({"assessment_name": "x", "feedback": feedback}), 404),
        ] {
            let path = format!("/api/3.0/mlflow/traces/{trace}/assessments");
            let body = json!({"assessment": assessment});
            let answer = server.ask("POST", &path, body).await;
            assert_eq!(answer.status, status, "{assessment}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn assessments_from_before_their_keys_held_the_trace_are_kept() {
    let before = MigrationSet { group: MIGRATIONS.group, migrations: &MIGRATIONS.migrations[..1] };
    for test in both_engines(&[before, platform_auth::MIGRATIONS]).await {
        test.db
            .write(|tx| {
                tx.execute(
                    "INSERT INTO traces (trace_id, experiment_id, request_ms, state) VALUES ($1, $2, $3, $4)",
                    args!["tr-1", "1", 1_i64, "OK"],
                )?;
                tx.execute(
                    "INSERT INTO trace_assessments (assessment_id, trace_id, kind, name, value, source_type, source_id, \
                     valid, created_ms, updated_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
                    args!["a-1", "tr-1", "feedback", "good", "true", "HUMAN", "ann", true, 2_i64],
                )?;
                Ok::<_, DbError>(())
            })
            .await
            .unwrap();
        for _ in 0..2 {
            test.db.migrate(&[MIGRATIONS]).await.unwrap();
        }
        let server = Server::start(test).await;
        let kept = server.v3("GET", "/tr-1/assessments/a-1", Value::Null).await["assessment"].clone();
        assert_eq!((&kept["assessment_name"], &kept["feedback"]["value"]), (&json!("good"), &json!(true)));
        server.start_trace("tr-2", 0, json!({})).await;
        let body = json!({"assessment": {
            "assessment_id": "a-1", "assessment_name": "other", "feedback": {"value": false},
        }});
        server.v3("POST", "/tr-2/assessments", body).await;
        server.v3("DELETE", "/tr-2/assessments/a-1", Value::Null).await;
        let still = server.v3("GET", "/tr-1/assessments/a-1", Value::Null).await["assessment"].clone();
        assert_eq!(still, kept);
    }
}
