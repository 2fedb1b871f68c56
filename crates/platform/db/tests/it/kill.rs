//! kill -9 in mid-write: what was acknowledged is there, and nothing is there by half.
//!
//! The test binary starts itself again as the writer. `tokio::process`, so that the parent can stop waiting.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::Duration;

use platform_db::{Db, DbError, DbLocation, args};
use platform_testkit::both_engines;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::SHOP;

/// Tells the child which database to write to; absent, the child has nothing to do.
const VARIABLE: &str = "PLATFORM_DB_KILL_TEST";
const CHILD: &str = "kill::child_writes_until_it_is_killed";
const ENOUGH: usize = 300;
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "started by acknowledged_writes_survive_kill_9"]
async fn child_writes_until_it_is_killed() {
    let Ok(named) = std::env::var(VARIABLE) else { return };
    let location = match named.strip_prefix("sqlite:") {
        Some(path) => DbLocation::Sqlite { path: path.into(), durability: platform_db::Durability::Process },
        None => DbLocation::Postgres { url: named.clone() },
    };
    let db = Db::open(&location).await.unwrap();
    let mut stdout = std::io::stdout();
    for id in 1_i64.. {
        let pair = db.write(move |tx| {
            for side in ["left", "right"] {
                tx.execute("INSERT INTO pairs (id, side) VALUES ($1, $2)", args![id, side])?;
            }
            Ok::<_, DbError>(())
        });
        pair.await.unwrap();
        // One write, so that no line is torn; it fails once the parent is gone, which ends the child.
        stdout.write_all(format!("ack {id}\n").as_bytes()).unwrap();
        stdout.flush().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_kill_9() {
    for test in both_engines(&[SHOP]).await {
        let engine = test.db.engine();
        let location = test.location.clone();
        // Nobody but the child has the database open, so that its death is the server's death.
        drop(test.events);
        drop(test.db);
        let killed = tokio::time::timeout(DEADLINE, kill_while_writing(&location));
        let acknowledged = killed.await.expect("the child acknowledges enough writes in time");
        let count = acknowledged.len() as i64;
        assert!(acknowledged.len() >= ENOUGH, "{engine:?}: the child ended after {count} writes");
        assert_eq!(acknowledged, (1..=count).collect::<Vec<_>>(), "{engine:?}");

        let db = Db::open(&location).await.unwrap();
        let sql = "SELECT id, COUNT(*) FROM pairs GROUP BY id ORDER BY id";
        let rows = db.read(sql, args![]).await.unwrap();
        let stored: Vec<(i64, i64)> =
            rows.iter().map(|row| (row.int(0).unwrap(), row.int(1).unwrap())).collect();
        let whole: Vec<(i64, i64)> = (1..=stored.len() as i64).map(|id| (id, 2)).collect();
        assert_eq!(stored, whole, "{engine:?}: a hole, or half a write");
        assert!(stored.len() as i64 >= count, "{engine:?}: {count} acknowledged, {} stored", stored.len());

        let next = stored.len() as i64 + 1;
        let insert = "INSERT INTO pairs (id, side) VALUES ($1, 'left')";
        let added = db.write(move |tx| tx.execute(insert, args![next + 1])).await.unwrap();
        assert_eq!(added, 1, "{engine:?}: the reopened database takes writes");
    }
}

/// Starts the child, kills it after enough acknowledgements; every id it acknowledged, in order.
async fn kill_while_writing(location: &DbLocation) -> Vec<i64> {
    let named = match location {
        DbLocation::Sqlite { path, .. } => format!("sqlite:{}", path.display()),
        DbLocation::Postgres { url } => url.clone(),
    };
    let mut child = Command::new(std::env::current_exe().expect("the test binary has a path"))
        .args(["--exact", CHILD, "--ignored", "--nocapture"])
        .env(VARIABLE, named)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the test binary starts again");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is a pipe")).lines();
    let mut acknowledged = Vec::new();
    while let Some(line) = lines.next_line().await.expect("the child prints text") {
        // The test harness may have put the test's name in front.
        let Some(id) = line.rsplit_once("ack ").and_then(|(_, id)| id.parse::<i64>().ok()) else { continue };
        acknowledged.push(id);
        if acknowledged.len() == ENOUGH {
            child.start_kill().expect("the child is alive");
        }
    }
    let status = child.wait().await.expect("the child can be waited for");
    assert_eq!(status.signal(), Some(9), "{status}");
    acknowledged
}
