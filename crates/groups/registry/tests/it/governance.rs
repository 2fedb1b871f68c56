//! Gates, quorum, expiry, signatures, evaluations, cards: over the routes, on files that the test holds.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use group_registry::{
    FileScans, MIGRATIONS, ModelVersion, RegistryError, RunFact, RunFacts, SOURCE_ELSEWHERE, VersionFile,
    VersionFiles, VersionState, is_scanned_at_upload, split_name,
};
use platform_auth::{Principal, Role};
use platform_db::{Db, DbError, MigrationSet, args};
use platform_primitives::{ErrorKind, Failure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{CHAMPION, Server, servers};
use platform_testkit::both_engines;
use platform_testkit::http::{Answer, ask, ask_json};

const GATED: &str = "credit";

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Files of every version, and what is kept under a digest: bytes that a test may swap.
#[derive(Default)]
pub struct HeldFiles {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
    /// While the next file is read for a scan, a newer scanner keeps its verdict on it here, as `model.txt`.
    overtaken: Mutex<Option<Db>>,
}

impl HeldFiles {
    fn put(&self, path: &str, bytes: &[u8]) {
        self.files.lock().unwrap().insert(path.to_owned(), bytes.to_vec());
        self.kept.lock().unwrap().insert(digest(bytes), bytes.to_vec());
    }

    fn bytes(&self, digest: &str) -> Result<Vec<u8>, Failure> {
        let missing = || Failure::new(ErrorKind::NotFound, "test/blob", "no such blob");
        self.kept.lock().unwrap().get(digest).cloned().ok_or_else(missing)
    }
}

#[async_trait]
impl VersionFiles for HeldFiles {
    async fn files(&self, _version: &ModelVersion) -> Result<Vec<VersionFile>, Failure> {
        let files = self.files.lock().unwrap();
        if files.is_empty() {
            return Err(Failure::new(ErrorKind::Invalid, SOURCE_ELSEWHERE, "not on this server"));
        }
        let file = |(path, bytes): (&String, &Vec<u8>)| VersionFile {
            path: path.clone(),
            digest: digest(bytes),
            size_bytes: bytes.len() as u64,
        };
        Ok(files.iter().map(file).collect())
    }

    async fn read(&self, digest: &str) -> Result<Bytes, Failure> {
        let overtaken = self.overtaken.lock().unwrap().take();
        if let Some(db) = overtaken {
            let sql = "INSERT INTO file_scans (digest, name, verdict, findings, scanner_version, at_ms) \
                VALUES ($1, 'model.txt', 'malformed', '{}', 1000000, 0)";
            let digest = digest.to_owned();
            let written: Result<u64, DbError> = db.write(move |tx| tx.execute(sql, args![digest])).await;
            assert_eq!(written.unwrap(), 1);
        }
        Ok(self.bytes(digest)?.into())
    }

    async fn rehash(&self, named: &str) -> Result<String, Failure> {
        Ok(digest(&self.bytes(named)?))
    }

    async fn keep(&self, bytes: Bytes) -> Result<String, Failure> {
        let digest = digest(&bytes);
        self.kept.lock().unwrap().insert(digest.clone(), bytes.to_vec());
        Ok(digest)
    }
}

/// The run behind every version.
#[derive(Default)]
pub struct HeldRuns {
    run: Mutex<Option<RunFact>>,
    /// None: it is in each.
    workspace: Mutex<Option<String>>,
}

#[async_trait]
impl RunFacts for HeldRuns {
    async fn run(&self, model: &str, _run: &str) -> Result<Option<RunFact>, Failure> {
        let is_here = self.workspace.lock().unwrap().as_ref().is_none_or(|name| name == split_name(model).0);
        Ok(self.run.lock().unwrap().clone().filter(|_| is_here))
    }

    async fn authors(&self, _run: &str) -> Result<Vec<String>, Failure> {
        Ok(self
            .run
            .lock()
            .unwrap()
            .iter()
            .flat_map(|run| [run.user.clone(), run.created_by.clone()])
            .collect())
    }
}

impl Server {
    async fn call(&self, bearer: &str, line: &str, body: Value) -> Answer {
        ask_json(self.address, line, bearer, &body).await
    }

    /// A model with files, a run and a policy that Omar set, and its first version, registered by Alice after that.
    async fn governed(&self, policy: Value) {
        self.files.put("MLmodel", b"signature:\n  inputs: '[]'\nflavors:\n  sklearn:\n    code: null\n");
        self.files.put("model.txt", b"tree\nversion=v4\n");
        self.files.put("requirements.txt", b"numpy==2.4.6\n");
        let mut run = RunFact { id: "run-7".to_owned(), user: "ada".to_owned(), ..RunFact::default() };
        run.metrics.insert("mae".to_owned(), 1.2);
        *self.runs.run.lock().unwrap() = Some(run);
        self.create_model(GATED, json!([])).await;
        self.set_policy(&self.omar, policy).await;
        self.register(GATED).await;
    }

    async fn set_policy(&self, bearer: &str, policy: Value) {
        let set = self.call(bearer, &format!("PUT /api/v1/models/{GATED}/gates"), policy).await;
        assert_eq!(set.status, 200, "{set:?}");
    }

    async fn of_version(&self, bearer: &str, method: &str, rest: &str, body: Value) -> Answer {
        self.call(bearer, &format!("{method} /api/v1/models/{GATED}/versions/1/{rest}"), body).await
    }

    async fn run_gate(&self) -> Value {
        let answer = self.of_version(&self.alice, "POST", "gate", json!({})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.test.clock.advance_millis(1_000);
        answer.json()
    }

    /// With the button on the version's page.
    async fn make_champion(&self, bearer: &str) -> Answer {
        let line = format!("POST /models/{GATED}/1/champion");
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        ask(self.address, &line, &[("Authorization", bearer), kind], "reason=good").await
    }

    async fn gated_state(&self) -> VersionState {
        self.registry.get_version(GATED, 1).await.unwrap().state
    }
}

fn person(name: &str) -> Principal {
    Principal::person(name, vec![Role::Approver])
}

#[tokio::test]
async fn a_gate_judges_by_its_policy_and_may_look_again() {
    for server in servers().await {
        let engine = server.engine();
        let policy = json!({"metrics": [{"key": "mae", "at_most": 1.0}], "evidence": ["signature", "environment",
            "scan", "card", "lineage"]});
        server.governed(policy.clone()).await;
        let bad = json!({"evidence": ["blood"]});
        let refused = server.call(&server.omar, &format!("PUT /api/v1/models/{GATED}/gates"), bad).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "registry/gate-policy"), "{engine:?}");
        assert!(refused.body.contains("blood") && refused.body.contains("lineage"), "{refused:?}");

        let found = server.run_gate().await;
        assert_eq!(found["version"]["state"], "refused", "{engine:?}");
        let checks = found["gate"]["evidence"]["checks"].as_array().unwrap();
        let passed: Vec<bool> = checks.iter().map(|check| check["passed"].as_bool().unwrap()).collect();
        assert_eq!(passed, [false, true, true, true, false, false], "{engine:?}: {checks:?}");

        let easier = json!({"metrics": [{"key": "mae", "at_most": 1.4}], "evidence": ["card"]});
        server.call(&server.omar, &format!("PUT /api/v1/models/{GATED}/gates"), easier).await;
        let said = json!({"intended_use": "scoring", "limits": "no companies", "owner": "Risk"});
        let card = server.call(&server.ines, &format!("PUT /api/v1/models/{GATED}/card"), said).await;
        assert_eq!(card.status, 200, "{engine:?}: {card:?}");
        let found = server.run_gate().await;
        assert_eq!(found["version"]["state"], "awaiting_approval", "{engine:?}: {found}");
        assert!(found["version"]["manifest"].is_string(), "{engine:?}");
        let alias = json!({"name": GATED, "alias": CHAMPION, "version": "1"});
        let guarded = server.mlflow("POST", "/registered-models/alias", alias).await;
        assert_eq!(guarded.status, 403, "{engine:?}: {guarded:?}");
    }
}

