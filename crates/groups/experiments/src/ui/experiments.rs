//! The list of experiments.

use axum::extract::{Query as UrlQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use platform_ui::{PageHead, count, short_time};
use platform_web::dialect::PageResult;
use platform_web::mlflow::DEFAULT_WORKSPACE;
use platform_web::mlflow::search::Ask;
use serde::{Deserialize, Serialize};

use super::Pages;
use super::format::query;
use crate::store::View;

const SHOWN: usize = 200;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ListAsk {
    /// Where links of earlier versions and of MLflow's client lead.
    experiment: Option<i64>,
    search: String,
    view: String,
    after: String,
}

#[derive(Serialize)]
struct ListView {
    search: String,
    deleted: bool,
    experiments: Vec<ExperimentLine>,
    next: Option<String>,
    tracking_uri: String,
}

#[derive(Serialize)]
struct ExperimentLine {
    id: i64,
    name: String,
    /// Deleted ones too: counted without reading a run.
    runs: String,
    created: String,
    updated: String,
    note: String,
}

pub(super) async fn list(
    State(pages): State<Pages>,
    UrlQuery(ask): UrlQuery<ListAsk>,
    headers: http::HeaderMap,
) -> PageResult<Response> {
    if let Some(id) = ask.experiment {
        return Ok(Redirect::to(&format!("/experiments/{id}")).into_response());
    }
    let search = ask.search.trim().to_owned();
    let deleted = ask.view == "deleted";
    // The grammar knows no escaped quote: a name with both kinds is not found by a part that holds them.
    let wanted = search.replace('\'', "_");
    let filter = if wanted.is_empty() { String::new() } else { format!("name ILIKE '%{wanted}%'") };
    let token = Some(ask.after.clone()).filter(|token| !token.is_empty());
    let view = if deleted { View::Deleted } else { View::Active };
    let asked = Ask { filter, order_by: vec!["last_update_time DESC".to_owned()], token, limit: SHOWN };
    let (found, next) = pages.service.search_experiments(view, &asked).await?;
    let ids: Vec<i64> = found.iter().map(|experiment| experiment.id).collect();
    let runs = pages.service.run_counts(&ids).await?;
    let experiments = found
        .into_iter()
        .map(|experiment| ExperimentLine {
            runs: count(runs.get(&experiment.id).map_or(0, |runs| runs.unsigned_abs())),
            note: experiment.tags.get("mlflow.note.content").cloned().unwrap_or_default(),
            id: experiment.id,
            name: match experiment.workspace.as_str() {
                DEFAULT_WORKSPACE => experiment.name,
                workspace => format!("{workspace} / {}", experiment.name),
            },
            created: short_time(experiment.created),
            updated: short_time(experiment.updated),
        })
        .collect();
    let view = if deleted { "deleted" } else { "" };
    let here = |after: &str| query(&[("search", &search), ("view", view), ("after", after)]);
    let path = match here(&ask.after) {
        query if query.is_empty() => "/experiments".to_owned(),
        query => format!("/experiments?{query}"),
    };
    let next = next.map(|token| format!("/experiments?{}", here(&token)));
    let view = ListView { deleted, experiments, next, tracking_uri: tracking_uri(&headers), search };
    let head = PageHead { section: "runs", path, title: "Experiments".to_owned() };
    Ok(pages.ui.page("experiments/list.html", &head, &view)?.into_response())
}

/// This server as the reader's own client reaches it.
pub(super) fn tracking_uri(headers: &http::HeaderMap) -> String {
    let host =
        headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1:8600");
    format!("http://{host}")
}
