//! Webhooks over the surfaces that MLflow clients use, with a real receiver on loopback.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

mod crud;
mod delivery;
mod receiver;

use std::net::SocketAddr;
use std::path::PathBuf;

use group_webhooks::{MIGRATIONS, Webhooks};
use platform_auth::{Authenticator, Role};
use platform_db::Engine;
use platform_events::NewEvent;
use platform_testkit::{TestDb, both_engines};
use platform_web::{EdgeConfig, bind, serve};
use serde_json::{Value, json};

use platform_testkit::http::{Answer, ask_json};

/// Vouched for, so that no test asks a name server: loopback and a name that nobody resolves.
const ALLOWED: [&str; 2] = ["127.0.0.1", "hooks.test"];

/// Webhooks behind their port, with an owner and a reader.
struct Server {
    test: TestDb,
    webhooks: Webhooks,
    key_path: PathBuf,
    address: SocketAddr,
    owner: String,
    reader: String,
    _directory: tempfile::TempDir,
}

async fn servers() -> Vec<Server> {
    let mut all = Vec::new();
    for test in both_engines(&[MIGRATIONS, platform_auth::MIGRATIONS]).await {
        all.push(Server::start(test).await);
    }
    all
}

impl Server {
    async fn start(test: TestDb) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key_path = directory.path().join("webhook.key");
        let webhooks = open(&test, &key_path);
        let authenticator = Authenticator::new(test.db.clone(), test.clock.clone(), "owner@here");
        let surfaces = group_webhooks::group(&webhooks).surfaces;
        let config =
            EdgeConfig { authenticator: authenticator.clone(), extra_hosts: std::sync::Arc::from([]) };
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        // It ends with the runtime of its test.
        tokio::spawn(serve(listener, surfaces, config, std::future::pending()));
        let owner = authenticator.create_token("alice", &[Role::Owner], None).await.unwrap();
        let reader = authenticator.create_token("rita", &[Role::AiEngineer], None).await.unwrap();
        let (owner, reader) = (format!("Bearer {owner}"), format!("Bearer {reader}"));
        Self { test, webhooks, key_path, address, owner, reader, _directory: directory }
    }

    fn engine(&self) -> Engine {
        self.test.db.engine()
    }

    /// The same database under a new process.
    fn restarted(&self) -> Webhooks {
        open(&self.test, &self.key_path)
    }

    async fn mlflow(&self, method: &str, path: &str, body: Value) -> Answer {
        let line = format!("{method} /api/2.0/mlflow/webhooks{path}");
        ask_json(self.address, &line, &self.owner, &body).await
    }

    /// Creates a webhook; its id.
    async fn create(&self, body: Value) -> String {
        let answer = self.mlflow("POST", "", body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["webhook"]["webhook_id"].as_str().unwrap().to_owned()
    }

    async fn deliveries(&self, id: &str) -> Vec<Value> {
        let line = format!("GET /api/v1/webhooks/{id}/deliveries");
        let answer = ask_json(self.address, &line, &self.reader, &Value::Null).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json().as_array().unwrap().clone()
    }

    /// What the registry would write.
    async fn happen(&self, kind: &'static str, subject: &str, payload: Value) {
        let (events, subject) = (self.test.events.clone(), subject.to_owned());
        let event = NewEvent::new(kind, "ines", subject).payload(payload);
        let written = self.test.db.write(move |tx| events.append(tx, event)).await;
        written.unwrap();
    }

    async fn create_model(&self, name: &str) {
        let payload = json!({"name": name, "description": "", "tags": {}});
        self.happen("registry.model_created", &format!("model:{name}"), payload).await;
    }
}

fn open(test: &TestDb, key_path: &std::path::Path) -> Webhooks {
    let allowed = ALLOWED.map(str::to_owned).to_vec();
    Webhooks::new(test.db.clone(), test.events.clone(), key_path.to_owned(), allowed)
}

/// An event as MLflow's wire names it.
fn event(entity: &str, action: &str) -> Value {
    json!({"entity": entity, "action": action})
}
