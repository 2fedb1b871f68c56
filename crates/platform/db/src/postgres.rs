//! PostgreSQL: a small pool; a write runs its closure on a blocking thread over one connection.

use std::error::Error as StdError;
use std::str::FromStr;

use bytes::BytesMut;
use deadpool_postgres::{Manager, Object, Pool};
use futures_util::future::{OptionFuture, join_all, join3};
use tokio::runtime::Handle;
use tokio_postgres::NoTls;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::tx::{self, Snapshot, SnapshotBackend, Tx, TxBackend};
use crate::{ColumnKind, DbError, Row, Value};

const CONNECTIONS: usize = 16;
/// PostgreSQL allows 65,535 parameters; UNNEST takes one array a column, so rows are bounded by memory only.
const APPEND_ROWS: usize = 20_000;

#[derive(Clone)]
pub(crate) struct PostgresDb {
    pool: Pool,
}

impl PostgresDb {
    pub(crate) async fn open(url: &str) -> Result<Self, DbError> {
        let location = redacted(url);
        let open = |message: String| DbError::Open { location: location.clone(), message };
        let config = tokio_postgres::Config::from_str(url).map_err(|error| open(error.to_string()))?;
        let pool = Pool::builder(Manager::new(config, NoTls))
            .max_size(CONNECTIONS)
            .build()
            .map_err(|error| open(error.to_string()))?;
        let db = Self { pool };
        db.read("SELECT 1", Vec::new()).await.map_err(|error| open(error.to_string()))?;
        Ok(db)
    }

    async fn connection(&self) -> Result<deadpool_postgres::Object, DbError> {
        self.pool.get().await.map_err(|error| DbError::Unreachable { message: error.to_string() })
    }

    pub(crate) async fn read(&self, sql: &str, args: Vec<Value>) -> Result<Vec<Row>, DbError> {
        let connection = self.connection().await?;
        let fail = |error: tokio_postgres::Error| DbError::from_postgres(&error, sql);
        let statement = connection.prepare_cached(sql).await.map_err(fail)?;
        let rows = connection.query(&statement, &borrow(&args)).await.map_err(fail)?;
        rows.iter().map(row_from_postgres).collect()
    }

    pub(crate) async fn snapshot<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut Snapshot<'_>) -> Result<T, E> + Send + 'static,
    {
        let connection = self.connection().await.map_err(E::from)?;
        let handle = Handle::current();
        let outcome = tokio::task::spawn_blocking(move || {
            let mut session =
                Session::new(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", handle);
            let answer =
                work(&mut Snapshot::new(SnapshotBackend::Postgres(PostgresTx { session: &mut session })));
            let ended = session.end("ROLLBACK").map_err(E::from);
            answer.and_then(|answer| ended.map(|()| answer))
        });
        outcome.await.map_err(|_| E::from(DbError::WriterStopped))?
    }

    pub(crate) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let connection = self.connection().await.map_err(E::from)?;
        let handle = Handle::current();
        let outcome = tokio::task::spawn_blocking(move || {
            let mut session = Session::new(connection, "BEGIN", handle);
            let mut tx = Tx::new(TxBackend::Postgres(PostgresTx { session: &mut session }));
            let outcome = tx::run(&mut tx, work);
            let after_commit = tx.into_after_commit();
            let committed = match outcome {
                Ok(value) => session.commit().map(|()| value).map_err(E::from),
                Err(error) => Err(error),
            };
            match committed {
                Ok(_) => tx::run_after_commit(after_commit),
                // The caller's error says what went wrong; a connection that cannot roll back is given up.
                Err(_) => drop(session.end("ROLLBACK")),
            }
            committed
        });
        outcome.await.map_err(|_| E::from(DbError::WriterStopped))?
    }
}

/// The address without the password.
fn redacted(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://…{}", &url[..scheme], &url[at..]),
        _ => "postgres".to_owned(),
    }
}

/// Statements that are sent together at most: [`join_all`] polls so few in their order.
const LATER: usize = 16;

