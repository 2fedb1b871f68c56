//! The runs of an experiment: table, groups, charts.

use axum::extract::{Path, Query as UrlQuery, State};
use axum::response::Html;
use http::HeaderMap;
use platform_primitives::{ErrorKind, Fault as _};
use platform_ui::{PageHead, count};
use platform_web::dialect::PageResult;
use serde::Serialize;

use super::columns::Column;
use super::experiments::tracking_uri;
use super::format::{precise, python};
use super::table::{Ask, Row, WINDOW, pinned};
use super::{Pages, RUNS_MAX, id_list};
use crate::ExperimentError;
use crate::index::window::{Attribute, ColumnKey, Group};
use crate::service::RunWindow;

const CHARTS_SHOWN: usize = 4;
const CHARTS_MAX: usize = 24;
const RUNS_DRAWN: usize = 10;

#[derive(Serialize)]
struct WorkspaceView {
    id: i64,
    name: String,
    note: String,
    deleted: bool,
    error: Option<String>,
    total: usize,
    total_text: String,
    offset: usize,
    window: usize,
    previous: Option<String>,
    next: Option<String>,
    filter: String,
    order: String,
    columns: String,
    view: String,
    group: String,
    pin: String,
    hide: String,
    heads: Vec<Head>,
    rows: Vec<Row>,
    pinned: Vec<Row>,
    groups: Option<GroupsView>,
    query: String,
    charts: Vec<String>,
    charts_asked: String,
    show: usize,
    drawn: String,
    x: String,
    smooth: String,
    log: bool,
    code: String,
    tracking_uri: String,
}

/// A head of the table and where a click on it leads.
#[derive(Serialize)]
struct Head {
    term: String,
    label: String,
    kind: &'static str,
    numeric: bool,
    /// Value of `aria-sort`.
    sort: &'static str,
    href: Option<String>,
}

#[derive(Serialize)]
struct GroupsView {
    label: String,
    total: usize,
    metrics: Vec<String>,
    lines: Vec<GroupLine>,
    ungrouped: String,
}

#[derive(Serialize)]
struct GroupLine {
    text: Option<String>,
    runs: String,
    href: Option<String>,
    spreads: Vec<SpreadLine>,
}

#[derive(Serialize)]
struct SpreadLine {
    mean: String,
    min: String,
    max: String,
}

/// A run as charts know it.
#[derive(Serialize)]
pub(super) struct Drawn {
    pub id: String,
    pub name: String,
    pub slot: u32,
}

