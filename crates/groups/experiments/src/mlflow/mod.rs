//! MLflow's tracking REST protocol, as mlflow 3.17.2 speaks it. Translates; decides nothing.

mod artifacts;
mod experiments;
mod logged_models;
mod render;
mod runs;

use axum::Json;
use http::Method;
use platform_auth::Permission::{Read, Track};
use platform_web::dialect::Dialect;
use platform_web::{Access, Routes, Surface};
use serde_json::Value;

use crate::ExperimentError;
use crate::Experiments;
use crate::store::{Query, View};

pub(crate) use artifacts::surface as artifact_surface;

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
            .post(&path("/2.0/mlflow/runs/create"), TRACK, runs::create)
            .get(&path("/2.0/mlflow/runs/get"), READ, runs::get)
            .post(&path("/2.0/mlflow/runs/update"), TRACK, runs::update)
            .post(&path("/2.0/mlflow/runs/search"), READ, runs::search)
            .post(&path("/2.0/mlflow/runs/delete"), TRACK, runs::delete)
            .post(&path("/2.0/mlflow/runs/restore"), TRACK, runs::restore)
            .post(&path("/2.0/mlflow/runs/log-metric"), TRACK, runs::log_metric)
            .post(&path("/2.0/mlflow/runs/log-parameter"), TRACK, runs::log_param)
            .post(&path("/2.0/mlflow/runs/log-batch"), TRACK, runs::log_batch)
            .post(&path("/2.0/mlflow/runs/set-tag"), TRACK, runs::set_tag)
            .post(&path("/2.0/mlflow/runs/delete-tag"), TRACK, runs::delete_tag)
            .post(&path("/2.0/mlflow/runs/log-inputs"), TRACK, runs::log_inputs)
            .post(&path("/2.0/mlflow/runs/outputs"), TRACK, runs::log_outputs)
            .get(&path("/2.0/mlflow/metrics/get-history"), READ, runs::history)
            .get(&path("/2.0/mlflow/artifacts/list"), READ, artifacts::list_of_run)
            .post(&path("/2.0/mlflow/logged-models"), TRACK, logged_models::create)
            .post(&path("/2.0/mlflow/logged-models/search"), READ, logged_models::search)
            .get(&path("/2.0/mlflow/logged-models/{id}"), READ, logged_models::get)
            .route(Method::PATCH, &path("/2.0/mlflow/logged-models/{id}"), TRACK, logged_models::finalize)
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
        .with_state(service.clone())
}

/// The MLflow version whose client this surface is tested against.
const TESTED_AGAINST: &str = "3.17.2";

/// Page tokens of offset-paged searches are opaque to clients.
fn page(
    filter: Option<String>,
    order_by: Option<Vec<String>>,
    view: Option<&str>,
    max_results: Option<i64>,
    token: Option<&str>,
    (default, most): (i64, i64),
) -> Result<Query, ExperimentError> {
    let limit = max_results.unwrap_or(default);
    if limit < 1 || limit > most {
        let rule = format!("expected a value between 1 and {most}");
        return Err(ExperimentError::invalid("max_results", limit.to_string(), rule));
    }
    let offset = match token {
        None | Some("") => 0,
        Some(token) => {
            token.parse().map_err(|_| ExperimentError::invalid("page_token", token, "unknown token"))?
        }
    };
    let view = match view {
        Some("ALL" | "all") => View::All,
        Some("DELETED_ONLY" | "deleted_only") => View::Deleted,
        _ => View::Active,
    };
    Ok(Query {
        filter: filter.unwrap_or_default(),
        order_by: order_by.unwrap_or_default(),
        view,
        limit: limit as usize,
        offset,
    })
}

/// The token of the next page when this one is full.
fn next_token(query: &Query, found: usize) -> Option<String> {
    (found == query.limit).then(|| (query.offset + found).to_string())
}
