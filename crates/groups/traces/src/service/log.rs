//! Spans as they come in.

use std::collections::HashMap;

use platform_db::Tx;
use serde_json::{Map, Value, json};

use super::scope::Judged;
use super::{Result, Traces};
use crate::TraceError;
use crate::convention::translate;
use crate::ingest::{SpanBatch, measures};
use crate::json::dumped;
use crate::model::check_trace_id;
use crate::names::{COST_KEYS, TOKEN_KEYS, attribute, metadata, tag};
use crate::span::Span;
use crate::store::{self, Side};

/// Spans in one request.
const MAX_SPANS: usize = 20_000;

impl Traces {
    /// Writes spans of any number of traces in one transaction, and says how many were passed over: those of traces that are
    /// somebody else's, because programs of two workspaces can share the id of a trace. A trace that is not known yet begins
    /// in this experiment. The same spans sent again change nothing.
    pub(crate) async fn log_spans(&self, experiment_id: &str, mut spans: Vec<Span>) -> Result<usize> {
        if spans.len() > MAX_SPANS {
            return Err(TraceError::TooMany { what: "spans", count: spans.len(), most: MAX_SPANS });
        }
        if spans.is_empty() {
            return Ok(0);
        }
        spans.iter_mut().for_each(translate);
        let batches = SpanBatch::group(spans);
        for batch in &batches {
            check_trace_id(&batch.trace_id)?;
        }
        self.experiments.exists(experiment_id).await?;
        let ids: Vec<String> = batches.iter().map(|batch| batch.trace_id.clone()).collect();
        let judged = self.judged(&ids).await?.and(experiment_id);
        let experiment_id = experiment_id.to_owned();
        self.db
            .write(move |tx| {
                let mut passed_over = 0;
                for batch in &batches {
                    if !write_batch(tx, &judged, &experiment_id, batch)? {
                        passed_over += batch.spans.len();
                    }
                }
                Ok(passed_over)
            })
            .await
    }
}

/// False when the trace is somebody else's; then nothing of it changes.
fn write_batch(tx: &mut Tx<'_>, judged: &Judged, experiment_id: &str, batch: &SpanBatch) -> Result<bool> {
    let id = &batch.trace_id;
    let opened = batch.opened(experiment_id);
    if store::insert_trace(tx, &opened)? {
        store::put_side(tx, Side::Tags, id, tag::ARTIFACT_LOCATION, &opened.artifact_location())?;
    }
    let mut trace = match judged.lock(tx, id) {
        Err(TraceError::TraceNotFound { .. }) => return Ok(false),
        other => other?,
    };
    let finalized = store::side_value(tx, Side::Metadata, id, metadata::FINALIZED)?.is_some();
    let mut is_measured = false;
    for span in &batch.spans {
        store::put_span(tx, id, span)?;
        let span_id = span.span_id();
        for (key, value) in measures(span) {
            store::put_span_metric(tx, id, &span_id, key, value)?;
            is_measured = true;
        }
    }
    batch.extend(&mut trace, finalized);
    store::update_trace(tx, &trace)?;
    if is_measured {
        sum_up(tx, id, finalized)?;
    }
    if let Some(session) = batch.first_text(attribute::SESSION).filter(|_| !finalized) {
        store::add_side(tx, Side::Metadata, id, metadata::SESSION, &session)?;
    }
    if let Some(user) = batch.first_text(attribute::USER) {
        store::add_side(tx, Side::Metadata, id, metadata::USER, &user)?;
    }
    store::put_side(tx, Side::Tags, id, tag::SPANS_LOCATION, tag::IN_DATABASE)?;
    Ok(true)
}

/// The trace's tokens and costs, unless its client has said them.
fn sum_up(tx: &mut Tx<'_>, id: &str, finalized: bool) -> Result<()> {
    let sums = store::span_sums(tx, id)?;
    let is_said = |tx: &mut Tx<'_>, key: &str| -> Result<bool> {
        Ok(finalized && store::side_value(tx, Side::Metadata, id, key)?.is_some())
    };
    let tokens = present(&sums, &TOKEN_KEYS);
    if !tokens.is_empty() && !is_said(tx, metadata::TOKEN_USAGE)? {
        let counts: Map<String, Value> =
            tokens.iter().map(|(key, sum)| ((*key).to_owned(), json!(*sum as i64))).collect();
        store::put_side(tx, Side::Metadata, id, metadata::TOKEN_USAGE, &dumped(&Value::Object(counts)))?;
        for (key, sum) in tokens {
            store::put_trace_metric(tx, id, key, sum)?;
        }
    }
    if !present(&sums, &COST_KEYS).is_empty() && !is_said(tx, metadata::COST)? {
        let costs: Map<String, Value> = COST_KEYS
            .iter()
            .map(|key| ((*key).to_owned(), json!(sums.get(*key).copied().unwrap_or(0.0))))
            .collect();
        store::put_side(tx, Side::Metadata, id, metadata::COST, &dumped(&Value::Object(costs)))?;
    }
    Ok(())
}

fn present(sums: &HashMap<String, f64>, keys: &[&'static str]) -> Vec<(&'static str, f64)> {
    keys.iter().filter_map(|key| Some((*key, *sums.get(*key)?))).collect()
}
