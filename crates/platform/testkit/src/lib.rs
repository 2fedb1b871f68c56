//! For tests: a fresh database on either engine, a clock that stands still, requests byte by byte.

pub mod http;

use std::sync::Arc;

use platform_db::{Db, DbLocation, Durability, MigrationSet};
use platform_events::Events;
use platform_primitives::{ManualClock, Timestamp, new_id};

/// Names the PostgreSQL cluster the test command started; absent, tests run on SQLite only.
pub const POSTGRES_VARIABLE: &str = "LOOPWRIGHT_TEST_POSTGRES";

/// A migrated database that is gone with this value.
pub struct TestDb {
    pub db: Db,
    pub events: Events,
    pub clock: Arc<ManualClock>,
    pub location: DbLocation,
    _directory: tempfile::TempDir,
}

/// One fresh database per engine that is at hand. With `CI` set, a missing PostgreSQL is a failure, not a
/// silent pass.
pub async fn both_engines(sets: &[MigrationSet]) -> Vec<TestDb> {
    let mut all = vec![sqlite(sets).await];
    match std::env::var(POSTGRES_VARIABLE) {
        Ok(url) => all.push(postgres(&url, sets).await),
        Err(_) => assert!(
            std::env::var_os("CI").is_none(),
            "{POSTGRES_VARIABLE} is not set: in CI every store test runs on PostgreSQL too"
        ),
    }
    all
}

pub async fn sqlite(sets: &[MigrationSet]) -> TestDb {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let location =
        DbLocation::Sqlite { path: directory.path().join("test.sqlite"), durability: Durability::Process };
    open(location, directory, sets).await
}

async fn postgres(url: &str, sets: &[MigrationSet]) -> TestDb {
    let name = format!("test_{}", new_id());
    let (client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("the test cluster answers");
    let driver = tokio::spawn(connection);
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a fresh database");
    drop(client);
    driver.abort();
    let (server, _) = url.rsplit_once('/').expect("the address ends with a database name");
    let directory = tempfile::tempdir().expect("a temporary directory");
    open(DbLocation::Postgres { url: format!("{server}/{name}") }, directory, sets).await
}

async fn open(location: DbLocation, directory: tempfile::TempDir, sets: &[MigrationSet]) -> TestDb {
    let db = Db::open(&location).await.expect("the database opens");
    let mut all = vec![platform_events::MIGRATIONS];
    all.extend_from_slice(sets);
    db.migrate(&all).await.expect("the schema is created");
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_549_000_000_000)));
    let events = Events::new(db.clone(), clock.clone());
    TestDb { db, events, clock, location, _directory: directory }
}
