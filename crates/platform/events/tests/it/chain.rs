use platform_db::args;
use platform_events::{ChainBreak, NewEvent};
use platform_testkit::{TestDb, both_engines};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::append;

async fn five_events(test: &TestDb) {
    for seq in 1..=5 {
        let event = NewEvent::new("orders.paid", format!("person {seq}"), format!("order:{seq}"))
            .project("shop")
            .payload(json!({"amount": seq}));
        assert_eq!(append(test, event).await, seq);
        test.clock.advance_millis(1_000);
    }
}

/// What somebody with a database shell does.
async fn run(test: &TestDb, statements: &'static [&'static str]) {
    let work = test.db.write(move |tx| {
        for statement in statements {
            tx.execute(statement, args![])?;
        }
        Ok::<_, platform_db::DbError>(())
    });
    work.await.expect("the statements run");
}

const TAMPERINGS: &[(&str, &[&str], ChainBreak)] = &[
    (
        "edited payload",
        &["UPDATE events SET payload = '{\"amount\":1000}' WHERE seq = 3"],
        ChainBreak::Altered { seq: 3 },
    ),
    ("edited actor", &["UPDATE events SET actor = 'mallory' WHERE seq = 2"], ChainBreak::Altered { seq: 2 }),
    (
        "edited kind",
        &["UPDATE events SET kind = 'orders.cancelled' WHERE seq = 1"],
        ChainBreak::Altered { seq: 1 },
    ),
    ("edited project", &["UPDATE events SET project = '' WHERE seq = 5"], ChainBreak::Altered { seq: 5 }),
    (
        "edited subject",
        &["UPDATE events SET subject = 'order:9' WHERE seq = 4"],
        ChainBreak::Altered { seq: 4 },
    ),
    ("edited time", &["UPDATE events SET at_ms = at_ms - 1 WHERE seq = 4"], ChainBreak::Altered { seq: 4 }),
    ("edited cause", &["UPDATE events SET cause = 1 WHERE seq = 4"], ChainBreak::Altered { seq: 4 }),
    (
        "bytes moved from one field to the next",
        &["UPDATE events SET project = 'sho', subject = 'porder:3' WHERE seq = 3"],
        ChainBreak::Altered { seq: 3 },
    ),
    ("deleted first row", &["DELETE FROM events WHERE seq = 1"], ChainBreak::Missing { seq: 1 }),
    ("deleted middle row", &["DELETE FROM events WHERE seq = 3"], ChainBreak::Missing { seq: 3 }),
    ("deleted tail", &["DELETE FROM events WHERE seq >= 4"], ChainBreak::Truncated { last: 3, head: 5 }),
    ("deleted log", &["DELETE FROM events"], ChainBreak::Truncated { last: 0, head: 5 }),
    (
        "deleted middle row, gap closed",
        &["DELETE FROM events WHERE seq = 3", "UPDATE events SET seq = 3 WHERE seq = 4"],
        ChainBreak::Altered { seq: 3 },
    ),
    (
        "two rows swapped",
        &[
            "UPDATE events SET seq = -1 WHERE seq = 2",
            "UPDATE events SET seq = 2 WHERE seq = 3",
            "UPDATE events SET seq = 3 WHERE seq = -1",
        ],
        ChainBreak::Altered { seq: 2 },
    ),
    (
        "row inserted in the middle",
        &[
            "UPDATE events SET seq = -seq WHERE seq >= 3",
            "UPDATE events SET seq = 1 - seq WHERE seq < 0",
            "INSERT INTO events \
             SELECT 3, at_ms, 'mallory', kind, project, subject, cause, payload, prev_hash, hash \
             FROM events WHERE seq = 2",
        ],
        ChainBreak::Altered { seq: 3 },
    ),
    (
        "row put behind the last",
        &["INSERT INTO events \
           SELECT 6, at_ms, 'mallory', kind, project, subject, cause, payload, hash, hash \
           FROM events WHERE seq = 5"],
        ChainBreak::Altered { seq: 6 },
    ),
];

