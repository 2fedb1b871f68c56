//! The monitor page: accuracy, money and drift per feature over time.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Html;
use platform_auth::Permission::Read;
use platform_primitives::Timestamp;
use platform_ui::chart::{LineChart, Series};
use platform_ui::{PageHead, Ui, count, money, number, percent};
use platform_web::dialect::{Dialect, PageResult};
use platform_web::{Access, Routes, Surface};
use serde::Serialize;

use crate::Monitoring;
use crate::model::{Assessment, DriftScore};

pub(crate) const TEMPLATES: &[(&str, &str)] =
    &[("monitoring/monitor.html", include_str!("../../templates/monitor.html"))];

#[derive(Clone)]
struct Pages {
    service: Monitoring,
    ui: Ui,
}

pub(crate) fn surface(service: &Monitoring, ui: &Ui) -> Surface {
    Routes::new(Dialect::Page)
        .get("/projects/{project}/monitor", Access::Needs(Read), monitor)
        .with_state(Pages { service: service.clone(), ui: ui.clone() })
}

#[derive(Serialize)]
struct MonitorView {
    project: String,
    endpoint: String,
    now: Option<NowView>,
    accuracy: String,
    columns: Vec<ColumnView>,
}

#[derive(Serialize)]
struct NowView {
    at: String,
    champion: i64,
    mae: String,
    baseline: String,
    ratio: String,
    tone: &'static str,
    bias: String,
    cost: String,
    coverage: String,
    rows: String,
    change: Option<String>,
}

#[derive(Serialize)]
struct ColumnView {
    name: String,
    method: String,
    score: String,
    threshold: String,
    psi: String,
    p_value: String,
    missing: String,
    missing_baseline: String,
    drifted: bool,
    chart: String,
}

async fn monitor(State(pages): State<Pages>, Path(project): Path<String>) -> PageResult<Html<String>> {
    let endpoint = pages.service.endpoint_of_project(&project).await?;
    let assessments = pages.service.assessments(&endpoint, 1_000).await?;
    let scores = pages.service.drift_scores(&endpoint, 2_000).await?;
    let currency = pages.service.currency(&endpoint).await?;
    let view = MonitorView {
        now: assessments.first().map(|assessment| now_view(assessment, &currency)),
        accuracy: accuracy_chart(&assessments),
        columns: columns(scores),
        endpoint,
        project: project.clone(),
    };
    let head = PageHead {
        section: "home",
        path: format!("/projects/{project}/monitor"),
        title: format!("Monitor {project}"),
    };
    Ok(pages.ui.page("monitoring/monitor.html", &head, &view)?)
}

fn now_view(assessment: &Assessment, currency: &str) -> NowView {
    NowView {
        at: assessment.at.date(),
        champion: assessment.champion,
        mae: number(assessment.mae),
        baseline: number(assessment.baseline_mae),
        ratio: number(assessment.ratio),
        tone: if assessment.ratio >= 1.25 { "bad" } else { "good" },
        bias: number(assessment.bias),
        cost: money(assessment.cost * 100.0, currency),
        coverage: percent(assessment.coverage),
        rows: count(assessment.rows),
        change: assessment.change.map(|change| {
            format!(
                "The error rose from {} to {} around {}; the detector said so on {}.",
                number(change.mean_before),
                number(change.mean_after),
                change.onset.date(),
                change.found_at.date()
            )
        }),
    }
}

/// January of every year in the range.
fn ticks(points: &[Timestamp]) -> Vec<(f64, String)> {
    let (Some(first), Some(last)) = (points.iter().min(), points.iter().max()) else { return Vec::new() };
    let mut ticks = Vec::new();
    let mut month = first.next_month_start();
    while month < *last {
        if month.month().ends_with("-01") || month.month().ends_with("-07") {
            ticks.push((month.as_millis() as f64, month.month()));
        }
        month = month.next_month_start();
    }
    ticks
}

fn accuracy_chart(assessments: &[Assessment]) -> String {
    let times: Vec<Timestamp> = assessments.iter().map(|assessment| assessment.at).collect();
    let series = |style, value: fn(&Assessment) -> f64| Series {
        style,
        points: assessments.iter().rev().map(|a| (a.at.as_millis() as f64, value(a))).collect(),
    };
    LineChart {
        title: "Mean absolute error of the live model, and what its gate measured",
        height: 240.0,
        series: vec![series(1, |a| a.baseline_mae), series(0, |a| a.mae)],
        marks: Vec::new(),
        threshold: None,
        ticks: ticks(&times),
    }
    .svg()
}

fn columns(scores: Vec<DriftScore>) -> Vec<ColumnView> {
    let mut by_column: BTreeMap<String, Vec<DriftScore>> = BTreeMap::new();
    for score in scores {
        by_column.entry(score.column.clone()).or_default().push(score);
    }
    by_column
        .into_iter()
        .filter_map(|(name, history)| {
            let newest = history.first()?.clone();
            let times: Vec<Timestamp> = history.iter().map(|score| score.at).collect();
            let line = |style, value: fn(&DriftScore) -> f64| Series {
                style,
                points: history.iter().rev().map(|s| (s.at.as_millis() as f64, value(s))).collect(),
            };
            let title = format!("Drift of {name} over time");
            let chart = LineChart {
                title: &title,
                height: 120.0,
                series: vec![line(3, |s| s.threshold), line(0, |s| s.score)],
                marks: Vec::new(),
                threshold: None,
                ticks: ticks(&times),
            };
            Some(ColumnView {
                method: newest.method.replace('_', " "),
                score: number(newest.score),
                threshold: number(newest.threshold),
                psi: number(newest.psi),
                p_value: newest.p_value.map_or("–".to_owned(), |p| format!("{p:.1e}")),
                missing: percent(newest.missing),
                missing_baseline: percent(newest.missing_baseline),
                drifted: newest.drifted(),
                chart: chart.svg(),
                name,
            })
        })
        .collect()
}
