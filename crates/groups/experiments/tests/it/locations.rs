//! Experiments whose files go elsewhere, or to a folder of their own.

use group_experiments::{ExperimentError, Experiments, MIGRATIONS};
use platform_blobs::Blobs;
use platform_db::{DbError, MigrationSet, args};
use platform_primitives::Timestamp;
use platform_testkit::both_engines;
use platform_testkit::http::{Answer, ask};
use serde_json::{Value, json};

use crate::{Server, servers};

/// An experiment with a run and a logged model.
struct Placed {
    experiment: String,
    run: String,
    model: String,
}

impl Server {
    async fn ask_for(&self, line: &str) -> Answer {
        ask(self.address, line, &[], "").await
    }

    async fn seen(&self, path: &str) -> Value {
        let answer = self.ask_for(&format!("GET /api/2.0/mlflow{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    async fn done(&self, path: &str, body: Value) -> Value {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    async fn placed(&self, location: &str) -> Placed {
        let wanted = json!({"name": format!("at {location}"), "artifact_location": location});
        let made = self.done("/experiments/create", wanted).await;
        let experiment = made["experiment_id"].as_str().unwrap().to_owned();
        let made = self.done("/runs/create", json!({"experiment_id": experiment})).await;
        let run = made["run"]["info"]["run_id"].as_str().unwrap().to_owned();
        let made = self.done("/logged-models", json!({"experiment_id": experiment, "name": "line"})).await;
        let model = made["model"]["info"]["model_id"].as_str().unwrap().to_owned();
        Placed { experiment, run, model }
    }
}

#[tokio::test]
async fn a_location_is_kept_and_followed() {
    for server in servers().await {
        let engine = server.engine();
        // So that the experiments have other numbers than 0.
        server.run().await;
        for (location, root) in [
            ("s3://bucket/path", "s3://bucket/path"),
            ("gs://bucket/", "gs://bucket"),
            ("abfss://files@account.dfs.core.windows.net/a", "abfss://files@account.dfs.core.windows.net/a"),
            ("hdfs:///a", "hdfs:/a"),
            ("dbfs:/a", "dbfs:/a"),
            ("https://files.example.org/a", "https://files.example.org/a"),
            ("mlflow-artifacts:/own/folder", "mlflow-artifacts:/own/folder"),
        ] {
            let Placed { experiment, run, model } = server.placed(location).await;
            let found = server.seen(&format!("/experiments/get?experiment_id={experiment}")).await;
            assert_eq!(found["experiment"]["artifact_location"], json!(location), "{engine:?}");
            let found = server.done("/experiments/search", json!({"max_results": 100})).await;
            let listed = found["experiments"].as_array().unwrap();
            let listed = listed.iter().find(|one| one["experiment_id"] == json!(experiment)).unwrap();
            assert_eq!(listed["artifact_location"], json!(location), "{engine:?}");

            let uri = format!("{root}/{run}/artifacts");
            let found = server.seen(&format!("/runs/get?run_id={run}")).await;
            assert_eq!(found["run"]["info"]["artifact_uri"], json!(uri), "{engine:?}");
            for filter in [
                format!("attributes.artifact_uri = '{uri}'"),
                format!("attributes.artifact_uri LIKE '{root}/%'"),
            ] {
                let wanted = json!({"experiment_ids": [experiment], "filter": filter});
                let found = server.done("/runs/search", wanted).await;
                assert_eq!(found["runs"][0]["info"]["artifact_uri"], json!(uri), "{engine:?} {filter}");
            }
            let uri = json!(format!("{root}/models/{model}/artifacts"));
            let found = server.seen(&format!("/logged-models/{model}")).await;
            assert_eq!(found["model"]["info"]["artifact_uri"], uri, "{engine:?}");
            let found = server.done("/logged-models/search", json!({"experiment_ids": [experiment]})).await;
            assert_eq!(found["models"][0]["info"]["artifact_uri"], uri, "{engine:?}");
        }
    }
}

#[tokio::test]
async fn an_empty_location_and_the_own_number_are_the_servers_store() {
    for server in servers().await {
        let engine = server.engine();
        server.run().await;
        let first = server.placed("").await;
        let next = first.experiment.parse::<i64>().unwrap() + 1;
        let wrong = json!({"name": "wrong", "artifact_location": format!("mlflow-artifacts:/{}", next + 1)});
        let refused = server.post("/experiments/create", wrong).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "INVALID_PARAMETER_VALUE"), "{engine:?}");
        assert!(server.experiments.find_experiment("wrong").await.unwrap().is_none(), "{engine:?}");
        let second = server.placed(&format!("mlflow-artifacts:/{next}")).await;
        for Placed { experiment, run, .. } in [first, second] {
            let kept = server.experiments.get_experiment(&experiment).await.unwrap();
            assert_eq!(kept.artifact_location, "", "{engine:?}");
            assert_eq!(kept.artifact_uri(), format!("mlflow-artifacts:/{experiment}"), "{engine:?}");
            let folder = server.experiments.get_run(&run).await.unwrap().artifact_folder().unwrap();
            assert_eq!(folder, format!("{experiment}/{run}/artifacts"), "{engine:?}");
        }
    }
}

