//! Pages: experiments, the runs of one, one run, runs side by side. State is in the URL; scripts only make it quicker.

mod actions;
mod charts;
mod columns;
mod compare;
mod experiments;
mod export;
mod files;
mod format;
mod plots;
mod preview;
mod run;
mod run_metrics;
mod table;
mod workspace;

use axum::response::Redirect;
use platform_auth::Permission::{Read, Track};
use platform_ui::Ui;
use platform_web::dialect::Dialect;
use platform_web::{Access, Routes, Surface};

use crate::Experiments;

pub(crate) const TEMPLATES: &[(&str, &str)] = &[
    ("experiments/macros.html", include_str!("../../templates/macros.html")),
    ("experiments/list.html", include_str!("../../templates/list.html")),
    ("experiments/workspace.html", include_str!("../../templates/workspace.html")),
    ("experiments/plots.html", include_str!("../../templates/plots.html")),
    ("experiments/run.html", include_str!("../../templates/run.html")),
    ("experiments/compare.html", include_str!("../../templates/compare.html")),
];

/// Runs that are drawn or compared at a time.
const RUNS_MAX: usize = 50;

#[derive(Clone)]
struct Pages {
    service: Experiments,
    ui: Ui,
}

/// Pages tell a person what is wrong; the routes that their scripts read answer in problem+json, and so does the rest of `/api/v1`.
pub(crate) fn surface(service: &Experiments, ui: &Ui) -> Surface {
    const READ: Access = Access::Needs(Read);
    const TRACK: Access = Access::Needs(Track);
    let pages = Routes::new(Dialect::Page)
        .get("/experiments", READ, experiments::list)
        .get("/experiments/{id}", READ, workspace::page)
        .get("/experiments/{id}/plots", READ, plots::page)
        .get("/experiments/{id}/export.csv", READ, export::csv)
        .get("/experiments/{id}/export.parquet", READ, export::parquet)
        .post("/experiments/{id}/bulk", TRACK, actions::bulk)
        .get("/runs/compare", READ, compare::page)
        .get("/runs/{id}", READ, run::page)
        .get("/runs/{id}/image", READ, files::image)
        .get("/runs/{id}/file", READ, files::download)
        .post("/runs/{id}/name", TRACK, actions::rename)
        .post("/runs/{id}/note", TRACK, actions::note)
        .post("/runs/{id}/tag", TRACK, actions::tag)
        .with_state(Pages { service: service.clone(), ui: ui.clone() });
    let data = Routes::new(Dialect::Problem)
        .get("/experiments/{id}/rows", READ, table::rows)
        .get("/experiments/{id}/keys", READ, table::keys)
        .get("/experiments/{id}/points", READ, plots::points)
        .get("/api/v1/runs/series", READ, charts::series)
        .get("/api/v1/runs/chart.svg", READ, charts::svg)
        .with_state(service.clone());
    let mut table = pages.table;
    table.extend(data.table);
    Surface { router: pages.router.merge(data.router), table }
}

/// Ids in a list of the URL, without blanks and repetitions.
fn id_list(text: &str) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for id in text.split(',').map(str::trim).filter(|id| !id.is_empty()) {
        if !ids.iter().any(|own| own == id) {
            ids.push(id.to_owned());
        }
    }
    ids
}

/// Back to a page of ours after a change; `query` is what the form kept of its URL.
fn back_to(path: &str, query: &str) -> Redirect {
    match query
        .strip_prefix('?')
        .filter(|query| !query.is_empty() && query.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        Some(query) => Redirect::to(&format!("{path}?{query}")),
        None => Redirect::to(path),
    }
}