#[tokio::test]
async fn a_pickle_that_would_import_something_unknown_is_named() {
    for server in servers().await {
        let engine = server.engine();
        server.governed(json!({"evidence": ["scan"]})).await;
        server.files.put("model.pkl", b"cos\nsystem\n(S'true'\ntR.");
        let found = server.run_gate().await;
        assert_eq!(found["version"]["state"], "refused", "{engine:?}");
        let said = found["gate"]["evidence"]["checks"][0]["evidence"].as_str().unwrap();
        assert!(said.contains("model.pkl") && said.contains("os.system"), "{engine:?}: {said}");
    }
}

#[tokio::test]
async fn what_was_scanned_at_its_upload_is_not_scanned_again() {
    for server in servers().await {
        let engine = server.engine();
        server.governed(json!({"evidence": ["scan"]})).await;
        let bytes = b"cos\nsystem\n(S'true'\ntR.";
        server.files.put("data/Model.pkl", bytes);
        let uploaded = VersionFile {
            path: "1/run/artifacts/Model.pkl".to_owned(),
            digest: digest(bytes),
            size_bytes: bytes.len() as u64,
        };
        let scan = server.registry.scan_upload(uploaded).await.unwrap();
        assert_eq!((scan.verdict.as_str(), scan.is_clean), ("unknown", false), "{engine:?}");
        let scans = FileScans::new(server.test.db.clone());
        let kept = scans.verdict("data/MODEL.pkl", &digest(bytes)).await.unwrap();
        assert_eq!(kept, Some(("unknown".to_owned(), false)), "{engine:?}");
        assert_eq!(scans.verdict("model.bin", &digest(bytes)).await.unwrap(), None, "{engine:?}");
        // Nobody can read it any more: what the gate says is what was kept.
        server.files.kept.lock().unwrap().remove(&digest(bytes));
        let found = server.run_gate().await;
        let said = found["gate"]["evidence"]["checks"][0]["evidence"].as_str().unwrap();
        assert!(said.contains("Model.pkl") && said.contains("os.system"), "{engine:?}: {said}");
    }
}

