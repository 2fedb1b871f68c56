//! Native API: the settings of an endpoint's explanations.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use platform_auth::Permission::{Deploy, Read};
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, ApiJson, Caller, Routes, Surface};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Explain;
use crate::settings::{MOST_BYTES, Settings, SettingsVersion};

const PATH: &str = "/api/v1/endpoints/{name}/explain/settings";

pub(crate) fn surface(service: &Explain) -> Surface {
    Routes::new(Dialect::Problem)
        .body_limit(MOST_BYTES)
        .get(PATH, Access::Needs(Read), get)
        .route(Method::PUT, PATH, Access::Needs(Deploy), put)
        .with_state(service.clone())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    version: Option<i64>,
}

async fn get(
    State(service): State<Explain>,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> ProblemResult<Json<Value>> {
    Ok(Json(answer(&name, &service.settings(&name, wanted.version).await?)))
}

async fn put(
    State(service): State<Explain>,
    Path(name): Path<String>,
    Caller(caller): Caller,
    ApiJson(settings): ApiJson<Settings>,
) -> ProblemResult<Json<Value>> {
    Ok(Json(answer(&name, &service.put_settings(&caller.name, &name, settings).await?)))
}

fn answer(endpoint: &str, found: &SettingsVersion) -> Value {
    json!({
        "endpoint": endpoint,
        "version": found.version,
        "at": found.at,
        "by": found.by,
        "settings": *found.settings,
    })
}
