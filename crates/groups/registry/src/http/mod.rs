//! Native API: versions, and the decisions on them.

mod governance;

use axum::Json;
use axum::extract::{Path, State};
use platform_auth::Permission::{Approve, Read};
use platform_primitives::Timestamp;
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, ApiJson, Caller, Routes, Surface};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Registry;
use crate::model::{Decision, ModelVersion};

pub(crate) use governance::{evaluation_surface, governance_surface, verify_surface};

pub(crate) fn surface(service: &Registry) -> Surface {
    Routes::new(Dialect::Problem)
        .get("/api/v1/models/{model}/versions", Access::Needs(Read), list)
        .get("/api/v1/models/{model}/versions/{version}", Access::Needs(Read), get)
        .post("/api/v1/models/{model}/versions/{version}/approve", Access::Needs(Approve), approve)
        .post("/api/v1/models/{model}/versions/{version}/reject", Access::Needs(Approve), reject)
        .with_state(service.clone())
}

async fn list(
    State(service): State<Registry>,
    Path(model): Path<String>,
) -> ProblemResult<Json<Vec<ModelVersion>>> {
    service.get_model(&model).await?;
    Ok(Json(service.list_versions(&model, 1_000).await?))
}

async fn get(
    State(service): State<Registry>,
    Path((model, version)): Path<(String, i64)>,
) -> ProblemResult<Json<Value>> {
    let version = service.get_version(&model, version).await?;
    let decisions: Vec<Decision> = service.decisions(&model, version.version).await?;
    let approvals = service.approvals(&model, version.version).await?;
    let quorum = service.gate_policy(&model).await?.map_or(1, |policy| policy.quorum);
    Ok(Json(json!({"version": version, "decisions": decisions, "approvals": approvals, "quorum": quorum})))
}

#[derive(Deserialize)]
struct Verdict {
    reason: String,
    /// Digest the approver looked at; refused when the bytes are others by now.
    digest: Option<String>,
    /// When a yes ends, in milliseconds since 1970; without, it does not.
    expires_at: Option<Timestamp>,
}

async fn approve(
    State(service): State<Registry>,
    Path((model, version)): Path<(String, i64)>,
    Caller(caller): Caller,
    ApiJson(verdict): ApiJson<Verdict>,
) -> ProblemResult<Json<ModelVersion>> {
    let digest = verdict.digest.as_deref();
    let (reason, expires) = (&verdict.reason, verdict.expires_at);
    Ok(Json(service.approve_until(&caller, &model, version, digest, reason, expires).await?))
}

async fn reject(
    State(service): State<Registry>,
    Path((model, version)): Path<(String, i64)>,
    Caller(caller): Caller,
    ApiJson(verdict): ApiJson<Verdict>,
) -> ProblemResult<Json<ModelVersion>> {
    Ok(Json(service.reject(&caller, &model, version, &verdict.reason).await?))
}
