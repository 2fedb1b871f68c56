//! Pages: home (what runs, what needs attention) and the loop of a project.

use axum::extract::{Path, State};
use axum::response::Html;
use platform_auth::Permission::Read;
use platform_primitives::Timestamp;
use platform_ui::chart::{LineChart, LoopStep, Mark, Series, loop_circle};
use platform_ui::{EventLine, PageHead, Ui, count, money, number, percent};
use platform_web::dialect::{Dialect, PageResult};
use platform_web::{Access, Routes, Surface};
use serde::Serialize;

use crate::Loops;
use crate::model::{Attempt, LoopState, Phase};
use crate::report::{MonthRow, Report};

pub(crate) const TEMPLATES: &[(&str, &str)] = &[
    ("loops/home.html", include_str!("../../templates/home.html")),
    ("loops/loop.html", include_str!("../../templates/loop.html")),
];

#[derive(Clone)]
struct Pages {
    service: Loops,
    ui: Ui,
}

pub(crate) fn surface(service: &Loops, ui: &Ui) -> Surface {
    Routes::new(Dialect::Page)
        .get("/", Access::Needs(Read), home)
        .get("/projects/{project}", Access::Needs(Read), project)
        .with_state(Pages { service: service.clone(), ui: ui.clone() })
}

#[derive(Serialize)]
struct HomeView {
    projects: Vec<ProjectCard>,
}

#[derive(Serialize)]
struct ProjectCard {
    name: String,
    headline: String,
    tone: &'static str,
    detail: String,
    /// Something a person must do, and where.
    action: Option<(String, String)>,
    champion: Option<i64>,
    now: String,
}

async fn home(State(pages): State<Pages>) -> PageResult<Html<String>> {
    let mut projects = Vec::new();
    for name in pages.service.projects().await? {
        projects.push(match pages.service.status(&name).await {
            Ok((state, attempts, _)) => card(&name, &state, attempts.last()),
            Err(_) => ProjectCard {
                headline: "not built yet".to_owned(),
                tone: "",
                detail: "Its loop file is known; no build was started.".to_owned(),
                action: None,
                champion: None,
                now: String::new(),
                name,
            },
        });
    }
    let head = PageHead { section: "home", path: "/".to_owned(), title: "Home".to_owned() };
    Ok(pages.ui.page("loops/home.html", &head, &HomeView { projects })?)
}

/// What the loop is doing, in a few words, and how worrying that is.
fn headline(state: &LoopState, attempt: Option<&Attempt>) -> (String, &'static str) {
    let open = attempt.filter(|attempt| !attempt.phase.is_end());
    let version = |attempt: &Attempt| attempt.version.map_or(String::new(), |v| format!(" version {v}"));
    match (open, &state.incident) {
        (Some(a), _) => match a.phase {
            Phase::Preparing => ("preparing the environment".to_owned(), "accent"),
            Phase::Training => ("training".to_owned(), "accent"),
            Phase::Gating => (format!("judging{}", version(a)), "accent"),
            Phase::AwaitingApproval => (format!("{} waits for approval", version(a).trim()), "warn"),
            Phase::Shadow => (format!("{} shadows", version(a).trim()), "accent"),
            Phase::Canary => (format!("{} is the canary", version(a).trim()), "warn"),
            _ => ("idle".to_owned(), ""),
        },
        (None, Some(_)) => ("the live model is worse than it was".to_owned(), "bad"),
        (None, None) if state.champion > 0 => ("watching".to_owned(), "good"),
        (None, None) => match attempt.map(|attempt| attempt.phase) {
            Some(Phase::Failed) => ("the last build failed".to_owned(), "bad"),
            Some(Phase::Refused) => ("the last version was refused".to_owned(), "bad"),
            _ => ("not serving".to_owned(), ""),
        },
    }
}

