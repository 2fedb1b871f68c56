use platform_db::{DbError, Migration, MigrationSet, args};
use platform_testkit::both_engines;

use crate::SHOP;

const fn set(migrations: &'static [Migration]) -> MigrationSet {
    MigrationSet { group: "books", migrations }
}

const FIRST: Migration =
    Migration { version: 1, name: "0001_books", sql: "CREATE TABLE books (id BIGINT PRIMARY KEY)" };
const FIRST_CHANGED: Migration = Migration {
    version: 1,
    name: "0001_books",
    sql: "CREATE TABLE books (id BIGINT PRIMARY KEY, title TEXT)",
};
const SECOND: Migration = Migration {
    version: 2,
    name: "0002_titles",
    sql: "ALTER TABLE books ADD COLUMN title TEXT; INSERT INTO books (id, title) VALUES (1, 'Emma')",
};
const SECOND_BROKEN: Migration = Migration {
    version: 2,
    name: "0002_titles",
    sql: "CREATE TABLE half_done (id BIGINT); CREATE TABLE half_done (id BIGINT)",
};

#[tokio::test]
async fn each_migration_is_applied_once_and_in_order() {
    for test in both_engines(&[SHOP]).await {
        let steps: [&'static [Migration]; 3] = [&[FIRST], &[FIRST, SECOND], &[FIRST, SECOND]];
        for migrations in steps {
            test.db.migrate(&[SHOP, set(migrations)]).await.unwrap();
        }
        let rows = test.db.read("SELECT title FROM books", args![]).await.unwrap();
        let titles: Vec<&str> = rows.iter().map(|row| row.text(0).unwrap()).collect();
        assert_eq!(titles, ["Emma"], "{:?}", test.db.engine());
    }
}

#[tokio::test]
async fn a_changed_migration_is_refused_by_name() {
    for test in both_engines(&[SHOP]).await {
        test.db.migrate(&[set(&[FIRST])]).await.unwrap();
        let error = test.db.migrate(&[set(&[FIRST_CHANGED, SECOND])]).await.unwrap_err();
        match &error {
            DbError::MigrationChanged { group, version } => {
                assert_eq!((group.as_str(), *version), ("books", 1))
            }
            other => panic!("{:?}: {other}", test.db.engine()),
        }
        // The refusal is no half of an upgrade: the sets as they were still fit.
        test.db.migrate(&[set(&[FIRST])]).await.unwrap();
        test.db.read("SELECT title FROM books", args![]).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_and_can_be_mended() {
    for test in both_engines(&[SHOP]).await {
        let engine = test.db.engine();
        test.db.migrate(&[set(&[FIRST, SECOND_BROKEN])]).await.unwrap_err();
        for table in ["books", "half_done"] {
            let error = test.db.read(format!("SELECT id FROM {table}"), args![]).await;
            assert!(error.is_err(), "{engine:?}: {table} is there");
        }
        test.db.migrate(&[set(&[FIRST, SECOND])]).await.unwrap();
        assert_eq!(test.db.read("SELECT id FROM books", args![]).await.unwrap().len(), 1, "{engine:?}");
    }
}

#[tokio::test]
async fn a_database_of_a_newer_release_is_refused_by_an_older_one() {
    for test in both_engines(&[SHOP]).await {
        test.db.migrate(&[set(&[FIRST, SECOND])]).await.unwrap();
        let error = test.db.migrate(&[set(&[FIRST])]).await.unwrap_err();
        match &error {
            DbError::MigrationUnknown { group, version } => {
                assert_eq!((group.as_str(), *version), ("books", 2))
            }
            other => panic!("{:?}: {other}", test.db.engine()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_may_migrate_at_the_same_time() {
    for test in both_engines(&[SHOP]).await {
        let other = platform_db::Db::open(&test.location).await.unwrap();
        let sets = [set(&[FIRST, SECOND])];
        let (here, there) = tokio::join!(test.db.migrate(&sets), other.migrate(&sets));
        here.unwrap();
        there.unwrap();
        assert_eq!(test.db.read("SELECT id FROM books", args![]).await.unwrap().len(), 1);
    }
}
