//! Pages: models, and one version with its evidence and the approver's buttons.

mod card;
mod governance;

use std::collections::BTreeMap;

use axum::Form;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use platform_auth::Permission::{Approve, Read};
use platform_primitives::Fault;
use platform_ui::{EventLine, PageHead, Ui, encoded, number, short_time};
use platform_web::dialect::{Dialect, PageResult};
use platform_web::{Access, Caller, Routes, Surface};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{ModelEntry, ModelVersion, VersionState};
use crate::service::Search;
use crate::{Registry, RegistryError};

pub(crate) use card::card_surface;
use governance::GovernanceView;

pub(crate) const TEMPLATES: &[(&str, &str)] = &[
    ("registry/models.html", include_str!("../../templates/models.html")),
    ("registry/version.html", include_str!("../../templates/version.html")),
];

/// Newest versions of a model on the page of models.
const VERSIONS_SHOWN: usize = 50;

#[derive(Clone)]
struct Pages {
    service: Registry,
    ui: Ui,
}

pub(crate) fn surface(service: &Registry, ui: &Ui) -> Surface {
    Routes::new(Dialect::Page)
        .get("/models", Access::Needs(Read), models)
        .get("/models/{model}/{version}", Access::Needs(Read), version)
        .post("/models/{model}/{version}/decide", Access::Needs(Approve), decide)
        .post("/models/{model}/{version}/gate", Access::Needs(Approve), run_gate)
        .with_state(Pages { service: service.clone(), ui: ui.clone() })
}

/// Reads every byte of the version again before it becomes champion.
pub(crate) fn champion_surface(service: &Registry, ui: &Ui) -> Surface {
    Routes::new(Dialect::Page)
        .without_deadline()
        .post("/models/{model}/{version}/champion", Access::Needs(Approve), make_champion)
        .with_state(Pages { service: service.clone(), ui: ui.clone() })
}

pub(crate) fn tone(state: VersionState) -> &'static str {
    match state {
        VersionState::Serving => "good",
        VersionState::Approved => "accent",
        VersionState::AwaitingApproval => "warn",
        VersionState::Refused | VersionState::Rejected | VersionState::RolledBack => "bad",
        VersionState::Registered | VersionState::Retired => "",
    }
}

#[derive(Serialize)]
struct ModelsView {
    models: Vec<ModelView>,
}

#[derive(Serialize)]
struct ModelView {
    name: String,
    project: String,
    versions: Vec<VersionLine>,
}

#[derive(Serialize)]
struct VersionLine {
    version: i64,
    state: String,
    tone: &'static str,
    author: String,
    created: String,
    aliases: Vec<String>,
    run_id: String,
    approval_expires: Option<String>,
}

fn version_line(version: &ModelVersion) -> VersionLine {
    VersionLine {
        version: version.version,
        state: version.state.name().replace('_', " "),
        tone: tone(version.state),
        author: version.author.clone(),
        created: short_time(version.created),
        aliases: version.aliases.clone(),
        run_id: version.run_id.clone(),
        approval_expires: version.approval_expires.map(short_time),
    }
}

async fn models(State(pages): State<Pages>) -> PageResult<Html<String>> {
    let found = pages.service.search_models(Search::default()).await?;
    let names = found.items.iter().map(|entry| entry.model.name.clone()).collect();
    let mut versions: BTreeMap<String, Vec<VersionLine>> = BTreeMap::new();
    for version in pages.service.newest_versions(names, VERSIONS_SHOWN).await? {
        versions.entry(version.model.clone()).or_default().push(version_line(&version));
    }
    let entry = |entry: ModelEntry| ModelView {
        versions: versions.remove(&entry.model.name).unwrap_or_default(),
        name: entry.model.name,
        project: entry.model.project,
    };
    let entries = found.items.into_iter().map(entry).collect();
    let head = PageHead { section: "models", path: "/models".to_owned(), title: "Models".to_owned() };
    Ok(pages.ui.page("registry/models.html", &head, &ModelsView { models: entries })?)
}

#[derive(Serialize)]
struct VersionView {
    model: String,
    project: String,
    version: VersionLine,
    digest: Option<String>,
    source: String,
    gate: Vec<Comparison>,
    gate_reason: String,
    decisions: Vec<EventLine>,
    history: Vec<EventLine>,
    awaiting: bool,
    governance: GovernanceView,
}

/// A line of the gate's report: what was measured, for this version, for the champion, and the bound.
#[derive(Serialize)]
struct Comparison {
    name: String,
    candidate: String,
    champion: String,
    rule: String,
    passed: bool,
    evidence: String,
}

