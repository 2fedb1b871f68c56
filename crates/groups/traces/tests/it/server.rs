//! Traces behind their port, on each engine, with one run (`run-7`) and one experiment (`1`); that of the workspace `team-b` is `2`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use group_traces::{Experiments, MIGRATIONS, TraceFiles, Traces};
use platform_auth::{Authenticator, Role};
use platform_primitives::{ErrorKind, Failure};
use platform_testkit::{TestDb, both_engines};
use platform_web::mlflow::KnownWorkspaces;
use platform_web::{EdgeConfig, bind, serve};
use serde_json::{Value, json};

use platform_testkit::http::{Answer, ask};

/// The header of another workspace's requests.
pub const ELSEWHERE: (&str, &str) = ("X-MLFLOW-WORKSPACE", "team-b");

struct OneExperiment(&'static str);

#[async_trait]
impl Experiments for OneExperiment {
    async fn exists(&self, experiment_id: &str) -> Result<(), Failure> {
        known(experiment_id == self.0, "experiment", experiment_id)
    }

    async fn run_exists(&self, run_id: &str) -> Result<(), Failure> {
        known(run_id == "run-7", "run", run_id)
    }

    async fn sees(&self, experiment_id: &str) -> Result<bool, Failure> {
        Ok(experiment_id == self.0)
    }

    fn within(&self, workspace: &str) -> Arc<dyn Experiments> {
        Arc::new(Self(if workspace == "team-b" { "2" } else { "1" }))
    }
}

fn known(is_known: bool, what: &str, id: &str) -> Result<(), Failure> {
    let missing = || Failure::new(ErrorKind::NotFound, "test/missing", format!("no {what} with id={id}"));
    is_known.then_some(()).ok_or_else(missing)
}

/// Uploaded files by path.
#[derive(Default)]
pub struct Files(pub Mutex<HashMap<String, Vec<u8>>>);

#[async_trait]
impl TraceFiles for Files {
    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.0.lock().unwrap().get(path).cloned())
    }
}

pub struct Server {
    /// The database is gone with it.
    _test: TestDb,
    pub files: Arc<Files>,
    address: SocketAddr,
    bearer: String,
}

pub async fn servers() -> Vec<Server> {
    let mut all = Vec::new();
    for test in both_engines(&[MIGRATIONS, platform_auth::MIGRATIONS]).await {
        all.push(Server::start(test).await);
    }
    all
}

impl Server {
    pub async fn start(test: TestDb) -> Self {
        let files = Arc::new(Files::default());
        let traces =
            Traces::new(test.db.clone(), test.events.clone(), Arc::new(OneExperiment("1")), files.clone());
        let authenticator = Authenticator::new(test.db.clone(), test.clock.clone(), "owner@here");
        let known: KnownWorkspaces = Arc::new(|name: &str| name == "team-b");
        let surfaces = group_traces::group(&traces).surfaces;
        let surfaces = surfaces.into_iter().map(|surface| surface.among(Arc::clone(&known))).collect();
        let config = EdgeConfig { authenticator: authenticator.clone(), extra_hosts: Arc::from([]) };
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        // It ends with the runtime of its test.
        tokio::spawn(serve(listener, surfaces, config, std::future::pending()));
        let token = authenticator.create_token("alice", &[Role::Owner], None).await.unwrap();
        Self { _test: test, files, address, bearer: format!("Bearer {token}") }
    }

    pub async fn send(&self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut all = vec![("Authorization", self.bearer.as_str())];
        all.extend_from_slice(headers);
        ask(self.address, line, &all, body).await
    }

    pub async fn ask(&self, method: &str, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let kind = [("Content-Type", "application/json")];
        self.send(&format!("{method} {path}"), &kind, body.as_bytes()).await
    }

    /// Version 3, of the workspace `team-b`.
    pub async fn elsewhere(&self, method: &str, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [("Content-Type", "application/json"), ELSEWHERE];
        self.send(&format!("{method} /api/3.0/mlflow/traces{path}"), &headers, body.as_bytes()).await
    }

    /// Version 3, and only when it succeeds.
    pub async fn v3(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.ask(method, &format!("/api/3.0/mlflow/traces{path}"), body).await;
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        answer.json()
    }

    /// Writes a trace that has ended, `at_ms` after the epoch.
    pub async fn start_trace(&self, trace_id: &str, at_ms: i64, more: Value) -> Value {
        let mut trace = json!({
            "trace_id": trace_id,
            "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "1"}},
            "request_time": format!("1970-01-01T00:00:{:02}.{:03}Z", at_ms / 1_000, at_ms % 1_000),
            "execution_duration": "0.250s",
            "state": "OK",
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            trace[key] = value.clone();
        }
        let answer = self.v3("POST", "", json!({"trace": {"trace_info": trace}})).await;
        answer["trace"]["trace_info"].clone()
    }

    /// The ids that a search finds, in order.
    pub async fn search(&self, filter: &str, order_by: &[&str]) -> Vec<String> {
        let body = json!({"locations": here(), "filter": filter, "order_by": order_by});
        ids(&self.v3("POST", "/search", body).await)
    }
}

pub fn here() -> Value {
    json!([{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "1"}}])
}

pub fn ids(answer: &Value) -> Vec<String> {
    let traces = answer["traces"].as_array().unwrap().iter();
    traces.map(|trace| trace["trace_id"].as_str().unwrap().to_owned()).collect()
}