/// A connection and the transaction on it. Statements whose answer nobody waits for go out with the next one, in one round trip:
/// the beginning too, and the last ones with the commit.
struct Session {
    /// Given up when it is dropped within a transaction.
    connection: Option<Object>,
    begin: &'static str,
    begun: bool,
    later: Vec<(String, Vec<Value>)>,
    /// The first statement that failed. The server has given the transaction up since then and answers
    /// COMMIT with a silent rollback.
    failed: Option<String>,
    handle: Handle,
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.begun {
            drop(self.connection.take().map(Object::take));
        }
    }
}

impl Session {
    fn new(connection: Object, begin: &'static str, handle: Handle) -> Self {
        Self { connection: Some(connection), begin, begun: false, later: Vec::new(), failed: None, handle }
    }

    /// Runs `statement` behind what waits; the error is that of the first one that failed.
    fn run<T>(
        &mut self,
        sql: &str,
        statement: impl AsyncFnOnce(&Object) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, DbError> {
        let connection = self.connection.as_ref().expect("a session has its connection until it is dropped");
        let later = std::mem::take(&mut self.later);
        let begin = (!self.begun).then_some(self.begin);
        self.begun = true;
        let outcome = self.handle.block_on(async {
            let fail = |sql: &str| {
                let sql = sql.to_owned();
                move |error| DbError::from_postgres(&error, &sql)
            };
            let mut prepared = Vec::with_capacity(later.len());
            for (sql, args) in &later {
                prepared.push((connection.prepare_cached(sql).await.map_err(fail(sql))?, borrow(args)));
            }
            let begin = OptionFuture::from(begin.map(|begin| connection.batch_execute(begin)));
            let waiting = join_all(prepared.iter().map(|(of, args)| connection.execute(of, args)));
            // Polled in this order, they are sent in this order.
            let (begun, waited, answer) = join3(begin, waiting, statement(connection)).await;
            begun.transpose().map_err(fail("BEGIN"))?;
            for (outcome, (sql, _)) in waited.into_iter().zip(&later) {
                outcome.map_err(fail(sql))?;
            }
            answer.map_err(fail(sql))
        });
        if let Err(error) = &outcome {
            self.failed.get_or_insert_with(|| error.to_string());
        }
        outcome
    }

    fn commit(&mut self) -> Result<(), DbError> {
        // Also when the closure caught the error.
        if let Some(failure) = &self.failed {
            let message = format!("nothing is stored, because an earlier statement failed: {failure}");
            return Err(DbError::Statement { message, sql: "COMMIT".to_owned() });
        }
        if !self.begun && self.later.is_empty() {
            return Ok(());
        }
        self.run("COMMIT", async |connection| connection.batch_execute("COMMIT").await)?;
        self.begun = false;
        Ok(())
    }

    /// Ends a transaction of which nothing is to stay.
    fn end(&mut self, statement: &'static str) -> Result<(), DbError> {
        self.later.clear();
        if self.begun {
            self.run(statement, async |connection| connection.batch_execute(statement).await)?;
            self.begun = false;
        }
        Ok(())
    }
}

pub(crate) struct PostgresTx<'a> {
    session: &'a mut Session,
}

