//! Evaluation data sets, scorers and issues, on both engines.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

use std::net::SocketAddr;
use std::sync::Arc;

use group_evaluation::{Evaluation, Experiments, MIGRATIONS};
use platform_auth::{Authenticator, Role};
use platform_primitives::{ErrorKind, Failure};
use platform_testkit::{TestDb, both_engines, http};
use platform_web::{EdgeConfig, bind, serve};
use serde_json::{Value, json};

struct One;

#[async_trait::async_trait]
impl Experiments for One {
    async fn exists(&self, experiment_id: &str) -> Result<(), Failure> {
        match experiment_id {
            "1" | "2" => Ok(()),
            _ => Err(Failure::new(ErrorKind::NotFound, "experiments/not-found", "no such experiment")),
        }
    }

    async fn sees(&self, experiment_id: &str) -> Result<bool, Failure> {
        Ok(matches!(experiment_id, "1" | "2"))
    }

    fn within(&self, _workspace: &str) -> Arc<dyn Experiments> {
        Arc::new(Self)
    }
}

struct Server {
    _test: TestDb,
    address: SocketAddr,
    writer: String,
    guest: String,
}

async fn servers() -> Vec<Server> {
    let mut all = Vec::new();
    for test in both_engines(&[MIGRATIONS, platform_auth::MIGRATIONS]).await {
        let service = Evaluation::new(test.db.clone(), test.events.clone(), Arc::new(One));
        let authenticator = Authenticator::new(test.db.clone(), test.clock.clone(), "owner@here");
        let config =
            EdgeConfig { authenticator: authenticator.clone(), extra_hosts: std::sync::Arc::from([]) };
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let surfaces = group_evaluation::group(&service).surfaces;
        tokio::spawn(serve(listener, surfaces, config, std::future::pending()));
        let writer = authenticator.create_token("alice", &[Role::AiEngineer], None).await.unwrap();
        let guest = authenticator.create_token("gus", &[Role::Business], None).await.unwrap();
        all.push(Server { _test: test, address, writer, guest });
    }
    all
}

impl Server {
    async fn ask(&self, line: &str, body: Value) -> http::Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let line = format!("{method} /api/3.0/mlflow{path}");
        http::ask_json(self.address, &line, &format!("Bearer {}", self.writer), &body).await
    }

    async fn ok(&self, line: &str, body: Value) -> Value {
        let answer = self.ask(line, body).await;
        assert_eq!(answer.status, 200, "{line}: {answer:?}");
        answer.json()
    }
}

#[tokio::test]
async fn records_are_merged_by_their_inputs_and_read_page_by_page() {
    for server in servers().await {
        let body = json!({"name": "questions", "experiment_ids": ["1"], "tags": "{\"team\": \"tram\"}"});
        let dataset = server.ok("POST /datasets/create", body).await["dataset"].clone();
        let id = dataset["dataset_id"].as_str().unwrap();
        let records = json!([
            {"inputs": {"q": "a", "n": 1}, "outputs": "x", "expectations": {"good": true}},
            {"inputs": {"q": "b"}},
            {"inputs": {"n": 1, "q": "a"}, "expectations": {"short": false}},
        ]);
        let put = json!({"records": records.to_string()});
        let counts = server.ok(&format!("POST /datasets/{id}/records"), put).await;
        assert_eq!(counts, json!({"inserted_count": 2, "updated_count": 1}));
        let mut found: Vec<Value> = Vec::new();
        let mut token = String::new();
        loop {
            let page = server
                .ok(&format!("GET /datasets/{id}/records?max_results=1&page_token={token}"), Value::Null)
                .await;
            let records: Vec<Value> = serde_json::from_str(page["records"].as_str().unwrap()).unwrap();
            assert_eq!(records.len(), 1);
            found.extend(records);
            match page["next_page_token"].as_str() {
                Some(next) => token = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(found.len(), 2);
        let merged = found.iter().find(|record| record["inputs"]["q"] == "a").unwrap();
        assert_eq!(merged["expectations"], json!({"good": true, "short": false}));
        assert_eq!(merged["outputs"], "x");
        let after = server.ok(&format!("GET /datasets/{id}"), Value::Null).await["dataset"].clone();
        assert_ne!(after["digest"], dataset["digest"]);
        assert_eq!(after["profile"], "{\"num_records\":2}");
        let gone = json!({"dataset_record_ids": [merged["dataset_record_id"], "dr-none"]});
        let gone = server.ok(&format!("DELETE /datasets/{id}/records"), gone).await;
        assert_eq!(gone["deleted_count"], 1);
        let bad = json!({"records": "[{\"inputs\": 1}]"});
        let refused = server.ask(&format!("POST /datasets/{id}/records"), bad).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "INVALID_PARAMETER_VALUE"));
        let after = server.ok(&format!("GET /datasets/{id}"), Value::Null).await["dataset"].clone();
        assert_eq!(after["profile"], "{\"num_records\":1}");
    }
}

