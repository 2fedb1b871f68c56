use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use platform_db::{ColumnKind, DbError, Tx, Value, args};
use platform_testkit::{TestDb, both_engines};

use crate::SHOP;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const ITEM: [(&str, ColumnKind); 2] = [("id", ColumnKind::Int), ("name", ColumnKind::Text)];

async fn items(test: &TestDb) -> Vec<(i64, String)> {
    let rows =
        test.db.read("SELECT id, name FROM items ORDER BY id", args![]).await.expect("items are readable");
    rows.iter().map(|row| (row.int(0).expect("an id"), row.string(1).expect("a name"))).collect()
}

async fn counter(test: &TestDb) -> i64 {
    let row = test.db.read_one("SELECT value FROM counters WHERE id = 1", args![]).await.expect("readable");
    row.expect("the counter is there").int(0).expect("a number")
}

fn insert_item(tx: &mut Tx<'_>, id: i64, name: &str) -> Result<u64, DbError> {
    tx.execute("INSERT INTO items (id, name) VALUES ($1, $2)", args![id, name])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_undoes_all_of_its_own_write_and_nothing_of_its_neighbours() {
    for test in both_engines(&[SHOP]).await {
        let fired = Arc::new(AtomicUsize::new(0));
        let seen_by_action = Arc::clone(&fired);
        let refused = test.db.write(move |tx| -> Result<(), AnyError> {
            insert_item(tx, 1, "undone")?;
            tx.append("items", &ITEM, vec![args![2_i64, "undone too"]])?;
            tx.execute("UPDATE counters SET value = 99 WHERE id = 1", args![])?;
            tx.after_commit(move || {
                seen_by_action.fetch_add(1, Ordering::SeqCst);
            });
            Err("refused".into())
        });
        // The three wait together, so that SQLite commits them as one group.
        let (before, refused, after) = tokio::join!(
            test.db.write(|tx| insert_item(tx, 10, "before")),
            refused,
            test.db.write(|tx| insert_item(tx, 11, "after")),
        );
        assert_eq!((before.unwrap(), after.unwrap()), (1, 1));
        assert_eq!(refused.unwrap_err().to_string(), "refused");
        assert_eq!(items(&test).await, [(10, "before".to_owned()), (11, "after".to_owned())]);
        assert_eq!(counter(&test).await, 0, "{:?}", test.db.engine());
        assert_eq!(fired.load(Ordering::SeqCst), 0, "{:?}", test.db.engine());
    }
}

#[tokio::test]
async fn actions_after_the_commit_run_once_in_order_and_before_the_answer() {
    for test in both_engines(&[SHOP]).await {
        let (sender, receiver) = std::sync::mpsc::channel();
        let during = test.db.write(move |tx| {
            insert_item(tx, 1, "kept")?;
            for number in [1, 2] {
                let sender = sender.clone();
                tx.after_commit(move || sender.send(number).expect("the test listens"));
            }
            Ok::<_, DbError>(())
        });
        during.await.unwrap();
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2], "{:?}", test.db.engine());
    }
}

#[tokio::test]
async fn an_action_that_panics_costs_neither_the_answer_nor_the_next_write() {
    for test in both_engines(&[SHOP]).await {
        let engine = test.db.engine();
        let written = test.db.write(|tx| {
            tx.after_commit(|| panic!("on purpose"));
            insert_item(tx, 1, "kept")
        });
        assert_eq!(written.await.unwrap(), 1, "{engine:?}");
        assert_eq!(test.db.write(|tx| insert_item(tx, 2, "kept too")).await.unwrap(), 1, "{engine:?}");
    }
}

#[tokio::test]
async fn a_taken_key_is_told_from_other_errors() {
    let cases = [
        ("taken primary key", "INSERT INTO items (id, name) VALUES (1, 'other')", true),
        ("taken unique column", "INSERT INTO items (id, name) VALUES (2, 'taken')", true),
        ("taken by an update", "UPDATE items SET name = 'taken' WHERE id = 9", true),
        ("missing value", "INSERT INTO items (id, name) VALUES (3, NULL)", false),
        ("no such table", "INSERT INTO nothing (id) VALUES (1)", false),
        ("not SQL", "INSERT SIDEWAYS", false),
    ];
    for test in both_engines(&[SHOP]).await {
        let engine = test.db.engine();
        test.db
            .write(|tx| {
                insert_item(tx, 1, "taken")?;
                insert_item(tx, 9, "free")
            })
            .await
            .unwrap();
        for (name, sql, is_unique_violation) in cases {
            let error = test.db.write(move |tx| tx.execute(sql, args![])).await.unwrap_err();
            assert_eq!(error.is_unique_violation(), is_unique_violation, "{engine:?}: {name}: {error}");
        }
        let expected = [(1, "taken".to_owned()), (9, "free".to_owned())];
        assert_eq!(items(&test).await, expected, "{engine:?}: the failed statements left nothing");
    }
}

