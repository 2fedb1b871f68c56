//! A transaction as a closure sees it.

use crate::postgres::PostgresTx;
use crate::sqlite::SqliteTx;
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
        match &mut self.backend {
            TxBackend::Sqlite(tx) => tx.execute(sql, args),
            TxBackend::Postgres(tx) => tx.execute(sql, &args),
        }
    }

    pub fn query(&mut self, sql: &str, args: Vec<Value>) -> Result<Vec<Row>, DbError> {
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
        match &mut self.backend {
            TxBackend::Sqlite(tx) => tx.append(table, columns, rows),
            TxBackend::Postgres(tx) => tx.append(table, columns, rows),
        }
    }

    /// Runs `action` once the commit is durable, and never if it is not.
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