#[tokio::test]
async fn a_verdict_is_kept_for_a_name_and_says_nothing_of_the_file_it_was_made_on() {
    for server in servers().await {
        let engine = server.engine();
        let scans = FileScans::new(server.test.db.clone());
        let scanned = async |path: &str, bytes: &[u8]| {
            server.files.put("model.txt", bytes);
            let (path, size_bytes) = (path.to_owned(), bytes.len() as u64);
            server
                .registry
                .scan_upload(VersionFile { path, digest: digest(bytes), size_bytes })
                .await
                .unwrap()
        };
        let lambda: &[u8] = br#"{"class_name": "Lambda"}"#;
        let scan = scanned("1/run/artifacts/Config.JSON", lambda).await;
        assert_eq!(scan.verdict, "unknown", "{engine:?}");
        let kept = scans.verdict("data/config.json", &digest(lambda)).await.unwrap();
        assert_eq!(kept, Some(("unknown".to_owned(), false)), "{engine:?}");
        // What is not ASCII has no other case.
        scanned("\u{c9}.pkl", lambda).await;
        assert_eq!(scans.verdict("\u{e9}.pkl", &digest(lambda)).await.unwrap(), None, "{engine:?}");
        let scan = scanned("1/run/artifacts/merger-with-acme.pkl", b"hello".as_slice()).await;
        assert_eq!(scan.verdict, "malformed", "{engine:?}");
        let said = scan.findings.to_string();
        assert!(said.contains("at byte") && !said.contains("acme"), "{engine:?}: {said}");
    }
}

#[tokio::test]
async fn a_verdict_of_a_newer_scanner_stays() {
    for server in servers().await {
        let engine = server.engine();
        let bytes = b"tree\nversion=v4\n";
        server.files.put("model.txt", bytes);
        *server.files.overtaken.lock().unwrap() = Some(server.test.db.clone());
        let (path, size_bytes) = ("model.txt".to_owned(), bytes.len() as u64);
        let file = VersionFile { path, digest: digest(bytes), size_bytes };
        server.registry.scan_upload(file).await.unwrap();
        let kept = FileScans::new(server.test.db.clone()).verdict("model.txt", &digest(bytes)).await.unwrap();
        assert_eq!(kept, Some(("malformed".to_owned(), false)), "{engine:?}");
    }
}