pub(super) async fn page(
    State(pages): State<Pages>,
    Path(id): Path<i64>,
    UrlQuery(ask): UrlQuery<Ask>,
    headers: HeaderMap,
) -> PageResult<Html<String>> {
    let experiment = pages.service.get_experiment(&id.to_string()).await?;
    // What the person typed wrongly is said beside the box, not instead of the page.
    let (window, error) = match search(&pages, id, &ask).await {
        Ok(window) => (window, None),
        Err(error) if error.kind() == ErrorKind::Invalid => {
            (RunWindow { total: 0, records: Vec::new() }, Some(error.public_message()))
        }
        Err(error) => return Err(error.into()),
    };
    let (columns, error) = match ask.columns(&window.records) {
        Ok(columns) => (columns, error),
        Err(column_error) => (Vec::new(), error.or(Some(column_error.public_message()))),
    };
    let rows: Vec<Row> = window.records.iter().map(|record| Row::new(record, &columns)).collect();
    let pinned = pinned(&pages.service, &ask, &columns).await?;
    let (groups, error) = match groups(&pages, id, &ask, &columns).await {
        Ok(groups) if error.is_none() => (groups, error),
        Err(group_error) if group_error.kind() == ErrorKind::Invalid => {
            (None, error.or(Some(group_error.public_message())))
        }
        Ok(_) => (None, error),
        Err(group_error) => return Err(group_error.into()),
    };
    let show = ask.show.parse().unwrap_or(RUNS_DRAWN).clamp(1, RUNS_MAX);
    let order = ask.order();
    let uri = tracking_uri(&headers);
    let at = |offset: usize| format!("/experiments/{id}?{}&offset={offset}", ask.query());
    let view = WorkspaceView {
        id,
        name: experiment.name.clone(),
        note: experiment.tags.get("mlflow.note.content").cloned().unwrap_or_default(),
        deleted: ask.view == "deleted",
        error,
        total: window.total,
        total_text: count(window.total as u64),
        offset: ask.offset,
        window: WINDOW,
        previous: (ask.offset > 0).then(|| at(ask.offset.saturating_sub(WINDOW))),
        next: (ask.offset.saturating_add(WINDOW) < window.total).then(|| at(ask.offset + WINDOW)),
        columns: columns.iter().map(|column| column.term.clone()).collect::<Vec<_>>().join(","),
        heads: heads(id, &ask, &columns),
        charts: chart_keys(&ask, &columns),
        drawn: drawn(pinned.iter().chain(&rows), &ask, show),
        code: code(id, &ask, &order, &uri),
        tracking_uri: uri,
        rows,
        pinned,
        groups,
        query: ask.query(),
        show,
        log: !ask.log.is_empty(),
        filter: ask.filter.clone(),
        order: ask.order.clone(),
        view: ask.view.clone(),
        group: ask.group.clone(),
        pin: ask.pin.clone(),
        hide: ask.hide.clone(),
        charts_asked: ask.charts.clone(),
        x: ask.x.clone(),
        smooth: ask.smooth.clone(),
    };
    let head = PageHead {
        section: "runs",
        path: format!("/experiments/{id}?{}&offset={}", ask.query(), ask.offset),
        title: experiment.name,
    };
    Ok(pages.ui.page("experiments/workspace.html", &head, &view)?)
}

async fn search(pages: &Pages, id: i64, ask: &Ask) -> Result<RunWindow, ExperimentError> {
    let order = ask.order();
    pages.service.window(id, ask.view()?, (ask.filter(), &order), (ask.offset, WINDOW)).await
}

/// Metrics with a chart: those asked for, or those of the table.
fn chart_keys(ask: &Ask, columns: &[Column]) -> Vec<String> {
    let mut keys = id_list(&ask.charts);
    if keys.is_empty() {
        for column in columns {
            if let ColumnKey::Metric(name, _) = &column.key
                && !keys.contains(name)
                && keys.len() < CHARTS_SHOWN
            {
                keys.push(name.clone());
            }
        }
    }
    keys.truncate(CHARTS_MAX);
    keys
}

/// The first runs that are not hidden, for the charts' script.
fn drawn<'r>(rows: impl Iterator<Item = &'r Row>, ask: &Ask, show: usize) -> String {
    let hidden = id_list(&ask.hide);
    let mut runs: Vec<Drawn> = Vec::new();
    for row in rows.filter(|row| !hidden.contains(&row.id)) {
        if runs.len() < show && !runs.iter().any(|own| own.id == row.id) {
            runs.push(Drawn { id: row.id.clone(), name: row.name.clone(), slot: row.slot });
        }
    }
    serde_json::to_string(&runs).expect("texts and numbers are JSON")
}

fn heads(id: i64, ask: &Ask, columns: &[Column]) -> Vec<Head> {
    let attribute = |attribute| Column::new(ColumnKey::Attribute(attribute));
    let fixed = [
        (attribute(Attribute::Status), "Status", true),
        (attribute(Attribute::Start), "Started (UTC)", true),
        (attribute(Attribute::End), "Duration", false),
        (attribute(Attribute::User), "By", true),
    ];
    let mut heads = vec![head(id, ask, &attribute(Attribute::Name), "Run", true)];
    heads.extend(fixed.iter().map(|(column, label, sorts)| head(id, ask, column, label, *sorts)));
    heads.extend(columns.iter().map(|column| head(id, ask, column, &column.label, true)));
    heads
}

