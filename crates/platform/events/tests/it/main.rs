//! The log on both engines: numbered without holes, heard after the commit, and every tampering found.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

mod chain;
mod log;

use platform_events::NewEvent;
use platform_testkit::TestDb;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Appends in a transaction of its own; the event's number.
async fn append(test: &TestDb, event: NewEvent) -> i64 {
    let events = test.events.clone();
    test.db.write(move |tx| events.append(tx, event)).await.expect("the event is recorded")
}
