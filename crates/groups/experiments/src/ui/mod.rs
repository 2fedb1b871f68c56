//! Pages: experiments, their runs, one run.

use axum::extract::{Path, Query as UrlQuery, State};
use axum::response::Html;
use platform_auth::Permission::Read;
use platform_primitives::Timestamp;
use platform_ui::chart::{LineChart, Series};
use platform_ui::{PageHead, Ui, number, short_time};
use platform_web::dialect::{Dialect, PageResult};
use platform_web::{Access, Routes, Surface};
use serde::{Deserialize, Serialize};

use crate::model::{ArtifactEntry, RunRecord};
use crate::store::Query;
use crate::{ExperimentError, Experiments};

pub(crate) const TEMPLATES: &[(&str, &str)] = &[
    ("experiments/list.html", include_str!("../../templates/list.html")),
    ("experiments/run.html", include_str!("../../templates/run.html")),
];

const RUNS_SHOWN: usize = 100;
const METRIC_CHARTS: usize = 6;
const CHART_POINTS: usize = 2_000;

#[derive(Clone)]
struct Pages {
    service: Experiments,
    ui: Ui,
}

pub(crate) fn surface(service: &Experiments, ui: &Ui) -> Surface {
    Routes::new(Dialect::Page)
        .get("/experiments", Access::Needs(Read), list)
        .get("/runs/{id}", Access::Needs(Read), run)
        .with_state(Pages { service: service.clone(), ui: ui.clone() })
}

#[derive(Serialize)]
struct ListView {
    experiments: Vec<ExperimentLine>,
    selected: Option<String>,
    runs: Vec<RunLine>,
}

#[derive(Serialize)]
struct ExperimentLine {
    id: i64,
    name: String,
}

#[derive(Serialize)]
struct RunLine {
    id: String,
    name: String,
    status: &'static str,
    tone: &'static str,
    started: String,
    user: String,
    metrics: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct ListQuery {
    experiment: Option<i64>,
}

async fn list(State(pages): State<Pages>, UrlQuery(query): UrlQuery<ListQuery>) -> PageResult<Html<String>> {
    let all = pages.service.search_experiments(&Query { limit: 200, ..Query::default() }).await?;
    let selected = query.experiment.or_else(|| all.first().map(|experiment| experiment.id));
    let runs = match selected {
        Some(id) => pages.service.recent_runs(id, RUNS_SHOWN).await?,
        None => Vec::new(),
    };
    let view = ListView {
        selected: all.iter().find(|e| Some(e.id) == selected).map(|e| e.name.clone()),
        experiments: all.into_iter().map(|e| ExperimentLine { id: e.id, name: e.name }).collect(),
        runs: runs.iter().map(run_line).collect(),
    };
    let path = selected.map_or("/experiments".to_owned(), |id| format!("/experiments?experiment={id}"));
    let head = PageHead { section: "runs", path, title: "Runs".to_owned() };
    Ok(pages.ui.page("experiments/list.html", &head, &view)?)
}

fn tone(status: &str) -> &'static str {
    match status {
        "FINISHED" => "good",
        "FAILED" | "KILLED" => "bad",
        _ => "accent",
    }
}

fn run_line(record: &RunRecord) -> RunLine {
    let status = record.run.status.name();
    RunLine {
        id: record.run.id.clone(),
        name: record.run.name.clone(),
        status,
        tone: tone(status),
        started: short_time(record.run.start),
        user: record.run.user.clone(),
        metrics: record.metrics.iter().take(4).map(|m| (m.key.clone(), number(m.value))).collect(),
    }
}

#[derive(Serialize)]
struct RunView {
    run: RunLine,
    ended: Option<String>,
    duration_s: Option<String>,
    params: Vec<(String, String)>,
    metrics: Vec<(String, String)>,
    tags: Vec<(String, String)>,
    inputs: Vec<InputLine>,
    models: Vec<String>,
    charts: Vec<ChartView>,
    artifacts: Vec<ArtifactEntry>,
    artifact_root: String,
}

#[derive(Serialize)]
struct InputLine {
    name: String,
    digest: String,
    source_type: String,
}

#[derive(Serialize)]
struct ChartView {
    metric: String,
    svg: String,
}

async fn run(State(pages): State<Pages>, Path(id): Path<String>) -> PageResult<Html<String>> {
    let record = pages.service.get_record(&id).await?;
    let mut charts = Vec::new();
    for metric in record.metrics.iter().filter(|metric| metric.step > 0).take(METRIC_CHARTS) {
        charts.push(chart(&pages.service, &id, &metric.key).await?);
    }
    let folder = record.run.artifact_folder();
    let mut artifacts = pages.service.list_artifacts(&folder).await?;
    for model in &record.outputs {
        let root = pages.service.get_logged_model(model).await?.artifact_folder();
        artifacts.extend(pages.service.list_artifacts(&root).await?);
    }
    let seconds = |end: Timestamp| format!("{:.1} s", end.since(record.run.start) as f64 / 1000.0);
    let pairs = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(key, value)| (key.clone(), value.clone())).collect::<Vec<_>>()
    };
    let view = RunView {
        run: run_line(&record),
        ended: record.run.end.map(short_time),
        duration_s: record.run.end.map(seconds),
        params: pairs(&record.params),
        metrics: record.metrics.iter().map(|m| (m.key.clone(), number(m.value))).collect(),
        tags: pairs(&record.tags)
            .into_iter()
            .filter(|(key, _)| !key.starts_with("mlflow.log-model"))
            .collect(),
        inputs: record
            .inputs
            .iter()
            .map(|input| InputLine {
                name: input.name.clone(),
                digest: input.digest.clone(),
                source_type: input.source_type.clone(),
            })
            .collect(),
        models: record.outputs.clone(),
        charts,
        artifacts,
        artifact_root: folder,
    };
    let title = format!("Run {}", record.run.name);
    let head = PageHead { section: "runs", path: format!("/runs/{id}"), title };
    Ok(pages.ui.page("experiments/run.html", &head, &view)?)
}

async fn chart(service: &Experiments, run: &str, key: &str) -> Result<ChartView, ExperimentError> {
    let points = service.history(run, key, 0, CHART_POINTS).await?;
    let last = points.last().map_or(0, |point| point.step);
    let series = Series { style: 0, points: points.iter().map(|p| (p.step as f64, p.value)).collect() };
    let ticks = [0, last / 2, last].map(|step| (step as f64, step.to_string())).to_vec();
    let chart = LineChart {
        title: key,
        height: 180.0,
        series: vec![series],
        marks: Vec::new(),
        threshold: None,
        ticks,
    };
    Ok(ChartView { metric: key.to_owned(), svg: chart.svg() })
}
