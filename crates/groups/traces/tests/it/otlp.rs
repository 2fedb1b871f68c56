//! Spans over OTLP. The messages are written here byte by byte, so that a wrong field number in the server shows.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use crate::server::{ELSEWHERE, Server, servers};
use platform_testkit::http::Answer;

const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");
const HERE: (&str, &str) = ("x-mlflow-experiment-id", "1");

/// A span of a trace that MLflow's client made.
#[derive(Clone)]
pub struct Span {
    id: u8,
    parent: Option<u8>,
    name: String,
    attributes: Vec<(String, String)>,
    is_failed: bool,
    end_ns: u64,
}

impl Span {
    pub fn new(trace_id: &str, id: u8) -> Self {
        let attributes = vec![("mlflow.traceRequestId".to_owned(), trace_id.to_owned())];
        Self {
            id,
            parent: None,
            name: "span".to_owned(),
            attributes,
            is_failed: false,
            end_ns: 2_000_000_000,
        }
    }

    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    pub fn under(mut self, parent: u8) -> Self {
        self.parent = Some(parent);
        self
    }

    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.attributes.push((key.to_owned(), value.to_owned()));
        self
    }

    pub fn failed(mut self) -> Self {
        self.is_failed = true;
        self
    }

    fn running(mut self) -> Self {
        self.end_ns = 0;
        self
    }

    fn message(&self) -> Vec<u8> {
        let mut message = [bytes(1, &[7; 16]), bytes(2, &[self.id; 8])].concat();
        if let Some(parent) = self.parent {
            message.extend(bytes(4, &[parent; 8]));
        }
        message.extend(bytes(5, self.name.as_bytes()));
        message.extend(fixed(7, 1_000_000_000));
        message.extend(fixed(8, self.end_ns));
        for (key, value) in &self.attributes {
            message.extend(bytes(9, &text_pair(key, value)));
        }
        let code = if self.is_failed { 2 } else { 1 };
        message.extend(bytes(15, &[0x18, code]));
        message
    }
}

