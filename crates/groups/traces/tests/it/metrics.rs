//! Aggregates of traces, spans and assessments.

use serde_json::{Value, json};

use crate::otlp::{Span, export};
use crate::server::{Server, servers};

async fn fill(server: &Server) {
    for (n, (state, duration, tokens)) in
        [("OK", "0.100s", 10), ("OK", "0.200s", 20), ("ERROR", "0.400s", 60)].into_iter().enumerate()
    {
        let more = json!({
            "state": state, "execution_duration": duration,
            "tags": {"mlflow.traceName": if n < 2 { "chat" } else { "plan" }, "env": "prod"},
            "trace_metadata": {"mlflow.trace.tokenUsage": json!({"total_tokens": tokens}).to_string()},
        });
        let at_ms = [1_000, 2_000, 11_000][n];
        server.start_trace(&format!("tr-{n}"), at_ms, more).await;
    }
    let spans = [
        Span::new("tr-0", 1)
            .named("call")
            .with("mlflow.llm.model", "m-1")
            .with("mlflow.llm.cost", "{\"input_cost\": 0.25, \"total_cost\": 0.5}"),
        Span::new("tr-0", 2).named("call").failed(),
    ];
    assert_eq!(export(server, &spans).await.status, 200);
    for value in [json!("yes"), json!(false), json!(5), json!("fine")] {
        let assessment = json!({"assessment_name": "score", "feedback": {"value": value}});
        server.v3("POST", "/tr-1/assessments", json!({"assessment": assessment})).await;
    }
}

#[tokio::test]
async fn numbers_are_put_together() {
    for server in servers().await {
        fill(&server).await;
        let kind = |name: &str| json!([{"aggregation_type": name}]);
        let median = json!([{"aggregation_type": "PERCENTILE", "percentile_value": 50}]);
        for (ask, points) in [
            (
                json!({"view_type": "TRACES", "metric_name": "trace_count", "aggregations": kind("COUNT"),
                       "dimensions": ["trace_status"]}),
                json!([[{"trace_status": "ERROR"}, {"COUNT": 1.0}], [{"trace_status": "OK"}, {"COUNT": 2.0}]]),
            ),
            (
                json!({"view_type": "TRACES", "metric_name": "latency", "aggregations": median}),
                json!([[{}, {"P50.0": 200.0}]]),
            ),
            (
                json!({"view_type": "TRACES", "metric_name": "latency", "dimensions": ["trace_name"],
                       "aggregations": [{"aggregation_type": "AVG"},
                                        {"aggregation_type": "PERCENTILE", "percentile_value": 75.0}]}),
                json!([
                    [{"trace_name": "chat"}, {"AVG": 150.0, "P75.0": 175.0}],
                    [{"trace_name": "plan"}, {"AVG": 400.0, "P75.0": 400.0}],
                ]),
            ),
            (
                json!({"view_type": "TRACES", "metric_name": "total_tokens", "aggregations": kind("SUM"),
                       "filters": ["trace.status = 'OK'", "trace.tag.env = 'prod'"]}),
                json!([[{}, {"SUM": 30.0}]]),
            ),
            (
                json!({"view_type": "TRACES", "metric_name": "trace_count", "aggregations": kind("COUNT"),
                       "time_interval_seconds": 10, "start_time_ms": 0, "end_time_ms": "20000"}),
                json!([
                    [{"time_bucket": "1970-01-01T00:00:00+00:00"}, {"COUNT": 2.0}],
                    [{"time_bucket": "1970-01-01T00:00:10+00:00"}, {"COUNT": 1.0}],
                ]),
            ),
            (
                json!({"view_type": "SPANS", "metric_name": "span_count", "aggregations": kind("COUNT"),
                       "dimensions": ["span_status"], "filters": ["span.name = 'call'"]}),
                json!([[{"span_status": "ERROR"}, {"COUNT": 1.0}], [{"span_status": "OK"}, {"COUNT": 1.0}]]),
            ),
            (
                json!({"view_type": "SPANS", "metric_name": "latency", "aggregations": kind("AVG")}),
                json!([[{}, {"AVG": 1000.0}]]),
            ),
            (
                json!({"view_type": "SPANS", "metric_name": "total_cost", "aggregations": kind("SUM"),
                       "dimensions": ["span_model_name"]}),
                json!([[{"span_model_name": "m-1"}, {"SUM": 0.5}]]),
            ),
            (
                json!({"view_type": "ASSESSMENTS", "metric_name": "assessment_count", "aggregations": kind("COUNT"),
                       "dimensions": ["assessment_name"], "filters": ["assessment.type = 'feedback'"]}),
                json!([[{"assessment_name": "score"}, {"COUNT": 4.0}]]),
            ),
            (
                json!({"view_type": "ASSESSMENTS", "metric_name": "assessment_value", "aggregations": kind("AVG")}),
                json!([[{}, {"AVG": 2.0}]]),
            ),
        ] {
            let mut body = ask.clone();
            body["experiment_ids"] = json!(["1"]);
            let answer = server.v3("POST", "/metrics", body).await;
            let found: Vec<Value> = answer["data_points"]
                .as_array()
                .unwrap()
                .iter()
                .map(|point| json!([point["dimensions"], point["values"]]))
                .collect();
            assert_eq!(json!(found), points, "{ask}");
        }
    }
}

#[tokio::test]
async fn what_is_not_offered_is_refused() {
    for server in servers().await {
        let count = json!([{"aggregation_type": "COUNT"}]);
        for ask in [
            json!({"view_type": "CATS", "metric_name": "trace_count", "aggregations": count}),
            json!({"view_type": "TRACES", "metric_name": "span_count", "aggregations": count}),
            json!({"view_type": "TRACES", "metric_name": "latency", "aggregations": count}),
            json!({"view_type": "TRACES", "metric_name": "trace_count", "aggregations": []}),
            json!({"view_type": "TRACES", "metric_name": "trace_count", "aggregations": [{"aggregation_type": "MAX"}]}),
            json!({"view_type": "TRACES", "metric_name": "latency", "aggregations": [{"aggregation_type": "PERCENTILE"}]}),
            json!({"view_type": "TRACES", "metric_name": "trace_count", "aggregations": count, "dimensions": ["span_name"]}),
            json!({"view_type": "TRACES", "metric_name": "trace_count", "aggregations": count, "time_interval_seconds": 5}),
            json!({"view_type": "TRACES", "metric_name": "trace_count", "aggregations": count, "filters": ["span.name = 'x'"]}),
            json!({"view_type": "TRACES", "metric_name": "trace_count", "aggregations": count, "filters": ["trace.status != 'x'"]}),
        ] {
            let mut body = ask.clone();
            body["experiment_ids"] = json!(["1"]);
            let answer = server.ask("POST", "/api/3.0/mlflow/traces/metrics", body).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (400, "INVALID_PARAMETER_VALUE"),
                "{ask}: {answer:?}"
            );
        }
    }
}