fn card(name: &str, state: &LoopState, attempt: Option<&Attempt>) -> ProjectCard {
    let (headline, tone) = headline(state, attempt);
    let waiting = attempt.filter(|attempt| attempt.phase == Phase::AwaitingApproval);
    ProjectCard {
        name: name.to_owned(),
        headline,
        tone,
        detail: attempt.map_or(String::new(), |attempt| {
            attempt.error.clone().or(attempt.verdict.clone()).unwrap_or_else(|| attempt.reason.clone())
        }),
        action: waiting.and_then(|attempt| {
            let version = attempt.version?;
            Some((format!("Decide on version {version}"), version.to_string()))
        }),
        champion: Some(state.champion).filter(|champion| *champion > 0),
        now: state.now.date(),
    }
}

#[derive(Serialize)]
struct LoopView {
    project: String,
    model: String,
    question: String,
    headline: String,
    tone: &'static str,
    now: String,
    champion: Option<i64>,
    awaiting: Option<i64>,
    circle: String,
    chart: String,
    money_chart: String,
    months: Vec<MonthView>,
    timeline: Vec<EventLine>,
    attempts: Vec<AttemptView>,
    drifting: Vec<String>,
    saved: String,
    promoted: usize,
    not_promoted: usize,
    why: Option<WhyView>,
}

#[derive(Serialize)]
struct MonthView {
    month: String,
    predictions: String,
    static_mae: String,
    loop_mae: String,
    static_bias: String,
    loop_bias: String,
    static_cost: String,
    loop_cost: String,
    answered: String,
    promoted: bool,
}

#[derive(Serialize)]
struct AttemptView {
    number: i64,
    opened: String,
    version: Option<i64>,
    phase: String,
    tone: &'static str,
    reason: String,
    verdict: String,
}

