//! Traces with their tags, metadata and links.

use std::collections::{BTreeMap, HashMap};

use platform_db::{Db, Row, Tx, args};
use platform_primitives::Timestamp;

use super::{CHUNK, Result, assessments_of, holes};
use crate::TraceError;
use crate::model::{Trace, TraceState};

/// What a trace is linked with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LinkKind {
    Run,
    /// The target is `name/version`.
    Prompt,
}

impl LinkKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Prompt => "prompt",
        }
    }
}

/// Texts by key that hang on a trace.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    Tags,
    Metadata,
}

impl Side {
    pub fn table(self) -> &'static str {
        match self {
            Self::Tags => "trace_tags",
            Self::Metadata => "trace_metadata",
        }
    }
}

pub(super) const TRACE: &str = "t.trace_id, t.experiment_id, t.request_ms, t.duration_ms, t.state, \
     t.client_request_id, t.request_preview, t.response_preview";

/// The row only; false when it was there already.
pub(crate) fn insert_trace(tx: &mut Tx<'_>, trace: &Trace) -> Result<bool> {
    let inserted = tx.execute(
        "INSERT INTO traces (trace_id, experiment_id, request_ms, duration_ms, state, client_request_id, \
         request_preview, response_preview) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        args![
            &trace.trace_id,
            &trace.experiment_id,
            trace.request.as_millis(),
            trace.duration_ms,
            trace.state.name(),
            trace.client_request_id.clone(),
            trace.request_preview.clone(),
            trace.response_preview.clone()
        ],
    )?;
    Ok(inserted == 1)
}

/// The row only.
pub(crate) fn update_trace(tx: &mut Tx<'_>, trace: &Trace) -> Result<()> {
    tx.execute(
        "UPDATE traces SET experiment_id = $2, request_ms = $3, duration_ms = $4, state = $5, \
         client_request_id = $6, request_preview = $7, response_preview = $8 WHERE trace_id = $1",
        args![
            &trace.trace_id,
            &trace.experiment_id,
            trace.request.as_millis(),
            trace.duration_ms,
            trace.state.name(),
            trace.client_request_id.clone(),
            trace.request_preview.clone(),
            trace.response_preview.clone()
        ],
    )?;
    Ok(())
}

/// The row without what hangs on it, locked until the commit.
pub(crate) fn lock_trace(tx: &mut Tx<'_>, trace_id: &str) -> Result<Trace> {
    let lock = tx.for_update();
    let sql = format!("SELECT {TRACE} FROM traces t WHERE t.trace_id = $1{lock}");
    match tx.query_one(&sql, args![trace_id])? {
        Some(row) => trace(&row),
        None => Err(TraceError::TraceNotFound { trace_id: trace_id.to_owned() }),
    }
}

/// The experiment of a trace, if the trace is there.
pub(crate) fn experiment_of(tx: &mut Tx<'_>, trace_id: &str) -> Result<Option<String>> {
    let row = tx.query_one("SELECT experiment_id FROM traces WHERE trace_id = $1", args![trace_id])?;
    Ok(row.map(|row| row.string(0)).transpose()?)
}

pub(crate) fn put_side(tx: &mut Tx<'_>, side: Side, trace_id: &str, key: &str, value: &str) -> Result<()> {
    let sql = format!(
        "INSERT INTO {} (trace_id, key, value) VALUES ($1, $2, $3) \
         ON CONFLICT (trace_id, key) DO UPDATE SET value = excluded.value",
        side.table()
    );
    tx.execute(&sql, args![trace_id, key, value])?;
    Ok(())
}

/// False when a value was there already; it stays.
pub(crate) fn add_side(tx: &mut Tx<'_>, side: Side, trace_id: &str, key: &str, value: &str) -> Result<bool> {
    let sql = format!(
        "INSERT INTO {} (trace_id, key, value) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        side.table()
    );
    Ok(tx.execute(&sql, args![trace_id, key, value])? == 1)
}

pub(crate) fn side_value(tx: &mut Tx<'_>, side: Side, trace_id: &str, key: &str) -> Result<Option<String>> {
    let sql = format!("SELECT value FROM {} WHERE trace_id = $1 AND key = $2", side.table());
    Ok(tx.query_one(&sql, args![trace_id, key])?.map(|row| row.string(0)).transpose()?)
}

pub(crate) fn delete_tag(tx: &mut Tx<'_>, trace_id: &str, key: &str) -> Result<bool> {
    let gone = tx.execute("DELETE FROM trace_tags WHERE trace_id = $1 AND key = $2", args![trace_id, key])?;
    Ok(gone == 1)
}

/// The trace need not be there: a client may link it while it is still on its way.
pub(crate) fn put_link(tx: &mut Tx<'_>, trace_id: &str, kind: LinkKind, target: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO trace_links (trace_id, kind, target) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        args![trace_id, kind.name(), target],
    )?;
    Ok(())
}

pub(crate) fn put_trace_metric(tx: &mut Tx<'_>, trace_id: &str, key: &str, value: f64) -> Result<()> {
    tx.execute(
        "INSERT INTO trace_metrics (trace_id, key, value) VALUES ($1, $2, $3) \
         ON CONFLICT (trace_id, key) DO UPDATE SET value = excluded.value",
        args![trace_id, key, value],
    )?;
    Ok(())
}

