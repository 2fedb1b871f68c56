//! The edge and the routes over a real socket: who is answered, and in whose words the others are refused.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

mod client;

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use http::Method;
use platform_auth::{Authenticator, Permission, Role};
use platform_primitives::{ErrorKind, Failure, Fault};
use platform_testkit::TestDb;
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, Caller, EdgeConfig, Routes, Surface, bind, serve};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use client::{Answer, ask};

const OPEN: Access = Access::Open("it says nothing but that the server runs");
const READ: Access = Access::Needs(Permission::Read);
const APPROVE: Access = Access::Needs(Permission::Approve);
const BODY_LIMIT_BYTES: usize = 16;

async fn hello() -> &'static str {
    "hello"
}

async fn who(Caller(caller): Caller) -> String {
    caller.name.clone()
}

async fn echo(body: Bytes) -> Bytes {
    body
}

async fn broken() -> ProblemResult<&'static str> {
    let message = "password hunter2 did not open /etc/shadow";
    Err(Failure::new(ErrorKind::Internal, "test/broken", message).into())
}

async fn busy() -> ProblemResult<&'static str> {
    Err(Failure::new(ErrorKind::Unavailable, "test/busy", "come back later").into())
}

/// One route per dialect that a reader may not use, and what the other tests need.
fn surfaces() -> Vec<Surface> {
    let api = Routes::<()>::new(Dialect::Problem)
        .get("/open", OPEN, hello)
        .post("/open", OPEN, hello)
        .get("/api/who", READ, who)
        .post("/api/approve", APPROVE, hello)
        .get("/api/broken", READ, broken)
        .get("/api/busy", READ, busy);
    let small = Routes::<()>::new(Dialect::Problem).body_limit(BODY_LIMIT_BYTES).post("/small", OPEN, echo);
    let slow = Routes::<()>::new(Dialect::Problem)
        .body_limit(BODY_LIMIT_BYTES)
        .without_deadline()
        .post("/slow", OPEN, echo);
    let streaming = Routes::<()>::new(Dialect::Problem).streaming().post("/large", OPEN, echo);
    let mlflow = Routes::<()>::new(Dialect::Mlflow).post("/mlflow/approve", APPROVE, hello);
    let inference = Routes::<()>::new(Dialect::OpenInference).post("/v2/approve", APPROVE, hello);
    let pages = Routes::<()>::new(Dialect::Page).route(Method::POST, "/ui/approve", APPROVE, hello);
    [api, small, slow, streaming, mlflow, inference, pages]
        .into_iter()
        .map(|routes| routes.with_state(()))
        .collect()
}

struct Server {
    address: SocketAddr,
    authenticator: Authenticator,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), platform_web::ServeError>>,
    _test: TestDb,
}

impl Server {
    async fn start() -> Self {
        let test = platform_testkit::sqlite(&[platform_auth::MIGRATIONS]).await;
        let authenticator = Authenticator::new(test.db.clone(), test.clock.clone(), "owner@here");
        let config = EdgeConfig {
            authenticator: authenticator.clone(),
            extra_hosts: ["loops.example".to_owned()].into(),
        };
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(serve(listener, surfaces(), config, async move {
            // A dropped sender means the same.
            let _ = stopped.await;
        }));
        Self { address, authenticator, stop, running, _test: test }
    }

    async fn bearer(&self, name: &str, role: Role) -> String {
        let token = self.authenticator.create_token(name, &[role], None).await.expect("a token");
        format!("Bearer {token}")
    }

    async fn ask(&self, line: &str, headers: &[(&str, &str)]) -> Answer {
        ask(self.address, line, headers, "").await
    }
}