/// The first click sorts with the largest on top, the second turns it round.
fn head(id: i64, ask: &Ask, column: &Column, label: &str, sorts: bool) -> Head {
    let order = ask.order();
    let first = order.first().map(String::as_str).unwrap_or_default();
    let is = |direction: &str| first.strip_prefix(column.term.as_str()).map(str::trim) == Some(direction);
    let (sort, next) = if is("DESC") {
        ("descending", "ASC")
    } else if is("") || is("ASC") {
        ("ascending", "DESC")
    } else {
        ("none", "DESC")
    };
    let href = sorts.then(|| {
        let ask = Ask { order: format!("{} {next}", column.term), ..ask.clone() };
        format!("/experiments/{id}?{}", ask.query())
    });
    // Runs have no column of durations: times are numbers, durations are shown only.
    let numeric = column.kind == "metrics" || label == "Duration";
    Head { term: column.term.clone(), label: label.to_owned(), kind: column.kind, numeric, sort, href }
}

async fn groups(
    pages: &Pages,
    id: i64,
    ask: &Ask,
    columns: &[Column],
) -> Result<Option<GroupsView>, ExperimentError> {
    if ask.group.trim().is_empty() {
        return Ok(None);
    }
    let by = Column::parse(ask.group.trim())?;
    let metrics: Vec<&Column> = columns.iter().filter(|column| column.kind == "metrics").collect();
    let keys = metrics.iter().map(|column| column.key.clone()).collect();
    let (total, groups) = pages.service.groups(id, ask.view()?, ask.filter(), by.key.clone(), keys).await?;
    let ungrouped = Ask { group: String::new(), ..ask.clone() };
    Ok(Some(GroupsView {
        label: by.label.clone(),
        total,
        metrics: metrics.iter().map(|column| column.label.clone()).collect(),
        lines: groups.into_iter().map(|group| group_line(id, ask, &by, group)).collect(),
        ungrouped: format!("/experiments/{id}?{}", ungrouped.query()),
    }))
}

fn group_line(id: i64, ask: &Ask, by: &Column, group: Group) -> GroupLine {
    // Texts of the grammar have no escapes: one with both quotes cannot be asked for.
    let clause = match &group.text {
        None => Some(format!("{} IS NULL", by.term)),
        Some(text) if !text.contains('\'') => Some(format!("{} = '{text}'", by.term)),
        Some(text) if !text.contains('"') => Some(format!("{} = \"{text}\"", by.term)),
        Some(_) => None,
    };
    let href = clause.map(|clause| {
        let filter = match ask.filter() {
            "" => clause,
            filter => format!("({filter}) AND {clause}"),
        };
        let ask = Ask { filter, group: String::new(), ..ask.clone() };
        format!("/experiments/{id}?{}", ask.query())
    });
    let value = |count: usize, value: f64| if count == 0 { "–".to_owned() } else { precise(value) };
    let spreads = group.spreads.iter().map(|spread| SpreadLine {
        mean: value(spread.count, spread.mean),
        min: value(spread.count, spread.min),
        max: value(spread.count, spread.max),
    });
    GroupLine { spreads: spreads.collect(), runs: count(group.runs as u64), text: group.text, href }
}

/// The same search in Python.
fn code(id: i64, ask: &Ask, order: &[String], uri: &str) -> String {
    let mut code = format!("import mlflow\n\nmlflow.set_tracking_uri({})\n", python(uri));
    code.push_str(&format!("runs = mlflow.search_runs(\n    experiment_ids=[\"{id}\"],\n"));
    if !ask.filter().is_empty() {
        code.push_str(&format!("    filter_string={},\n", python(ask.filter())));
    }
    if !order.is_empty() {
        let terms: Vec<String> = order.iter().map(|term| python(term)).collect();
        code.push_str(&format!("    order_by=[{}],\n", terms.join(", ")));
    }
    if ask.view == "deleted" {
        code.push_str("    run_view_type=mlflow.entities.ViewType.DELETED_ONLY,\n");
    }
    code.push_str(")\n");
    code
}
