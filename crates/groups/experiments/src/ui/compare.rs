//! Runs side by side.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Query as UrlQuery, State};
use axum::response::Html;
use platform_ui::PageHead;
use platform_web::dialect::PageResult;
use serde::{Deserialize, Serialize};

use super::format::{encoded, is_system, plural, precise, query, run_duration, slot, tone};
use super::workspace::Drawn;
use super::{Pages, RUNS_MAX, id_list};
use crate::ExperimentError;
use crate::index::is_smaller_better;
use crate::model::RunRecord;

const CHARTS_SHOWN: usize = 12;
const ROWS_SHOWN: usize = 500;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct CompareAsk {
    runs: String,
    baseline: String,
    /// `all` shows rows in which all runs agree, too.
    rows: String,
    x: String,
}

#[derive(Serialize)]
struct CompareView {
    runs: Vec<RunHead>,
    experiment: i64,
    metrics: Vec<Line>,
    params: Vec<Line>,
    tags: Vec<Line>,
    left_out: usize,
    all: bool,
    toggle: String,
    charts: Vec<String>,
    drawn: String,
    x: String,
    asked: String,
    heading: String,
}

#[derive(Serialize)]
struct RunHead {
    id: String,
    name: String,
    status: &'static str,
    tone: &'static str,
    slot: u32,
    duration: Option<String>,
    is_baseline: bool,
    as_baseline: String,
    without: Option<String>,
}

#[derive(Serialize)]
struct Line {
    key: String,
    cells: Vec<Cell>,
}

#[derive(Serialize)]
struct Cell {
    text: Option<String>,
    /// What rows are compared by: two numbers may be written alike.
    #[serde(skip)]
    value: Option<f64>,
    /// How far it is from the baseline.
    change: String,
    best: bool,
}

pub(super) async fn page(
    State(pages): State<Pages>,
    UrlQuery(ask): UrlQuery<CompareAsk>,
) -> PageResult<Html<String>> {
    let ids = id_list(&ask.runs);
    if ids.is_empty() || ids.len() > RUNS_MAX {
        let rule = format!("expected 1 to {RUNS_MAX} ids of runs, got {}", ids.len());
        return Err(ExperimentError::invalid("runs", "", rule).into());
    }
    let records = pages.service.records(ids.clone()).await?;
    let first = records.first().ok_or_else(|| ExperimentError::RunNotFound { id: ids.join(",") })?;
    let baseline = records.iter().position(|record| record.run.id == ask.baseline).unwrap_or(0);
    let all = ask.rows == "all";
    let (mut metrics, mut params, mut tags) =
        (metric_lines(&records, baseline), texts(&records, |record| &record.params), tags(&records));
    if !all && records.len() > 1 {
        for lines in [&mut metrics, &mut params, &mut tags] {
            lines.retain(differs);
        }
    }
    let longest = metrics.len().max(params.len()).max(tags.len());
    for lines in [&mut metrics, &mut params, &mut tags] {
        lines.truncate(ROWS_SHOWN);
    }
    let href = |runs: &[String], baseline: &str, rows: &str| {
        let asked = [
            ("runs", runs.join(",")),
            ("baseline", baseline.to_owned()),
            ("rows", rows.to_owned()),
            ("x", ask.x.clone()),
        ];
        let pairs: Vec<(&str, &str)> = asked.iter().map(|(key, value)| (*key, value.as_str())).collect();
        format!("/runs/compare?{}", query(&pairs))
    };
    let heads = records.iter().enumerate().map(|(place, record)| {
        let id = &record.run.id;
        let rest: Vec<String> = ids.iter().filter(|own| *own != id).cloned().collect();
        RunHead {
            id: id.clone(),
            name: record.run.name.clone(),
            status: record.run.status.name(),
            tone: tone(record.run.status),
            slot: slot(id),
            duration: run_duration(record),
            is_baseline: place == baseline,
            as_baseline: href(&ids, id, &ask.rows),
            without: (!rest.is_empty()).then(|| href(&rest, &ask.baseline, &ask.rows)),
        }
    });
    let drawn: Vec<Drawn> = records
        .iter()
        .map(|record| Drawn {
            id: record.run.id.clone(),
            name: record.run.name.clone(),
            slot: slot(&record.run.id),
        })
        .collect();
    let heading = plural(records.len(), "run", "runs side by side");
    let view = CompareView {
        runs: heads.collect(),
        experiment: first.run.experiment_id,
        charts: charts(&records),
        left_out: longest.saturating_sub(ROWS_SHOWN),
        toggle: href(&ids, &ask.baseline, if all { "" } else { "all" }),
        drawn: serde_json::to_string(&drawn).expect("texts and numbers are JSON"),
        x: ask.x.clone(),
        asked: ids.join(","),
        heading: heading.clone(),
        metrics,
        params,
        tags,
        all,
    };
    let path = format!(
        "/runs/compare?runs={}&baseline={}&rows={}&x={}",
        encoded(&ask.runs),
        encoded(&ask.baseline),
        encoded(&ask.rows),
        encoded(&ask.x)
    );
    let head = PageHead { section: "runs", path, title: heading };
    Ok(pages.ui.page("experiments/compare.html", &head, &view)?)
}

