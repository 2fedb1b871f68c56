//! Pages: experiments, their runs, one run.

use axum::extract::{Path, Query as UrlQuery, State};
use axum::response::Html;
use platform_auth::Permission::Read;
use platform_primitives::Timestamp;
use platform_ui::chart::{LineChart, Series};
use platform_ui::{PageHead, Ui, number, short_time};
use platform_web::dialect::{Dialect, PageResult};
use platform_web::mlflow::search::Ask;
use platform_web::{Access, Routes, Surface};
use serde::{Deserialize, Serialize};

use crate::model::{ArtifactEntry, RunRecord};
use crate::store::View;
use crate::{ExperimentError, Experiments};

pub(crate) const TEMPLATES: &[(&str, &str)] = &[
    ("experiments/list.html", include_str!("../../templates/list.html")),
    ("experiments/run.html", include_str!("../../templates/run.html")),
];

const RUNS_SHOWN: usize = 100;
const METRIC_CHARTS: usize = 6;

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
    let all = pages.service.search_experiments(View::Active, &Ask { limit: 200, ..Ask::default() }).await?.0;
    let selected = query.experiment.or_else(|| all.first().map(|experiment| experiment.id));
    let runs = match selected {
        Some(id) => pages.service.recent_runs(id, RUNS_SHOWN).await?,
        None => Vec::new(),
    };
    let view = ListView {
        selected: all.iter().find(|e| Some(e.id) == selected).map(|e| e.name.clone()),
        experiments: all.into_iter().map(|e| ExperimentLine { id: e.id, name: e.name }).collect(),
        runs: runs.iter().map(|record| run_line(record)).collect(),
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
        metrics: latest(record).take(4).collect(),
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
    for (key, _) in record.metrics.iter().filter(|(_, summary)| summary.points > 1).take(METRIC_CHARTS) {
        charts.push(chart(&pages.service, &id, key).await?);
    }
    let folder = record.run.artifact_folder();
    let mut artifacts = pages.service.list_artifacts(&folder).await?;
    for output in &record.outputs {
        let Ok(model) = pages.service.get_logged_model(&output.model_id).await else { continue };
        let root = model.artifact_folder();
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
        metrics: latest(&record).collect(),
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
        models: record.outputs.iter().map(|output| output.model_id.clone()).collect(),
        charts,
        artifacts,
        artifact_root: folder,
    };
    let title = format!("Run {}", record.run.name);
    let head = PageHead { section: "runs", path: format!("/runs/{id}"), title };
    Ok(pages.ui.page("experiments/run.html", &head, &view)?)
}

fn latest(record: &RunRecord) -> impl Iterator<Item = (String, String)> {
    record.metrics.iter().map(|(key, summary)| (key.to_owned(), number(summary.latest.value)))
}

/// Columns of pixels of a chart on the run's page.
const CHART_WIDTH: usize = 400;

async fn chart(service: &Experiments, run: &str, key: &str) -> Result<ChartView, ExperimentError> {
    let bands = service.chart(run, key, CHART_WIDTH).await?;
    // Low and high of each column: a spike of one step is drawn however long the run is.
    let mut points = Vec::with_capacity(bands.len() * 2);
    for band in &bands {
        points.push((band.from, band.min));
        if band.points > 1 {
            points.push((band.to, band.max));
        }
    }
    let last = bands.last().map_or(0.0, |band| band.to);
    let ticks = [0.0, (last / 2.0).floor(), last].map(|step| (step, format!("{step:.0}"))).to_vec();
    let chart = LineChart {
        title: key,
        height: 180.0,
        series: vec![Series { style: 0, points }],
        marks: Vec::new(),
        threshold: None,
        ticks,
    };
    Ok(ChartView { metric: key.to_owned(), svg: chart.svg() })
}