async fn version(
    State(pages): State<Pages>,
    Path((model, number)): Path<(String, i64)>,
) -> PageResult<Html<String>> {
    let version = pages.service.get_version(&model, number).await?;
    let decisions = pages.service.decisions(&model, number).await?;
    let owner = pages.service.get_model(&model).await?;
    let governance = GovernanceView::of(&pages.service, &owner, &version).await?;
    let gate = decisions.iter().rfind(|decision| decision.kind == "gate");
    let history = pages.service.history(&version).await?;
    let view = VersionView {
        project: owner.project,
        governance,
        digest: version.digest.clone().or_else(|| version.manifest.clone()),
        source: version.source.clone(),
        gate: gate.map(|gate| comparisons(&gate.evidence)).unwrap_or_default(),
        gate_reason: gate.map(|gate| gate.reason.clone()).unwrap_or_default(),
        decisions: decisions
            .iter()
            .map(|decision| EventLine {
                when: short_time(decision.at),
                iso: decision.at.to_string(),
                title: format!("{}: {}", decision.kind, decision.outcome.replace('_', " ")),
                detail: format!("{} – {}", decision.actor, decision.reason),
                tone: VersionState::parse(&decision.outcome).map_or("", tone),
            })
            .collect(),
        history: history
            .iter()
            .map(|event| EventLine {
                when: short_time(event.at),
                iso: event.at.to_string(),
                title: event.kind.replace("registry.", "").replace('_', " "),
                detail: format!("by {}", event.actor),
                tone: "",
            })
            .collect(),
        awaiting: version.state == VersionState::AwaitingApproval,
        version: version_line(&version),
        model: model.clone(),
    };
    let head = PageHead {
        section: "models",
        path: format!("/models/{}/{number}", encoded(&model)),
        title: format!("{model} version {number}"),
    };
    Ok(pages.ui.page("registry/version.html", &head, &view)?)
}

/// The gate writes `{"checks": [{"name", "candidate", "champion", "rule", "passed"}]}`.
fn comparisons(evidence: &Value) -> Vec<Comparison> {
    let checks = evidence.get("checks").and_then(Value::as_array);
    let text = |check: &Value, key: &str| match check.get(key) {
        Some(Value::Number(value)) => value.as_f64().map_or(String::new(), number),
        Some(Value::String(text)) => text.clone(),
        _ => "–".to_owned(),
    };
    checks
        .into_iter()
        .flatten()
        .map(|check| Comparison {
            name: text(check, "name"),
            candidate: text(check, "candidate"),
            champion: text(check, "champion"),
            rule: text(check, "rule"),
            passed: check.get("passed").and_then(Value::as_bool).unwrap_or(false),
            evidence: check.get("evidence").and_then(Value::as_str).unwrap_or_default().to_owned(),
        })
        .collect()
}

#[derive(Deserialize)]
struct DecideForm {
    decision: String,
    reason: String,
    #[serde(default)]
    digest: String,
}

async fn decide(
    State(pages): State<Pages>,
    Path((model, number)): Path<(String, i64)>,
    Caller(caller): Caller,
    Form(form): Form<DecideForm>,
) -> Response {
    let outcome = match form.decision.as_str() {
        "approve" => {
            let digest = Some(form.digest.as_str()).filter(|digest| !digest.is_empty());
            pages.service.approve(&caller, &model, number, digest, &form.reason).await
        }
        "reject" => pages.service.reject(&caller, &model, number, &form.reason).await,
        _ => {
            let rule = "expected approve or reject".to_owned();
            Err(RegistryError::Invalid { field: "decision", value: form.decision, rule })
        }
    };
    back(&model, number, outcome)
}

/// The page again, or what went wrong.
fn back(model: &str, number: i64, outcome: Result<ModelVersion, RegistryError>) -> Response {
    match outcome {
        Ok(_) => Redirect::to(&format!("/models/{}/{number}", encoded(model))).into_response(),
        Err(error) => Dialect::Page.render(&error as &dyn Fault),
    }
}

async fn run_gate(
    State(pages): State<Pages>,
    Path((model, number)): Path<(String, i64)>,
    Caller(caller): Caller,
) -> Response {
    back(&model, number, pages.service.gate(&caller.name, &model, number).await)
}

#[derive(Deserialize)]
struct ChampionForm {
    reason: String,
}

async fn make_champion(
    State(pages): State<Pages>,
    Path((model, number)): Path<(String, i64)>,
    Caller(caller): Caller,
    Form(form): Form<ChampionForm>,
) -> Response {
    back(&model, number, pages.service.make_champion(&caller, &model, number, &form.reason).await)
}
