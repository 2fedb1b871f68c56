//! MLflow's tracing REST protocol, versions 2 and 3, as mlflow 3.17 speaks it. Translates; decides nothing.

mod assessments;
mod files;
mod metrics;
mod render;
mod v2;
mod v3;
mod wire;

use axum::Json;
use http::Method;
use platform_auth::Permission::{Read, Track};
use platform_web::dialect::{Dialect, MlflowResult};
use platform_web::mlflow::Unscoped;
use platform_web::{Access, Routes, Surface};
use serde_json::Value;

use crate::{TraceError, Traces};

type Answer = MlflowResult<Json<Value>>;

const READ: Access = Access::Needs(Read);
const TRACK: Access = Access::Needs(Track);

/// A trace's end carries its previews and assessments.
const BODY_LIMIT_BYTES: usize = 16 * 1024 * 1024;

pub(crate) fn surface(service: &Traces) -> Surface {
    let mut routes = Routes::new(Dialect::Mlflow).body_limit(BODY_LIMIT_BYTES);
    for prefix in ["/api/2.0/mlflow", "/ajax-api/2.0/mlflow"] {
        routes = second(shared(routes, prefix), prefix);
    }
    for prefix in ["/api/3.0/mlflow", "/ajax-api/3.0/mlflow"] {
        routes = third(shared(routes, prefix), prefix);
    }
    for prefix in ["/ajax-api/2.0/mlflow", "/ajax-api/3.0/mlflow"] {
        routes = routes.get(&format!("{prefix}/get-trace-artifact"), READ, files::get);
    }
    routes.with_state(Unscoped::new(service.clone()))
}

/// What both versions have in the same form.
fn shared(routes: Routes<Unscoped<Traces>>, prefix: &str) -> Routes<Unscoped<Traces>> {
    let path = |rest: &str| format!("{prefix}/traces{rest}");
    routes
        .post(&path("/delete-traces"), TRACK, v3::delete)
        .post(&path("/link-to-run"), TRACK, v3::link_run)
        .post(&path("/link-prompts"), TRACK, v3::link_prompts)
        .route(Method::PATCH, &path("/{trace_id}/tags"), TRACK, v3::set_tag)
        .route(Method::DELETE, &path("/{trace_id}/tags"), TRACK, v3::delete_tag)
}

fn second(routes: Routes<Unscoped<Traces>>, prefix: &str) -> Routes<Unscoped<Traces>> {
    let path = |rest: &str| format!("{prefix}{rest}");
    routes
        .post(&path("/traces"), TRACK, v2::start)
        .get(&path("/traces"), READ, v2::search)
        .route(Method::PATCH, &path("/traces/{trace_id}"), TRACK, v2::end)
        .get(&path("/traces/{trace_id}/info"), READ, v2::get)
        .get(&path("/unified-traces"), READ, v2::unified)
        .get(&path("/get-online-trace-details"), READ, v2::online_details)
}

fn third(routes: Routes<Unscoped<Traces>>, prefix: &str) -> Routes<Unscoped<Traces>> {
    let path = |rest: &str| format!("{prefix}/traces{rest}");
    routes
        .post(&path(""), TRACK, v3::start)
        .get(&path("/get"), READ, v3::get_full)
        .get(&path("/batchGet"), READ, v3::get_many_full)
        .post(&path("/batchGetInfos"), READ, v3::get_many)
        .post(&path("/search"), READ, v3::search)
        .post(&path("/metrics"), READ, metrics::query)
        .post(&path("/calculate-filter-correlation"), READ, v3::correlation)
        .get(&path("/{trace_id}"), READ, v3::get)
        .post(&path("/{trace_id}/assessments"), TRACK, assessments::create)
        .get(&path("/{trace_id}/assessments/{assessment_id}"), READ, assessments::get)
        .route(Method::PATCH, &path("/{trace_id}/assessments/{assessment_id}"), TRACK, assessments::update)
        .route(Method::DELETE, &path("/{trace_id}/assessments/{assessment_id}"), TRACK, assessments::delete)
}

/// The pairs of a query; a list is its key again and again.
type Pairs = Vec<(String, String)>;

fn all(pairs: &[(String, String)], key: &str) -> Vec<String> {
    pairs.iter().filter(|(name, _)| name == key).map(|(_, value)| value.clone()).collect()
}

fn one<'p>(pairs: &'p [(String, String)], key: &str) -> Option<&'p str> {
    pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

fn required(value: Option<String>, field: &'static str) -> Result<String, TraceError> {
    value.filter(|value| !value.is_empty()).ok_or(TraceError::Missing { field })
}