#[derive(Serialize)]
struct WhyView {
    pairs: Vec<(&'static str, String)>,
}

const STEPS: [&str; 7] = ["serve", "watch", "notice", "rebuild", "gate", "approve", "roll out"];

/// Where on the circle the loop stands.
fn place(state: &LoopState, attempt: Option<&Attempt>) -> (usize, &'static str) {
    match attempt.filter(|attempt| !attempt.phase.is_end()).map(|attempt| attempt.phase) {
        Some(Phase::Preparing | Phase::Training) => (3, "here"),
        Some(Phase::Gating) => (4, "here"),
        Some(Phase::AwaitingApproval) => (5, "wait"),
        Some(Phase::Shadow | Phase::Canary) => (6, "here"),
        _ if state.incident.is_some() => (2, "here"),
        _ if state.champion > 0 => (1, "here"),
        _ => (0, ""),
    }
}

async fn project(State(pages): State<Pages>, Path(project): Path<String>) -> PageResult<Html<String>> {
    let (state, attempts, _) = pages.service.status(&project).await?;
    let report = pages.service.report(&project).await?;
    let drifting = pages.service.drifting(&project).await?;
    let view = view(&project, &state, &attempts, report, drifting);
    let head =
        PageHead { section: "home", path: format!("/projects/{project}"), title: format!("Loop {project}") };
    Ok(pages.ui.page("loops/loop.html", &head, &view)?)
}

fn view(
    project: &str,
    state: &LoopState,
    attempts: &[Attempt],
    report: Report,
    drifting: Vec<String>,
) -> LoopView {
    let (headline, tone) = headline(state, attempts.last());
    let (here, mark) = place(state, attempts.last());
    let steps: Vec<LoopStep> = STEPS
        .iter()
        .enumerate()
        .map(|(index, label)| LoopStep {
            label,
            state: if index == here {
                mark
            } else if index < here {
                "past"
            } else {
                ""
            },
        })
        .collect();
    let center = match state.champion {
        0 => "no version yet".to_owned(),
        champion => format!("version {champion} serves"),
    };
    let currency = &report.currency;
    let after: f64 = report
        .months
        .iter()
        .map(|row| row.month.static_cost - row.month.loop_cost)
        .filter(|v| v.is_finite())
        .sum();
    let awaiting = attempts.last().filter(|a| a.phase == Phase::AwaitingApproval).and_then(|a| a.version);
    LoopView {
        project: project.to_owned(),
        model: report.model.clone(),
        question: report.question.clone(),
        headline: headline.clone(),
        tone,
        now: state.now.date(),
        champion: Some(state.champion).filter(|champion| *champion > 0),
        awaiting,
        circle: loop_circle("The loop and where it stands", &steps, &center, &headline),
        chart: month_chart(
            &report,
            "Mean absolute error by month",
            |m| m.month.static_mae,
            |m| m.month.loop_mae,
        ),
        money_chart: month_chart(
            &report,
            "Cost of errors by month",
            |m| m.month.static_cost / 1000.0,
            |m| m.month.loop_cost / 1000.0,
        ),
        months: report.months.iter().map(|row| month_view(row, currency)).collect(),
        timeline: report
            .timeline
            .iter()
            .rev()
            .map(|entry| EventLine {
                when: entry.at.date(),
                iso: entry.at.to_string(),
                title: entry.title.clone(),
                detail: entry.detail.clone(),
                tone: entry.tone,
            })
            .collect(),
        attempts: attempts.iter().rev().map(attempt_view).collect(),
        drifting,
        saved: money(after, currency),
        promoted: report.promoted,
        not_promoted: report.not_promoted,
        why: report.why.map(|why| {
            let approval = why.approval.map_or("nobody had to approve".to_owned(), |approval| {
                format!("{} on {}: {}", approval.by, approval.at.date(), approval.reason)
            });
            WhyView {
                pairs: vec![
                    ("Because", why.cause),
                    ("Data", format!("{} (SHA-256 {})", why.data, why.training_digest)),
                    ("Code", why.code),
                    ("Environment", why.environment),
                    ("Gate", why.gate),
                    ("Approved by", approval),
                    ("Rollout", why.rollout),
                    ("Serving since", why.since.date()),
                ],
            }
        }),
    }
}

fn month_view(row: &MonthRow, currency: &str) -> MonthView {
    let month = &row.month;
    MonthView {
        month: month.month.clone(),
        predictions: count(month.predictions),
        static_mae: number(month.static_mae),
        loop_mae: number(month.loop_mae),
        static_bias: number(month.static_bias),
        loop_bias: number(month.loop_bias),
        static_cost: money(month.static_cost, currency),
        loop_cost: money(month.loop_cost, currency),
        answered: row
            .answered
            .iter()
            .map(|(version, share)| format!("v{version} {}", percent(*share)))
            .collect::<Vec<_>>()
            .join(", "),
        promoted: !row.promoted.is_empty(),
    }
}

fn attempt_view(attempt: &Attempt) -> AttemptView {
    let tone = match attempt.phase {
        Phase::Promoted => "good",
        Phase::Refused | Phase::Rejected | Phase::RolledBack | Phase::Failed => "bad",
        Phase::AwaitingApproval => "warn",
        _ => "accent",
    };
    let verdict = attempt.error.clone().or_else(|| attempt.verdict.clone()).unwrap_or_default();
    AttemptView {
        number: attempt.number,
        opened: attempt.opened.date(),
        version: attempt.version,
        phase: attempt.phase.name().replace('_', " "),
        tone,
        reason: attempt.reason.clone(),
        verdict,
    }
}

fn month_chart(
    report: &Report,
    title: &str,
    static_value: fn(&MonthRow) -> f64,
    loop_value: fn(&MonthRow) -> f64,
) -> String {
    let at =
        |row: &MonthRow| Timestamp::parse(&row.month.month).map_or(f64::NAN, |time| time.as_millis() as f64);
    let line = |style, value: fn(&MonthRow) -> f64| Series {
        style,
        points: report.months.iter().map(|row| (at(row), value(row))).collect(),
    };
    let marks = report.months.iter().filter(|row| !row.promoted.is_empty()).map(|row| Mark {
        x: at(row),
        label: format!("version {} promoted in {}", row.promoted[0], row.month.month),
        tone: "good",
    });
    let ticks = report
        .months
        .iter()
        .filter(|row| row.month.month.ends_with("-01") || row.month.month.ends_with("-07"))
        .map(|row| (at(row), row.month.month.clone()))
        .collect();
    LineChart {
        title,
        height: 240.0,
        series: vec![line(1, static_value), line(0, loop_value)],
        marks: marks.collect(),
        threshold: None,
        ticks,
    }
    .svg()
}