#[tokio::test]
async fn what_is_acknowledged_is_stored_even_after_a_caught_error() {
    for test in both_engines(&[SHOP]).await {
        let engine = test.db.engine();
        let fired = Arc::new(AtomicUsize::new(0));
        let seen_by_action = Arc::clone(&fired);
        let outcome = test.db.write(move |tx| -> Result<(), DbError> {
            insert_item(tx, 1, "first")?;
            tx.after_commit(move || {
                seen_by_action.fetch_add(1, Ordering::SeqCst);
            });
            let caught = insert_item(tx, 1, "second");
            assert!(caught.is_err_and(|error| error.is_unique_violation()));
            Ok(())
        });
        // PostgreSQL may refuse such a transaction as a whole, but not acknowledge and forget it.
        let acknowledged = outcome.await.is_ok();
        assert_eq!(items(&test).await.len(), usize::from(acknowledged), "{engine:?}: rows stored");
        assert_eq!(fired.load(Ordering::SeqCst), usize::from(acknowledged), "{engine:?}: actions run");
    }
}

#[tokio::test]
async fn an_append_passes_over_taken_keys_and_counts_what_is_new() {
    for test in both_engines(&[SHOP]).await {
        let engine = test.db.engine();
        let append = |rows: Vec<(i64, &'static str)>| {
            test.db.write(move |tx| {
                tx.append("items", &ITEM, rows.into_iter().map(|(id, name)| args![id, name]).collect())
            })
        };
        let cases = [
            ("nothing", vec![], 0),
            ("all new", vec![(2, "two"), (4, "four")], 2),
            ("some taken", vec![(1, "one"), (2, "changed"), (3, "three"), (4, "changed")], 2),
            ("twice in one append", vec![(5, "five"), (5, "five again")], 1),
            ("taken unique column", vec![(6, "one")], 0),
        ];
        for (name, rows, new) in cases {
            assert_eq!(append(rows).await.unwrap(), new, "{engine:?}: {name}");
        }
        let expected: Vec<(i64, String)> = [(1, "one"), (2, "two"), (3, "three"), (4, "four"), (5, "five")]
            .map(|(id, name)| (id, name.to_owned()))
            .to_vec();
        assert_eq!(items(&test).await, expected, "{engine:?}");
    }
}

