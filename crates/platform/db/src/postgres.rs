//! PostgreSQL: a small pool; a write runs its closure on a blocking thread over one connection.

use std::error::Error as StdError;
use std::str::FromStr;

use bytes::BytesMut;
use deadpool_postgres::{Manager, Pool};
use tokio::runtime::Handle;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{IsolationLevel, NoTls, Transaction};

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
        let mut connection = self.connection().await.map_err(E::from)?;
        let handle = Handle::current();
        let outcome = tokio::task::spawn_blocking(move || {
            let fail = |error: tokio_postgres::Error| E::from(DbError::from_postgres(&error, "snapshot"));
            let builder = connection.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
            let transaction = handle.block_on(builder.read_only(true).start()).map_err(fail)?;
            let backend = PostgresTx { transaction: &transaction, handle: &handle, failed: None };
            let answer = work(&mut Snapshot::new(SnapshotBackend::Postgres(backend)))?;
            handle.block_on(transaction.rollback()).map_err(fail)?;
            Ok(answer)
        });
        outcome.await.map_err(|_| E::from(DbError::WriterStopped))?
    }

    pub(crate) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let mut connection = self.connection().await.map_err(E::from)?;
        let handle = Handle::current();
        let outcome = tokio::task::spawn_blocking(move || {
            let fail = |error: tokio_postgres::Error| E::from(DbError::from_postgres(&error, "transaction"));
            let transaction = handle.block_on(connection.transaction()).map_err(fail)?;
            let (value, after_commit) = {
                let backend = PostgresTx { transaction: &transaction, handle: &handle, failed: None };
                let mut tx = Tx::new(TxBackend::Postgres(backend));
                let value = tx::run(&mut tx, work)?;
                tx.refuse_if_failed().map_err(E::from)?;
                (value, tx.into_after_commit())
            };
            handle.block_on(transaction.commit()).map_err(fail)?;
            tx::run_after_commit(after_commit);
            Ok(value)
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

pub(crate) struct PostgresTx<'a> {
    transaction: &'a deadpool_postgres::Transaction<'a>,
    handle: &'a Handle,
    /// The first statement that failed. The server has given the transaction up since then and answers
    /// COMMIT with a silent rollback.
    failed: Option<String>,
}

impl PostgresTx<'_> {
    /// An error when a statement failed, even if the closure caught it.
    pub(crate) fn refuse_if_failed(&self) -> Result<(), DbError> {
        let Some(failure) = &self.failed else { return Ok(()) };
        let message = format!("nothing is stored, because an earlier statement failed: {failure}");
        Err(DbError::Statement { message, sql: "COMMIT".to_owned() })
    }

    fn fail(&mut self, error: &tokio_postgres::Error, sql: &str) -> DbError {
        let error = DbError::from_postgres(error, sql);
        self.failed.get_or_insert_with(|| error.to_string());
        error
    }

    pub(crate) fn execute(&mut self, sql: &str, args: &[Value]) -> Result<u64, DbError> {
        let outcome = self.handle.block_on(async {
            let statement = self.transaction.prepare_cached(sql).await?;
            self.transaction.execute(&statement, &borrow(args)).await
        });
        outcome.map_err(|error| self.fail(&error, sql))
    }

    pub(crate) fn query(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>, DbError> {
        let outcome = self.handle.block_on(async {
            let statement = self.transaction.prepare_cached(sql).await?;
            self.transaction.query(&statement, &borrow(args)).await
        });
        let rows = outcome.map_err(|error| self.fail(&error, sql))?;
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
        let outcome = self.handle.block_on(async {
            let statement = self.transaction.prepare_cached(sql).await?;
            self.transaction.execute(&statement, &arguments).await
        });
        outcome.map_err(|error| self.fail(&error, sql))
    }

    pub(crate) fn execute_script(&mut self, script: &str) -> Result<(), DbError> {
        let outcome = self.handle.block_on(Transaction::batch_execute(self.transaction, script));
        outcome.map_err(|error| self.fail(&error, script))
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
