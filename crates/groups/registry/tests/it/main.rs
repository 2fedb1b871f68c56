//! The way of a version to traffic, over the surfaces that people and MLflow clients use.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

mod governance;
mod protocol;
mod rules;
mod workspaces;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use group_registry::{
    CHAMPION, Governance, LoggedModels, MIGRATIONS, Registry, RegistryError, VersionState, kinds,
};
use platform_auth::{Authenticator, Role};
use platform_db::Engine;
use platform_events::EventFilter;
use platform_primitives::Failure;
use platform_signing::SigningKey;
use platform_testkit::{TestDb, both_engines};
use platform_ui::Ui;
use platform_web::mlflow::KnownWorkspaces;
use platform_web::{EdgeConfig, bind, serve};
use serde_json::{Value, json};

use governance::{HeldFiles, HeldRuns};
use platform_testkit::http::{Answer, ask_json, escaped};

const MODEL: &str = "demand";
const PROJECT: &str = "taxi";

/// Every logged model was made by the same run. Keeps what it is told of versions.
#[derive(Default)]
struct OneRun {
    noted: Mutex<Vec<String>>,
}

#[async_trait]
impl LoggedModels for OneRun {
    async fn run_of(&self, _model: &str, _logged_model: &str) -> Result<String, Failure> {
        Ok("run-7".to_owned())
    }

    async fn registered(&self, logged_model: &str, model: &str, version: i64) -> Result<(), Failure> {
        self.noted.lock().unwrap().push(format!("{logged_model} {model}/{version}"));
        Ok(())
    }
}

