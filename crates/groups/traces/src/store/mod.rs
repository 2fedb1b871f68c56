//! SQL of this group.

mod assessments;
mod filter;
mod metrics;
mod patterns;
mod search;
mod spans;
mod traces;

use platform_db::Value;

pub(crate) use assessments::*;
pub(crate) use metrics::*;
pub(crate) use patterns::resolve;
pub(crate) use search::*;
pub(crate) use spans::*;
pub(crate) use traces::*;

use crate::TraceError;

type Result<T> = std::result::Result<T, TraceError>;

/// Keys in one `IN (…)`; SQLite takes 32,766 arguments in a statement.
const CHUNK: usize = 500;

/// Adds an argument; its placeholder.
fn hole(arguments: &mut Vec<Value>, value: impl Into<Value>) -> String {
    arguments.push(value.into());
    format!("${}", arguments.len())
}

/// Adds arguments; their placeholders as a list. An empty list is none that any text is in.
fn holes<'v>(arguments: &mut Vec<Value>, values: impl IntoIterator<Item = &'v String>) -> String {
    let list: Vec<String> = values.into_iter().map(|value| hole(arguments, value)).collect();
    if list.is_empty() { "(SELECT NULL WHERE 1 = 0)".to_owned() } else { format!("({})", list.join(", ")) }
}