#[tokio::test]
async fn a_location_that_is_not_kept_is_refused() {
    for server in servers().await {
        let engine = server.engine();
        for location in [
            "/etc/x",
            "x",
            "file:///etc/x",
            "FiLe:/etc/x",
            "runs:/a/b",
            "s3://bucket/a#b",
            "s3://bucket/a?b=c",
            "s3://bucket/../a",
            "s3://bucket/%2e%2e/a",
            "s3://bucket/a\u{0}b",
            "https://ada:hidden@example.org/a",
            "mlflow-artifacts:/",
            "mlflow-artifacts://host/a",
            "mlflow-artifacts:/a/../b",
            "mlflow-artifacts:/0/a",
            "mlflow-artifacts:/%30/a",
        ] {
            let refused = server
                .post("/experiments/create", json!({"name": "refused", "artifact_location": location}))
                .await;
            let told = (refused.status, refused.code());
            assert_eq!(told, (400, "INVALID_PARAMETER_VALUE".to_owned()), "{engine:?} {location:?}");
            assert!(!refused.body.contains("hidden"), "{engine:?}: {refused:?}");
        }
        assert!(server.experiments.find_experiment("refused").await.unwrap().is_none(), "{engine:?}");
        // All paths without a number are those of the default workspace.
        let headers = [("Content-Type", "application/json"), ("X-MLFLOW-WORKSPACE", "team-a")];
        for (location, status) in [("mlflow-artifacts:/own", 400), ("s3://bucket", 200)] {
            let body = json!({"name": "theirs", "artifact_location": location}).to_string();
            let line = "POST /api/2.0/mlflow/experiments/create";
            let answer = ask(server.address, line, &headers, &body).await;
            assert_eq!(answer.status, status, "{engine:?} {location}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn files_in_a_folder_of_the_store_are_listed_and_purged() {
    for server in servers().await {
        let engine = server.engine();
        let Placed { run, model, .. } = server.placed("mlflow-artifacts:/own/folder/").await;
        let path = format!("own/folder/{run}/artifacts/notes/a.txt");
        assert_eq!(server.artifact("PUT", &path, "text").await.status, 200, "{engine:?}");
        let found = server.seen(&format!("/artifacts/list?run_id={run}&path=notes")).await;
        assert_eq!(found["files"][0]["path"], json!("notes/a.txt"), "{engine:?}");
        assert_eq!(
            found["root_uri"],
            json!(format!("mlflow-artifacts:/own/folder/{run}/artifacts")),
            "{engine:?}"
        );
        let got = server.ask_for(&format!("GET /get-artifact?run_id={run}&path=notes/a.txt")).await;
        assert_eq!((got.status, got.body.as_str()), (200, "text"), "{engine:?}");
        let of_model = format!("own/folder/models/{model}/artifacts/MLmodel");
        assert_eq!(server.artifact("PUT", &of_model, "flavors").await.status, 200, "{engine:?}");
        let found = server.seen(&format!("/logged-models/{model}/artifacts/directories")).await;
        assert_eq!(found["files"][0]["path"], json!("MLmodel"), "{engine:?}");

        server.done("/runs/delete", json!({"run_id": run})).await;
        let later = Timestamp::from_millis(i64::MAX);
        assert_eq!(server.experiments.purge_runs("alice", None, later).await.unwrap(), 1, "{engine:?}");
        let gone = server.experiments.read_artifact(&path).await;
        assert!(matches!(gone, Err(ExperimentError::ArtifactNotFound { .. })), "{engine:?}: {gone:?}");
        assert!(server.experiments.read_artifact(&of_model).await.is_ok(), "{engine:?}");
    }
}

#[tokio::test]
async fn files_in_another_store_are_no_empty_folder() {
    for server in servers().await {
        let engine = server.engine();
        let Placed { run, model, .. } = server.placed("s3://bucket/path").await;
        let (of_run, of_model) =
            (format!("s3://bucket/path/{run}"), format!("s3://bucket/path/models/{model}"));
        for (line, location) in [
            (format!("GET /api/2.0/mlflow/artifacts/list?run_id={run}"), &of_run),
            (format!("GET /get-artifact?run_id={run}&path=a.txt"), &of_run),
            (format!("GET /api/2.0/mlflow/logged-models/{model}/artifacts/directories"), &of_model),
            (
                format!("GET /api/2.0/mlflow/logged-models/{model}/artifacts/files?artifact_file_path=a"),
                &of_model,
            ),
        ] {
            let answer = server.ask_for(&line).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (501, "NOT_IMPLEMENTED"),
                "{engine:?} {line}"
            );
            let message = answer.json()["message"].as_str().unwrap().to_owned();
            assert!(message.contains(location.as_str()), "{engine:?} {line}: {message}");
        }
        let line = format!("POST /ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=a.txt");
        let headers = [("Content-Type", "application/octet-stream")];
        assert_eq!(ask(server.address, &line, &headers, "text").await.status, 501, "{engine:?}");
        let folder = server.experiments.get_logged_model(&model).await.unwrap().artifact_folder();
        assert!(matches!(folder, Err(ExperimentError::FilesElsewhere { .. })), "{engine:?}: {folder:?}");

        server.done("/runs/delete", json!({"run_id": run})).await;
        let later = Timestamp::from_millis(i64::MAX);
        assert_eq!(server.experiments.purge_runs("alice", None, later).await.unwrap(), 1, "{engine:?}");
    }
}

#[tokio::test]
async fn what_was_there_before_locations_is_in_the_servers_store() {
    let all = MIGRATIONS.migrations;
    let place = all.iter().position(|migration| migration.version == 4).unwrap();
    let before = MigrationSet { group: MIGRATIONS.group, migrations: &all[..place] };
    for test in both_engines(&[before]).await {
        let engine = test.db.engine();
        test.db
            .write(|tx| {
                tx.execute(
                    "INSERT INTO experiments (id, name, deleted, created_ms, updated_ms) VALUES ($1, $2, $3, $4, $5)",
                    args![7_i64, "taxi", false, 1_i64, 2_i64],
                )?;
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
                Ok::<_, DbError>(())
            })
            .await
            .unwrap();
        for _ in 0..2 {
            test.db.migrate(&[MIGRATIONS]).await.unwrap();
        }
        let files = tempfile::tempdir().unwrap();
        let blobs = Blobs::local(files.path()).unwrap();
        let experiments = Experiments::new(test.db.clone(), test.events.clone(), blobs);
        let old = experiments.get_experiment("7").await.unwrap();
        assert_eq!(
            (old.name.as_str(), old.artifact_uri().as_str()),
            ("taxi", "mlflow-artifacts:/7"),
            "{engine:?}"
        );
        let run = experiments.get_record("old").await.unwrap().run.clone();
        assert_eq!(run.artifact_uri(), "mlflow-artifacts:/7/old/artifacts", "{engine:?}");
        assert_eq!(run.artifact_folder().unwrap(), "7/old/artifacts", "{engine:?}");
        let model = experiments.get_logged_model("m-old").await.unwrap();
        assert_eq!(model.artifact_uri(), "mlflow-artifacts:/7/models/m-old/artifacts", "{engine:?}");
    }
}

#[tokio::test]
async fn no_folder_lies_inside_another_experiments() {
    for server in servers().await {
        let engine = server.engine();
        let owner = server.placed("mlflow-artifacts:/own").await;
        // The same folder for two is no danger: runs have folders of their own in it.
        server
            .done(
                "/experiments/create",
                json!({"name": "same", "artifact_location": "mlflow-artifacts:/own/"}),
            )
            .await;
        server
            .done(
                "/experiments/create",
                json!({"name": "beside", "artifact_location": "mlflow-artifacts:/owner/a"}),
            )
            .await;
        for inside in [format!("own/{}/artifacts", owner.run), "own/models".to_owned(), "owner".to_owned()] {
            let body = json!({"name": inside, "artifact_location": format!("mlflow-artifacts:/{inside}")});
            let refused = server.post("/experiments/create", body).await;
            let told = (refused.status, refused.code());
            assert_eq!(told, (400, "INVALID_PARAMETER_VALUE".to_owned()), "{engine:?} {inside}: {refused:?}");
        }
    }
}
