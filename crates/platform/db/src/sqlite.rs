//! SQLite: one writer thread that commits many waiting transactions together, and a few readers.

use std::borrow::Cow;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::tx::{self, Snapshot, SnapshotBackend, Tx, TxBackend};
use crate::{ColumnKind, DbError, Durability, Row, Value};

const READERS: usize = 4;
const QUEUE: usize = 1024;
/// A commit waits for at most this many transactions or this long, so that the slowest stays quick.
const BATCH: usize = 512;
const BATCH_TIME: Duration = Duration::from_millis(5);

type Acknowledge = Box<dyn FnOnce(Result<(), DbError>) + Send>;
type Work = Box<dyn FnOnce(&Connection) -> Acknowledge + Send>;

#[derive(Clone)]
pub(crate) struct SqliteDb {
    writer: mpsc::Sender<Work>,
    readers: Arc<Readers>,
}

struct Readers {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        // Nothing that can panic runs under the lock, so a poisoned list is whole.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection on loan. Going back in `drop`, it survives a query that panics; the permit is released
/// after it, and not before the query ends even if the caller has gone away.
struct Lent {
    connection: Option<Connection>,
    readers: Arc<Readers>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.readers.idle().extend(self.connection.take());
    }
}

impl SqliteDb {
    pub(crate) fn open(path: &Path, durability: Durability) -> Result<Self, DbError> {
        let writer = connect(path, durability)?;
        let (sender, receiver) = mpsc::channel::<Work>(QUEUE);
        std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || write_loop(&writer, receiver))
            .map_err(|error| DbError::Open {
                location: path.display().to_string(),
                message: error.to_string(),
            })?;
        let idle = (0..READERS).map(|_| connect(path, durability)).collect::<Result<Vec<_>, _>>()?;
        let readers =
            Arc::new(Readers { permits: Arc::new(Semaphore::new(READERS)), idle: Mutex::new(idle) });
        Ok(Self { writer: sender, readers })
    }

    pub(crate) async fn read(&self, sql: String, args: Vec<Value>) -> Result<Vec<Row>, DbError> {
        let readers = Arc::clone(&self.readers);
        let permit =
            Arc::clone(&readers.permits).acquire_owned().await.map_err(|_| DbError::WriterStopped)?;
        let answer = tokio::task::spawn_blocking(move || {
            let connection = readers.idle().pop();
            let lent = Lent { connection, readers, _permit: permit };
            let connection = lent.connection.as_ref().expect("a permit stands for an idle connection");
            query(connection, &sql, args)
        });
        answer.await.map_err(|_| DbError::WriterStopped)?
    }

    pub(crate) async fn snapshot<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut Snapshot<'_>) -> Result<T, E> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let permit = Arc::clone(&readers.permits).acquire_owned().await;
        let permit = permit.map_err(|_| E::from(DbError::WriterStopped))?;
        let answer = tokio::task::spawn_blocking(move || {
            let connection = readers.idle().pop();
            let lent = Lent { connection, readers, _permit: permit };
            let connection = lent.connection.as_ref().expect("a permit stands for an idle connection");
            script(connection, "BEGIN").map_err(E::from)?;
            let view = Snapshotted { connection };
            let outcome = work(&mut Snapshot::new(SnapshotBackend::Sqlite(SqliteTx { connection })));
            drop(view);
            outcome
        });
        answer.await.map_err(|_| E::from(DbError::WriterStopped))?
    }

    pub(crate) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel::<Result<T, E>>();
        let boxed: Work = Box::new(move |connection| {
            let mut tx = Tx::new(TxBackend::Sqlite(SqliteTx { connection }));
            let outcome = in_savepoint(&mut tx, work);
            let after_commit = tx.into_after_commit();
            Box::new(move |committed| {
                let outcome = match (outcome, committed) {
                    (Ok(value), Ok(())) => {
                        tx::run_after_commit(after_commit);
                        Ok(value)
                    }
                    (Ok(_), Err(error)) => Err(E::from(error)),
                    (Err(error), _) => Err(error),
                };
                // The caller may have gone away; its transaction stands all the same.
                let _ = reply.send(outcome);
            })
        });
        self.writer.send(boxed).await.map_err(|_| E::from(DbError::WriterStopped))?;
        answer.await.map_err(|_| E::from(DbError::WriterStopped))?
    }
}

