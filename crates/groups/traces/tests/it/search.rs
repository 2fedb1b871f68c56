//! Filters, orders and pages.

use serde_json::json;

use crate::otlp::{Span, export};
use crate::server::{Server, here, ids, servers};

/// Four traces, a second apart; the last two have spans.
async fn fill(server: &Server) {
    server
        .start_trace(
            "tr-a",
            1_000,
            json!({"tags": {"env": "prod", "mlflow.traceName": "chat"}, "client_request_id": "r-1"}),
        )
        .await;
    let more = json!({
        "tags": {"env": "dev"}, "state": "ERROR", "execution_duration": "2s",
        "trace_metadata": {"mlflow.sourceRun": "run-7", "mlflow.trace.session": "s1"},
    });
    server.start_trace("tr-b", 2_000, more).await;
    let session = json!({"trace_metadata": {"mlflow.trace.session": "s1"}});
    server.start_trace("tr-c", 3_000, session).await;
    server.start_trace("tr-d", 4_000, json!({})).await;
    let spans = [
        Span::new("tr-c", 1).named("search web").with("fruit", "apple").with("model", "m-1"),
        Span::new("tr-c", 2).under(1).named("call").failed(),
        Span::new("tr-d", 3).named("call").with("fruit", "pear"),
    ];
    assert_eq!(export(server, &spans).await.status, 200);
    let assessments = [
        ("tr-a", json!({"assessment_name": "score", "feedback": {"value": "yes"}})),
        (
            "tr-b",
            json!({
                "assessment_name": "tone", "feedback": {"value": 3},
                "metadata": {"mlflow.trace.session": "s1"},
            }),
        ),
    ];
    for (id, assessment) in assessments {
        server.v3("POST", &format!("/{id}/assessments"), json!({"assessment": assessment})).await;
    }
    server.v3("POST", "/link-to-run", json!({"trace_ids": ["tr-d"], "run_id": "run-7"})).await;
    let prompts = json!({"trace_id": "tr-a", "prompt_versions": [{"name": "p", "version": "2"}]});
    server.v3("POST", "/link-prompts", prompts).await;
}

#[tokio::test]
async fn filters_find_what_they_say() {
    for server in servers().await {
        fill(&server).await;
        for (filter, found) in [
            ("", "d c b a"),
            ("status = 'OK'", "d c a"),
            ("trace.status != 'OK'", "b"),
            ("status IN ('ERROR', 'IN_PROGRESS')", "b"),
            ("timestamp_ms > 1000 AND timestamp < 4000", "c b"),
            ("execution_time_ms >= 2000", "b"),
            ("end_time > 4000.5", "d"),
            ("request_id = 'tr-a'", "a"),
            ("client_request_id LIKE 'r-%'", "a"),
            ("name = 'chat'", "a"),
            ("tags.env ILIKE 'PR%'", "a"),
            ("tag.env != 'prod'", "b"),
            ("tags.env RLIKE '^(prod|dev)$'", "b a"),
            ("NOT tags.env RLIKE '^p'", "d c b"),
            ("tags.env IS NULL", "d c"),
            ("tags.env IS NOT NULL AND status = 'OK'", "a"),
            ("metadata.`mlflow.trace.session` = 's1'", "c b"),
            ("attribute.run_id = 'run-7'", "d b"),
            ("prompt = 'p/2'", "a"),
            ("span.name = 'call'", "d c"),
            ("span.name = 'search web' AND span.status = 'ERROR'", ""),
            ("span.name = 'call' AND span.status = 'ERROR'", "c"),
            ("span.name RLIKE '^search'", "c"),
            ("span.attributes.fruit = 'apple'", "c"),
            ("span.attributes.fruit != 'apple'", "d"),
            ("span.attributes.fruit LIKE '%pea%'", "d"),
            ("span.attributes.fruit RLIKE '^(apple|fig)$'", "c"),
            ("trace.text LIKE '%apple%'", "c"),
            ("feedback.score = 'yes'", "a"),
            ("feedback.tone = '3'", "c b"),
            ("feedback.score IS NULL", "d c b"),
            ("tags.env = 'prod' OR (status = 'ERROR' AND NOT tags.env = 'prod')", "b a"),
        ] {
            let expected: Vec<String> = found.split_whitespace().map(|id| format!("tr-{id}")).collect();
            assert_eq!(server.search(filter, &[]).await, expected, "{filter}");
        }
    }
}

