//! Files that come in parts: over the routes, in the order of a client and in every other one.

use std::time::Duration;

use platform_blobs::BlobDigest;
use platform_primitives::Timestamp;
use platform_web::mlflow::Within as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::{Server, servers};
use platform_testkit::http::{Answer, ask};

const FOLDER: &str = "files/run/artifacts/model";
const LOCAL: &str = "/home/ada/model.pkl";

fn etag(text: &str) -> String {
    format!("\"{}\"", BlobDigest::of(text.as_bytes()))
}

/// Number and ETag of each part as a client names them.
fn named(parts: &[(i64, String)]) -> Value {
    parts.iter().map(|(number, etag)| json!({"part_number": number, "etag": etag, "url": "u"})).collect()
}

impl Server {
    async fn mpu(&self, verb: &str, body: Value) -> Answer {
        let line = format!("POST /ajax-api/2.0/mlflow-artifacts/mpu/{verb}/{FOLDER}");
        ask(self.address, &line, &[("Content-Type", "application/json")], &body.to_string()).await
    }

    /// The id of a new upload and the addresses of its parts, without their origin.
    async fn begun(&self, parts: i64) -> (String, Vec<String>) {
        let begun = self.mpu("create", json!({"path": LOCAL, "num_parts": parts})).await;
        assert_eq!(begun.status, 200, "{begun:?}");
        let begun = begun.json();
        let origin = format!("http://{}", self.address);
        let credentials = begun["credentials"].as_array().unwrap();
        let numbers: Vec<i64> = credentials.iter().map(|one| one["part_number"].as_i64().unwrap()).collect();
        assert_eq!(numbers, (1..=parts).collect::<Vec<i64>>());
        let url = |one: &Value| one["url"].as_str().unwrap().strip_prefix(&origin).unwrap().to_owned();
        (begun["upload_id"].as_str().unwrap().to_owned(), credentials.iter().map(url).collect())
    }

    async fn part(&self, url: &str, text: &str) -> Answer {
        // A client sends no credentials with a part; others are of no use.
        ask(self.address, &format!("PUT {url}"), &[("Authorization", "Bearer of nothing")], text).await
    }

    async fn complete(&self, id: &str, parts: &[(i64, String)]) -> Answer {
        self.mpu("complete", json!({"path": LOCAL, "upload_id": id, "parts": named(parts)})).await
    }

    /// How many entries a folder of the store has.
    fn kept(&self, folder: &str) -> usize {
        std::fs::read_dir(self._files.path().join(folder)).map_or(0, Iterator::count)
    }

    async fn file(&self) -> Answer {
        self.artifact("GET", &format!("{FOLDER}/model.pkl"), "").await
    }
}