#[tokio::test]
async fn every_tampering_is_found_at_its_place() {
    for test in both_engines(&[]).await {
        let engine = test.db.engine();
        five_events(&test).await;
        run(&test, &["CREATE TABLE saved AS SELECT * FROM events"]).await;
        for (name, statements, expected) in TAMPERINGS {
            run(&test, statements).await;
            let found = test.events.verify().await.unwrap();
            assert_eq!(found.as_ref(), Err(expected), "{engine:?}: {name}");
            run(&test, &["DELETE FROM events", "INSERT INTO events SELECT * FROM saved"]).await;
            assert_eq!(test.events.verify().await.unwrap(), Ok(5), "{engine:?}: after {name} was undone");
        }
    }
}

/// The chain's formula, written a second time from its description.
fn link_hash(prev_hash: &[u8], seq: i64, at_ms: i64, fields: [&str; 5]) -> Vec<u8> {
    let mut bytes = prev_hash.to_vec();
    bytes.extend(seq.to_be_bytes());
    bytes.extend(at_ms.to_be_bytes());
    bytes.extend((-1_i64).to_be_bytes());
    for field in fields {
        bytes.extend((field.len() as u64).to_be_bytes());
        bytes.extend(field.as_bytes());
    }
    Sha256::digest(&bytes).to_vec()
}

#[tokio::test]
async fn a_last_event_that_was_rewritten_with_its_hash_is_found_by_the_head() {
    for test in both_engines(&[]).await {
        let engine = test.db.engine();
        five_events(&test).await;
        let sql =
            "SELECT at_ms, actor, kind, project, subject, payload, prev_hash, hash FROM events WHERE seq = 5";
        let row = test.db.read_one(sql, args![]).await.unwrap().unwrap();
        let (at_ms, prev_hash) = (row.int(0).unwrap(), row.bytes(6).unwrap());
        let [actor, kind, project, subject, payload] = [1, 2, 3, 4, 5].map(|index| row.text(index).unwrap());
        let written = link_hash(prev_hash, 5, at_ms, [actor, kind, project, subject, payload]);
        assert_eq!(written, row.bytes(7).unwrap(), "{engine:?}: the formula is the one of the log");

        let forged = link_hash(prev_hash, 5, at_ms, ["mallory", kind, project, subject, payload]);
        let update = "UPDATE events SET actor = 'mallory', hash = $1 WHERE seq = 5";
        test.db.write(move |tx| tx.execute(update, args![forged])).await.unwrap();
        let found = test.events.verify().await.unwrap();
        assert!(found.is_err(), "{engine:?}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_concurrent_appends_are_numbered_without_holes() {
    for test in both_engines(&[]).await {
        let engine = test.db.engine();
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                let (db, events) = (test.db.clone(), test.events.clone());
                tokio::spawn(async move {
                    let event = NewEvent::new("orders.paid", "anna", format!("order:{number}"));
                    db.write(move |tx| events.append(tx, event)).await
                })
            })
            .collect();
        let mut numbers = Vec::new();
        for task in tasks {
            numbers.push(task.await.unwrap().unwrap_or_else(|error| panic!("{engine:?}: {error}")));
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=100).collect::<Vec<i64>>(), "{engine:?}");
        assert_eq!(test.events.verify().await.unwrap(), Ok(100), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_grows_while_it_is_verified_raises_no_alarm() {
    for test in both_engines(&[]).await {
        let engine = test.db.engine();
        let (db, events) = (test.db.clone(), test.events.clone());
        let writer = tokio::spawn(async move {
            for number in 0..400 {
                let events = events.clone();
                let event = NewEvent::new("orders.paid", "anna", format!("order:{number}"));
                db.write(move |tx| events.append(tx, event)).await.expect("the event is recorded");
            }
        });
        while !writer.is_finished() {
            let found = test.events.verify().await.unwrap();
            assert!(found.is_ok(), "{engine:?}: {found:?}");
        }
        writer.await.unwrap();
        assert_eq!(test.events.verify().await.unwrap(), Ok(400), "{engine:?}");
    }
}