#[test]
fn small_files_that_may_hold_pickles_are_scanned_at_their_upload() {
    const MIB: u64 = 1 << 20;
    for (path, size_bytes, expected) in [
        ("1/run/artifacts/model.PKL", 0, true),
        ("weights.bin", 64 * MIB - 1, true),
        ("weights.bin", 64 * MIB, false),
        ("model.pkl", 2_048 * MIB, false),
        ("notes.txt", 1, false),
    ] {
        assert_eq!(is_scanned_at_upload(path, size_bytes), expected, "{path} {size_bytes}");
    }
}

#[tokio::test]
async fn a_run_of_another_workspace_is_not_there() {
    for server in servers().await {
        let engine = server.engine();
        server.governed(json!({"metrics": [{"key": "mae", "at_most": 2.0}]})).await;
        *server.runs.workspace.lock().unwrap() = Some("team-a".to_owned());
        let found = server.run_gate().await;
        assert_eq!(found["version"]["state"], "refused", "{engine:?}");
        assert_eq!(found["gate"]["evidence"]["facts"]["metrics"], json!({}), "{engine:?}");
        let card = server.of_version(&server.alice, "GET", "card", Value::Null).await;
        assert_eq!(card.json()["run"], Value::Null, "{engine:?}: {card:?}");
        *server.runs.workspace.lock().unwrap() = Some("default".to_owned());
        let found = server.run_gate().await;
        assert_eq!(found["version"]["state"], "awaiting_approval", "{engine:?}");
    }
}