fn differs(line: &Line) -> bool {
    let first = &line.cells[0];
    let bits = |cell: &Cell| cell.value.map(f64::to_bits);
    line.cells.iter().any(|cell| cell.text != first.text || bits(cell) != bits(first))
}

fn metric_lines(records: &[Arc<RunRecord>], baseline: usize) -> Vec<Line> {
    let keys: BTreeSet<&str> = records
        .iter()
        .flat_map(|record| record.metrics.iter().map(|(key, _)| key))
        .filter(|key| !is_system(key))
        .collect();
    keys.into_iter()
        .map(|key| {
            let value = |record: &Arc<RunRecord>| record.metrics.get(key).map(|summary| summary.latest.value);
            let values: Vec<Option<f64>> = records.iter().map(value).collect();
            let best = best(key, &values);
            let written = if are_told_apart(&values) { precise } else { in_full };
            let cells = values.iter().enumerate().map(|(place, value)| Cell {
                text: value.map(written),
                value: *value,
                change: match (value, values[baseline]) {
                    (Some(value), Some(base)) if place != baseline => change(*value, base),
                    _ => String::new(),
                },
                best: records.len() > 1 && value.is_some() && *value == best,
            });
            Line { key: key.to_owned(), cells: cells.collect() }
        })
        .collect()
}

/// Whether different values are written differently.
fn are_told_apart(values: &[Option<f64>]) -> bool {
    let numbers: BTreeSet<u64> = values.iter().flatten().map(|value| value.to_bits()).collect();
    let texts: BTreeSet<String> = values.iter().flatten().map(|value| precise(*value)).collect();
    numbers.len() == texts.len()
}

fn in_full(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { precise(value) }
}

/// Smallest or largest, as the metric's name suggests; nothing when all are the same.
fn best(key: &str, values: &[Option<f64>]) -> Option<f64> {
    let numbers: Vec<f64> = values.iter().flatten().copied().filter(|value| value.is_finite()).collect();
    let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (low < high).then_some(if is_smaller_better(key) { low } else { high })
}

/// `+0.02 (+3.1 %)`
fn change(value: f64, base: f64) -> String {
    let difference = value - base;
    if !difference.is_finite() {
        return String::new();
    }
    let sign = if difference > 0.0 { "+" } else { "" };
    match base == 0.0 {
        true => format!("{sign}{}", precise(difference)),
        false => {
            let share = difference / base.abs() * 100.0;
            format!("{sign}{} ({sign}{share:.1} %)", precise(difference))
        }
    }
}

fn texts(
    records: &[Arc<RunRecord>],
    map: impl Fn(&RunRecord) -> &std::collections::BTreeMap<String, String>,
) -> Vec<Line> {
    let keys: BTreeSet<&String> = records.iter().flat_map(|record| map(record).keys()).collect();
    let cell = |record: &Arc<RunRecord>, key: &String| Cell {
        text: map(record).get(key).cloned(),
        value: None,
        change: String::new(),
        best: false,
    };
    keys.into_iter()
        .map(|key| Line { key: key.clone(), cells: records.iter().map(|record| cell(record, key)).collect() })
        .collect()
}

/// Tags of people; what clients write by themselves differs always and says little.
fn tags(records: &[Arc<RunRecord>]) -> Vec<Line> {
    let mut lines = texts(records, |record| &record.tags);
    lines.retain(|line| !line.key.starts_with("mlflow.") || line.key == "mlflow.source.name");
    lines
}

/// Metrics with a history in some run, those that most runs have first.
fn charts(records: &[Arc<RunRecord>]) -> Vec<String> {
    let mut counts: std::collections::BTreeMap<&str, usize> = Default::default();
    for record in records {
        for (key, _) in record.metrics.iter().filter(|(key, summary)| summary.points > 1 && !is_system(key)) {
            *counts.entry(key).or_default() += 1;
        }
    }
    let mut keys: Vec<(&str, usize)> = counts.into_iter().collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.1));
    keys.into_iter().take(CHARTS_SHOWN).map(|(key, _)| key.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_say_how_far_and_how_much() {
        assert_eq!(change(1.5, 1.0), "+0.5 (+50.0 %)");
        assert_eq!(change(0.5, 0.0), "+0.5");
        assert_eq!(change(f64::NAN, 1.0), "");
    }

    #[test]
    fn values_that_differ_are_never_written_alike() {
        assert!(are_told_apart(&[Some(0.5), None, Some(0.25), Some(0.5)]));
        assert!(!are_told_apart(&[Some(0.500001), Some(0.500002)]));
        assert_eq!(in_full(0.500001), "0.500001");
        let cell = |value| Cell {
            text: Some(precise(value)),
            value: Some(value),
            change: String::new(),
            best: false,
        };
        assert!(differs(&Line { key: "auc".to_owned(), cells: vec![cell(0.500001), cell(0.500002)] }));
        assert!(!differs(&Line { key: "auc".to_owned(), cells: vec![cell(0.5), cell(0.5)] }));
    }

    #[test]
    fn the_best_loss_is_the_smallest() {
        let values = [Some(2.0), None, Some(1.0), Some(f64::NAN)];
        assert_eq!(best("val_loss", &values), Some(1.0));
        assert_eq!(best("auc", &values), Some(2.0));
        assert_eq!(best("auc", &[Some(1.0), Some(1.0)]), None);
    }
}
