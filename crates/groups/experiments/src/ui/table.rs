//! Windows of the table of runs and the keys of its columns, for the page's script.

use axum::Json;
use axum::extract::{Path, Query as UrlQuery, State};
use platform_ui::short_time;
use platform_web::dialect::ProblemResult;
use serde::{Deserialize, Serialize};

use super::columns::{Column, default_columns, parse_columns, spelled, split_terms};
use super::format::{self, run_duration};
use super::id_list;
use crate::model::RunRecord;
use crate::store::View;
use crate::{ExperimentError, Experiments};

pub(super) const WINDOW: usize = 100;
const WINDOW_MAX: usize = 500;
const PINS_MAX: usize = 20;
const KEYS_SHOWN: usize = 100;

/// What the URL of the runs' page says; the page, its windows and its exports read the same.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ask {
    pub filter: String,
    pub order: String,
    pub columns: String,
    pub view: String,
    pub group: String,
    /// Runs that stand on top, and runs that charts leave out.
    pub pin: String,
    pub hide: String,
    /// Metrics with a chart.
    pub charts: String,
    /// How many runs are drawn when none is selected.
    pub show: String,
    pub x: String,
    pub smooth: String,
    pub log: String,
    pub offset: usize,
    pub limit: usize,
}

pub(super) fn view(name: &str) -> Result<View, ExperimentError> {
    match name {
        "" | "active" => Ok(View::Active),
        "deleted" => Ok(View::Deleted),
        other => Err(ExperimentError::invalid("view", other, "expected active or deleted")),
    }
}

impl Ask {
    pub fn view(&self) -> Result<View, ExperimentError> {
        view(&self.view)
    }

    pub fn filter(&self) -> &str {
        self.filter.trim()
    }

    pub fn order(&self) -> Vec<String> {
        split_terms(&self.order)
    }

    pub fn limit(&self) -> Result<usize, ExperimentError> {
        match self.limit {
            0 => Ok(WINDOW),
            1..=WINDOW_MAX => Ok(self.limit),
            _ => {
                let rule = format!("expected 1 to {WINDOW_MAX}");
                Err(ExperimentError::invalid_number(
                    "limit",
                    i64::try_from(self.limit).unwrap_or(i64::MAX),
                    rule,
                ))
            }
        }
    }

    /// The state as a query, without the place in the table.
    pub fn query(&self) -> String {
        format::query(&[
            ("filter", &self.filter),
            ("order", &self.order),
            ("columns", &self.columns),
            ("view", &self.view),
            ("group", &self.group),
            ("pin", &self.pin),
            ("hide", &self.hide),
            ("charts", &self.charts),
            ("show", &self.show),
            ("x", &self.x),
            ("smooth", &self.smooth),
            ("log", &self.log),
        ])
    }

    pub fn columns(&self, records: &[std::sync::Arc<RunRecord>]) -> Result<Vec<Column>, ExperimentError> {
        match self.columns.trim() {
            "" => Ok(default_columns(records)),
            given => parse_columns(given),
        }
    }
}

/// A run as a line of the table.
#[derive(Serialize)]
pub(super) struct Row {
    pub id: String,
    pub name: String,
    pub status: &'static str,
    pub tone: &'static str,
    pub started: String,
    pub started_ms: i64,
    pub duration: Option<String>,
    pub user: String,
    /// Colour of the run.
    pub slot: u32,
    /// The run is part of another one.
    pub nested: bool,
    pub values: Vec<Option<String>>,
}

impl Row {
    pub fn new(record: &RunRecord, columns: &[Column]) -> Self {
        let run = &record.run;
        Self {
            id: run.id.clone(),
            name: run.name.clone(),
            status: run.status.name(),
            tone: format::tone(run.status),
            started: short_time(run.start),
            started_ms: run.start.as_millis(),
            duration: run_duration(record),
            user: run.user.clone(),
            slot: format::slot(&run.id),
            nested: record.tags.contains_key("mlflow.parentRunId"),
            values: columns.iter().map(|column| column.text(record)).collect(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Rows {
    total: usize,
    offset: usize,
    /// Terms of the columns, joined by commas, as the page keeps them.
    columns: String,
    rows: Vec<Row>,
    pinned: Vec<Row>,
}

/// Runs that stand on top whatever the filter says, while they exist.
pub(super) async fn pinned(
    service: &Experiments,
    ask: &Ask,
    columns: &[Column],
) -> Result<Vec<Row>, ExperimentError> {
    let mut ids = id_list(&ask.pin);
    ids.truncate(PINS_MAX);
    let records = service.records(ids).await?;
    Ok(records.iter().map(|record| Row::new(record, columns)).collect())
}

pub(super) async fn rows(
    State(service): State<Experiments>,
    Path(id): Path<i64>,
    UrlQuery(ask): UrlQuery<Ask>,
) -> ProblemResult<Json<Rows>> {
    let (limit, order) = (ask.limit()?, ask.order());
    let window = service.window(id, ask.view()?, (ask.filter(), &order), (ask.offset, limit)).await?;
    let columns = ask.columns(&window.records)?;
    Ok(Json(Rows {
        total: window.total,
        offset: ask.offset,
        columns: columns.iter().map(|column| column.term.clone()).collect::<Vec<_>>().join(","),
        rows: window.records.iter().map(|record| Row::new(record, &columns)).collect(),
        pinned: pinned(&service, &ask, &columns).await?,
    }))
}

#[derive(Deserialize)]
pub(super) struct KeysAsk {
    #[serde(default)]
    search: String,
}

#[derive(Serialize)]
pub(super) struct KeyLine {
    kind: &'static str,
    name: String,
    /// As filters, orders and columns write it.
    term: String,
}

#[derive(Serialize)]
pub(super) struct KeyLines {
    total: usize,
    keys: Vec<KeyLine>,
}

pub(super) async fn keys(
    State(service): State<Experiments>,
    Path(id): Path<i64>,
    UrlQuery(ask): UrlQuery<KeysAsk>,
) -> ProblemResult<Json<KeyLines>> {
    let found = service.keys(id, ask.search.trim(), KEYS_SHOWN).await?;
    let line = |(kind, name): (&'static str, String)| KeyLine { kind, term: spelled(kind, &name), name };
    Ok(Json(KeyLines { total: found.total, keys: found.keys.into_iter().map(line).collect() }))
}
