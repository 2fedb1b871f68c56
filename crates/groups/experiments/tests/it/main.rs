//! Runs and artifacts as MLflow clients write them and as the platform reads them.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

mod import;
mod locations;
mod multipart;
mod points;
mod search;
mod workspaces;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use group_experiments::{ExperimentError, Experiments, MIGRATIONS, NewRun, RunStatus, Uploads, kinds};
use platform_auth::Authenticator;
use platform_blobs::{BlobDigest, Blobs};
use platform_db::Engine;
use platform_events::EventFilter;
use platform_testkit::{TestDb, both_engines};
use platform_ui::Ui;
use platform_web::mlflow::KnownWorkspaces;
use platform_web::{EdgeConfig, bind, serve};
use serde_json::{Value, json};

use platform_testkit::http::{Answer, ask};

/// Path, digest and size of what was uploaded.
#[derive(Default)]
struct Heard(Mutex<Vec<(String, String, u64)>>);

impl Uploads for Heard {
    fn saved(&self, path: &str, digest: &str, size_bytes: u64) {
        self.0.lock().unwrap().push((path.to_owned(), digest.to_owned(), size_bytes));
    }
}

struct Server {
    test: TestDb,
    experiments: Experiments,
    blobs: Blobs,
    heard: Arc<Heard>,
    address: SocketAddr,
    _files: tempfile::TempDir,
}

async fn servers() -> Vec<Server> {
    let mut all = Vec::new();
    for test in both_engines(&[MIGRATIONS]).await {
        all.push(Server::start(test).await);
    }
    all
}

impl Server {
    async fn start(test: TestDb) -> Self {
        let files = tempfile::tempdir().unwrap();
        let blobs = Blobs::local(files.path()).unwrap();
        let heard = Arc::new(Heard::default());
        let experiments =
            Experiments::new(test.db.clone(), test.events.clone(), blobs.clone()).with_uploads(heard.clone());
        let authenticator = Authenticator::new(test.db.clone(), test.clock.clone(), "owner@here");
        let surfaces = group_experiments::group(&experiments, &Ui::new(&[]).unwrap()).surfaces;
        let known: KnownWorkspaces = Arc::new(|name: &str| name.starts_with("team-"));
        let surfaces = surfaces.into_iter().map(|surface| surface.among(Arc::clone(&known))).collect();
        let config = EdgeConfig { authenticator, extra_hosts: Arc::from([]) };
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        // It ends with the runtime of its test.
        tokio::spawn(serve(listener, surfaces, config, std::future::pending()));
        Self { test, experiments, blobs, heard, address, _files: files }
    }

    fn engine(&self) -> Engine {
        self.test.db.engine()
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        let line = format!("POST /api/2.0/mlflow{path}");
        ask(self.address, &line, &[("Content-Type", "application/json")], &body.to_string()).await
    }

    async fn artifact(&self, method: &str, path: &str, body: &str) -> Answer {
        let line = format!("{method} /api/2.0/mlflow-artifacts/artifacts/{path}");
        ask(self.address, &line, &[("Content-Type", "application/octet-stream")], body).await
    }

    async fn run(&self) -> String {
        let experiment_id = self.experiments.ensure_experiment("alice", "taxi").await.unwrap();
        let new = NewRun { experiment_id, name: "first".to_owned(), ..NewRun::default() };
        self.experiments.create_run("alice", new).await.unwrap().run.id
    }
}