#[tokio::test]
async fn a_quorum_is_different_people_and_none_of_them_made_it() {
    for server in servers().await {
        let engine = server.engine();
        server.governed(json!({"quorum": 2, "approval_days": 90})).await;
        server.run_gate().await;
        let registry = &server.registry;
        let own = registry.approve(&person("alice"), GATED, 1, None, "mine").await;
        assert!(matches!(own, Err(RegistryError::OwnModel { .. })), "{engine:?}: {own:?}");
        let own = registry.approve(&person("ada"), GATED, 1, None, "my run").await;
        assert!(matches!(own, Err(RegistryError::OwnRun { .. })), "{engine:?}: {own:?}");
        let first = registry.approve(&person("omar"), GATED, 1, None, "looked").await.unwrap();
        assert_eq!(first.state, VersionState::AwaitingApproval, "{engine:?}");
        let again = registry.approve(&person("omar"), GATED, 1, None, "again").await;
        assert!(
            matches!(again, Err(RegistryError::AlreadyApproved { missing: 1, .. })),
            "{engine:?}: {again:?}"
        );
        // A gate that finds the same keeps what was said; one that finds something else forgets it.
        server.run_gate().await;
        assert_eq!(registry.approvals(GATED, 1).await.unwrap().len(), 1, "{engine:?}");
        server.files.put("notes.txt", b"new");
        server.run_gate().await;
        assert!(registry.approvals(GATED, 1).await.unwrap().is_empty(), "{engine:?}");
        registry.approve(&person("omar"), GATED, 1, None, "looked").await.unwrap();
        let second = registry.approve(&person("pia"), GATED, 1, None, "looked too").await.unwrap();
        assert_eq!(second.state, VersionState::Approved, "{engine:?}");
        let ninety_days = 90 * 86_400_000;
        let expires = second.approval_expires.unwrap();
        assert_eq!(expires.since(server.test.events.now()), ninety_days, "{engine:?}");
        server.test.clock.advance_millis(ninety_days + 1);
        let late = registry.promote(GATED, 1, "late", Value::Null).await;
        assert!(matches!(late, Err(RegistryError::ApprovalExpired { .. })), "{engine:?}: {late:?}");
        registry.approve(&person("omar"), GATED, 1, None, "still good").await.unwrap();
        let renewed = registry.approve(&person("pia"), GATED, 1, None, "still good").await.unwrap();
        assert_eq!(renewed.state, VersionState::Approved, "{engine:?}");
        registry.promote(GATED, 1, "in time", Value::Null).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_signed_is_refused_when_a_byte_changed() {
    for server in servers().await {
        let engine = server.engine();
        server.governed(json!({"evidence": ["signed"]})).await;
        server.run_gate().await;
        let none = server.of_version(&server.omar, "GET", "signature", Value::Null).await;
        assert_eq!((none.status, none.code().as_str()), (404, "registry/not-signed"), "{engine:?}");
        server.registry.approve(&person("omar"), GATED, 1, None, "looked").await.unwrap();
        let signed = server.of_version(&server.omar, "GET", "signature", Value::Null).await;
        assert_eq!(signed.status, 200, "{engine:?}: {signed:?}");
        let kind = "application/vnd.dev.sigstore.bundle.v0.3+json";
        assert_eq!(signed.json()["mediaType"], kind, "{engine:?}");
        server.registry.verify_files(GATED, 1).await.unwrap();

        let of_model = digest(b"tree\nversion=v4\n");
        server.files.kept.lock().unwrap().insert(of_model.clone(), b"tree\nversion=v5\n".to_vec());
        let changed = server.registry.verify_files(GATED, 1).await.unwrap_err().to_string();
        assert!(changed.contains("model.txt"), "{engine:?}: {changed}");
        server.files.put("model.txt", b"tree\nversion=v4\n");
        server.files.put("extra.py", b"print()");
        let added = server.registry.verify_files(GATED, 1).await.unwrap_err().to_string();
        assert!(added.contains("extra.py was added"), "{engine:?}: {added}");
        server.files.files.lock().unwrap().remove("extra.py");
        server.files.files.lock().unwrap().remove("MLmodel");
        let removed = server.registry.verify_files(GATED, 1).await.unwrap_err().to_string();
        assert!(removed.contains("MLmodel was removed"), "{engine:?}: {removed}");
    }
}

#[tokio::test]
async fn a_signature_that_was_altered_in_the_database_does_not_hold() {
    for server in servers().await {
        let engine = server.engine();
        server.governed(json!({"evidence": ["signed"]})).await;
        server.run_gate().await;
        server.registry.approve(&person("omar"), GATED, 1, None, "looked").await.unwrap();
        let bundle = server.of_version(&server.omar, "GET", "signature", Value::Null).await.body;
        // As somebody would write it who has the database and not the key.
        let altered = bundle.replacen("\"sig\":\"M", "\"sig\":\"N", 1);
        assert_ne!(altered, bundle, "{engine:?}");
        for (change, value, back) in [
            ("bundle = $1", altered, bundle.clone()),
            ("bundle = $1", "{}".to_owned(), bundle),
            ("files = $1", "[]".to_owned(), String::new()),
        ] {
            let sql = format!("UPDATE version_signatures SET {change}");
            let write = async |sql: String, value: String| {
                let written: Result<u64, DbError> =
                    server.test.db.write(move |tx| tx.execute(&sql, args![value])).await;
                assert_eq!(written.unwrap(), 1, "{engine:?}");
            };
            write(sql, value).await;
            let refused = server.of_version(&server.omar, "POST", "verify", json!({})).await;
            let said = (refused.status, refused.code());
            assert_eq!(said, (409, "registry/signature-invalid".to_owned()), "{engine:?}: {change}");
            let deployed = server.registry.check_signed(GATED, 1).await;
            let is_refused = matches!(deployed, Err(RegistryError::SignatureInvalid { .. }));
            assert!(is_refused, "{engine:?}: {deployed:?}");
            if !back.is_empty() {
                write("UPDATE version_signatures SET bundle = $1".to_owned(), back).await;
                server.registry.verify_files(GATED, 1).await.unwrap();
            }
        }
        let gone: Result<u64, DbError> =
            server.test.db.write(|tx| tx.execute("DELETE FROM version_signatures", args![])).await;
        assert_eq!(gone.unwrap(), 1, "{engine:?}");
        let deployed = server.registry.check_signed(GATED, 1).await;
        assert!(
            matches!(deployed, Err(RegistryError::SignatureInvalid { .. })),
            "{engine:?}: an approved version lost its signature: {deployed:?}"
        );
    }
}

#[tokio::test]
async fn what_no_signature_covers_is_neither_gated_nor_signed() {
    for server in servers().await {
        let engine = server.engine();
        server.governed(json!({"evidence": ["signed"]})).await;
        server.files.put(".gitattributes", b"*.bin filter=lfs");
        let found = server.run_gate().await;
        assert_eq!(found["version"]["state"], "refused", "{engine:?}: {found}");
        server.set_policy(&server.alice, json!({})).await;
        server.run_gate().await;
        let refused = server.of_version(&server.omar, "POST", "approve", json!({"reason": "looked"})).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "signing/ignored-path"), "{engine:?}");
        assert!(refused.body.contains(".gitattributes"), "{engine:?}: {refused:?}");
    }
}