/// Ends the read transaction, also when the work panics: the connection goes back clean.
struct Snapshotted<'c> {
    connection: &'c Connection,
}

impl Drop for Snapshotted<'_> {
    fn drop(&mut self) {
        if let Err(error) = script(self.connection, "ROLLBACK") {
            tracing::error!(%error, "a snapshot did not end");
        }
    }
}

fn connect(path: &Path, durability: Durability) -> Result<Connection, DbError> {
    let open = |error: rusqlite::Error| DbError::Open {
        location: path.display().to_string(),
        message: error.to_string(),
    };
    let connection = Connection::open(path).map_err(open)?;
    connection.set_prepared_statement_cache_capacity(256);
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON; \
             PRAGMA temp_store = MEMORY; PRAGMA case_sensitive_like = ON; PRAGMA cache_size = -16000;",
        )
        .map_err(open)?;
    let synchronous = match durability {
        Durability::Process => "PRAGMA synchronous = NORMAL",
        Durability::Full => "PRAGMA synchronous = FULL",
    };
    connection.execute_batch(synchronous).map_err(open)?;
    Ok(connection)
}

fn write_loop(connection: &Connection, mut receiver: mpsc::Receiver<Work>) {
    while let Some(first) = receiver.blocking_recv() {
        if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
            // Running the work outside a transaction would break its promise: refuse it instead.
            refuse(connection, first, &error.to_string());
            continue;
        }
        let started = Instant::now();
        let mut waiting = vec![first(connection)];
        while waiting.len() < BATCH && started.elapsed() < BATCH_TIME {
            let Ok(work) = receiver.try_recv() else { break };
            if connection.is_autocommit() {
                break_batch(connection, &mut waiting);
                if connection.execute_batch("BEGIN IMMEDIATE").is_err() {
                    refuse(connection, work, "no transaction could be opened");
                    continue;
                }
            }
            waiting.push(work(connection));
        }
        if connection.is_autocommit() {
            break_batch(connection, &mut waiting);
            continue;
        }
        let committed =
            connection.execute_batch("COMMIT").map_err(|error| DbError::from_sqlite(error, "COMMIT"));
        if committed.is_err() && !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
        match committed {
            Ok(()) => waiting.into_iter().for_each(|acknowledge| acknowledge(Ok(()))),
            Err(error) => {
                let message = error.to_string();
                tracing::error!(%message, writes = waiting.len(), "commit failed");
                for acknowledge in waiting {
                    acknowledge(Err(DbError::Full { message: message.clone() }));
                }
            }
        }
    }
}

/// SQLite ended the transaction by itself (a full disk does that): nothing in it was stored.
fn break_batch(connection: &Connection, waiting: &mut Vec<Acknowledge>) {
    debug_assert!(connection.is_autocommit());
    for acknowledge in waiting.drain(..) {
        acknowledge(Err(DbError::Full { message: "the transaction was rolled back".to_owned() }));
    }
}

fn refuse(connection: &Connection, work: Work, message: &str) {
    let opened = connection.execute_batch("SAVEPOINT refused").is_ok();
    let acknowledge = work(connection);
    if opened {
        let _ = connection.execute_batch("ROLLBACK TO refused; RELEASE refused");
    }
    acknowledge(Err(DbError::Unreachable { message: message.to_owned() }));
}