#[tokio::test]
async fn what_is_logged_is_read_back() {
    for server in servers().await {
        let engine = server.engine();
        let run = server.run().await;
        let again = server.experiments.ensure_experiment("omar", "taxi").await.unwrap();
        let point = |key: &str, value: Value, step: i64| json!({"key": key, "value": value, "timestamp": 1_000, "step": step});
        let body = json!({
            "run_id": run,
            "metrics": [
                point("mae", json!(2.5), 2),
                point("mae", json!(2.25), 3),
                point("mae", json!(3.5), 1),
                point("odd", json!("NaN"), 0),
            ],
            "params": [{"key": "leaves", "value": "31"}],
            "tags": [{"key": "team", "value": "taxi"}],
        });
        let answer = server.post("/runs/log-batch", body).await;
        assert_eq!(answer.status, 200, "{engine:?}: {answer:?}");

        let record = server.experiments.get_record(&run).await.unwrap();
        assert_eq!(record.run.experiment_id, again, "{engine:?}: one experiment of that name");
        assert_eq!(
            (record.run.user.as_str(), record.run.status),
            ("alice", RunStatus::Running),
            "{engine:?}"
        );
        assert_eq!(record.params.get("leaves").map(String::as_str), Some("31"), "{engine:?}");
        assert_eq!(record.tags.get("team").map(String::as_str), Some("taxi"), "{engine:?}");
        assert_eq!(record.tags.get("mlflow.runName").map(String::as_str), Some("first"), "{engine:?}");
        let newest: Vec<_> = record.metrics.iter().map(|(key, summary)| (key, summary.latest.step)).collect();
        assert_eq!(newest, [("mae", 3), ("odd", 0)], "{engine:?}");
        let odd = record.metrics.get("odd").unwrap();
        assert!(odd.latest.value.is_nan(), "{engine:?}: {record:?}");
        let mae = record.metrics.get("mae").unwrap();
        assert_eq!((mae.min, mae.max, mae.points), (2.25, 3.5, 3), "{engine:?}");

        // All have one time: the step decides, and a page goes on behind the last point of the one before.
        let mut token = String::new();
        for (limit, expected) in [(1, vec![3.5]), (1, vec![2.5]), (10, vec![2.25])] {
            let line = format!(
                "GET /api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=mae&max_results={limit}&page_token={token}"
            );
            let page = ask(server.address, &line, &[("Content-Type", "application/json")], "").await.json();
            let values: Vec<f64> = page["metrics"]
                .as_array()
                .unwrap()
                .iter()
                .map(|point| point["value"].as_f64().unwrap())
                .collect();
            assert_eq!(values, expected, "{engine:?} at most {limit}");
            token = page["next_page_token"].as_str().unwrap_or_default().to_owned();
        }
        assert_eq!(token, "", "{engine:?}");
        let odd = server.experiments.history(&run, "odd").await.unwrap();
        assert!(odd.len() == 1 && odd[0].value.is_nan(), "{engine:?}: {odd:?}");
        let line = format!("GET /api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=odd");
        let wire = ask(server.address, &line, &[("Content-Type", "application/json")], "").await;
        assert_eq!(wire.json()["metrics"][0]["value"], json!("NaN"), "{engine:?}");
    }
}

#[tokio::test]
async fn a_param_is_written_once_and_a_refused_batch_leaves_nothing() {
    for server in servers().await {
        let engine = server.engine();
        let run = server.run().await;
        for (value, status) in [("31", 200), ("31", 200), ("63", 400), ("", 400), ("31", 200)] {
            let body = json!({"run_id": run, "key": "leaves", "value": value});
            let answer = server.post("/runs/log-parameter", body).await;
            assert_eq!(answer.status, status, "{engine:?} {value:?}: {answer:?}");
        }
        let body = json!({
            "run_id": run,
            "metrics": [{"key": "mae", "value": 1.0, "timestamp": 1, "step": 0}],
            "params": [{"key": "depth", "value": "8"}, {"key": "leaves", "value": "63"}],
            "tags": [{"key": "team", "value": "taxi"}],
        });
        let answer = server.post("/runs/log-batch", body).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "INVALID_PARAMETER_VALUE"), "{engine:?}");
        let record = server.experiments.get_record(&run).await.unwrap();
        let params: Vec<_> = record.params.clone().into_iter().collect();
        assert_eq!(params, [("leaves".to_owned(), "31".to_owned())], "{engine:?}");
        assert!(record.metrics.is_empty() && !record.tags.contains_key("team"), "{engine:?}");
    }
}

