//! MLflow's tracking REST protocol, as mlflow 3.17.2 speaks it. Translates; decides nothing.

mod artifacts;
mod experiments;
mod logged_models;
mod metrics;
mod render;
mod run_json;
mod runs;
mod uploads;

use axum::Json;
use http::Method;
use platform_auth::Permission::{Read, Track};
use platform_web::dialect::Dialect;
use platform_web::mlflow::Unscoped;
use platform_web::mlflow::search::Ask;
use platform_web::{Access, Routes, Surface};
use serde_json::Value;

use crate::ExperimentError;
use crate::Experiments;
use crate::store::View;

pub(crate) use artifacts::surface as artifact_surface;
pub(crate) use uploads::{part_surface, surface as upload_surface};

const BODY_LIMIT: usize = 32 * 1024 * 1024;
const READ: Access = Access::Needs(Read);
const TRACK: Access = Access::Needs(Track);

type Answer = platform_web::dialect::MlflowResult<Json<Value>>;

/// Every route is served under `/api` and, for the browser's sake, under `/ajax-api`.
pub(crate) fn surface(service: &Experiments) -> Surface {
    let mut routes = Routes::new(Dialect::Mlflow).body_limit(BODY_LIMIT);
    for prefix in ["/api", "/ajax-api"] {
        let path = |rest: &str| format!("{prefix}{rest}");
        routes = routes
            .post(&path("/2.0/mlflow/experiments/create"), TRACK, experiments::create)
            .get(&path("/2.0/mlflow/experiments/get"), READ, experiments::get)
            .get(&path("/2.0/mlflow/experiments/get-by-name"), READ, experiments::get_by_name)
            .post(&path("/2.0/mlflow/experiments/search"), READ, experiments::search)
            .get(&path("/2.0/mlflow/experiments/search"), READ, experiments::search_by_query)
            .post(&path("/2.0/mlflow/experiments/delete"), TRACK, experiments::delete)
            .post(&path("/2.0/mlflow/experiments/restore"), TRACK, experiments::restore)
            .post(&path("/2.0/mlflow/experiments/update"), TRACK, experiments::update)
            .post(&path("/2.0/mlflow/experiments/set-experiment-tag"), TRACK, experiments::set_tag)
            .post(&path("/2.0/mlflow/experiments/delete-experiment-tag"), TRACK, experiments::delete_tag)
            .post(&path("/2.0/mlflow/experiments/search-datasets"), READ, experiments::search_datasets)
            .post(&path("/2.0/mlflow/runs/create"), TRACK, runs::create)
            .get(&path("/2.0/mlflow/runs/get"), READ, runs::get)
            .post(&path("/2.0/mlflow/runs/update"), TRACK, runs::update)
            .post(&path("/2.0/mlflow/runs/search"), READ, runs::search)
            .post(&path("/2.0/mlflow/runs/delete"), TRACK, runs::delete)
            .post(&path("/2.0/mlflow/runs/restore"), TRACK, runs::restore)
            .post(&path("/2.0/mlflow/runs/log-metric"), TRACK, metrics::log_metric)
            .post(&path("/2.0/mlflow/runs/log-parameter"), TRACK, runs::log_param)
            .post(&path("/2.0/mlflow/runs/log-batch"), TRACK, metrics::log_batch)
            .post(&path("/2.0/mlflow/runs/set-tag"), TRACK, runs::set_tag)
            .post(&path("/2.0/mlflow/runs/delete-tag"), TRACK, runs::delete_tag)
            .post(&path("/2.0/mlflow/runs/log-inputs"), TRACK, runs::log_inputs)
            .post(&path("/2.0/mlflow/runs/outputs"), TRACK, runs::log_outputs)
            .get(&path("/2.0/mlflow/metrics/get-history"), READ, metrics::history)
            .get(&path("/2.0/mlflow/metrics/get-history-bulk"), READ, metrics::history_bulk)
            .get(&path("/2.0/mlflow/metrics/get-history-bulk-interval"), READ, metrics::history_interval)
            .get(&path("/2.0/mlflow/artifacts/list"), READ, artifacts::list_of_run)
            .post(&path("/2.0/mlflow/logged-models"), TRACK, logged_models::create)
            .post(&path("/2.0/mlflow/logged-models/search"), READ, logged_models::search)
            .get(&path("/2.0/mlflow/logged-models/{id}"), READ, logged_models::get)
            .route(Method::PATCH, &path("/2.0/mlflow/logged-models/{id}"), TRACK, logged_models::finalize)
            .route(Method::DELETE, &path("/2.0/mlflow/logged-models/{id}"), TRACK, logged_models::delete)
            .route(
                Method::DELETE,
                &path("/2.0/mlflow/logged-models/{id}/tags/{key}"),
                TRACK,
                logged_models::delete_tag,
            )
            .get(
                &path("/2.0/mlflow/logged-models/{id}/artifacts/directories"),
                READ,
                artifacts::list_of_model,
            )
            .route(
                Method::PATCH,
                &path("/2.0/mlflow/logged-models/{id}/tags"),
                TRACK,
                logged_models::set_tags,
            )
            .post(&path("/2.0/mlflow/logged-models/{id}/params"), TRACK, logged_models::log_params);
    }
    let health = Access::Open("tells nothing but that the server answers");
    routes
        .get("/health", health, async || "OK")
        .get("/version", health, async || TESTED_AGAINST)
        .get("/api/3.0/mlflow/server-info", health, server_info)
        .get("/ajax-api/3.0/mlflow/server-info", health, server_info)
        .with_state(Unscoped::new(service.clone()))
}

/// What a client asks before it uses features that not every server has.
async fn server_info() -> Json<Value> {
    Json(serde_json::json!({
        "store_type": "SqlStore",
        "workspaces_enabled": true,
        "trace_archival_enabled": false,
        "multipart_uploads_enabled": true,
    }))
}

/// The MLflow version whose client this surface is tested against.
const TESTED_AGAINST: &str = "3.17.2";

/// What a search asks for, within the limits of its page size.
fn ask(
    filter: Option<String>,
    order_by: Option<Vec<String>>,
    max_results: Option<i64>,
    token: Option<String>,
    (default, most): (i64, i64),
) -> Result<Ask, ExperimentError> {
    let limit = max_results.unwrap_or(default);
    if limit < 1 || limit > most {
        let rule = format!("It must be at least 1 and at most {most}.");
        return Err(ExperimentError::invalid_number("max_results", limit, rule));
    }
    Ok(Ask {
        filter: filter.unwrap_or_default(),
        order_by: order_by.unwrap_or_default(),
        token,
        limit: limit as usize,
    })
}

/// Upstream passes over a view it does not know.
fn view(name: Option<&str>) -> View {
    match name {
        Some("ALL" | "all") => View::All,
        Some("DELETED_ONLY" | "deleted_only") => View::Deleted,
        _ => View::Active,
    }
}