#[tokio::test]
async fn data_sets_are_found_by_experiment_and_tag() {
    for server in servers().await {
        for (name, experiments, team) in [("a", json!(["1"]), "x"), ("b", json!(["1", "2"]), "y")] {
            let tags = json!({"team": team}).to_string();
            let body = json!({"name": name, "experiment_ids": experiments, "tags": tags});
            server.ok("POST /datasets/create", body).await;
        }
        let names = async |body: Value| -> Vec<String> {
            let found = server.ok("POST /datasets/search", body).await;
            let datasets = found["datasets"].as_array().unwrap().clone();
            datasets.iter().map(|dataset| dataset["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(json!({"order_by": ["name ASC"]})).await, ["a", "b"]);
        assert_eq!(names(json!({"experiment_ids": ["2"]})).await, ["b"]);
        assert_eq!(names(json!({"filter_string": "tags.team = 'x'"})).await, ["a"]);
        assert_eq!(server.ask("POST /datasets/search", json!({"max_results": 0})).await.status, 400);
        let missing =
            server.ask("POST /datasets/create", json!({"name": "c", "experiment_ids": ["9"]})).await;
        assert_eq!(missing.code(), "RESOURCE_DOES_NOT_EXIST");
        let line = "POST /api/3.0/mlflow/datasets/create";
        let guest = format!("Bearer {}", server.guest);
        let refused = http::ask_json(server.address, line, &guest, &json!({"name": "c"})).await;
        assert_eq!(refused.status, 403);
    }
}

#[tokio::test]
async fn scorers_have_versions_and_numbers_are_not_given_twice() {
    for server in servers().await {
        let register = |text: &str| json!({"experiment_id": "1", "name": "judge", "serialized_scorer": text});
        for version in 1..=3 {
            let new = server.ok("POST /scorers/register", register("{}")).await;
            assert_eq!(new["version"], version);
        }
        let delete = json!({"experiment_id": "1", "name": "judge", "version": 3});
        server.ok("DELETE /scorers/delete", delete).await;
        let newest = server.ok("GET /scorers/get?experiment_id=1&name=judge", Value::Null).await;
        assert_eq!(newest["scorer"]["scorer_version"], 2);
        assert_eq!(server.ok("POST /scorers/register", register("[1]")).await["version"], 4);
        let listed = server.ok("GET /scorers/list?experiment_id=1", Value::Null).await;
        assert_eq!(listed["scorers"].as_array().unwrap().len(), 1);
        assert_eq!(server.ask("POST /scorers/register", register("{")).await.status, 400);
        server.ok("DELETE /scorers/delete", json!({"experiment_id": "1", "name": "judge"})).await;
        let gone = server.ask("GET /scorers/get?experiment_id=1&name=judge", Value::Null).await;
        assert_eq!(gone.code(), "RESOURCE_DOES_NOT_EXIST");
    }
}

#[tokio::test]
async fn issues_are_changed_and_found_page_by_page() {
    for server in servers().await {
        for number in 0..5 {
            let body = json!({"experiment_id": "1", "name": format!("i{number}"), "description": "slow"});
            server.ok("POST /issues", body).await;
        }
        let first = server.ok("POST /issues/search", json!({"max_results": 3})).await;
        let token = first["next_page_token"].clone();
        let second = server.ok("POST /issues/search", json!({"max_results": 3, "page_token": token})).await;
        assert_eq!(second["issues"].as_array().unwrap().len(), 2);
        assert_eq!(second["next_page_token"], "");
        let id = second["issues"][0]["issue_id"].as_str().unwrap();
        let change = json!({"status": "resolved", "severity": "high"});
        server.ok(&format!("PATCH /issues/{id}"), change).await;
        let found = server.ok("POST /issues/search", json!({"filter_string": "status = 'resolved'"})).await;
        assert_eq!(found["issues"].as_array().unwrap().len(), 1);
        assert_eq!(found["issues"][0]["severity"], "high");
        let refused = server.ask(&format!("PATCH /issues/{id}"), json!({"status": "closed"})).await;
        assert_eq!(refused.status, 400);
        assert_eq!(server.ask("GET /issues/none", Value::Null).await.status, 404);
    }
}
