//! What spans say of the trace they belong to.

use std::collections::BTreeMap;

use platform_primitives::Timestamp;

use crate::model::Trace;
use crate::names::{COST_KEYS, TOKEN_KEYS, attribute};
use crate::preview::preview;
use crate::span::{Span, SpanStatus};

const NS_PER_MS: i64 = 1_000_000;

/// The spans of one trace in one request.
#[derive(Debug)]
pub(crate) struct SpanBatch {
    pub trace_id: String,
    pub spans: Vec<Span>,
}

impl SpanBatch {
    /// Batches in the order of their traces' ids, so that two requests lock the same traces in the same order.
    pub fn group(spans: Vec<Span>) -> Vec<Self> {
        let mut by_trace: BTreeMap<String, Vec<Span>> = BTreeMap::new();
        for span in spans {
            by_trace.entry(span.trace_id()).or_default().push(span);
        }
        by_trace.into_iter().map(|(trace_id, spans)| Self { trace_id, spans }).collect()
    }

    fn start_ms(&self) -> i64 {
        self.spans.iter().map(|span| span.start_ns).min().unwrap_or(0) / NS_PER_MS
    }

    fn end_ms(&self) -> Option<i64> {
        self.spans.iter().filter_map(|span| span.end_ns).max().map(|end_ns| end_ns / NS_PER_MS)
    }

    fn root(&self) -> Option<&Span> {
        self.spans.iter().find(|span| span.parent.is_none())
    }

    /// The trace as it is when nothing else is known of it.
    pub fn opened(&self, experiment_id: &str) -> Trace {
        Trace::new(&self.trace_id, experiment_id, Timestamp::from_millis(self.start_ms()))
    }

    /// Widens the trace to hold the spans. A finalized trace keeps the times that its client gave.
    pub fn extend(&self, trace: &mut Trace, finalized: bool) {
        if !finalized {
            let start = trace.request.as_millis();
            let old_end = trace.duration_ms.map(|duration| start.saturating_add(duration));
            let start = start.min(self.start_ms());
            let end = old_end.max(self.end_ms());
            trace.request = Timestamp::from_millis(start);
            trace.duration_ms = end.map(|end| end.saturating_sub(start));
        }
        let Some(root) = self.root() else { return };
        // A root that still runs says nothing of the end.
        if root.end_ns.is_some() || root.status != SpanStatus::Unset {
            trace.state = trace.state.after_root(root.status);
        }
        if trace.request_preview.is_none() {
            trace.request_preview = root.raw(attribute::INPUTS).map(|text| preview(text, "user"));
        }
        if trace.response_preview.is_none() {
            trace.response_preview = root.raw(attribute::OUTPUTS).map(|text| preview(text, "assistant"));
        }
    }

    /// The first value of a text attribute.
    pub fn first_text(&self, key: &str) -> Option<String> {
        self.spans.iter().find_map(|span| span.text(key))
    }
}

/// A span's tokens and costs.
pub(crate) fn measures(span: &Span) -> Vec<(&'static str, f64)> {
    let mut all = span.numbers(attribute::TOKEN_USAGE, &TOKEN_KEYS);
    all.extend(span.numbers(attribute::COST, &COST_KEYS));
    all
}