#[tokio::test]
async fn a_deleted_run_takes_nothing_until_it_is_restored() {
    for server in servers().await {
        let engine = server.engine();
        let run = server.run().await;
        let metric = json!({"run_id": run, "key": "mae", "value": 1.5, "timestamp": 1, "step": 0});
        for (change, status, points) in [("delete", 400, 0), ("restore", 200, 1), ("delete", 400, 1)] {
            let changed = server.post(&format!("/runs/{change}"), json!({"run_id": run})).await;
            assert_eq!(changed.status, 200, "{engine:?} {change}: {changed:?}");
            let logged = server.post("/runs/log-metric", metric.clone()).await;
            assert_eq!(logged.status, status, "{engine:?} after {change}: {logged:?}");
            let history = server.experiments.history(&run, "mae").await.unwrap();
            assert_eq!(history.len(), points, "{engine:?} after {change}");
            let finished =
                server.experiments.update_run("alice", &run, Some(RunStatus::Finished), None, None).await;
            let refused = matches!(finished, Err(ExperimentError::RunDeleted { .. }));
            assert_eq!(refused, change == "delete", "{engine:?} after {change}: {finished:?}");
        }
        let filter = EventFilter { subject: Some(format!("run:{run}")), ..EventFilter::default() };
        let events = server.test.events.list(filter, 0, 100).await.unwrap();
        let story: Vec<_> = events.iter().map(|event| (event.kind.as_str(), event.actor.as_str())).collect();
        let expected = [
            (kinds::RUN_CREATED, "alice"),
            (kinds::RUN_CHANGED, "owner@here"),
            (kinds::RUN_CHANGED, "owner@here"),
            (kinds::RUN_CHANGED, "alice"),
            (kinds::RUN_CHANGED, "owner@here"),
        ];
        assert_eq!(story, expected, "{engine:?}");
    }
}

#[tokio::test]
async fn artifacts_come_back_as_they_were_sent() {
    for server in servers().await {
        let engine = server.engine();
        let run = server.run().await;
        let folder = server.experiments.get_run(&run).await.unwrap().artifact_folder().unwrap();
        let files =
            [("model/MLmodel", "flavors: {}\n"), ("model/data/model.lgb", "tree\n"), ("notes.txt", "")];
        for (name, text) in files {
            let path = format!("{folder}/{name}");
            let sent = server.artifact("PUT", &path, text).await;
            assert_eq!(sent.status, 200, "{engine:?} {name}: {sent:?}");
            let heard = server.heard.0.lock().unwrap().pop().unwrap();
            let size = text.len() as u64;
            assert_eq!(
                heard,
                (path.clone(), BlobDigest::of(text.as_bytes()).to_string(), size),
                "{engine:?}"
            );
            let (digest, bytes) = server.experiments.read_artifact(&path).await.unwrap();
            assert_eq!(bytes.as_ref(), text.as_bytes(), "{engine:?} {name}");
            assert_eq!(digest, BlobDigest::of(text.as_bytes()), "{engine:?} {name}");
            let got = server.artifact("GET", &path, "").await;
            assert_eq!((got.status, got.body.as_str()), (200, text), "{engine:?} {name}");
        }
        let mut listed: Vec<_> = server
            .experiments
            .list_artifacts(&folder)
            .await
            .unwrap()
            .into_iter()
            .map(|entry| (entry.name, entry.is_folder))
            .collect();
        listed.sort();
        assert_eq!(listed, [("model".to_owned(), true), ("notes.txt".to_owned(), false)], "{engine:?}");
        let missing = server.experiments.read_artifact(&format!("{folder}/model")).await;
        assert!(matches!(missing, Err(ExperimentError::ArtifactNotFound { .. })), "{engine:?}: {missing:?}");
    }
}

#[tokio::test]
async fn no_path_leads_out_of_the_store() {
    for server in servers().await {
        let engine = server.engine();
        let paths = [
            "1/run/../../secret",
            "1/%2e%2e/secret",
            "1/%2E%2E/secret",
            "1/..%2fsecret",
            "1/%252e%252e/secret",
            "1//secret",
            "1/a%5Cb",
            "1/./secret",
            "file:%2F%2F/etc/passwd",
        ];
        for path in paths {
            for method in ["PUT", "GET", "DELETE"] {
                let answer = server.artifact(method, path, "x").await;
                let told = (answer.status, answer.code());
                assert_eq!(told, (400, "INVALID_PARAMETER_VALUE".to_owned()), "{engine:?} {method} {path}");
            }
        }
        for path in ["../x", "/etc/passwd", "a/../b", "a\\b", ""] {
            let read = server.experiments.read_artifact(path).await;
            assert!(
                matches!(read, Err(ExperimentError::HostilePath { .. })),
                "{engine:?} {path:?}: {read:?}"
            );
        }
        assert!(server.experiments.list_artifacts("").await.unwrap().is_empty(), "{engine:?}");
    }
}
