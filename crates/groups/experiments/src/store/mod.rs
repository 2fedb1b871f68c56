//! SQL of this group. Methods that write take the caller's transaction; the others read one page at most.

mod artifacts;
mod datasets;
mod experiments;
mod import;
mod models;
mod points;
mod runs;
mod scan;
mod uploads;
mod workspace;

use std::collections::BTreeMap;

use platform_db::{Db, DbError, Row, Snapshot, Tx, Value};

use crate::ExperimentError;

pub(crate) use artifacts::*;
pub(crate) use datasets::*;
pub(crate) use experiments::*;
pub(crate) use import::*;
pub(crate) use models::*;
pub(crate) use points::*;
pub(crate) use runs::*;
pub(crate) use scan::*;
pub(crate) use uploads::*;
pub(crate) use workspace::*;

pub(crate) type Result<T> = std::result::Result<T, ExperimentError>;

/// What can be asked inside a transaction and inside a snapshot alike.
pub(crate) trait Rows {
    fn rows(&mut self, sql: &str, args: Vec<Value>) -> std::result::Result<Vec<Row>, DbError>;
}

impl Rows for Tx<'_> {
    fn rows(&mut self, sql: &str, args: Vec<Value>) -> std::result::Result<Vec<Row>, DbError> {
        self.query(sql, args)
    }
}

impl Rows for Snapshot<'_> {
    fn rows(&mut self, sql: &str, args: Vec<Value>) -> std::result::Result<Vec<Row>, DbError> {
        self.query(sql, args)
    }
}

/// Which rows a search sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum View {
    #[default]
    Active,
    Deleted,
    All,
}

impl View {
    fn condition(self, table: &str) -> String {
        match self {
            Self::Active => format!(" AND NOT ({table}.deleted <> {FALSE})"),
            Self::Deleted => format!(" AND {table}.deleted <> {FALSE}"),
            Self::All => String::new(),
        }
    }

    pub(crate) fn shows(self, deleted: bool) -> bool {
        match self {
            Self::Active => !deleted,
            Self::Deleted => deleted,
            Self::All => true,
        }
    }
}

/// A false that both engines compare with their booleans.
const FALSE: &str = "(1 = 0)";

/// Lists have a few lengths only, so that few statements are prepared: the last value is repeated.
const LIST_LENGTHS: [usize; 4] = [1, 8, 64, 256];
pub(crate) const LIST_MAX: usize = 256;

/// `$n, $n+1, …` for at least one value; the values are added to `arguments`.
fn holes<V: Into<Value> + Clone>(values: &[V], arguments: &mut Vec<Value>) -> String {
    let length = LIST_LENGTHS.into_iter().find(|length| *length >= values.len()).unwrap_or(values.len());
    let mut list = Vec::with_capacity(length);
    for index in 0..length {
        arguments.push(values[index.min(values.len() - 1)].clone().into());
        list.push(format!("${}", arguments.len()));
    }
    list.join(", ")
}

async fn pairs(
    db: &Db,
    table: &'static str,
    owner: &'static str,
    id: Value,
) -> Result<BTreeMap<String, String>> {
    let rows = db.read(format!("SELECT key, value FROM {table} WHERE {owner} = $1"), vec![id]).await?;
    rows.iter().map(|row| Ok((row.string(0)?, row.string(1)?))).collect()
}

/// SQLite keeps no NaN: it is NULL in both engines.
fn nan_as_null(value: f64) -> Value {
    if value.is_nan() { Value::Null } else { Value::Real(value) }
}
