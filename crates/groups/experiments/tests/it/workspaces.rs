//! What one workspace sees of another: nothing, and not even that there is something.

use group_experiments::{Experiment, ExperimentError, MIGRATIONS, NewRun};
use platform_blobs::BlobDigest;
use platform_db::{DbError, MigrationSet, args};
use platform_primitives::Timestamp;
use platform_testkit::both_engines;
use platform_testkit::http::{Answer, ask};
use platform_web::mlflow::Within as _;
use serde_json::{Value, json};

use crate::{Server, servers};

/// What a request can name.
struct Things {
    experiment: String,
    run: String,
    model: String,
}

const OWNER: &str = "team-a";
const SECRET: &str = "team secret";

impl Server {
    async fn asked(&self, workspace: &str, line: &str, body: &str) -> Answer {
        let kind = match line.contains("-artifact") {
            true => "application/octet-stream",
            false => "application/json",
        };
        let headers = [("Content-Type", kind), ("X-MLFLOW-WORKSPACE", workspace)];
        ask(self.address, line, &headers, body).await
    }

    async fn told(&self, workspace: &str, path: &str, body: Value) -> Value {
        let answer = self.asked(workspace, &format!("POST /api/2.0/mlflow{path}"), &body.to_string()).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// An experiment with a run, a point, a data set, a file and a logged model.
    async fn things(&self, workspace: &str) -> Things {
        let made = self.told(workspace, "/experiments/create", json!({"name": SECRET})).await;
        let experiment = made["experiment_id"].as_str().unwrap().to_owned();
        let made = self.told(workspace, "/runs/create", json!({"experiment_id": experiment})).await;
        let run = made["run"]["info"]["run_id"].as_str().unwrap().to_owned();
        let point = json!({"run_id": run, "key": "mae", "value": 1.5, "timestamp": 1, "step": 0});
        self.told(workspace, "/runs/log-metric", point).await;
        let dataset = json!({"name": SECRET, "digest": "d", "source_type": "local", "source": "s"});
        let inputs = json!({"run_id": run, "datasets": [{"dataset": dataset, "tags": []}]});
        self.told(workspace, "/runs/log-inputs", inputs).await;
        let file = format!("PUT /api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/notes.txt");
        assert_eq!(self.asked(workspace, &file, SECRET).await.status, 200);
        let wanted = json!({"experiment_id": experiment, "name": SECRET, "source_run_id": run});
        let made = self.told(workspace, "/logged-models", wanted).await;
        let model = made["model"]["info"]["model_id"].as_str().unwrap().to_owned();
        Things { experiment, run, model }
    }
}

/// Every kind of request that names something, as line and body.
fn requests(things: &Things) -> Vec<(String, Value)> {
    let Things { experiment, run, model } = things;
    let get = |path: String| (format!("GET /api/2.0/mlflow{path}"), Value::Null);
    let post = |path: &str, body: Value| (format!("POST /api/2.0/mlflow{path}"), body);
    let file = format!("{experiment}/{run}/artifacts/notes.txt");
    let point = json!({"key": "mae", "value": 9.5, "timestamp": 2, "step": 1});
    vec![
        get(format!("/experiments/get?experiment_id={experiment}")),
        post("/experiments/update", json!({"experiment_id": experiment, "new_name": "taken"})),
        post(
            "/experiments/set-experiment-tag",
            json!({"experiment_id": experiment, "key": "k", "value": "v"}),
        ),
        post("/experiments/delete-experiment-tag", json!({"experiment_id": experiment, "key": "k"})),
        post("/experiments/search-datasets", json!({"experiment_ids": [experiment]})),
        post("/experiments/delete", json!({"experiment_id": experiment})),
        post("/experiments/restore", json!({"experiment_id": experiment})),
        post("/runs/create", json!({"experiment_id": experiment})),
        post("/runs/search", json!({"experiment_ids": [experiment]})),
        post(
            "/runs/search",
            json!({"experiment_ids": [experiment], "run_view_type": "ALL", "filter": "metrics.mae > 0"}),
        ),
        get(format!("/runs/get?run_id={run}")),
        post("/runs/update", json!({"run_id": run, "status": "FAILED"})),
        post("/runs/log-metric", json!({"run_id": run, "key": "mae", "value": 9.5, "timestamp": 2})),
        post("/runs/log-parameter", json!({"run_id": run, "key": "k", "value": "v"})),
        post("/runs/log-batch", json!({"run_id": run, "metrics": [point]})),
        post("/runs/log-batch", json!({"run_id": run, "tags": [{"key": "k", "value": "v"}]})),
        post("/runs/set-tag", json!({"run_id": run, "key": "k", "value": "v"})),
        post("/runs/delete-tag", json!({"run_id": run, "key": "mlflow.runName"})),
        post("/runs/log-inputs", json!({"run_id": run, "models": [{"model_id": model}]})),
        post("/runs/outputs", json!({"run_id": run, "models": [{"model_id": model, "step": 0}]})),
        post("/runs/delete", json!({"run_id": run})),
        post("/runs/restore", json!({"run_id": run})),
        get(format!("/metrics/get-history?run_id={run}&metric_key=mae")),
        get(format!("/metrics/get-history-bulk?run_id={run}&metric_key=mae")),
        get(format!("/metrics/get-history-bulk-interval?run_ids={run}&metric_key=mae")),
        get(format!("/artifacts/list?run_id={run}")),
        post("/logged-models", json!({"experiment_id": experiment, "name": "planted"})),
        post("/logged-models/search", json!({"experiment_ids": [experiment]})),
        get(format!("/logged-models/{model}")),
        (format!("PATCH /api/2.0/mlflow/logged-models/{model}"), json!({"status": "LOGGED_MODEL_READY"})),
        (
            format!("PATCH /api/2.0/mlflow/logged-models/{model}/tags"),
            json!({"tags": [{"key": "k", "value": "v"}]}),
        ),
        (format!("DELETE /api/2.0/mlflow/logged-models/{model}/tags/k"), Value::Null),
        post(&format!("/logged-models/{model}/params"), json!({"params": [{"key": "k", "value": "v"}]})),
        get(format!("/logged-models/{model}/artifacts/directories")),
        get(format!("/logged-models/{model}/artifacts/files?artifact_file_path=MLmodel")),
        (format!("DELETE /api/2.0/mlflow/logged-models/{model}"), Value::Null),
        (format!("GET /get-artifact?run_id={run}&path=notes.txt"), Value::Null),
        (format!("POST /ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=planted.txt"), json!("x")),
        (format!("GET /api/2.0/mlflow-artifacts/artifacts?path={experiment}/{run}/artifacts"), Value::Null),
        (format!("GET /api/2.0/mlflow-artifacts/artifacts/{file}"), Value::Null),
        (format!("PUT /api/2.0/mlflow-artifacts/artifacts/{file}"), json!("planted")),
        (format!("PUT /api/2.0/mlflow-artifacts/artifacts/{experiment}/planted.txt"), json!("planted")),
        (format!("DELETE /api/2.0/mlflow-artifacts/artifacts/{file}"), Value::Null),
        (format!("DELETE /api/2.0/mlflow-artifacts/artifacts/{experiment}"), Value::Null),
    ]
}

fn sent(body: &Value) -> String {
    if body.is_null() { String::new() } else { body.to_string() }
}

#[tokio::test]
async fn what_is_elsewhere_is_answered_as_what_is_nowhere() {
    for server in servers().await {
        let engine = server.engine();
        // So that theirs has another number than 0, which is part of other texts.
        server.run().await;
        let theirs = server.things(OWNER).await;
        let nowhere = Things {
            experiment: "424242".to_owned(),
            run: "f".repeat(32),
            model: format!("m-{}", "e".repeat(32)),
        };
        let before = server.experiments.get_record(&theirs.run).await.unwrap();
        for workspace in ["default", "team-b", ""] {
            for ((line, body), (blank_line, blank_body)) in requests(&theirs).iter().zip(&requests(&nowhere))
            {
                let answer = server.asked(workspace, line, &sent(body)).await;
                let blank = server.asked(workspace, blank_line, &sent(blank_body)).await;
                let plain = answer
                    .body
                    .replace(&theirs.run, &nowhere.run)
                    .replace(&theirs.model, &nowhere.model)
                    .replace(&format!("{}/", theirs.experiment), "424242/")
                    .replace(&format!("id={} ", theirs.experiment), "id=424242 ");
                let told = (answer.status, plain.as_str());
                assert_eq!(told, (blank.status, blank.body.as_str()), "{engine:?} {workspace:?} {line}");
                assert!(!answer.body.contains(SECRET), "{engine:?} {workspace:?} {line}: {answer:?}");
            }
            for line in ["POST /api/2.0/mlflow/experiments/search", "GET /api/2.0/mlflow-artifacts/artifacts"]
            {
                let body = json!({"max_results": 1_000, "view_type": "ALL"});
                let answer = server.asked(workspace, line, &sent(&body)).await;
                assert_eq!(answer.status, 200, "{engine:?} {line}: {answer:?}");
                assert!(!answer.body.contains(SECRET), "{engine:?} {workspace:?} {line}: {answer:?}");
                let folder = format!("\"path\":\"{}\"", theirs.experiment);
                assert!(!answer.body.contains(&folder), "{engine:?} {workspace:?} {line}: {answer:?}");
            }
        }
        let after = server.experiments.get_record(&theirs.run).await.unwrap();
        assert_eq!(after.run.status, before.run.status, "{engine:?}");
        assert_eq!((after.run.deleted, &after.tags), (false, &before.tags), "{engine:?}");
        assert_eq!(server.experiments.history(&theirs.run, "mae").await.unwrap().len(), 1, "{engine:?}");
        let experiment = server.experiments.get_experiment(&theirs.experiment).await.unwrap();
        assert_eq!((experiment.name.as_str(), experiment.deleted), (SECRET, false), "{engine:?}");
        assert_eq!(experiment.workspace, OWNER, "{engine:?}");
        assert!(
            server.experiments.get_logged_model(&theirs.model).await.unwrap().tags.is_empty(),
            "{engine:?}"
        );
        // To their own workspace they are there.
        for (line, body) in
            requests(&theirs).iter().filter(|(line, _)| line.starts_with("GET /api/2.0/mlflow/"))
        {
            let answer = server.asked(OWNER, line, &sent(body)).await;
            let is_missing_file = line.contains("MLmodel");
            assert_eq!(
                answer.status,
                if is_missing_file { 404 } else { 200 },
                "{engine:?} {line}: {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_point_about_somebody_elses_model_stays_with_its_run() {
    for server in servers().await {
        let engine = server.engine();
        let (theirs, own) = (server.things(OWNER).await, server.things("team-b").await);
        for model in [&theirs.model, &own.model] {
            let point = json!({"key": "planted", "value": 1.0, "timestamp": 1, "step": 0, "model_id": model});
            server.told("team-b", "/runs/log-batch", json!({"run_id": own.run, "metrics": [point]})).await;
        }
        let metrics =
            async |model: &str| server.experiments.get_logged_model(model).await.unwrap().metrics.len();
        assert_eq!((metrics(&theirs.model).await, metrics(&own.model).await), (0, 1), "{engine:?}");
    }
}

#[tokio::test]
async fn names_are_unique_within_a_workspace_only() {
    for server in servers().await {
        let engine = server.engine();
        let (a, b) = (server.experiments.within(OWNER), server.experiments.within("team-b"));
        let default = server.experiments.ensure_experiment("alice", "taxi").await.unwrap();
        let (of_a, of_b) = (
            a.ensure_experiment("alice", "taxi").await.unwrap(),
            b.ensure_experiment("alice", "taxi").await.unwrap(),
        );
        assert!(default != of_a && of_a != of_b && default != of_b, "{engine:?}");
        assert_eq!(a.ensure_experiment("omar", "taxi").await.unwrap(), of_a, "{engine:?}");
        assert_eq!(
            server.experiments.ensure_experiment("omar", "taxi").await.unwrap(),
            default,
            "{engine:?}"
        );
        let taken = server
            .asked(OWNER, "POST /api/2.0/mlflow/experiments/create", &json!({"name": "taxi"}).to_string())
            .await;
        assert_eq!((taken.status, taken.code().as_str()), (400, "RESOURCE_ALREADY_EXISTS"), "{engine:?}");
        assert_eq!(a.count_in(OWNER).await.unwrap(), 1, "{engine:?}");
        assert!(a.sees(of_a).await.unwrap() && !a.sees(of_b).await.unwrap(), "{engine:?}");
        assert!(
            !a.sees(424_242).await.unwrap() && server.experiments.sees(of_b).await.unwrap(),
            "{engine:?}"
        );

        let new = NewRun { experiment_id: of_b, ..NewRun::default() };
        let refused = a.create_run("alice", new.clone()).await;
        assert!(
            matches!(refused, Err(ExperimentError::ExperimentNotFound { .. })),
            "{engine:?}: {refused:?}"
        );
        let run = b.create_run("alice", new).await.unwrap().run.id;
        // What was read for one handle does not leak through a cache into another.
        for _ in 0..2 {
            assert!(b.get_record(&run).await.is_ok(), "{engine:?}");
            let hidden = a.get_record(&run).await;
            assert!(matches!(hidden, Err(ExperimentError::RunNotFound { .. })), "{engine:?}: {hidden:?}");
        }
        let found =
            (a.recent_runs(of_b, 10).await.unwrap().len(), b.recent_runs(of_b, 10).await.unwrap().len());
        assert_eq!(found, (0, 1), "{engine:?}");
        let refused = server
            .asked("default", "POST /api/2.0/mlflow/runs/delete", &json!({"run_id": run}).to_string())
            .await;
        assert_eq!(refused.status, 404, "{engine:?}: {refused:?}");
        server.told("team-b", "/runs/delete", json!({"run_id": run})).await;
        let later = Timestamp::from_millis(i64::MAX);
        assert_eq!(a.purge_runs("alice", None, later).await.unwrap(), 0, "{engine:?}");
        assert_eq!(a.purge_runs("alice", Some(of_b), later).await.unwrap(), 0, "{engine:?}");
        assert_eq!(b.purge_runs("alice", Some(of_b), later).await.unwrap(), 1, "{engine:?}");
    }
}

#[tokio::test]
async fn a_workspace_that_is_not_there_is_refused_after_the_name() {
    for server in servers().await {
        let engine = server.engine();
        for (workspace, status, code) in [
            ("nobodys", 404, "RESOURCE_DOES_NOT_EXIST"),
            ("Team_A", 400, "INVALID_PARAMETER_VALUE"),
            ("team-a/../default", 400, "INVALID_PARAMETER_VALUE"),
        ] {
            let answer =
                server.asked(workspace, "GET /api/2.0/mlflow/experiments/search?max_results=1", "").await;
            assert_eq!((answer.status, answer.code().as_str()), (status, code), "{engine:?} {workspace}");
        }
        let info = server.asked("nobodys", "GET /api/3.0/mlflow/server-info", "").await;
        assert_eq!((info.status, &info.json()["workspaces_enabled"]), (200, &json!(true)), "{engine:?}");
    }
}

/// Every row that the first version of the schema could hold, brought through all migrations after it.
#[tokio::test]
async fn what_is_from_before_workspaces_is_the_default_ones() {
    let all = MIGRATIONS.migrations;
    let place = all.iter().position(|migration| migration.version == 2).unwrap();
    let before = MigrationSet { group: MIGRATIONS.group, migrations: &all[..place] };
    // By path and folder; the folders above them are written as the server of that time did.
    let files = [
        ("7/old/artifacts/f.txt", "7/old/artifacts"),
        ("9/data.csv", "9"),
        ("07/odd.txt", "07"),
        ("own/notes.txt", "own"),
        ("11", ""),
    ];
    let folders =
        [("7", ""), ("7/old", "7"), ("7/old/artifacts", "7/old"), ("9", ""), ("07", ""), ("own", "")];
    for test in both_engines(&[before]).await {
        let engine = test.db.engine();
        test.db
            .write(move |tx| {
                let sql = "INSERT INTO experiments (id, name, deleted, created_ms, updated_ms) \
                           VALUES ($1, $2, $3, $4, $5)";
                tx.execute(sql, args![0_i64, "Default", false, 1_i64, 2_i64])?;
                tx.execute(sql, args![7_i64, "taxi", false, 3_i64, 4_i64])?;
                tx.execute(sql, args![8_i64, "gone", true, 5_i64, 6_i64])?;
                let sql = "INSERT INTO experiment_tags (experiment_id, key, value) VALUES ($1, $2, $3)";
                tx.execute(sql, args![7_i64, "team", "tram"])?;
                tx.execute(
                    "INSERT INTO runs (id, experiment_id, name, status, user_name, deleted, start_ms, linked, params, \
                     tags, metrics) VALUES ($1, $2, $3, $4, $5, $6, $7, $6, '{}', '{}', $8)",
                    args!["old", 7_i64, "first", "FINISHED", "alice", false, 3_i64, Vec::<u8>::new()],
                )?;
                tx.execute(
                    "INSERT INTO logged_models (id, experiment_id, run_id, name, model_type, status, status_message, \
                     deleted, created_ms, updated_ms) VALUES ($1, $2, $3, $4, '', 'READY', '', $5, $6, $6)",
                    args!["m-old", 7_i64, "old", "line", false, 4_i64],
                )?;
                let sql = "INSERT INTO artifacts (path, folder, digest, size_bytes) VALUES ($1, $2, $3, $4)";
                for (path, folder) in files {
                    let digest = BlobDigest::of(SECRET.as_bytes());
                    tx.execute(sql, args![path, folder, digest.as_str(), SECRET.len() as i64])?;
                }
                for (path, parent) in folders {
                    let sql = "INSERT INTO artifact_folders (path, parent) VALUES ($1, $2)";
                    tx.execute(sql, args![path, parent])?;
                }
                Ok::<_, DbError>(())
            })
            .await
            .unwrap();
        for _ in 0..2 {
            test.db.migrate(&[MIGRATIONS]).await.unwrap();
        }
        let server = Server::start(test).await;
        server.blobs.put_bytes(SECRET.into()).await.unwrap();
        let experiments = &server.experiments;
        let old = experiments.get_experiment("7").await.unwrap();
        assert_eq!((old.name.as_str(), old.workspace.as_str()), ("taxi", "default"), "{engine:?}");
        assert_eq!((old.created.as_millis(), old.updated.as_millis()), (3, 4), "{engine:?}");
        assert_eq!(old.tags.get("team").map(String::as_str), Some("tram"), "{engine:?}");
        assert_eq!(old.artifact_uri(), "mlflow-artifacts:/7", "{engine:?}");
        assert!(experiments.get_experiment("8").await.unwrap().deleted, "{engine:?}");
        let run = experiments.get_run("old").await.unwrap();
        assert_eq!(run.artifact_folder().unwrap(), "7/old/artifacts", "{engine:?}");
        let model = experiments.get_logged_model("m-old").await.unwrap();
        assert_eq!(model.artifact_uri(), "mlflow-artifacts:/7/models/m-old/artifacts", "{engine:?}");
        assert_eq!(experiments.ensure_experiment("alice", "taxi").await.unwrap(), 7, "{engine:?}");
        assert!(experiments.within("default").sees(7).await.unwrap(), "{engine:?}");

        let file = |method: &str, path: &str| format!("{method} /api/2.0/mlflow-artifacts/artifacts/{path}");
        for (path, _) in files {
            let own = server.asked("default", &file("GET", path), "").await;
            assert_eq!((own.status, own.body.as_str()), (200, SECRET), "{engine:?} {path}");
            assert_eq!(server.asked(OWNER, &file("GET", path), "").await.status, 404, "{engine:?} {path}");
            assert_eq!(server.asked(OWNER, &file("DELETE", path), "").await.status, 404, "{engine:?} {path}");
        }
        let listed = server.asked("default", "GET /api/2.0/mlflow-artifacts/artifacts", "").await.json();
        let names: Vec<&str> =
            listed["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
        assert_eq!(names, ["07", "11", "7", "9", "own"], "{engine:?}");
        let planted = server.asked("default", &file("PUT", "9/planted.csv"), "x").await;
        assert_eq!(planted.status, 404, "{engine:?}: nobody writes below a number that no experiment has");

        // No number below which there are files goes to a new experiment.
        let new = experiments.within(OWNER).ensure_experiment("alice", "taxi").await.unwrap();
        assert_eq!(new, 12, "{engine:?}");
        assert_eq!(server.asked(OWNER, &file("GET", "9/data.csv"), "").await.status, 404, "{engine:?}");
        let gone = server.asked("default", &file("DELETE", "9"), "").await;
        assert_eq!(gone.status, 200, "{engine:?}: {gone:?}");
        for (workspace, path) in [("default", "9"), (OWNER, "9"), ("default", "12"), ("team-b", "12")] {
            let answer = server.asked(workspace, &file("DELETE", path), "").await;
            let told = (answer.status, answer.json()["message"].clone());
            assert_eq!(
                told,
                (404, json!(format!("No Experiment with id={path} exists"))),
                "{engine:?} {workspace}"
            );
        }
    }
}

#[tokio::test]
async fn experiments_made_at_the_same_time_get_numbers_of_their_own() {
    for server in servers().await {
        let engine = server.engine();
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..16 {
            let workspace = if writer % 2 == 0 { "default" } else { OWNER };
            let experiments = server.experiments.within(workspace);
            writers.spawn(async move {
                let mut ids = Vec::new();
                for number in 0..15 {
                    let name = format!("{writer}-{number}");
                    ids.push(experiments.ensure_experiment("alice", &name).await.unwrap());
                }
                ids
            });
        }
        let mut ids = writers.join_all().await.concat();
        ids.sort_unstable();
        assert_eq!(ids, (0..240).collect::<Vec<i64>>(), "{engine:?}");
        // What is refused takes no number.
        let body = json!({"name": "0-0"}).to_string();
        let taken = server.asked("default", "POST /api/2.0/mlflow/experiments/create", &body).await;
        assert_eq!((taken.status, taken.code().as_str()), (400, "RESOURCE_ALREADY_EXISTS"), "{engine:?}");
        assert_eq!(server.experiments.ensure_experiment("alice", "next").await.unwrap(), 240, "{engine:?}");
        // An imported one keeps its number, and new ones get those above it.
        let foreign = Experiment {
            id: 300,
            name: "foreign".to_owned(),
            deleted: false,
            created: Timestamp::from_millis(1),
            updated: Timestamp::from_millis(2),
            workspace: "default".to_owned(),
            artifact_location: String::new(),
            tags: Default::default(),
        };
        let (id, _) = server.experiments.import_experiment("alice", foreign).await.unwrap();
        assert_eq!(id, 300, "{engine:?}");
        assert_eq!(server.experiments.ensure_experiment("alice", "behind").await.unwrap(), 301, "{engine:?}");
    }
}