/// The registry behind its port, with an author, an approver and an engineer.
struct Server {
    test: TestDb,
    registry: Registry,
    logged: Arc<OneRun>,
    files: Arc<HeldFiles>,
    runs: Arc<HeldRuns>,
    address: SocketAddr,
    alice: String,
    omar: String,
    ines: String,
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
        let logged = Arc::new(OneRun::default());
        let (files, runs) = (Arc::new(HeldFiles::default()), Arc::new(HeldRuns::default()));
        let directory = tempfile::tempdir().unwrap();
        let key = SigningKey::new(directory.path().join("signing.key"));
        let registry = Registry::new(test.db.clone(), test.events.clone(), logged.clone())
            .with_governance(Governance { files: files.clone(), runs: runs.clone(), key });
        let authenticator = Authenticator::new(test.db.clone(), test.clock.clone(), "owner@here");
        let templates = group_registry::group(&registry, &Ui::new(&[]).unwrap()).templates;
        let ui = Ui::new(&[templates]).unwrap();
        let surfaces = group_registry::group(&registry, &ui).surfaces;
        let known: KnownWorkspaces = Arc::new(|name: &str| name.starts_with("team-"));
        let surfaces = surfaces.into_iter().map(|surface| surface.among(Arc::clone(&known))).collect();
        let config = EdgeConfig { authenticator: authenticator.clone(), extra_hosts: Arc::from([]) };
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        // It ends with the runtime of its test.
        tokio::spawn(serve(listener, surfaces, config, std::future::pending()));
        let mut bearers = Vec::new();
        for (name, role) in [("alice", Role::Owner), ("omar", Role::Approver), ("ines", Role::AiEngineer)] {
            let token = authenticator.create_token(name, &[role], None).await.unwrap();
            bearers.push(format!("Bearer {token}"));
        }
        let [alice, omar, ines]: [String; 3] = bearers.try_into().unwrap();
        Self { test, registry, logged, files, runs, address, alice, omar, ines, _directory: directory }
    }

    fn engine(&self) -> Engine {
        self.test.db.engine()
    }

    async fn mlflow(&self, method: &str, path: &str, body: Value) -> Answer {
        ask_json(self.address, &format!("{method} /api/2.0/mlflow{path}"), &self.alice, &body).await
    }

    async fn decide(&self, bearer: &str, version: i64, verb: &str, body: Value) -> Answer {
        let line = format!("POST /api/v1/models/{MODEL}/versions/{version}/{verb}");
        ask_json(self.address, &line, bearer, &body).await
    }

    async fn create_model(&self, name: &str, tags: Value) {
        let body = json!({"name": name, "tags": tags});
        let answer = self.mlflow("POST", "/registered-models/create", body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Alice registers a version; its number as the protocol writes it.
    async fn register(&self, model: &str) -> String {
        let body = json!({"name": model, "source": "models:/m-0123"});
        let answer = self.mlflow("POST", "/model-versions/create", body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["model_version"]["version"].as_str().unwrap().to_owned()
    }

    async fn gate(&self, version: i64, passed: bool) {
        let evidence = json!({"checks": [{"name": "mae", "candidate": 2.1}]});
        let digest = digest(version);
        let reason = "mae 2.1 on 400 rows";
        self.registry.record_gate(MODEL, version, passed, &digest, reason, evidence).await.unwrap();
    }

    /// Registers a version and takes it through gate and approval.
    async fn approved(&self) -> i64 {
        let version: i64 = self.register(MODEL).await.parse().unwrap();
        self.test.clock.advance_millis(1_000);
        self.gate(version, true).await;
        self.test.clock.advance_millis(1_000);
        let body = json!({"reason": "errors fell in every zone", "digest": digest(version)});
        let answer = self.decide(&self.omar, version, "approve", body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.test.clock.advance_millis(1_000);
        version
    }

    async fn promote(&self, version: i64) {
        let evidence = json!({"rows": 300});
        self.registry.promote(MODEL, version, "surely better", evidence).await.unwrap();
    }

    async fn state(&self, version: i64) -> VersionState {
        self.registry.get_version(MODEL, version).await.unwrap().state
    }

    async fn champion(&self) -> Option<i64> {
        self.registry.get_model(MODEL).await.unwrap().aliases.get(CHAMPION).copied()
    }
}

fn digest(version: i64) -> String {
    format!("{version:064x}")
}

#[tokio::test]
async fn an_approval_needs_the_gate_a_reason_the_gated_bytes_and_another_person() {
    for server in servers().await {
        let engine = server.engine();
        server.create_model(MODEL, json!([])).await;
        assert_eq!(server.register(MODEL).await, "1");
        let reason = json!({"reason": "looks right"});
        let early = server.decide(&server.omar, 1, "approve", reason.clone()).await;
        assert_eq!((early.status, early.code().as_str()), (409, "registry/transition"), "{engine:?}");

        server.gate(1, true).await;
        let refused = [
            ("the author", &server.alice, reason.clone(), 403, "registry/own-model"),
            ("no approver", &server.ines, reason.clone(), 403, "auth/not-permitted"),
            ("an empty reason", &server.omar, json!({"reason": ""}), 400, "registry/invalid"),
            ("a blank reason", &server.omar, json!({"reason": " \t"}), 400, "registry/invalid"),
            ("no reason", &server.omar, json!({}), 400, "web/body"),
            (
                "other bytes",
                &server.omar,
                json!({"reason": "looks right", "digest": digest(2)}),
                409,
                "registry/digest-changed",
            ),
        ];
        for (case, bearer, body, status, code) in refused {
            for verb in ["approve", "reject"] {
                if case == "other bytes" && verb == "reject" {
                    // A no needs no bytes.
                    continue;
                }
                let answer = server.decide(bearer, 1, verb, body.clone()).await;
                assert_eq!(
                    (answer.status, answer.code().as_str()),
                    (status, code),
                    "{engine:?} {case} {verb}"
                );
                assert_eq!(server.state(1).await, VersionState::AwaitingApproval, "{engine:?} {case} {verb}");
            }
        }
        assert_eq!(
            server.registry.decisions(MODEL, 1).await.unwrap().len(),
            1,
            "{engine:?}: only the gate's"
        );

        let body = json!({"reason": "looks right", "digest": digest(1)});
        let approved = server.decide(&server.omar, 1, "approve", body.clone()).await;
        assert_eq!(
            (approved.status, approved.json()["state"].as_str()),
            (200, Some("approved")),
            "{engine:?}"
        );
        for verb in ["approve", "reject"] {
            let again = server.decide(&server.omar, 1, verb, body.clone()).await;
            assert_eq!(
                (again.status, again.code().as_str()),
                (409, "registry/transition"),
                "{engine:?} {verb}"
            );
        }
    }
}

#[tokio::test]
async fn what_the_gate_or_a_person_refused_never_serves() {
    for server in servers().await {
        let engine = server.engine();
        server.create_model(MODEL, json!([])).await;
        for _ in 0..3 {
            server.register(MODEL).await;
        }
        server.gate(1, false).await;
        server.gate(2, true).await;
        let no = server.decide(&server.omar, 2, "reject", json!({"reason": "holidays are missing"})).await;
        assert_eq!(no.status, 200, "{engine:?}: {no:?}");
        let cases = [(1, VersionState::Refused), (2, VersionState::Rejected), (3, VersionState::Registered)];
        for (version, state) in cases {
            let yes = server.decide(&server.omar, version, "approve", json!({"reason": "please"})).await;
            assert_eq!(
                (yes.status, yes.code().as_str()),
                (409, "registry/transition"),
                "{engine:?} {state:?}"
            );
            let promoted = server.registry.promote(MODEL, version, "anyway", Value::Null).await;
            assert!(
                matches!(promoted, Err(RegistryError::Transition { from, .. }) if from == state.name()),
                "{engine:?} {state:?}: {promoted:?}"
            );
            assert_eq!(server.state(version).await, state, "{engine:?}");
        }
        for version in [1, 2] {
            let again = server.registry.record_gate(MODEL, version, true, "d", "again", Value::Null).await;
            assert!(
                matches!(again, Err(RegistryError::Transition { .. })),
                "{engine:?} {version}: {again:?}"
            );
        }
        assert_eq!(server.champion().await, None, "{engine:?}");
    }
}

#[tokio::test]
async fn the_champion_of_a_claimed_model_moves_by_promotion_only() {
    for server in servers().await {
        let engine = server.engine();
        server.registry.claim_model("platform:loops", MODEL, PROJECT).await.unwrap();
        server.create_model("free", json!([])).await;
        server.register("free").await;
        let first = server.approved().await;
        let alias = |model: &str, alias: &str| json!({"name": model, "alias": alias, "version": "1"});
        let cases = [
            ("POST", alias(MODEL, CHAMPION), 403),
            ("DELETE", alias(MODEL, CHAMPION), 403),
            ("POST", alias(MODEL, "challenger"), 200),
            ("DELETE", alias(MODEL, "challenger"), 200),
            ("POST", alias("free", CHAMPION), 200),
            ("DELETE", alias("free", CHAMPION), 200),
            ("POST", alias(MODEL, "v1"), 400),
            ("POST", alias(MODEL, "latest"), 400),
        ];
        for (method, body, status) in cases {
            let answer = server.mlflow(method, "/registered-models/alias", body.clone()).await;
            assert_eq!(answer.status, status, "{engine:?} {method} {body}: {answer:?}");
            if status == 403 {
                assert_eq!(answer.code(), "PERMISSION_DENIED", "{engine:?} {method} {body}");
            }
        }
        assert_eq!(server.champion().await, None, "{engine:?}");

        server.promote(first).await;
        let second = server.approved().await;
        assert_eq!(server.champion().await, Some(first), "{engine:?}: an approval moves nothing");
        server.promote(second).await;
        assert_eq!(server.champion().await, Some(second), "{engine:?}");
        assert_eq!(server.state(first).await, VersionState::Retired, "{engine:?}");
        assert_eq!(server.state(second).await, VersionState::Serving, "{engine:?}");
        let query = format!("/registered-models/alias?name={MODEL}&alias={CHAMPION}");
        let answer = server.mlflow("GET", &query, Value::Null).await;
        assert_eq!(answer.json()["model_version"]["version"], json!(second.to_string()), "{engine:?}");

        let third = server.approved().await;
        server.registry.roll_back(MODEL, third, "errors rose", Value::Null).await.unwrap();
        assert_eq!(server.state(third).await, VersionState::RolledBack, "{engine:?}");
        assert_eq!(server.champion().await, Some(second), "{engine:?}");
        for version in [first, third] {
            let back = server.registry.promote(MODEL, version, "after all", Value::Null).await;
            assert!(matches!(back, Err(RegistryError::Transition { .. })), "{engine:?} {version}: {back:?}");
        }
        assert_eq!(server.state(second).await, VersionState::Serving, "{engine:?}: nobody took over");
        assert_eq!(server.champion().await, Some(second), "{engine:?}");
    }
}

#[tokio::test]
async fn a_number_is_never_used_again_and_the_champion_is_not_deleted() {
    for server in servers().await {
        let engine = server.engine();
        server.registry.claim_model("platform:loops", MODEL, PROJECT).await.unwrap();
        let champion = server.approved().await;
        let delete = |version: i64| json!({"name": MODEL, "version": version.to_string()});
        let kept = server.mlflow("DELETE", "/model-versions/delete", delete(champion)).await;
        assert_eq!(kept.status, 400, "{engine:?}: approved: {kept:?}");
        server.promote(champion).await;
        let kept = server.mlflow("DELETE", "/model-versions/delete", delete(champion)).await;
        assert_eq!(kept.status, 400, "{engine:?}: serving: {kept:?}");
        let model = server.mlflow("DELETE", "/registered-models/delete", json!({"name": MODEL})).await;
        assert_eq!(model.status, 403, "{engine:?}: {model:?}");

        assert_eq!(server.register(MODEL).await, "2", "{engine:?}");
        let gone = server.mlflow("DELETE", "/model-versions/delete", delete(2)).await;
        assert_eq!(gone.status, 200, "{engine:?}: {gone:?}");
        let missing = server.registry.get_version(MODEL, 2).await;
        assert!(matches!(missing, Err(RegistryError::VersionNotFound { .. })), "{engine:?}: {missing:?}");
        assert_eq!(server.register(MODEL).await, "3", "{engine:?}");
        assert_eq!(server.champion().await, Some(champion), "{engine:?}");
    }
}

#[tokio::test]
async fn searches_find_what_the_filter_says_and_nothing_gets_past_it() {
    for server in servers().await {
        let engine = server.engine();
        let team = |name: &str| json!([{"key": "team", "value": name}]);
        let bus = json!([{"key": "team", "value": "bus"}, {"key": "path", "value": "a\\b%"}]);
        for (name, tags) in [("demand", team("taxi")), ("demand_night", bus), ("fares", json!([]))] {
            server.create_model(name, tags).await;
        }
        let all: &[&str] = &["demand", "demand_night", "fares"];
        let cases: &[(&str, Option<&[&str]>)] = &[
            ("", Some(all)),
            ("name = 'fares'", Some(&["fares"])),
            ("name = \"fares\"", Some(&["fares"])),
            ("name != 'fares'", Some(&["demand", "demand_night"])),
            ("name LIKE 'demand%'", Some(&["demand", "demand_night"])),
            ("name LIKE 'DEMAND%'", Some(&[])),
            ("name ILIKE 'DEMAND%'", Some(&["demand", "demand_night"])),
            ("name IN ('demand', 'fares')", Some(&["demand", "fares"])),
            ("tags.team = 'taxi'", Some(&["demand"])),
            ("tags.`team` = 'taxi'", Some(&["demand"])),
            ("tags.team != 'taxi'", Some(&["demand_night", "fares"])),
            ("tags.team IS NULL", Some(&["fares"])),
            // A backslash is a backslash on both engines.
            (r"tags.path LIKE 'a\b_'", Some(&["demand_night"])),
            (r"tags.path ILIKE 'A\%'", Some(&["demand_night"])),
            (r"tags.path LIKE 'a_b\%'", Some(&[])),
            ("name LIKE 'd%' AND tags.team != 'bus'", Some(&["demand"])),
            ("name = '\" OR 1 = 1 --'", Some(&[])),
            ("name = 'x'' OR ''1'' = ''1'", None),
            ("name = 'x' OR 'a' = 'a'", None),
            ("name = 'x'; DROP TABLE registered_models", None),
            ("name = 'x", None),
            ("1 = 1", None),
            ("name = 5", None),
            ("project = 'taxi'", None),
            ("secrets.team = 'taxi'", None),
            ("tags.team > 'a'", None),
            ("", Some(all)),
        ];
        for (filter, expected) in cases {
            let path = format!("/registered-models/search?filter={}", escaped(filter));
            let answer = server.mlflow("GET", &path, Value::Null).await;
            let Some(expected) = expected else {
                assert_eq!(answer.status, 400, "{engine:?} {filter}: {answer:?}");
                assert_eq!(answer.code(), "INVALID_PARAMETER_VALUE", "{engine:?} {filter}");
                continue;
            };
            assert_eq!(answer.status, 200, "{engine:?} {filter}: {answer:?}");
            let found = answer.json();
            let names: Vec<&str> = found["registered_models"]
                .as_array()
                .unwrap()
                .iter()
                .map(|model| model["name"].as_str().unwrap())
                .collect();
            assert_eq!(names, *expected, "{engine:?} {filter}");
        }
    }
}

#[tokio::test]
async fn lists_are_paged_and_versions_are_found_by_run() {
    for server in servers().await {
        let engine = server.engine();
        for name in ["a", "b", "c"] {
            server.create_model(name, json!([])).await;
            server.register(name).await;
        }
        server.register("b").await;
        let first = server.mlflow("GET", "/registered-models/search?max_results=2", Value::Null).await.json();
        assert_eq!(first["registered_models"].as_array().unwrap().len(), 2, "{engine:?}");
        let token = first["next_page_token"].as_str().unwrap();
        let path = format!("/registered-models/search?max_results=2&page_token={}", escaped(token));
        let second = server.mlflow("GET", &path, Value::Null).await.json();
        assert_eq!(second["registered_models"][0]["name"], json!("c"), "{engine:?}");
        assert_eq!(second["next_page_token"], Value::Null, "{engine:?}");

        let cases: &[(&str, &[(&str, &str)])] = &[
            ("name = 'b'", &[("b", "2"), ("b", "1")]),
            ("run_id = 'run-7' AND version_number >= 2", &[("b", "2")]),
            ("run_id = 'run-8'", &[]),
        ];
        for (filter, expected) in cases {
            let path = format!("/model-versions/search?filter={}", escaped(filter));
            let found = server.mlflow("GET", &path, Value::Null).await.json();
            let versions: Vec<(&str, &str)> = found["model_versions"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| (row["name"].as_str().unwrap(), row["version"].as_str().unwrap()))
                .collect();
            assert_eq!(versions, *expected, "{engine:?} {filter}");
        }
    }
}

#[tokio::test]
async fn who_decided_why_and_on_which_bytes_is_kept() {
    for server in servers().await {
        let engine = server.engine();
        server.registry.claim_model("platform:loops", MODEL, PROJECT).await.unwrap();
        let first = server.approved().await;
        server.promote(first).await;
        let second = server.approved().await;
        server.promote(second).await;
        let third = server.approved().await;
        server.registry.roll_back(MODEL, third, "errors rose", Value::Null).await.unwrap();

        for (version, rollout, why) in [
            (first, "serving", "surely better"),
            (second, "serving", "surely better"),
            (third, "rolled_back", "errors rose"),
        ] {
            let decisions = server.registry.decisions(MODEL, version).await.unwrap();
            let mut kept: Vec<_> = decisions
                .iter()
                .map(|d| (d.at, d.kind.as_str(), d.outcome.as_str(), d.actor.as_str(), d.reason.as_str()))
                .collect();
            kept.sort_unstable();
            let kept: Vec<_> =
                kept.into_iter().map(|(_, kind, to, actor, why)| (kind, to, actor, why)).collect();
            let expected = [
                ("gate", "awaiting_approval", "platform:gate", "mae 2.1 on 400 rows"),
                ("approval", "approved", "omar", "errors fell in every zone"),
                ("rollout", rollout, "platform:rollout", why),
            ];
            assert_eq!(kept, expected, "{engine:?} version {version}");
            let gate = decisions.iter().find(|decision| decision.kind == "gate").unwrap();
            assert_eq!(gate.evidence["checks"][0]["candidate"], json!(2.1), "{engine:?} version {version}");
            for kind in ["gate", "approval"] {
                let decision = decisions.iter().find(|decision| decision.kind == kind).unwrap();
                assert_eq!(decision.digest, Some(digest(version)), "{engine:?} version {version} {kind}");
            }
        }

        for (version, last) in
            [(first, kinds::PROMOTED), (second, kinds::PROMOTED), (third, kinds::ROLLED_BACK)]
        {
            let subject = Some(format!("model_version:{MODEL}/{version}"));
            let filter = EventFilter { subject, ..EventFilter::default() };
            let events = server.test.events.list(filter, 0, 100).await.unwrap();
            let story: Vec<_> =
                events.iter().map(|event| (event.kind.as_str(), event.actor.as_str())).collect();
            let expected = [
                (kinds::VERSION_REGISTERED, "alice"),
                (kinds::GATE_PASSED, "platform:gate"),
                (kinds::APPROVED, "omar"),
                (last, "platform:rollout"),
            ];
            assert!(story.starts_with(&expected), "{engine:?} version {version}: {story:?}");
            assert!(events.iter().all(|event| event.project == PROJECT), "{engine:?} version {version}");
            assert_eq!(events[2].payload["before"], json!("awaiting_approval"), "{engine:?}");
            assert_eq!(events[2].payload["after"], json!("approved"), "{engine:?}");
        }
        let filter = EventFilter { kind_prefix: Some(kinds::PROMOTED.to_owned()), ..EventFilter::default() };
        let promoted = server.test.events.list(filter, 0, 100).await.unwrap();
        let moves: Vec<_> = promoted
            .iter()
            .map(|event| (event.payload["before"].as_i64(), event.payload["after"].as_i64()))
            .collect();
        assert_eq!(moves, [(None, Some(first)), (Some(first), Some(second))], "{engine:?}");

        let all = server.test.events.list(EventFilter::default(), 0, 1_000).await.unwrap();
        assert_eq!(server.test.events.verify().await.unwrap(), Ok(all.len() as i64), "{engine:?}");
    }
}