#[tokio::test]
async fn who_changed_the_policy_since_does_not_approve_under_it() {
    for server in servers().await {
        let engine = server.engine();
        server.governed(json!({"metrics": [{"key": "mae", "at_most": 1.0}]})).await;
        assert_eq!(server.run_gate().await["version"]["state"], "refused", "{engine:?}");
        server.set_policy(&server.omar, json!({"metrics": [{"key": "mae", "at_most": 2.0}]})).await;
        assert_eq!(server.run_gate().await["version"]["state"], "awaiting_approval", "{engine:?}");
        let own = server.of_version(&server.omar, "POST", "approve", json!({"reason": "good enough"})).await;
        assert_eq!((own.status, own.code().as_str()), (403, "registry/own-policy"), "{engine:?}: {own:?}");
        // Nor after somebody else changed it once more.
        server.set_policy(&server.alice, json!({"metrics": [{"key": "mae", "at_most": 1.9}]})).await;
        server.run_gate().await;
        let own = server.registry.approve(&person("omar"), GATED, 1, None, "good enough").await;
        assert!(matches!(own, Err(RegistryError::OwnPolicy { .. })), "{engine:?}: {own:?}");
        server.registry.approve(&person("pia"), GATED, 1, None, "good enough").await.unwrap();
        // The next version came after all of that.
        server.register(GATED).await;
        let line = format!("POST /api/v1/models/{GATED}/versions/2/gate");
        assert_eq!(server.call(&server.ines, &line, json!({})).await.status, 200, "{engine:?}");
        server.registry.approve(&person("omar"), GATED, 2, None, "good enough").await.unwrap();
    }
}

#[tokio::test]
async fn who_took_the_policy_away_does_not_approve_under_another_name_either() {
    const RENAMED: &str = "debit";
    for server in servers().await {
        let engine = server.engine();
        let registry = &server.registry;
        let policy = json!({"quorum": 2});
        server.governed(policy.clone()).await;
        server.run_gate().await;
        let rename = async |name: &str, new_name: &str| {
            let body = json!({"name": name, "new_name": new_name});
            let answer = server.mlflow("POST", "/registered-models/rename", body).await;
            assert_eq!(answer.status, 200, "{engine:?}: {answer:?}");
        };
        let line = format!("DELETE /api/v1/models/{GATED}/gates");
        let deleted = server.call(&server.omar, &line, Value::Null).await;
        assert!((200..300).contains(&deleted.status), "{engine:?}: {deleted:?}");
        rename(GATED, RENAMED).await;
        let own = registry.approve(&person("omar"), RENAMED, 1, None, "no gate any more").await;
        assert!(matches!(own, Err(RegistryError::OwnPolicy { .. })), "{engine:?}: {own:?}");
        // Nor is another model of the old name what counts.
        server.create_model(GATED, json!([])).await;
        server.register(GATED).await;
        let gone = server.mlflow("DELETE", "/registered-models/delete", json!({"name": GATED})).await;
        assert_eq!(gone.status, 200, "{engine:?}: {gone:?}");
        rename(RENAMED, GATED).await;
        server.set_policy(&server.alice, policy).await;
        server.run_gate().await;
        let own = registry.approve(&person("omar"), GATED, 1, None, "as it was").await;
        assert!(matches!(own, Err(RegistryError::OwnPolicy { .. })), "{engine:?}: {own:?}");
        registry.approve(&person("pia"), GATED, 1, None, "looked").await.unwrap();
        // A model that is made anew under the name begins without them.
        server.call(&server.alice, &line, Value::Null).await;
        let gone = server.mlflow("DELETE", "/registered-models/delete", json!({"name": GATED})).await;
        assert_eq!(gone.status, 200, "{engine:?}: {gone:?}");
        server.create_model(GATED, json!([])).await;
        server.register(GATED).await;
        server.set_policy(&server.alice, json!({})).await;
        server.run_gate().await;
        registry.approve(&person("omar"), GATED, 1, None, "looked").await.unwrap();
    }
}

