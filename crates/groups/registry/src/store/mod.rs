//! SQL of this group.

mod decisions;
mod governance;
mod import;
mod models;
mod versions;

use platform_db::{Row, Snapshot, Tx, Value};

pub(crate) use decisions::{decisions, insert_decision};
pub(crate) use governance::*;
pub(crate) use import::insert_imported_version;
pub(crate) use models::*;
pub(crate) use versions::*;

use crate::RegistryError;

type Result<T> = std::result::Result<T, RegistryError>;

/// Keys in one statement: far below what either engine takes.
const CHUNK: usize = 400;

/// Several queries that see one state: a transaction, or a snapshot.
pub(crate) trait Reader {
    fn rows(&mut self, sql: &str, arguments: Vec<Value>) -> Result<Vec<Row>>;
}

impl Reader for Tx<'_> {
    fn rows(&mut self, sql: &str, arguments: Vec<Value>) -> Result<Vec<Row>> {
        Ok(self.query(sql, arguments)?)
    }
}

impl Reader for Snapshot<'_> {
    fn rows(&mut self, sql: &str, arguments: Vec<Value>) -> Result<Vec<Row>> {
        Ok(self.query(sql, arguments)?)
    }
}

/// `$1, $2, …`, as many as there are names, and the names as arguments.
fn list_of(names: &[String]) -> (String, Vec<Value>) {
    let holes: Vec<String> = (1..=names.len()).map(|hole| format!("${hole}")).collect();
    (holes.join(", "), names.iter().map(Value::from).collect())
}