#[tokio::test]
async fn fifty_thousand_rows_go_in_at_once() {
    const ROWS: i64 = 50_000;
    for test in both_engines(&[SHOP]).await {
        let rows: Vec<Vec<Value>> = (1..=ROWS).map(|id| args![id, format!("item {id}")]).collect();
        let added = test.db.write(move |tx| tx.append("items", &ITEM, rows)).await.unwrap();
        assert_eq!(added, ROWS as u64, "{:?}", test.db.engine());
        let sql = "SELECT COUNT(*), MIN(id), MAX(id) FROM items";
        let row = test.db.read_one(sql, args![]).await.unwrap().unwrap();
        let found = [row.int(0).unwrap(), row.int(1).unwrap(), row.int(2).unwrap()];
        assert_eq!(found, [ROWS, 1, ROWS], "{:?}", test.db.engine());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_concurrent_writes_lose_nothing() {
    for test in both_engines(&[SHOP]).await {
        let tasks: Vec<_> = (0..200_i64)
            .map(|id| {
                let db = test.db.clone();
                tokio::spawn(async move {
                    db.write(move |tx| {
                        insert_item(tx, id, &format!("item {id}"))?;
                        tx.execute("UPDATE counters SET value = value + 1 WHERE id = 1", args![])
                    })
                    .await
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap(), 1);
        }
        assert_eq!(counter(&test).await, 200, "{:?}", test.db.engine());
        assert_eq!(items(&test).await.len(), 200, "{:?}", test.db.engine());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn for_update_keeps_others_from_reading_what_is_about_to_change() {
    for test in both_engines(&[SHOP]).await {
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let db = test.db.clone();
                tokio::spawn(async move {
                    db.write(|tx| {
                        let sql = format!("SELECT value FROM counters WHERE id = 1{}", tx.for_update());
                        let row = tx.query_one(&sql, args![])?;
                        let value = row.map_or(Ok(0), |row| row.int(0))?;
                        tx.execute("UPDATE counters SET value = $1 WHERE id = 1", args![value + 1])
                    })
                    .await
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap(), 1);
        }
        assert_eq!(counter(&test).await, 100, "{:?}", test.db.engine());
    }
}

#[tokio::test]
async fn a_write_is_seen_by_its_own_transaction_and_by_the_next_read() {
    for test in both_engines(&[SHOP]).await {
        for id in 1..=50_i64 {
            let inside = test.db.write(move |tx| {
                insert_item(tx, id, &format!("item {id}"))?;
                tx.query_one("SELECT COUNT(*) FROM items", args![])
            });
            let inside = inside.await.unwrap().unwrap().int(0).unwrap();
            let outside = items(&test).await.len() as i64;
            assert_eq!((inside, outside), (id, id), "{:?}", test.db.engine());
        }
    }
}

#[tokio::test]
async fn a_panic_in_a_write_is_an_error_and_the_next_write_works() {
    for test in both_engines(&[SHOP]).await {
        let engine = test.db.engine();
        let fired = Arc::new(AtomicUsize::new(0));
        let seen_by_action = Arc::clone(&fired);
        let panicked = test.db.write(move |tx| -> Result<(), DbError> {
            insert_item(tx, 1, "undone")?;
            tx.after_commit(move || {
                seen_by_action.fetch_add(1, Ordering::SeqCst);
            });
            panic!("on purpose");
        });
        panicked.await.unwrap_err();
        assert_eq!(test.db.write(|tx| insert_item(tx, 2, "kept")).await.unwrap(), 1, "{engine:?}");
        assert_eq!(items(&test).await, [(2, "kept".to_owned())], "{engine:?}");
        assert_eq!(fired.load(Ordering::SeqCst), 0, "{engine:?}");
    }
}

#[tokio::test]
async fn statements_for_later_keep_their_order() {
    for test in both_engines(&[SHOP]).await {
        let engine = test.db.engine();
        let seen = test.db.write(|tx| {
            tx.execute_later("INSERT INTO items (id, name) VALUES ($1, $2)", args![1_i64, "0"])?;
            for n in 1..40_i64 {
                // Two statements in turn, so that an order other than their own shows.
                let sql = match n % 2 {
                    0 => "UPDATE items SET name = name || $1 WHERE id = 1",
                    _ => "UPDATE items SET name = $1 || name WHERE id = 1",
                };
                tx.execute_later(sql, args![n.to_string()])?;
            }
            let row = tx.query_one("SELECT name FROM items WHERE id = 1", args![])?;
            tx.execute_later("UPDATE items SET name = name || $1 WHERE id = 1", args!["."])?;
            row.expect("the item is there").string(0)
        });
        let expected = (1..40).fold("0".to_owned(), |text, n| match n % 2 {
            0 => format!("{text}{n}"),
            _ => format!("{n}{text}"),
        });
        assert_eq!(seen.await.unwrap(), expected, "{engine:?}");
        assert_eq!(
            items(&test).await,
            [(1, format!("{expected}."))],
            "{engine:?}: the last went with the commit"
        );
    }
}

#[tokio::test]
async fn a_statement_for_later_that_fails_is_the_error_of_its_write() {
    for test in both_engines(&[SHOP]).await {
        let engine = test.db.engine();
        test.db.write(|tx| insert_item(tx, 1, "there")).await.unwrap();
        let fired = Arc::new(AtomicUsize::new(0));
        for is_read_behind in [false, true] {
            let seen_by_action = Arc::clone(&fired);
            let refused = test.db.write(move |tx| {
                tx.after_commit(move || {
                    seen_by_action.fetch_add(1, Ordering::SeqCst);
                });
                insert_item(tx, 2, "undone")?;
                tx.execute_later("INSERT INTO items (id, name) VALUES ($1, $2)", args![1_i64, "twice"])?;
                tx.execute_later("UPDATE items SET name = 'undone'", args![])?;
                if is_read_behind {
                    tx.query("SELECT id FROM items", args![])?;
                }
                Ok::<_, DbError>(())
            });
            let error = refused.await.unwrap_err();
            assert!(error.is_unique_violation(), "{engine:?}: {error}");
            assert_eq!(items(&test).await, [(1, "there".to_owned())], "{engine:?}");
        }
        assert_eq!(fired.load(Ordering::SeqCst), 0, "{engine:?}");
        // On every connection that there is, nothing of it is left.
        for id in 10..40 {
            test.db.write(move |tx| insert_item(tx, id, &format!("after {id}"))).await.unwrap();
        }
        assert_eq!(items(&test).await.len(), 31, "{engine:?}");
    }
}