#[tokio::test]
async fn a_file_is_there_once_all_its_parts_are() {
    for server in servers().await {
        let engine = server.engine();
        let (id, urls) = server.begun(3).await;
        // In any order, and one of them twice: the last one counts.
        for (place, text) in [(2, "c"), (0, "old"), (0, "ab"), (1, "")] {
            let sent = server.part(&urls[place], text).await;
            assert_eq!(sent.status, 200, "{engine:?}: {sent:?}");
            assert_eq!(sent.header("etag"), Some(etag(text).as_str()), "{engine:?}");
            assert_eq!(server.file().await.status, 404, "{engine:?}");
        }
        assert_eq!(server.kept(&format!("uploads/{id}")), 3, "{engine:?}: what was replaced is gone");
        let whole = [(1, etag("ab")), (2, etag("")), (3, etag("c"))];
        let [first, second, third] = whole.clone();
        let wrong = (2, etag("x"));
        for (parts, said) in [
            (vec![first.clone(), second.clone()], "has 3 parts"),
            (vec![first.clone(), third.clone(), second.clone()], "expected 2"),
            (vec![first.clone(), first.clone(), third.clone()], "expected 2"),
            (vec![first.clone(), wrong, third.clone()], "another one"),
            (vec![(1, etag("old")), second, third], "another one"),
        ] {
            let refused = server.complete(&id, &parts).await;
            let told = (refused.status, refused.code());
            assert_eq!(told, (400, "INVALID_PARAMETER_VALUE".to_owned()), "{engine:?}: {refused:?}");
            assert!(refused.body.contains(said), "{engine:?} {said}: {refused:?}");
            assert_eq!(server.file().await.status, 404, "{engine:?}");
        }
        let done = server.complete(&id, &whole).await;
        assert_eq!((done.status, done.body.as_str()), (200, "{}"), "{engine:?}");
        assert_eq!(server.file().await.body, "abc", "{engine:?}");
        let path = format!("{FOLDER}/model.pkl");
        let heard = (path, BlobDigest::of(b"abc").to_string(), 3);
        assert_eq!(*server.heard.0.lock().unwrap(), [heard], "{engine:?}");
        // Who lost the answer asks again, and is told the same.
        let again = server.complete(&id, &whole).await;
        assert_eq!((again.status, again.body.as_str()), (200, "{}"), "{engine:?}");
        let other = server.complete(&id, &whole[..2]).await;
        assert_eq!((other.status, other.code().as_str()), (400, "INVALID_PARAMETER_VALUE"), "{engine:?}");
        assert_eq!(server.heard.0.lock().unwrap().len(), 1, "{engine:?}: it was joined once");
        let finished = [
            server.part(&urls[0], "ab").await,
            server.mpu("abort", json!({"path": LOCAL, "upload_id": id})).await,
            server.complete("0".repeat(32).as_str(), &whole).await,
        ];
        for answer in finished {
            let told = (answer.status, answer.code());
            assert_eq!(told, (404, "RESOURCE_DOES_NOT_EXIST".to_owned()), "{engine:?}: {answer:?}");
        }
        assert_eq!(server.file().await.body, "abc", "{engine:?}");
        assert!(server.blobs.uploads().await.unwrap().is_empty(), "{engine:?}");
    }
}

#[tokio::test]
async fn an_address_is_good_for_its_part_and_for_a_day() {
    for server in servers().await {
        let engine = server.engine();
        let (id, urls) = server.begun(2).await;
        let (address, token) = urls[0].split_once("?token=").unwrap();
        let other = urls[1].split_once("?token=").unwrap().1;
        let third = format!("{}/3?token={token}", address.strip_suffix("/1").unwrap());
        for url in [
            address.to_owned(),
            format!("{address}?token="),
            format!("{address}?token=%00"),
            format!("{address}?token={other}"),
            format!("{address}?token={token}A"),
            third,
        ] {
            let refused = server.part(&url, "x").await;
            let told = (refused.status, refused.code());
            assert_eq!(told, (403, "PERMISSION_DENIED".to_owned()), "{engine:?} {url}: {refused:?}");
        }
        assert_eq!(server.part(&urls[0], "x").await.status, 200, "{engine:?}");
        let missing = server.complete(&id, &[(1, etag("x")), (2, etag("y"))]).await;
        assert_eq!(missing.status, 400, "{engine:?}: {missing:?}");
        assert!(missing.body.contains("did not come"), "{engine:?}: {missing:?}");
        // Another file's route is not the upload's.
        let elsewhere = json!({"path": "other.pkl", "upload_id": id});
        assert_eq!(server.mpu("abort", elsewhere).await.status, 404, "{engine:?}");

        server.test.clock.advance_millis(86_400_001);
        let late = server.part(&urls[1], "y").await;
        assert_eq!(late.status, 404, "{engine:?}: {late:?}");
        assert_eq!(server.blobs.uploads().await.unwrap(), [id.as_str()], "{engine:?}");
        server.experiments.drop_old_uploads().await.unwrap();
        assert!(server.blobs.uploads().await.unwrap().is_empty(), "{engine:?}");
    }
}