#[tokio::test]
async fn who_set_a_policy_before_there_was_a_list_is_on_it() {
    let all = MIGRATIONS.migrations;
    let place = all.iter().position(|migration| migration.version == 3).unwrap();
    let before = MigrationSet { group: MIGRATIONS.group, migrations: &all[..place] };
    for test in both_engines(&[before]).await {
        let engine = test.db.engine();
        test.db
            .write(|tx| {
                let sql = "INSERT INTO model_versions (model, version, state, stage, source, location, run_id, run_link, \
                    logged_model_id, description, author, created_ms, updated_ms) \
                    VALUES ($1, $2, 'registered', 'None', '', '', '', '', '', '', 'alice', $3, $3)";
                tx.execute(sql, args![GATED, 1_i64, 10_i64])?;
                tx.execute(sql, args![GATED, 2_i64, 30_i64])?;
                let sql = "INSERT INTO model_gates (model, policy, digest, actor, at_ms) VALUES ($1, '{}', '', $2, $3)";
                tx.execute(sql, args![GATED, "omar", 20_i64])?;
                tx.execute(sql, args!["empty", "ines", 20_i64])?;
                Ok::<_, DbError>(())
            })
            .await
            .unwrap();
        test.db.migrate(&[MIGRATIONS]).await.unwrap();
        let sql = "SELECT model, actor, last_version, at_ms FROM policy_setters ORDER BY model";
        let mut found = Vec::new();
        for row in test.db.read(sql, args![]).await.unwrap() {
            let (model, actor) = (row.string(0).unwrap(), row.string(1).unwrap());
            found.push(format!("{model} {actor} {} {}", row.int(2).unwrap(), row.int(3).unwrap()));
        }
        assert_eq!(found, ["credit omar 1 20", "empty ines 0 20"], "{engine:?}");
    }
}

#[tokio::test]
async fn nobody_makes_an_own_version_champion() {
    for server in servers().await {
        let engine = server.engine();
        server.governed(json!({})).await;
        server.run_gate().await;
        server.registry.approve(&person("omar"), GATED, 1, None, "looked").await.unwrap();
        let own = server.make_champion(&server.alice).await;
        assert_eq!(own.status, 403, "{engine:?}: {own:?}");
        assert!(own.body.contains("alice registered"), "{engine:?}: {own:?}");
        if let Some(run) = &mut *server.runs.run.lock().unwrap() {
            run.created_by = "omar".to_owned();
        }
        let own = server.make_champion(&server.omar).await;
        assert_eq!(own.status, 403, "{engine:?}: {own:?}");
        if let Some(run) = &mut *server.runs.run.lock().unwrap() {
            run.created_by = "ines".to_owned();
        }
        let made = server.make_champion(&server.omar).await;
        assert_eq!(made.status, 303, "{engine:?}: {made:?}");
        assert_eq!(server.gated_state().await, VersionState::Serving, "{engine:?}");
    }
}