/// A field with a length: a text, bytes, a message.
fn bytes(field: u8, content: &[u8]) -> Vec<u8> {
    let mut encoded = vec![(field << 3) | 2];
    let mut length = content.len();
    while length >= 0x80 {
        encoded.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    encoded.push(length as u8);
    encoded.extend_from_slice(content);
    encoded
}

fn fixed(field: u8, value: u64) -> Vec<u8> {
    let mut encoded = vec![(field << 3) | 1];
    encoded.extend_from_slice(&value.to_le_bytes());
    encoded
}

fn text_pair(key: &str, value: &str) -> Vec<u8> {
    [bytes(1, key.as_bytes()), bytes(2, &bytes(1, value.as_bytes()))].concat()
}

/// One group of spans from a program of this name.
fn request(spans: &[Span], service: &str) -> Vec<u8> {
    let resource = bytes(1, &bytes(1, &text_pair("service.name", service)));
    let spans: Vec<u8> = spans.iter().flat_map(|span| bytes(2, &span.message())).collect();
    bytes(1, &[resource, bytes(2, &spans)].concat())
}

pub async fn export(server: &Server, spans: &[Span]) -> Answer {
    server.send("POST /v1/traces", &[PROTOBUF, HERE], &request(spans, "test")).await
}

fn attribute(span: &Value, key: &str) -> Value {
    let pairs = span["attributes"].as_array().unwrap();
    pairs.iter().find(|pair| pair["key"] == key).map_or(Value::Null, |pair| pair["value"].clone())
}

#[tokio::test]
async fn exported_spans_make_a_trace() {
    for server in servers().await {
        let root = Span::new("tr-1", 1).named("root").with("mlflow.spanInputs", "{\"q\": 1}");
        let child = Span::new("tr-1", 2).under(1).named("child").with("session.id", "s1");
        let body = request(&[child, root], "gemini-cli");
        let answer = server.send("POST /v1/traces", &[PROTOBUF, HERE], &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/x-protobuf"), "{answer:?}");
        let full = server.v3("GET", "/get?trace_id=tr-1", Value::Null).await["trace"].clone();
        for (pointer, expected) in [
            ("/trace_info/state", json!("OK")),
            ("/trace_info/request_time", json!("1970-01-01T00:00:01Z")),
            ("/trace_info/execution_duration", json!("1s")),
            ("/trace_info/request_preview", json!("{\"q\": 1}")),
            ("/trace_info/tags/mlflow.trace.spansLocation", json!("TRACKING_STORE")),
            ("/trace_info/trace_metadata/mlflow.trace.session", json!("s1")),
            ("/spans/0/name", json!("root")),
            ("/spans/0/trace_id", json!("BwcHBwcHBwcHBwcHBwcHBw==")),
            ("/spans/0/status/code", json!("STATUS_CODE_OK")),
            ("/spans/0/start_time_unix_nano", json!(1_000_000_000)),
            ("/spans/1/parent_span_id", json!("AQEBAQEBAQE=")),
        ] {
            assert_eq!(full.pointer(pointer), Some(&expected), "{pointer} of {full}");
        }
        assert_eq!(attribute(&full["spans"][0], "service.name"), json!({"string_value": "gemini-cli"}));
        assert_eq!(attribute(&full["spans"][1], "service.name"), Value::Null);
        let many = server.v3("GET", "/batchGet?trace_ids=tr-9&trace_ids=tr-1", Value::Null).await;
        assert_eq!(many["traces"][0]["spans"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn what_is_sent_twice_counts_once() {
    for server in servers().await {
        let usage = "{\"input_tokens\": 10, \"output_tokens\": 5, \"total_tokens\": 15}";
        let span = Span::new("tr-1", 1).with("mlflow.chat.tokenUsage", usage);
        for sent in [span.clone().running(), span.clone(), span.failed()] {
            assert_eq!(export(&server, &[sent]).await.status, 200);
        }
        let trace = server.v3("GET", "/tr-1", Value::Null).await["trace"]["trace_info"].clone();
        assert_eq!(trace["trace_metadata"]["mlflow.trace.tokenUsage"], usage);
        // A trace that has ended stays as it ended.
        assert_eq!(trace["state"], "OK");
        let full = server.v3("GET", "/get?trace_id=tr-1&allow_partial=True", Value::Null).await;
        assert_eq!(full["trace"]["spans"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn json_says_the_same() {
    for server in servers().await {
        let body = json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "codex_cli_rs"}}]},
            "scopeSpans": [{"scope": {"name": "x"}, "spans": [{
                "traceId": "61181d5c16b3b25d966891c3fc595af9", "spanId": "508755a859b294e3", "name": "prompt",
                "startTimeUnixNano": "1000000000", "endTimeUnixNano": 2_000_000_000u64, "kind": 1,
                "attributes": [
                    {"key": "n", "value": {"intValue": "5"}},
                    {"key": "list", "value": {"arrayValue": {"values": [{"boolValue": true}, {"doubleValue": 0.5}]}}},
                    {"key": "map", "value": {"kvlistValue": {"values": [{"key": "a", "value": {"stringValue": "b"}}]}}},
                ],
                "status": {"code": "STATUS_CODE_ERROR", "message": "no"},
            }]}],
        }]});
        let kind = ("Content-Type", "application/json; charset=utf-8");
        let answer = server.send("POST /v1/traces", &[kind, HERE], body.to_string().as_bytes()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let path = "/get?trace_id=tr-61181d5c16b3b25d966891c3fc595af9";
        let full = server.v3("GET", path, Value::Null).await["trace"].clone();
        assert_eq!(full["trace_info"]["state"], "ERROR");
        let span = &full["spans"][0];
        assert_eq!(span["status"], json!({"code": "STATUS_CODE_ERROR", "message": "no"}));
        for (key, value) in [
            ("n", json!({"int_value": 5})),
            ("list", json!({"array_value": {"values": [{"bool_value": true}, {"double_value": 0.5}]}})),
            ("map", json!({"kvlist_value": {"values": [{"key": "a", "value": {"string_value": "b"}}]}})),
            ("service.name", json!({"string_value": "codex_cli_rs"})),
        ] {
            assert_eq!(attribute(span, key), value, "{key}");
        }
    }
}

#[tokio::test]
async fn what_is_no_export_is_refused_as_upstream_refuses_it() {
    for server in servers().await {
        let good = request(&[Span::new("tr-1", 1)], "test");
        let without_id = bytes(1, &bytes(2, &bytes(2, &bytes(1, &[7; 16]))));
        let elsewhere = ("x-mlflow-experiment-id", "9");
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&good).unwrap();
        let gzip = gzip.finish().unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&good).unwrap();
        let zlib = zlib.finish().unwrap();
        let packed = |name: &'static str| ("Content-Encoding", name);
        for (headers, body, status, says) in [
            (vec![PROTOBUF], good.clone(), 422, "Field required"),
            (vec![("Content-Type", "text/plain"), HERE], good.clone(), 400, "Invalid Content-Type"),
            (vec![HERE], good.clone(), 400, "Invalid Content-Type"),
            (
                vec![PROTOBUF, HERE],
                b"this is not valid protobuf".to_vec(),
                400,
                "Invalid OpenTelemetry format",
            ),
            (
                vec![("Content-Type", "application/json"), HERE],
                b"{".to_vec(),
                400,
                "Invalid OpenTelemetry format",
            ),
            (vec![PROTOBUF, HERE], Vec::new(), 400, "no spans found"),
            (vec![PROTOBUF, HERE], without_id, 422, "span_id"),
            (vec![PROTOBUF, elsewhere], good.clone(), 404, "RESOURCE_DOES_NOT_EXIST"),
            (vec![PROTOBUF, HERE, packed("br")], good.clone(), 400, "Unsupported Content-Encoding"),
            (vec![PROTOBUF, HERE, packed("gzip")], good.clone(), 400, "Failed to decompress"),
            (vec![PROTOBUF, HERE, packed("gzip")], gzip, 200, ""),
            (vec![PROTOBUF, HERE, packed("deflate")], zlib, 200, ""),
        ] {
            let answer = server.send("POST /v1/traces", &headers, &body).await;
            assert_eq!(answer.status, status, "{headers:?}: {answer:?}");
            assert!(answer.body.contains(says), "{headers:?}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_trace_id_that_two_workspaces_share_costs_neither_its_own_spans() {
    for server in servers().await {
        assert_eq!(export(&server, &[Span::new("tr-shared", 1).named("first")]).await.status, 200);
        let feedback = |id: &str| json!({"assessment": {"assessment_id": id, "assessment_name": "good", "feedback": {"value": true}}});
        server.v3("POST", "/tr-shared/assessments", feedback("a-1")).await;
        let before = server.v3("GET", "/get?trace_id=tr-shared", Value::Null).await;

        let there = ("x-mlflow-experiment-id", "2");
        let spans = [
            Span::new("tr-own", 2).named("own"),
            Span::new("tr-shared", 3).named("planted"),
            Span::new("tr-shared", 4).under(3).failed(),
        ];
        let answer =
            server.send("POST /v1/traces", &[PROTOBUF, there, ELSEWHERE], &request(&spans, "test")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/x-protobuf"), "{answer:?}");
        let said = bytes(1, &[vec![0x08, 2], bytes(2, b"2 spans were not accepted")].concat());
        assert_eq!(answer.body.as_bytes(), said, "{answer:?}");
        let own = server.elsewhere("GET", "/get?trace_id=tr-own", Value::Null).await;
        assert_eq!((own.status, own.json()["trace"]["spans"][0]["name"].clone()), (200, json!("own")));

        let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
            "traceId": "61181d5c16b3b25d966891c3fc595af9", "spanId": "508755a859b294e3", "name": "planted",
            "startTimeUnixNano": "1000000000", "endTimeUnixNano": "2000000000",
            "attributes": [{"key": "mlflow.traceRequestId", "value": {"stringValue": "tr-shared"}}],
        }]}]}]});
        let kind = ("Content-Type", "application/json");
        let answer =
            server.send("POST /v1/traces", &[kind, there, ELSEWHERE], body.to_string().as_bytes()).await;
        let partial = json!({"rejectedSpans": "1", "errorMessage": "1 spans were not accepted"});
        assert_eq!((answer.status, answer.json()), (200, json!({"partialSuccess": partial})));

        // What is another's is answered as what is nobody's.
        for id in ["tr-shared", "tr-nobody"] {
            let missing = format!("Trace with ID '{id}' not found.");
            let assessments = format!("/{id}/assessments");
            for (method, path, body) in [
                ("GET", format!("/{id}"), Value::Null),
                ("PATCH", format!("/{id}/tags"), json!({"key": "k", "value": "v"})),
                ("POST", assessments.clone(), feedback("a-2")),
                ("GET", format!("{assessments}/a-1"), Value::Null),
                ("DELETE", format!("{assessments}/a-1"), Value::Null),
            ] {
                let answer = server.elsewhere(method, &path, body).await;
                let told = (answer.status, answer.json()["message"].clone());
                assert_eq!(told, (404, json!(missing)), "{method} {path}");
            }
            let link = json!({"trace_ids": [id, "tr-own"], "run_id": "run-7"});
            let linked = server.elsewhere("POST", "/link-to-run", link).await;
            assert_eq!((linked.status, linked.body.as_str()), (200, "{}"), "{id}");
        }
        // The id of an assessment is its trace's alone.
        let made = server.elsewhere("POST", "/tr-own/assessments", feedback("a-1")).await;
        assert_eq!(made.status, 200, "{made:?}");
        let gone = server.elsewhere("DELETE", "/tr-own/assessments/a-1", Value::Null).await;
        assert_eq!(gone.status, 200, "{gone:?}");
        let after = server.v3("GET", "/get?trace_id=tr-shared", Value::Null).await;
        assert_eq!(after, before);
    }
}