#[tokio::test]
async fn an_aborted_upload_leaves_nothing() {
    for server in servers().await {
        let engine = server.engine();
        let (id, urls) = server.begun(1).await;
        assert_eq!(server.part(&urls[0], "x").await.status, 200, "{engine:?}");
        let aborted = server.mpu("abort", json!({"path": LOCAL, "upload_id": id})).await;
        assert_eq!((aborted.status, aborted.body.as_str()), (200, "{}"), "{engine:?}");
        assert_eq!(server.part(&urls[0], "x").await.status, 404, "{engine:?}");
        assert_eq!(server.file().await.status, 404, "{engine:?}");
        assert!(server.blobs.uploads().await.unwrap().is_empty(), "{engine:?}");
        // What a death between two steps left behind.
        let orphan = "f".repeat(32);
        let bytes = futures_util::stream::iter(vec![Ok::<_, String>("x".into())]);
        let staged = server.blobs.stage_part(bytes, 1).await.unwrap();
        server.blobs.keep_part(&orphan, 1, staged).await.unwrap();
        server.experiments.drop_old_uploads().await.unwrap();
        assert!(server.blobs.uploads().await.unwrap().is_empty(), "{engine:?}");
    }
}

#[tokio::test]
async fn an_upload_names_a_file_and_one_to_ten_thousand_parts() {
    for server in servers().await {
        let engine = server.engine();
        for (path, parts) in
            [(LOCAL, 0), (LOCAL, 10_001), (LOCAL, -1), ("", 1), ("/", 1), ("..", 1), ("C:\\..", 1)]
        {
            let refused = server.mpu("create", json!({"path": path, "num_parts": parts})).await;
            let told = (refused.status, refused.code());
            assert_eq!(told, (400, "INVALID_PARAMETER_VALUE".to_owned()), "{engine:?} {path:?} {parts}");
        }
        // Whole numbers may be texts, and a client's path one of another system.
        let taken = server.mpu("create", json!({"path": "C:\\x\\model.pkl", "num_parts": "1"})).await;
        let url = taken.json()["credentials"][0]["url"].as_str().unwrap().to_owned();
        let sent =
            server.part(url.split_once("/api").map_or("", |(origin, _)| &url[origin.len()..]), "w").await;
        assert_eq!(sent.status, 200, "{engine:?}: {sent:?}");
        let parts = named(&[(1, etag("w"))]);
        let id = taken.json()["upload_id"].clone();
        let done = server.mpu("complete", json!({"path": LOCAL, "upload_id": id, "parts": parts})).await;
        assert_eq!(done.status, 200, "{engine:?}: {done:?}");
        assert_eq!(server.file().await.body, "w", "{engine:?}");

        let line = format!("POST /api/2.0/mlflow-artifacts/mpu/create/{FOLDER}");
        let headers = [("Content-Type", "application/json"), ("X-Forwarded-Proto", "https, http")];
        let behind =
            ask(server.address, &line, &headers, r#"{"path": "m.pkl", "num_parts": 1}"#).await.json();
        let url = behind["credentials"][0]["url"].as_str().unwrap();
        assert!(url.starts_with(&format!("https://{}/api/", server.address)), "{engine:?}: {url}");
    }
}

#[tokio::test]
async fn what_is_completed_twice_at_the_same_time_is_joined_once() {
    for server in servers().await {
        let engine = server.engine();
        let (id, urls) = server.begun(1).await;
        assert_eq!(server.part(&urls[0], "x").await.status, 200, "{engine:?}");
        let parts = [(1, etag("x"))];
        let (first, second) = tokio::join!(server.complete(&id, &parts), server.complete(&id, &parts));
        assert_eq!((first.status, second.status), (200, 200), "{engine:?}: {first:?} {second:?}");
        assert_eq!(server.heard.0.lock().unwrap().len(), 1, "{engine:?}");
    }
}

#[tokio::test]
async fn completing_goes_on_when_the_client_hangs_up() {
    let text = "x".repeat(32 * 1024 * 1024);
    for server in servers().await {
        let engine = server.engine();
        let (id, urls) = server.begun(1).await;
        assert_eq!(server.part(&urls[0], &text).await.status, 200, "{engine:?}");
        let parts = named(&[(1, etag(&text))]);
        let body = json!({"path": LOCAL, "upload_id": id, "parts": parts}).to_string();
        let request = format!(
            "POST /api/2.0/mlflow-artifacts/mpu/complete/{FOLDER} HTTP/1.1\r\nHost: {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            server.address,
            body.len()
        );
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        // Once the parts are being joined, nobody waits for the answer.
        while server.kept("staging") == 0 && server.file().await.status != 200 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(stream);
        let mut looks = 0;
        while server.file().await.status != 200 {
            looks += 1;
            assert!(looks < 600, "{engine:?}: the file never came");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let again = server.complete(&id, &[(1, etag(&text))]).await;
        assert_eq!(again.status, 200, "{engine:?}: {again:?}");
        assert_eq!(server.heard.0.lock().unwrap().len(), 1, "{engine:?}");
    }
}

#[tokio::test]
async fn open_uploads_are_bounded_by_workspace() {
    for server in servers().await {
        let engine = server.engine();
        let (first, _) = server.begun(1).await;
        for _ in 1..1_000 {
            server.begun(1).await;
        }
        let create = json!({"path": LOCAL, "num_parts": 1});
        let refused = server.mpu("create", create.clone()).await;
        let told = (refused.status, refused.code());
        assert_eq!(told, (429, "REQUEST_LIMIT_EXCEEDED".to_owned()), "{engine:?}: {refused:?}");
        assert!(refused.body.contains("at most 1000 uploads"), "{engine:?}: {refused:?}");
        let elsewhere = server.experiments.within("team-a").ensure_experiment("alice", "own").await.unwrap();
        let line = format!("POST /api/2.0/mlflow-artifacts/mpu/create/{elsewhere}/files");
        let headers = [("Content-Type", "application/json"), ("X-MLFLOW-WORKSPACE", "team-a")];
        let taken = ask(server.address, &line, &headers, &create.to_string()).await;
        assert_eq!(taken.status, 200, "{engine:?}: {taken:?}");
        let aborted = server.mpu("abort", json!({"path": LOCAL, "upload_id": first})).await;
        assert_eq!(aborted.status, 200, "{engine:?}: {aborted:?}");
        server.begun(1).await;
        assert_eq!(server.mpu("create", create).await.status, 429, "{engine:?}");
        // What is too old does not count, whether it is dropped yet or not.
        server.test.clock.advance_millis(86_400_001);
        server.begun(1).await;
    }
}

#[tokio::test]
async fn an_upload_ends_with_its_run() {
    for server in servers().await {
        let engine = server.engine();
        let run = server.run().await;
        let folder = server.experiments.get_run(&run).await.unwrap().artifact_folder().unwrap();
        let json_kind = [("Content-Type", "application/json")];
        let mpu = async |verb: &str, body: Value| {
            let line = format!("POST /api/2.0/mlflow-artifacts/mpu/{verb}/{folder}");
            ask(server.address, &line, &json_kind, body.to_string()).await
        };
        let begun = mpu("create", json!({"path": LOCAL, "num_parts": 1})).await.json();
        let url = begun["credentials"][0]["url"].as_str().unwrap();
        let sent = server.part(url.strip_prefix(&format!("http://{}", server.address)).unwrap(), "x").await;
        assert_eq!(sent.status, 200, "{engine:?}: {sent:?}");
        assert_eq!(server.post("/runs/delete", json!({"run_id": run})).await.status, 200, "{engine:?}");
        let later = Timestamp::from_millis(i64::MAX);
        assert_eq!(server.experiments.purge_runs("alice", None, later).await.unwrap(), 1, "{engine:?}");
        let parts = named(&[(1, etag("x"))]);
        let body = json!({"path": LOCAL, "upload_id": begun["upload_id"], "parts": parts});
        let late = mpu("complete", body).await;
        assert_eq!((late.status, late.code().as_str()), (404, "RESOURCE_DOES_NOT_EXIST"), "{engine:?}");
        let file = server.artifact("GET", &format!("{folder}/model.pkl"), "").await;
        assert_eq!(file.status, 404, "{engine:?}: {file:?}");
        server.experiments.drop_old_uploads().await.unwrap();
        assert!(server.blobs.uploads().await.unwrap().is_empty(), "{engine:?}");
    }
}
