//! A transaction as a closure sees it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::postgres::PostgresTx;
use crate::sqlite::SqliteTx;
use crate::value::check_text;
use crate::{ColumnKind, DbError, Engine, Row, Value};

type AfterCommit = Box<dyn FnOnce() + Send>;

/// An open transaction. Dropped with an error, it leaves no trace.
pub struct Tx<'a> {
    pub(crate) backend: TxBackend<'a>,
    after_commit: Vec<AfterCommit>,
}

pub(crate) enum TxBackend<'a> {
    Sqlite(SqliteTx<'a>),
    Postgres(PostgresTx<'a>),
}

/// Several queries over one state of the database. Nothing can be written through it.
pub struct Snapshot<'a> {
    backend: SnapshotBackend<'a>,
}

pub(crate) enum SnapshotBackend<'a> {
    Sqlite(SqliteTx<'a>),
    Postgres(PostgresTx<'a>),
}

impl<'a> Snapshot<'a> {
    pub(crate) fn new(backend: SnapshotBackend<'a>) -> Self {
        Self { backend }
    }

    pub fn query(&mut self, sql: &str, args: Vec<Value>) -> Result<Vec<Row>, DbError> {
        check_text(&args)?;
        match &mut self.backend {
            SnapshotBackend::Sqlite(tx) => tx.query(sql, args),
            SnapshotBackend::Postgres(tx) => tx.query(sql, &args),
        }
    }

    pub fn query_one(&mut self, sql: &str, args: Vec<Value>) -> Result<Option<Row>, DbError> {
        Ok(self.query(sql, args)?.into_iter().next())
    }
}

impl<'a> Tx<'a> {
    pub(crate) fn new(backend: TxBackend<'a>) -> Self {
        Self { backend, after_commit: Vec::new() }
    }

    pub fn engine(&self) -> Engine {
        match self.backend {
            TxBackend::Sqlite(_) => Engine::Sqlite,
            TxBackend::Postgres(_) => Engine::Postgres,
        }
    }

    /// The suffix that locks the selected rows until commit. SQLite has one writer and needs none.
    pub fn for_update(&self) -> &'static str {
        match self.engine() {
            Engine::Sqlite => "",
            Engine::Postgres => " FOR UPDATE",
        }
    }

    /// Runs a statement; the number of rows it changed.
    pub fn execute(&mut self, sql: &str, args: Vec<Value>) -> Result<u64, DbError> {
        check_text(&args)?;
        match &mut self.backend {
            TxBackend::Sqlite(tx) => tx.execute(sql, args),
            TxBackend::Postgres(tx) => tx.execute(sql, &args),
        }
    }

    /// Runs a statement when the next one is run or the transaction is committed, whose error its own error becomes. On
    /// PostgreSQL both are one round trip.
    pub fn execute_later(&mut self, sql: &str, args: Vec<Value>) -> Result<(), DbError> {
        check_text(&args)?;
        match &mut self.backend {
            TxBackend::Sqlite(tx) => tx.execute(sql, args).map(drop),
            TxBackend::Postgres(tx) => tx.execute_later(sql, args),
        }
    }

    pub fn query(&mut self, sql: &str, args: Vec<Value>) -> Result<Vec<Row>, DbError> {
        check_text(&args)?;
        match &mut self.backend {
            TxBackend::Sqlite(tx) => tx.query(sql, args),
            TxBackend::Postgres(tx) => tx.query(sql, &args),
        }
    }

    pub fn query_one(&mut self, sql: &str, args: Vec<Value>) -> Result<Option<Row>, DbError> {
        Ok(self.query(sql, args)?.into_iter().next())
    }

    /// Inserts many rows at once; a row whose key exists already is passed over.
    /// Returns how many rows were new.
    pub fn append(
        &mut self,
        table: &str,
        columns: &[(&str, ColumnKind)],
        rows: Vec<Vec<Value>>,
    ) -> Result<u64, DbError> {
        if rows.is_empty() {
            return Ok(0);
        }
        rows.iter().try_for_each(|row| check_text(row))?;
        match &mut self.backend {
            TxBackend::Sqlite(tx) => tx.append(table, columns, rows),
            TxBackend::Postgres(tx) => tx.append(table, columns, rows),
        }
    }

    /// Runs `action` once the write is committed and before it is acknowledged, never if it is not
    /// committed; what that survives is said at [`crate::Db::write`]. A panic in it is logged.
    pub fn after_commit(&mut self, action: impl FnOnce() + Send + 'static) {
        self.after_commit.push(Box::new(action));
    }

    pub(crate) fn into_after_commit(self) -> Vec<AfterCommit> {
        self.after_commit
    }

    pub(crate) fn execute_script(&mut self, script: &str) -> Result<(), DbError> {
        match &mut self.backend {
            TxBackend::Sqlite(tx) => tx.execute_script(script),
            TxBackend::Postgres(tx) => tx.execute_script(script),
        }
    }
}

/// Runs `work`; a panic in it is an error of this write alone.
pub(crate) fn run<T, E, F>(tx: &mut Tx<'_>, work: F) -> Result<T, E>
where
    E: From<DbError>,
    F: FnOnce(&mut Tx<'_>) -> Result<T, E>,
{
    // What the closure left half done is undone with its transaction.
    match catch_unwind(AssertUnwindSafe(|| work(tx))) {
        Ok(outcome) => outcome,
        Err(_) => Err(E::from(DbError::write_panicked())),
    }
}

/// The write stands whatever its actions do: a panic is logged and costs neither the caller his answer
/// nor the thread its life.
pub(crate) fn run_after_commit(actions: Vec<AfterCommit>) {
    for action in actions {
        if catch_unwind(AssertUnwindSafe(action)).is_err() {
            tracing::error!("an action after a commit panicked");
        }
    }
}