impl PostgresTx<'_> {
    pub(crate) fn execute(&mut self, sql: &str, args: &[Value]) -> Result<u64, DbError> {
        self.session.run(sql, async |connection| {
            let statement = connection.prepare_cached(sql).await?;
            connection.execute(&statement, &borrow(args)).await
        })
    }

    pub(crate) fn execute_later(&mut self, sql: &str, args: Vec<Value>) -> Result<(), DbError> {
        if self.session.later.len() + 1 >= LATER {
            return self.execute(sql, &args).map(drop);
        }
        self.session.later.push((sql.to_owned(), args));
        Ok(())
    }

    pub(crate) fn query(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>, DbError> {
        let rows = self.session.run(sql, async |connection| {
            let statement = connection.prepare_cached(sql).await?;
            connection.query(&statement, &borrow(args)).await
        })?;
        rows.iter().map(row_from_postgres).collect()
    }

    pub(crate) fn append(
        &mut self,
        table: &str,
        columns: &[(&str, ColumnKind)],
        mut rows: Vec<Vec<Value>>,
    ) -> Result<u64, DbError> {
        let names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let arrays = columns
            .iter()
            .enumerate()
            .map(|(index, (_, kind))| format!("${}::{}[]", index + 1, native_type(*kind)))
            .collect::<Vec<_>>()
            .join(", ");
        let sql =
            format!("INSERT INTO {table} ({names}) SELECT * FROM UNNEST({arrays}) ON CONFLICT DO NOTHING");
        let mut inserted = 0;
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(APPEND_ROWS));
            inserted += self.append_chunk(&sql, columns, rows)?;
            rows = rest;
        }
        Ok(inserted)
    }

    fn append_chunk(
        &mut self,
        sql: &str,
        columns: &[(&str, ColumnKind)],
        rows: Vec<Vec<Value>>,
    ) -> Result<u64, DbError> {
        let mut by_column: Vec<Vec<Argument>> =
            columns.iter().map(|_| Vec::with_capacity(rows.len())).collect();
        for row in rows {
            for (column, value) in by_column.iter_mut().zip(row) {
                column.push(Argument(value));
            }
        }
        let arguments: Vec<&(dyn ToSql + Sync)> =
            by_column.iter().map(|column| column as &(dyn ToSql + Sync)).collect();
        self.session.run(sql, async |connection| {
            let statement = connection.prepare_cached(sql).await?;
            connection.execute(&statement, &arguments).await
        })
    }

    pub(crate) fn execute_script(&mut self, script: &str) -> Result<(), DbError> {
        self.session.run(script, async |connection| connection.batch_execute(script).await)
    }
}

fn native_type(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Bool => "boolean",
        ColumnKind::Int => "bigint",
        ColumnKind::Real => "double precision",
        ColumnKind::Text => "text",
        ColumnKind::Bytes => "bytea",
    }
}

fn borrow(args: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    args.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Bool(value) if *ty == Type::BOOL => value.to_sql(ty, out),
            Self::Bool(value) => i64::from(*value).to_sql(ty, out),
            Self::Int(value) if *ty == Type::INT4 => i32::try_from(*value)?.to_sql(ty, out),
            Self::Int(value) if *ty == Type::FLOAT8 => (*value as f64).to_sql(ty, out),
            Self::Int(value) => value.to_sql(ty, out),
            // Bound to a whole-number column, a whole real is that number; the bits of another would be nonsense.
            Self::Real(value) if *ty == Type::INT8 && value.fract() == 0.0 => (*value as i64).to_sql(ty, out),
            Self::Real(value) if *ty == Type::INT8 => Err(format!("{value} is not a whole number").into()),
            Self::Real(value) => value.to_sql(ty, out),
            Self::Text(value) => value.to_sql(ty, out),
            Self::Bytes(value) => value.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// An element of a bulk column: `Vec<Argument>` becomes a PostgreSQL array.
#[derive(Debug)]
struct Argument(Value);

impl ToSql for Argument {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        self.0.to_sql(ty, out)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn row_from_postgres(row: &tokio_postgres::Row) -> Result<Row, DbError> {
    let fail = |error: tokio_postgres::Error| DbError::from_postgres(&error, "reading a row");
    let mut values = Vec::with_capacity(row.len());
    for (index, column) in row.columns().iter().enumerate() {
        let value = match *column.type_() {
            Type::BOOL => row.try_get::<_, Option<bool>>(index).map_err(fail)?.map(Value::Bool),
            Type::INT2 => {
                row.try_get::<_, Option<i16>>(index).map_err(fail)?.map(|v| Value::Int(i64::from(v)))
            }
            Type::INT4 => {
                row.try_get::<_, Option<i32>>(index).map_err(fail)?.map(|v| Value::Int(i64::from(v)))
            }
            Type::INT8 => row.try_get::<_, Option<i64>>(index).map_err(fail)?.map(Value::Int),
            Type::FLOAT8 => row.try_get::<_, Option<f64>>(index).map_err(fail)?.map(Value::Real),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(index).map_err(fail)?.map(Value::Bytes),
            _ => row.try_get::<_, Option<String>>(index).map_err(fail)?.map(Value::Text),
        };
        values.push(value.unwrap_or(Value::Null));
    }
    Ok(Row(values))
}