#[tokio::test]
async fn only_requests_meant_for_this_host_are_answered() {
    let server = Server::start().await;
    let cases = [
        ("127.0.0.1", 200),
        ("127.0.0.1:8080", 200),
        ("localhost:1", 200),
        ("[::1]:8080", 200),
        ("loops.example", 200),
        ("loops.example:8080", 200),
        ("evil.example", 403),
        ("evil.example:8080", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:80", 403),
        ("xloops.example", 403),
        ("10.0.0.1", 403),
        ("", 403),
    ];
    for (host, status) in cases {
        for path in ["/open", "/api/who", "/no/such/route"] {
            let answer = server.ask(&format!("GET {path}"), &[("Host", host)]).await;
            let expected = if status == 200 && path.starts_with("/no") { 404 } else { status };
            assert_eq!(answer.status, expected, "{host:?} {path}: {answer:?}");
            if expected == 403 {
                assert_eq!(answer.problem(), "web/foreign-host", "{host:?} {path}");
            }
        }
    }
}

#[tokio::test]
async fn another_sites_form_changes_nothing() {
    let server = Server::start().await;
    let own = format!("http://{}", server.address);
    let other_port = "http://127.0.0.1:1".to_owned();
    let cases = [
        ("GET", None, 200),
        ("GET", Some("http://evil.example"), 200),
        ("POST", None, 200),
        ("POST", Some(own.as_str()), 200),
        ("POST", Some("http://evil.example"), 403),
        ("POST", Some("https://evil.example:443"), 403),
        ("POST", Some(other_port.as_str()), 403),
        ("POST", Some("null"), 403),
        ("POST", Some(""), 403),
    ];
    for (method, origin, status) in cases {
        let headers: Vec<(&str, &str)> = origin.iter().map(|origin| ("Origin", *origin)).collect();
        let answer = server.ask(&format!("{method} /open"), &headers).await;
        assert_eq!(answer.status, status, "{method} from {origin:?}: {answer:?}");
        if status == 403 {
            assert_eq!(answer.problem(), "web/foreign-origin", "{method} from {origin:?}");
        }
    }
}

#[tokio::test]
async fn a_role_without_the_permission_is_refused_in_the_words_of_the_surface() {
    let server = Server::start().await;
    let reader = server.bearer("ines", Role::Business).await;
    let message = "ines may not do this: it needs the permission Approve";
    let problem = json!({
        "type": "urn:loopwright:error:auth/not-permitted",
        "title": "auth/not-permitted",
        "status": 403,
        "detail": message,
    });
    let mlflow = json!({"error_code": "PERMISSION_DENIED", "message": message});
    let cases = [
        ("/api/approve", "application/problem+json", problem.to_string()),
        ("/mlflow/approve", "application/json", mlflow.to_string()),
        ("/v2/approve", "application/json", json!({"error": message}).to_string()),
        ("/ui/approve", "text/plain; charset=utf-8", message.to_owned()),
    ];
    for (path, content_type, body) in cases {
        let answer = server.ask(&format!("POST {path}"), &[("Authorization", reader.as_str())]).await;
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some(content_type), "{path}");
        assert_eq!(answer.body, body, "{path}");
        assert_eq!(answer.header("www-authenticate"), None, "{path}: another token may be no better");
    }
}

#[tokio::test]
async fn an_unknown_token_is_asked_for_again_in_the_words_of_the_surface() {
    let server = Server::start().await;
    let message = "the token is not known or has expired";
    let problem = json!({
        "type": "urn:loopwright:error:auth/token-unknown",
        "title": "auth/token-unknown",
        "status": 401,
        "detail": message,
    });
    let cases = [
        ("/api/approve", problem.to_string()),
        ("/mlflow/approve", json!({"error_code": "UNAUTHENTICATED", "message": message}).to_string()),
        ("/v2/approve", json!({"error": message}).to_string()),
        ("/ui/approve", message.to_owned()),
    ];
    for (path, body) in cases {
        let answer = server.ask(&format!("POST {path}"), &[("Authorization", "Bearer lwt_0000")]).await;
        assert_eq!(answer.status, 401, "{path}: {answer:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"loopwright\""), "{path}");
        assert_eq!(answer.body, body, "{path}");
    }
    let malformed = server.ask("GET /api/who", &[("Authorization", "Digest nonsense")]).await;
    assert_eq!((malformed.status, malformed.problem().as_str()), (401, "auth/header-malformed"));
}

#[tokio::test]
async fn the_permission_decides_and_the_caller_is_known_by_name() {
    let server = Server::start().await;
    let reader = server.bearer("ines", Role::Business).await;
    let approver = server.bearer("omar", Role::Approver).await;
    let application = server.bearer("shop", Role::Application).await;
    // Without a header this machine is the owner.
    let cases = [
        ("GET /api/who", None, 200, "owner@here"),
        ("GET /api/who", Some(&reader), 200, "ines"),
        ("GET /api/who", Some(&approver), 200, "omar"),
        ("GET /api/who", Some(&application), 403, ""),
        ("POST /mlflow/approve", None, 200, "hello"),
        ("POST /mlflow/approve", Some(&reader), 403, ""),
        ("POST /mlflow/approve", Some(&approver), 200, "hello"),
        ("GET /open", Some(&application), 200, "hello"),
        ("HEAD /open", None, 200, ""),
    ];
    for (line, authorization, status, body) in cases {
        let headers: Vec<(&str, &str)> =
            authorization.iter().map(|header| ("Authorization", header.as_str())).collect();
        let answer = server.ask(line, &headers).await;
        assert_eq!(answer.status, status, "{line} {authorization:?}: {answer:?}");
        if status == 200 {
            assert_eq!(answer.body, body, "{line} {authorization:?}");
        }
    }
}

