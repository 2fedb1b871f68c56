//! One database facade over two engines: SQLite in the data directory, or a PostgreSQL server.
//!
//! SQL is written once with `$1`, `$2` … and the types both engines share: `BIGINT`, `DOUBLE PRECISION`,
//! `TEXT`, `BYTEA`, `BOOLEAN`; text holds no NUL; `COLLATE "C"` is the order of bytes on both. [`Db::write`] returns only after the commit; on SQLite
//! many waiting writes share one commit (group commit).

mod error;
mod foreign;
mod migrate;
mod postgres;
mod sqlite;
mod tx;
mod value;

use std::path::PathBuf;

pub use error::DbError;
pub use foreign::ForeignDb;
pub use migrate::{Migration, MigrationSet};
pub use tx::{Snapshot, Tx};
pub use value::{ColumnKind, Row, Value};

/// Which engine, and where.
#[derive(Debug, Clone)]
pub enum DbLocation {
    Sqlite { path: PathBuf, durability: Durability },
    Postgres { url: String },
}

/// What an acknowledged write on SQLite survives. PostgreSQL says so itself (`synchronous_commit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Death of the process, always; after a loss of power the newest writes may be missing, never half of one.
    #[default]
    Process,
    /// Loss of power too: every commit waits for the disk. Waiting writes share one such commit.
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// A cheap handle; clones share the same connections.
#[derive(Clone)]
pub struct Db {
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    Sqlite(sqlite::SqliteDb),
    Postgres(postgres::PostgresDb),
}

impl Db {
    pub async fn open(location: &DbLocation) -> Result<Self, DbError> {
        let backend = match location {
            DbLocation::Sqlite { path, durability } => {
                Backend::Sqlite(sqlite::SqliteDb::open(path, *durability)?)
            }
            DbLocation::Postgres { url } => Backend::Postgres(postgres::PostgresDb::open(url).await?),
        };
        Ok(Self { backend })
    }

    pub fn engine(&self) -> Engine {
        match self.backend {
            Backend::Sqlite(_) => Engine::Sqlite,
            Backend::Postgres(_) => Engine::Postgres,
        }
    }

    /// One query on a connection of its own; sees every write acknowledged before the call.
    pub async fn read(&self, sql: impl Into<String>, args: Vec<Value>) -> Result<Vec<Row>, DbError> {
        value::check_text(&args)?;
        let sql = sql.into();
        match &self.backend {
            Backend::Sqlite(db) => db.read(sql, args).await,
            Backend::Postgres(db) => db.read(&sql, args).await,
        }
    }

    /// Like [`Db::read`], for at most one row.
    pub async fn read_one(&self, sql: impl Into<String>, args: Vec<Value>) -> Result<Option<Row>, DbError> {
        Ok(self.read(sql, args).await?.into_iter().next())
    }

    /// Several queries that see one and the same state, on a thread where blocking is fine.
    pub async fn snapshot<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut Snapshot<'_>) -> Result<T, E> + Send + 'static,
    {
        match &self.backend {
            Backend::Sqlite(db) => db.snapshot(work).await,
            Backend::Postgres(db) => db.snapshot(work).await,
        }
    }

    /// Runs `work` in a transaction: committed when it returns `Ok`, undone when it returns `Err`.
    ///
    /// The closure runs on a thread where blocking is fine; it must not wait for other tasks. Once a
    /// statement has failed, the closure must return its error: PostgreSQL has given the transaction up
    /// by then, and an `Ok` is refused.
    ///
    /// An acknowledged write survives kill -9 of this process on both engines. It survives a loss of power
    /// on PostgreSQL, and on SQLite with [`Durability::Full`].
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        match &self.backend {
            Backend::Sqlite(db) => db.write(work).await,
            Backend::Postgres(db) => db.write(work).await,
        }
    }

    /// Brings the schema of every set up to date. Forward only; a changed file is an error.
    pub async fn migrate(&self, sets: &[MigrationSet]) -> Result<(), DbError> {
        migrate::run(self, sets).await
    }
}
