//! Native API: endpoints and their traffic.

use axum::Json;
use axum::extract::{Path, State};
use platform_auth::Permission::{Deploy, Predict, Read};
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, ApiJson, Caller, Routes, Surface};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::Endpoint;
use crate::{Serving, ServingError};

pub(crate) fn surface(service: &Serving) -> Surface {
    Routes::new(Dialect::Problem)
        .get("/api/v1/endpoints", Access::Needs(Read), list)
        .get("/api/v1/endpoints/{name}", Access::Needs(Read), get)
        .post("/api/v1/endpoints/{name}/flush", Access::Needs(Predict), flush)
        .with_state(service.clone())
}

/// A deployment reads every byte of its version again.
pub(crate) fn deploy_surface(service: &Serving) -> Surface {
    Routes::new(Dialect::Problem)
        .without_deadline()
        .post("/api/v1/endpoints/{name}/deploy", Access::Needs(Deploy), deploy)
        .with_state(service.clone())
}

async fn list(State(service): State<Serving>) -> ProblemResult<Json<Vec<Endpoint>>> {
    Ok(Json(service.list().await?))
}

async fn get(State(service): State<Serving>, Path(name): Path<String>) -> ProblemResult<Json<Endpoint>> {
    Ok(Json(service.get(&name).await?))
}

#[derive(Deserialize)]
struct DeployBody {
    model: String,
    version: String,
    #[serde(default)]
    reason: String,
}

async fn deploy(
    State(service): State<Serving>,
    Path(name): Path<String>,
    Caller(caller): Caller,
    ApiJson(body): ApiJson<DeployBody>,
) -> ProblemResult<Json<Endpoint>> {
    let version = body
        .version
        .parse()
        .map_err(|_| ServingError::request(format!("version is {:?}, expected a number", body.version)))?;
    Ok(Json(service.deploy(&caller.name, &name, &body.model, version, &body.reason).await?))
}

/// Answers when every prediction before it is durable in the log.
async fn flush(State(service): State<Serving>, Path(name): Path<String>) -> ProblemResult<Json<Value>> {
    service.get(&name).await?;
    service.flush().await;
    Ok(Json(json!({"dropped": service.dropped()})))
}
