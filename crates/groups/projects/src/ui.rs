//! The audit log's page.

use axum::extract::{Query, State};
use axum::response::Html;
use platform_auth::Permission::Read;
use platform_ui::{PageHead, Ui, short_time};
use platform_web::dialect::{Dialect, PageResult};
use platform_web::{Access, Routes, Surface};
use serde::{Deserialize, Serialize};

use crate::Projects;

pub(crate) const TEMPLATES: &[(&str, &str)] =
    &[("projects/audit.html", include_str!("../templates/audit.html"))];

const SHOWN: usize = 300;

#[derive(Clone)]
struct Pages {
    service: Projects,
    ui: Ui,
}

pub(crate) fn surface(service: &Projects, ui: &Ui) -> Surface {
    Routes::new(Dialect::Page)
        .get("/audit", Access::Needs(Read), audit)
        .with_state(Pages { service: service.clone(), ui: ui.clone() })
}

#[derive(Deserialize)]
struct AuditQuery {
    #[serde(default)]
    kind: String,
}

#[derive(Serialize)]
struct AuditView {
    kind: String,
    events: Vec<AuditLine>,
}

#[derive(Serialize)]
struct AuditLine {
    seq: i64,
    at: String,
    actor: String,
    kind: String,
    subject: String,
    payload: String,
}

async fn audit(State(pages): State<Pages>, Query(query): Query<AuditQuery>) -> PageResult<Html<String>> {
    let prefix = Some(query.kind.clone()).filter(|kind| !kind.is_empty());
    let events = pages.service.audit(prefix, SHOWN).await?;
    let view = AuditView {
        events: events
            .into_iter()
            .map(|event| AuditLine {
                seq: event.seq,
                at: short_time(event.at),
                actor: event.actor,
                kind: event.kind,
                subject: event.subject,
                payload: event.payload.to_string().chars().take(300).collect(),
            })
            .collect(),
        kind: query.kind.clone(),
    };
    let path =
        if query.kind.is_empty() { "/audit".to_owned() } else { format!("/audit?kind={}", query.kind) };
    let head = PageHead { section: "audit", path, title: "Audit log".to_owned() };
    Ok(pages.ui.page("projects/audit.html", &head, &view)?)
}
