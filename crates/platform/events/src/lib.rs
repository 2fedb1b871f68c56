//! The one log of what happened: every change of state appends an event in its own transaction.
//!
//! Events form a chain: each hash covers the event and the hash before it, so the log is also the audit
//! log, and an edited, deleted or inserted row is found by [`Events::verify`]. Groups learn of each
//! other's facts only here.

mod chain;
mod model;
mod store;

use std::sync::Arc;

use platform_db::{Db, MigrationSet, Tx, migrations};
use platform_primitives::{Clock, Timestamp};
use tokio::sync::broadcast;

pub use chain::ChainBreak;
pub use model::{Event, EventError, EventFilter, NewEvent};

pub const MIGRATIONS: MigrationSet = migrations!("events", 1 => "0001_events");

/// Live listeners that fall further behind than this re-read from the table.
const LIVE_BUFFER: usize = 4096;

#[derive(Clone)]
pub struct Events {
    db: Db,
    clock: Arc<dyn Clock>,
    live: broadcast::Sender<Arc<Event>>,
}

impl Events {
    pub fn new(db: Db, clock: Arc<dyn Clock>) -> Self {
        Self { db, clock, live: broadcast::Sender::new(LIVE_BUFFER) }
    }

    /// Appends in the caller's transaction and returns the event's number. Listeners hear of it after the commit.
    ///
    /// On PostgreSQL the head row is locked until the commit, so appends are serial: call it last.
    pub fn append(&self, tx: &mut Tx<'_>, event: NewEvent) -> Result<i64, EventError> {
        let event = Arc::new(store::append(tx, event, self.clock.now())?);
        let seq = event.seq;
        let live = self.live.clone();
        // Nobody listening is fine: the table is the record.
        tx.after_commit(move || drop(live.send(event)));
        Ok(seq)
    }

    /// Hears events committed by this process from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Event>> {
        self.live.subscribe()
    }

    /// Events after `after`, oldest first, at most `limit`.
    pub async fn list(
        &self,
        filter: EventFilter,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Event>, EventError> {
        store::list(&self.db, filter, after, limit).await
    }

    /// The newest events, newest first, at most `limit`.
    pub async fn latest(&self, filter: EventFilter, limit: usize) -> Result<Vec<Event>, EventError> {
        store::latest(&self.db, filter, limit).await
    }

    /// Walks the whole chain. `Ok(n)` when all `n` events are as they were written.
    pub async fn verify(&self) -> Result<Result<i64, ChainBreak>, EventError> {
        chain::verify(&self.db).await
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