/// Which traces to delete.
#[derive(Debug, Clone)]
pub(crate) enum Doomed {
    Ids(Vec<String>),
    /// Requested up to then.
    Until(Timestamp),
}

/// Up to `limit` traces of an experiment with everything that hangs on them, oldest first; how many went.
pub(crate) fn delete_traces(
    tx: &mut Tx<'_>,
    experiment_id: &str,
    doomed: &Doomed,
    limit: usize,
) -> Result<usize> {
    let limit = limit.min(CHUNK);
    let mut arguments = args![experiment_id];
    let chosen = match doomed {
        Doomed::Ids(ids) => format!("trace_id IN {}", holes(&mut arguments, ids)),
        Doomed::Until(last) => {
            arguments.push(last.as_millis().into());
            "request_ms <= $2".to_owned()
        }
    };
    let sql = format!(
        "SELECT trace_id FROM traces WHERE experiment_id = $1 AND {chosen} ORDER BY request_ms LIMIT {limit}"
    );
    let rows = tx.query(&sql, arguments)?;
    let ids = rows.iter().map(|row| Ok(row.string(0)?)).collect::<Result<Vec<String>>>()?;
    for table in [
        "traces",
        "trace_tags",
        "trace_metadata",
        "trace_metrics",
        "trace_links",
        "trace_assessments",
        "spans",
        "span_metrics",
    ] {
        let mut arguments = Vec::new();
        let list = holes(&mut arguments, &ids);
        tx.execute(&format!("DELETE FROM {table} WHERE trace_id IN {list}"), arguments)?;
    }
    Ok(ids.len())
}

/// Traces and their experiments; those that are not there are left out.
pub(crate) async fn experiments_of(db: &Db, ids: &[String]) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for chunk in ids.chunks(CHUNK) {
        let mut arguments = Vec::new();
        let list = holes(&mut arguments, chunk);
        let sql = format!("SELECT trace_id, experiment_id FROM traces WHERE trace_id IN {list}");
        for row in db.read(sql, arguments).await? {
            found.push((row.string(0)?, row.string(1)?));
        }
    }
    Ok(found)
}

/// Every experiment that has a trace.
pub(crate) async fn traced_experiments(db: &Db) -> Result<Vec<String>> {
    let rows = db.read("SELECT DISTINCT experiment_id FROM traces ORDER BY experiment_id", args![]).await?;
    rows.iter().map(|row| Ok(row.string(0)?)).collect()
}

/// In the order of `ids`; those that are not there are left out.
pub(crate) async fn traces(db: &Db, ids: &[String]) -> Result<Vec<Trace>> {
    let mut found = HashMap::new();
    for chunk in ids.chunks(CHUNK) {
        let mut arguments = Vec::new();
        let list = holes(&mut arguments, chunk);
        let sql = format!("SELECT {TRACE} FROM traces t WHERE t.trace_id IN {list}");
        for row in db.read(sql, arguments).await? {
            let trace = trace(&row)?;
            found.insert(trace.trace_id.clone(), trace);
        }
    }
    let mut traces: Vec<Trace> = ids.iter().filter_map(|id| found.remove(id)).collect();
    attach(db, &mut traces).await?;
    Ok(traces)
}

/// Tags, metadata and assessments of traces, in three queries for each 500 of them.
pub(super) async fn attach(db: &Db, traces: &mut [Trace]) -> Result<()> {
    for chunk in traces.chunks_mut(CHUNK) {
        let ids: Vec<String> = chunk.iter().map(|trace| trace.trace_id.clone()).collect();
        let mut tags = sides(db, Side::Tags, &ids).await?;
        let mut metadata = sides(db, Side::Metadata, &ids).await?;
        let mut assessments = assessments_of(db, &ids).await?;
        for trace in chunk {
            trace.tags = tags.remove(&trace.trace_id).unwrap_or_default();
            trace.metadata = metadata.remove(&trace.trace_id).unwrap_or_default();
            trace.assessments = assessments.remove(&trace.trace_id).unwrap_or_default();
        }
    }
    Ok(())
}

async fn sides(db: &Db, side: Side, ids: &[String]) -> Result<HashMap<String, BTreeMap<String, String>>> {
    let mut arguments = Vec::new();
    let list = holes(&mut arguments, ids);
    let sql = format!("SELECT trace_id, key, value FROM {} WHERE trace_id IN {list}", side.table());
    let mut all: HashMap<String, BTreeMap<String, String>> = HashMap::new();
    for row in db.read(sql, arguments).await? {
        all.entry(row.string(0)?).or_default().insert(row.string(1)?, row.string(2)?);
    }
    Ok(all)
}

pub(super) fn trace(row: &Row) -> Result<Trace> {
    let mut trace = Trace::new(row.text(0)?, row.text(1)?, Timestamp::from_millis(row.int(2)?));
    trace.duration_ms = row.opt_int(3)?;
    trace.state = TraceState::parse(row.text(4)?).unwrap_or(TraceState::Unspecified);
    trace.client_request_id = row.opt_string(5)?;
    trace.request_preview = row.opt_string(6)?;
    trace.response_preview = row.opt_string(7)?;
    Ok(trace)
}
