//! Spans and what they measured.

use std::collections::HashMap;

use platform_db::{Db, Tx, args};
use serde_json::Value;

use super::{Result, holes};
use crate::TraceError;
use crate::json::dumped;
use crate::names::attribute;
use crate::span::Span;

/// Writes a span in place of what came before under its id: a span may come when it starts and again when it ends.
pub(crate) fn put_span(tx: &mut Tx<'_>, trace_id: &str, span: &Span) -> Result<()> {
    tx.execute(
        "INSERT INTO spans (trace_id, span_id, parent_span_id, name, span_type, status, start_ns, end_ns, model, \
         provider, content) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT (trace_id, span_id) DO UPDATE SET parent_span_id = excluded.parent_span_id, \
         name = excluded.name, span_type = excluded.span_type, status = excluded.status, \
         start_ns = excluded.start_ns, end_ns = excluded.end_ns, model = excluded.model, \
         provider = excluded.provider, content = excluded.content",
        args![
            trace_id,
            span.span_id(),
            span.parent_span_id(),
            &span.name,
            span.text(attribute::SPAN_TYPE),
            span.status.name(),
            span.start_ns,
            span.end_ns,
            span.text(attribute::MODEL),
            span.text(attribute::PROVIDER),
            dumped(&span.content())
        ],
    )?;
    Ok(())
}

pub(crate) fn put_span_metric(
    tx: &mut Tx<'_>,
    trace_id: &str,
    span_id: &str,
    key: &str,
    value: f64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO span_metrics (trace_id, span_id, key, value) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (trace_id, span_id, key) DO UPDATE SET value = excluded.value",
        args![trace_id, span_id, key, value],
    )?;
    Ok(())
}

/// Sums over the trace's spans, by key. Summing what is stored and not what came keeps a batch that is sent twice from
/// counting twice.
pub(crate) fn span_sums(tx: &mut Tx<'_>, trace_id: &str) -> Result<HashMap<String, f64>> {
    let sql = "SELECT key, SUM(value) FROM span_metrics WHERE trace_id = $1 GROUP BY key";
    let rows = tx.query(sql, args![trace_id])?;
    rows.iter().map(|row| Ok((row.string(0)?, row.real(1)?))).collect()
}

/// The contents of spans by trace; roots first, then by start.
pub(crate) async fn spans(db: &Db, ids: &[String]) -> Result<HashMap<String, Vec<Value>>> {
    let mut arguments = Vec::new();
    let list = holes(&mut arguments, ids);
    let sql = format!(
        "SELECT trace_id, content FROM spans WHERE trace_id IN {list} \
         ORDER BY trace_id, CASE WHEN parent_span_id IS NULL THEN 0 ELSE 1 END, start_ns, span_id"
    );
    let mut all: HashMap<String, Vec<Value>> = HashMap::new();
    for row in db.read(sql, arguments).await? {
        let content = serde_json::from_str(row.text(1)?)
            .map_err(|source| TraceError::Unreadable { what: "span", source })?;
        all.entry(row.string(0)?).or_default().push(content);
    }
    Ok(all)
}
