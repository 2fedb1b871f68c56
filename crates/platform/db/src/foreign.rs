//! Databases of other programs: read, never written, never migrated.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::postgres::PostgresDb;
use crate::value::check_text;
use crate::{DbError, DbLocation, Row, Value, sqlite};

/// How long a read waits while the other program writes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A cheap handle; clones share the same connections.
#[derive(Clone)]
pub struct ForeignDb {
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    Sqlite(Arc<Mutex<Connection>>),
    Postgres(PostgresDb),
}

impl ForeignDb {
    /// A SQLite file must exist. No pragma of it is changed.
    pub async fn open(location: &DbLocation) -> Result<Self, DbError> {
        let backend = match location {
            DbLocation::Sqlite { path, .. } => Backend::Sqlite(Arc::new(Mutex::new(connect(path)?))),
            DbLocation::Postgres { url } => Backend::Postgres(PostgresDb::open(url).await?),
        };
        Ok(Self { backend })
    }

    /// One query; what it sees may be newer than what the one before it saw.
    pub async fn read(&self, sql: impl Into<String>, args: Vec<Value>) -> Result<Vec<Row>, DbError> {
        check_text(&args)?;
        let sql = sql.into();
        match &self.backend {
            Backend::Postgres(db) => db.read(&sql, args).await,
            Backend::Sqlite(connection) => {
                let connection = Arc::clone(connection);
                let answer = tokio::task::spawn_blocking(move || {
                    // A query that panicked has changed nothing.
                    let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                    sqlite::query(&connection, &sql, args)
                });
                answer.await.map_err(|_| DbError::WriterStopped)?
            }
        }
    }

    /// Like [`ForeignDb::read`], for at most one row.
    pub async fn read_one(&self, sql: impl Into<String>, args: Vec<Value>) -> Result<Option<Row>, DbError> {
        Ok(self.read(sql, args).await?.into_iter().next())
    }
}

fn connect(path: &Path) -> Result<Connection, DbError> {
    let open = |error: rusqlite::Error| DbError::Open {
        location: path.display().to_string(),
        message: error.to_string(),
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(open)?;
    connection.busy_timeout(PATIENCE).map_err(open)?;
    Ok(connection)
}