#[tokio::test]
async fn orders_put_missing_values_last() {
    for server in servers().await {
        fill(&server).await;
        for (order, found) in [
            (vec!["timestamp ASC"], "a b c d"),
            (vec!["execution_time DESC"], "b d c a"),
            (vec!["tags.env ASC"], "b a d c"),
            (vec!["tags.env DESC"], "a b d c"),
            (vec!["status", "timestamp_ms ASC"], "b a c d"),
        ] {
            let expected: Vec<String> = found.split_whitespace().map(|id| format!("tr-{id}")).collect();
            assert_eq!(server.search("", &order).await, expected, "{order:?}");
        }
    }
}

#[tokio::test]
async fn pages_follow_each_other_and_end() {
    for server in servers().await {
        for n in 0..5 {
            // Two share a time; the id decides.
            server.start_trace(&format!("tr-{n}"), (n / 2) * 1_000, json!({})).await;
        }
        for order in [json!([]), json!(["timestamp ASC"])] {
            let mut body = json!({"locations": here(), "max_results": 2, "order_by": order});
            let mut seen = Vec::new();
            let mut pages = 0;
            loop {
                let answer = server.v3("POST", "/search", body.clone()).await;
                seen.extend(ids(&answer));
                pages += 1;
                let Some(token) = answer.get("next_page_token") else { break };
                body["page_token"] = token.clone();
            }
            assert_eq!(pages, 3, "{order}");
            let expected: &[&str] = match order.as_array().unwrap().is_empty() {
                true => &["tr-4", "tr-2", "tr-3", "tr-0", "tr-1"],
                false => &["tr-0", "tr-1", "tr-2", "tr-3", "tr-4"],
            };
            assert_eq!(seen, expected, "{order}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_searched_is_refused() {
    for server in servers().await {
        let big = "x".repeat(2_000);
        for body in [
            json!({"locations": here(), "filter": "invalid.filter = 'x'"}),
            json!({"locations": here(), "filter": "color = 'x'"}),
            json!({"locations": here(), "filter": "timestamp = 'soon'"}),
            json!({"locations": here(), "filter": "span.weight = 'x'"}),
            json!({"locations": here(), "filter": "prompt = 'p'"}),
            json!({"locations": here(), "filter": "tags.a RLIKE '('"}),
            json!({"locations": here(), "filter": format!("tags.a RLIKE '{big}'")}),
            json!({"locations": here(), "filter": "max(tags.a) = 'x'"}),
            json!({"locations": here(), "order_by": ["color"]}),
            json!({"locations": here(), "order_by": ["span.name"]}),
            json!({"locations": here(), "order_by": ["status", "status DESC"]}),
            json!({"locations": here(), "max_results": 501}),
            json!({"locations": here(), "max_results": 0}),
            json!({"locations": here(), "page_token": "nonsense"}),
        ] {
            let answer = server.ask("POST", "/api/3.0/mlflow/traces/search", body.clone()).await;
            assert_eq!(answer.status, 400, "{body}: {answer:?}");
            assert!(answer.body.contains("Invalid"), "{body}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn filters_are_correlated() {
    for server in servers().await {
        for n in 0..10 {
            let env = if n < 6 { "prod" } else { "dev" };
            let tool = if n < 7 { "TOOL" } else { "LLM" };
            server.start_trace(&format!("tr-{n}"), n, json!({"tags": {"env": env, "tool": tool}})).await;
        }
        let ask = |first: &str, second: &str| json!({"experiment_ids": ["1"], "filter_string1": first, "filter_string2": second});
        let path = "/calculate-filter-correlation";
        let found = server.v3("POST", path, ask("tags.env = 'prod'", "tags.tool = 'TOOL'")).await;
        for (key, count) in
            [("total_count", 10), ("filter1_count", 6), ("filter2_count", 7), ("joint_count", 6)]
        {
            assert_eq!(found[key], count, "{key} of {found}");
        }
        let npmi = found["npmi"].as_f64().unwrap();
        assert!((0.69..0.70).contains(&npmi), "{found}");
        let none = server.v3("POST", path, ask("tags.env = 'staging'", "tags.tool = 'TOOL'")).await;
        assert_eq!(none["npmi"], "NaN");
    }
}
