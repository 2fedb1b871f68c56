//! Charts of one run: a page of them at a time, however many metrics there are.

use serde::Serialize;

use super::format::{MetricLine, is_system, query, slot};
use super::workspace::Drawn;
use crate::model::RunRecord;

const PAGE: usize = 24;

#[derive(Serialize)]
pub(super) struct MetricsView {
    search: String,
    tab: &'static str,
    charts: Vec<MetricLine>,
    total: usize,
    page: usize,
    pages: usize,
    previous: Option<String>,
    next: Option<String>,
    drawn: String,
}

/// The metrics that hold `search`, of the machine or of the model.
pub(super) fn view(record: &RunRecord, system: bool, search: &str, page: usize) -> MetricsView {
    let needle = search.trim().to_lowercase();
    let matching: Vec<_> = record
        .metrics
        .iter()
        .filter(|(key, _)| is_system(key) == system)
        .filter(|(key, _)| needle.is_empty() || key.to_lowercase().contains(&needle))
        .collect();
    let pages = matching.len().div_ceil(PAGE).max(1);
    let page = page.min(pages - 1);
    let tab = if system { "system" } else { "metrics" };
    let at = |page: usize| {
        let page = page.to_string();
        format!(
            "/runs/{}?{}",
            record.run.id,
            query(&[("tab", tab), ("search", search), ("page", page.as_str())])
        )
    };
    let drawn =
        [Drawn { id: record.run.id.clone(), name: record.run.name.clone(), slot: slot(&record.run.id) }];
    MetricsView {
        search: search.to_owned(),
        tab,
        total: matching.len(),
        charts: matching
            .iter()
            .skip(page * PAGE)
            .take(PAGE)
            .map(|(key, summary)| MetricLine::new(key, summary))
            .collect(),
        previous: (page > 0).then(|| at(page - 1)),
        next: (page + 1 < pages).then(|| at(page + 1)),
        page: page + 1,
        pages,
        drawn: serde_json::to_string(&drawn).expect("texts and numbers are JSON"),
    }
}