#[tokio::test]
async fn unknown_routes_and_wrong_methods_are_problems() {
    let server = Server::start().await;
    let cases = [
        ("GET /nothing", 404, "web/no-route"),
        ("POST /api", 404, "web/no-route"),
        ("GET /api/who/", 404, "web/no-route"),
        ("POST /api/who", 405, "web/method"),
        ("GET /api/approve", 405, "web/method"),
        ("DELETE /open", 405, "web/method"),
        ("GET /mlflow/approve", 405, "web/method"),
    ];
    for (line, status, code) in cases {
        let answer = server.ask(line, &[]).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, code), "{line}: {answer:?}");
    }
}

#[tokio::test]
async fn what_no_route_answers_is_refused_in_the_words_of_the_path() {
    let server = Server::start().await;
    for (line, status, key) in [
        ("GET /api/2.0/mlflow/nothing", 404, "error_code"),
        ("GET /ajax-api/nothing", 404, "error_code"),
        ("GET /v2/nothing", 404, "error"),
        ("GET /v2/approve", 405, "error"),
    ] {
        let answer = server.ask(line, &[]).await;
        assert_eq!(answer.status, status, "{line}");
        assert!(answer.json()[key].is_string(), "{line}: {answer:?}");
    }
    let large = ask(server.address, "POST /small", &[], &"x".repeat(BODY_LIMIT_BYTES + 1)).await;
    assert_eq!((large.status, large.problem().as_str()), (413, "web/body-too-large"));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_one_within_it_is_not() {
    let server = Server::start().await;
    let cases = [
        ("/small", BODY_LIMIT_BYTES, 200),
        ("/small", BODY_LIMIT_BYTES + 1, 413),
        ("/small", 10 * BODY_LIMIT_BYTES, 413),
        ("/slow", BODY_LIMIT_BYTES, 200),
        ("/slow", BODY_LIMIT_BYTES + 1, 413),
        ("/large", 10 * BODY_LIMIT_BYTES, 200),
        ("/large", 3 * 1024 * 1024, 200),
    ];
    for (path, bytes, status) in cases {
        let body = "x".repeat(bytes);
        let answer = ask(server.address, &format!("POST {path}"), &[], &body).await;
        assert_eq!(answer.status, status, "{path} with {bytes} bytes");
        if status == 200 {
            assert!(answer.body == body, "{path} with {bytes} bytes comes back whole");
        }
    }
}

#[tokio::test]
async fn an_internal_error_keeps_its_details_and_a_busy_server_says_when() {
    let server = Server::start().await;
    let broken = server.ask("GET /api/broken", &[]).await;
    assert_eq!((broken.status, broken.problem().as_str()), (500, "test/broken"));
    assert!(!broken.body.contains("hunter2") && !broken.body.contains("/etc"), "{broken:?}");
    let busy = server.ask("GET /api/busy", &[]).await;
    assert_eq!((busy.status, busy.problem().as_str()), (503, "test/busy"));
    assert_eq!(busy.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn every_answer_of_a_route_carries_the_headers_browsers_heed() {
    let server = Server::start().await;
    for (line, status) in
        [("GET /open", 200), ("GET /nothing", 404), ("DELETE /open", 405), ("GET /api/broken", 500)]
    {
        let answer = server.ask(line, &[]).await;
        assert_eq!(answer.status, status, "{line}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{line}: {answer:?}");
        }
    }
}

#[test]
fn every_row_of_the_table_has_the_access_it_was_registered_with() {
    let rows: Vec<(Method, String, Access)> = surfaces()
        .into_iter()
        .flat_map(|surface| surface.table)
        .map(|row| (row.method, row.path, row.access))
        .collect();
    let expected = [
        (Method::GET, "/open", OPEN),
        (Method::POST, "/open", OPEN),
        (Method::GET, "/api/who", READ),
        (Method::POST, "/api/approve", APPROVE),
        (Method::GET, "/api/broken", READ),
        (Method::GET, "/api/busy", READ),
        (Method::POST, "/small", OPEN),
        (Method::POST, "/slow", OPEN),
        (Method::POST, "/large", OPEN),
        (Method::POST, "/mlflow/approve", APPROVE),
        (Method::POST, "/v2/approve", APPROVE),
        (Method::POST, "/ui/approve", APPROVE),
    ]
    .map(|(method, path, access)| (method, path.to_owned(), access));
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn the_server_ends_when_it_is_told_to() {
    let server = Server::start().await;
    assert_eq!(server.ask("GET /open", &[]).await.status, 200);
    server.stop.send(()).expect("the server is running");
    let ended = tokio::time::timeout(Duration::from_secs(10), server.running).await;
    ended.expect("it ends in time").unwrap().unwrap();
    tokio::net::TcpStream::connect(server.address).await.unwrap_err();
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_the_next_step() {
    let taken = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = bind(address).await.unwrap_err();
    assert_eq!(error.code(), "web/listen");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    let hint = error.hint().expect("the reader is told what to do");
    assert!(hint.contains(&address.port().to_string()) && hint.contains("--listen"), "{hint}");
}