#[tokio::test]
async fn files_that_changed_after_the_gate_are_not_approved() {
    for server in servers().await {
        let engine = server.engine();
        server.governed(json!({})).await;
        server.run_gate().await;
        server.files.put("model.txt", b"another tree");
        let refused = server.registry.approve(&person("omar"), GATED, 1, None, "looked").await;
        assert!(matches!(refused, Err(RegistryError::DigestChanged { .. })), "{engine:?}: {refused:?}");
        assert_eq!(server.gated_state().await, VersionState::AwaitingApproval, "{engine:?}");
    }
}

#[tokio::test]
async fn two_versions_are_compared_on_the_rows_they_share() {
    for server in servers().await {
        let engine = server.engine();
        server.governed(json!({})).await;
        server.register(GATED).await;
        let evaluation = |rows: Value, truth: Value, prediction: Value| {
            json!({"dataset": "holdout", "kind": "regression", "rows": rows, "truth": truth,
                "prediction": prediction})
        };
        let path = |version: i64| format!("POST /api/v1/models/{GATED}/versions/{version}/evaluations");
        let bad = evaluation(json!(["a", "b"]), json!([1, 2]), json!([1, null]));
        let refused = server.call(&server.ines, &path(1), bad).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "registry/evaluation"), "{engine:?}");
        assert!(refused.body.contains("prediction at index 1"), "{engine:?}: {refused:?}");
        let first = evaluation(json!(["a", "b", "c", "d"]), json!([0, 0, 0, 9]), json!([2, 3, 4, 9]));
        let kept = server.call(&server.ines, &path(1), first).await;
        assert_eq!(kept.json()["metrics"]["mae"], 2.25, "{engine:?}: {kept:?}");
        let second = evaluation(json!(["c", "b", "a", "x"]), json!([0, 0, 0, 1]), json!([1, 1, 1, 1]));
        assert_eq!(server.call(&server.ines, &path(2), second).await.status, 200, "{engine:?}");
        let query = format!("GET /api/v1/models/{GATED}/compare?a=1&b=2&dataset=holdout&loss=absolute_error");
        let paired = server.call(&server.ines, &query, Value::Null).await.json();
        assert_eq!(
            (paired["rows"].as_i64(), paired["losses"].as_i64()),
            (Some(3), Some(3)),
            "{engine:?}: {paired}"
        );
        assert!((paired["mean_difference"].as_f64().unwrap() - 2.0).abs() < 1e-12, "{engine:?}: {paired}");
        assert!((paired["upper"].as_f64().unwrap() - 4.484_138).abs() < 1e-5, "{engine:?}: {paired}");
    }
}

#[tokio::test]
async fn a_card_is_kept_at_the_gate_and_differs_by_version() {
    for server in servers().await {
        let engine = server.engine();
        server.governed(json!({})).await;
        server.run_gate().await;
        let card = server.of_version(&server.ines, "GET", "card?revision=1", Value::Null).await;
        assert_eq!(card.json()["gate"]["outcome"], "awaiting_approval", "{engine:?}: {card:?}");
        server.register(GATED).await;
        let line = format!("GET /api/v1/models/{GATED}/card-diff?a=1&b=2");
        let found = server.call(&server.ines, &line, Value::Null).await.json();
        let paths: Vec<&str> =
            found.as_array().unwrap().iter().filter_map(|line| line["path"].as_str()).collect();
        assert!(paths.contains(&"version") && paths.contains(&"state"), "{engine:?}: {paths:?}");
        let bom = server.of_version(&server.ines, "GET", "bom", Value::Null).await.json();
        assert_eq!(bom["specVersion"], "1.6", "{engine:?}");
        assert_eq!(bom["components"][0]["purl"], "pkg:pypi/numpy@2.4.6", "{engine:?}: {bom}");
        let page = server.of_version(&server.ines, "GET", "card.html", Value::Null).await;
        assert_eq!(page.status, 200, "{engine:?}");
        let page = server.call(&server.ines, &format!("GET /models/{GATED}/1"), Value::Null).await;
        assert_eq!(page.status, 200, "{engine:?}: {page:?}");
    }
}