fn in_savepoint<T, E, F>(tx: &mut Tx<'_>, work: F) -> Result<T, E>
where
    E: From<DbError>,
    F: FnOnce(&mut Tx<'_>) -> Result<T, E>,
{
    tx.execute("SAVEPOINT work", Vec::new()).map_err(E::from)?;
    match tx::run(tx, work) {
        Ok(value) => {
            tx.execute("RELEASE work", Vec::new()).map_err(E::from)?;
            Ok(value)
        }
        Err(error) => {
            // After a full disk the savepoint is gone with its transaction; the error says so already.
            let _ = tx.execute_script("ROLLBACK TO work; RELEASE work");
            Err(error)
        }
    }
}

pub(crate) struct SqliteTx<'a> {
    connection: &'a Connection,
}

impl SqliteTx<'_> {
    pub(crate) fn execute(&mut self, sql: &str, args: Vec<Value>) -> Result<u64, DbError> {
        let mut statement = prepare(self.connection, sql)?;
        let changed = statement
            .execute(params_from_iter(args.into_iter().map(to_sqlite)))
            .map_err(|error| DbError::from_sqlite(error, sql))?;
        Ok(changed as u64)
    }

    pub(crate) fn query(&mut self, sql: &str, args: Vec<Value>) -> Result<Vec<Row>, DbError> {
        query(self.connection, sql, args)
    }

    pub(crate) fn append(
        &mut self,
        table: &str,
        columns: &[(&str, ColumnKind)],
        rows: Vec<Vec<Value>>,
    ) -> Result<u64, DbError> {
        let names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let holes = (1..=columns.len()).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ");
        let sql = format!("INSERT INTO {table} ({names}) VALUES ({holes}) ON CONFLICT DO NOTHING");
        let mut statement = prepare(self.connection, &sql)?;
        let mut inserted = 0;
        for row in rows {
            inserted += statement
                .execute(params_from_iter(row.into_iter().map(to_sqlite)))
                .map_err(|error| DbError::from_sqlite(error, &sql))?;
        }
        Ok(inserted as u64)
    }

    pub(crate) fn execute_script(&mut self, script: &str) -> Result<(), DbError> {
        self.connection.execute_batch(script).map_err(|error| DbError::from_sqlite(error, script))
    }
}

/// One of the few statements that frame a transaction; prepared once a connection.
fn script(connection: &Connection, statement: &str) -> Result<(), DbError> {
    let fail = |error| DbError::from_sqlite(error, statement);
    connection.prepare_cached(statement).map_err(fail)?.execute([]).map_err(fail)?;
    Ok(())
}

/// PostgreSQL's word for the order of bytes.
const BY_BYTES: &str = " COLLATE \"C\"";

fn prepare<'c>(connection: &'c Connection, sql: &str) -> Result<rusqlite::CachedStatement<'c>, DbError> {
    // SQLite reads `$1` as a name; names are numbered as they first appear, `?1` says its number itself.
    let mut native = if sql.contains('$') { Cow::Owned(sql.replace('$', "?")) } else { Cow::Borrowed(sql) };
    // The order of bytes is SQLite's own.
    if native.contains(BY_BYTES) {
        native = Cow::Owned(native.replace(BY_BYTES, ""));
    }
    connection.prepare_cached(&native).map_err(|error| DbError::from_sqlite(error, sql))
}

pub(crate) fn query(connection: &Connection, sql: &str, args: Vec<Value>) -> Result<Vec<Row>, DbError> {
    let fail = |error: rusqlite::Error| DbError::from_sqlite(error, sql);
    let mut statement = prepare(connection, sql)?;
    let width = statement.column_count();
    let mut rows = statement.query(params_from_iter(args.into_iter().map(to_sqlite))).map_err(fail)?;
    let mut answer = Vec::new();
    while let Some(row) = rows.next().map_err(fail)? {
        let mut values = Vec::with_capacity(width);
        for index in 0..width {
            values.push(from_sqlite(row.get_ref(index).map_err(fail)?));
        }
        answer.push(Row(values));
    }
    Ok(answer)
}

fn to_sqlite(value: Value) -> rusqlite::types::Value {
    use rusqlite::types::Value as Native;
    match value {
        Value::Null => Native::Null,
        Value::Bool(value) => Native::Integer(i64::from(value)),
        Value::Int(value) => Native::Integer(value),
        // SQLite turns NaN into NULL; columns that may hold NaN say so in their store.
        Value::Real(value) => Native::Real(value),
        Value::Text(value) => Native::Text(value),
        Value::Bytes(value) => Native::Blob(value),
    }
}

fn from_sqlite(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Int(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(value) => Value::Text(String::from_utf8_lossy(value).into_owned()),
        ValueRef::Blob(value) => Value::Bytes(value.to_vec()),
    }
}
