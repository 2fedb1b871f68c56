//! Pages: endpoints, and one endpoint's traffic.

use axum::extract::{Path, State};
use axum::response::Html;
use platform_auth::Permission::Read;
use platform_ui::{PageHead, Ui, count, encoded, percent, short_time};
use platform_web::dialect::{Dialect, PageResult};
use platform_web::{Access, Routes, Surface};
use serde::Serialize;

use crate::Serving;
use crate::model::{Endpoint, InputColumn};

pub(crate) const TEMPLATES: &[(&str, &str)] = &[
    ("serving/list.html", include_str!("../../templates/list.html")),
    ("serving/endpoint.html", include_str!("../../templates/endpoint.html")),
];

#[derive(Clone)]
struct Pages {
    service: Serving,
    ui: Ui,
}

pub(crate) fn surface(service: &Serving, ui: &Ui) -> Surface {
    Routes::new(Dialect::Page)
        .get("/endpoints", Access::Needs(Read), list)
        .get("/endpoints/{name}", Access::Needs(Read), endpoint)
        .with_state(Pages { service: service.clone(), ui: ui.clone() })
}

#[derive(Serialize)]
struct EndpointView {
    name: String,
    model: String,
    project: String,
    updated: String,
    note: String,
    stage: &'static str,
    tone: &'static str,
    champion: i64,
    champion_share: String,
    champion_width: f64,
    candidate: Option<i64>,
    candidate_share: String,
    candidate_width: f64,
    rows_served: String,
    dropped: u64,
    inputs: Vec<InputColumn>,
    example: String,
}

fn view(service: &Serving, endpoint: Endpoint) -> EndpointView {
    let traffic = endpoint.traffic;
    let share = traffic.candidate.as_ref().map_or(0.0, |candidate| candidate.share);
    let (stage, tone) = match &traffic.candidate {
        None => ("steady", "good"),
        Some(candidate) if candidate.share == 0.0 => ("shadow", "accent"),
        Some(_) => ("canary", "warn"),
    };
    let inputs =
        service.describe(&endpoint.name).map(|description| description.signature.inputs).unwrap_or_default();
    let tensors: Vec<String> = inputs
        .iter()
        .map(|column| {
            let (name, datatype) = (&column.name, column.kind.datatype());
            format!(
                "    {{\"name\": \"{name}\", \"shape\": [1, 1], \"datatype\": \"{datatype}\", \"data\": [1]}}"
            )
        })
        .collect();
    EndpointView {
        example: format!(
            "curl -s http://127.0.0.1:8600/v2/models/{}/infer -d '{{\n  \"inputs\": [\n{}\n  ]}}'",
            encoded(&endpoint.name),
            tensors.join(",\n")
        ),
        name: endpoint.name,
        model: endpoint.model,
        project: endpoint.project,
        updated: short_time(endpoint.updated),
        note: traffic.note,
        stage,
        tone,
        champion: traffic.champion,
        champion_share: percent(1.0 - share),
        champion_width: (1.0 - share) * 100.0,
        candidate: traffic.candidate.map(|candidate| candidate.revision),
        candidate_share: percent(share),
        candidate_width: share * 100.0,
        rows_served: count(service.rows_served()),
        dropped: service.dropped(),
        inputs,
    }
}

#[derive(Serialize)]
struct ListView {
    endpoints: Vec<EndpointView>,
}

async fn list(State(pages): State<Pages>) -> PageResult<Html<String>> {
    let endpoints = pages.service.list().await?.into_iter().map(|one| view(&pages.service, one)).collect();
    let head =
        PageHead { section: "endpoints", path: "/endpoints".to_owned(), title: "Endpoints".to_owned() };
    Ok(pages.ui.page("serving/list.html", &head, &ListView { endpoints })?)
}

async fn endpoint(State(pages): State<Pages>, Path(name): Path<String>) -> PageResult<Html<String>> {
    let view = view(&pages.service, pages.service.get(&name).await?);
    let head = PageHead {
        section: "endpoints",
        path: format!("/endpoints/{}", encoded(&name)),
        title: format!("Endpoint {name}"),
    };
    Ok(pages.ui.page("serving/endpoint.html", &head, &view)?)
}
