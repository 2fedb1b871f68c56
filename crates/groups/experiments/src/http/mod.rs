//! Our own API: what MLflow has no call for.

use axum::Json;
use axum::extract::State;
use platform_auth::Permission::Administer;
use platform_primitives::Timestamp;
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, ApiJson, Caller, Routes, Surface};
use serde::{Deserialize, Serialize};

use crate::Experiments;

pub(crate) fn surface(service: &Experiments) -> Surface {
    Routes::new(Dialect::Problem)
        .post("/api/v1/runs/purge", Access::Needs(Administer), purge)
        .with_state(service.clone())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Purge {
    /// Runs of this experiment only; all experiments without it.
    #[serde(default)]
    experiment_id: Option<i64>,
    /// Only runs deleted at least so long ago.
    #[serde(default)]
    deleted_for_ms: i64,
}

#[derive(Serialize)]
struct Purged {
    purged: usize,
}

/// Deleted runs go for good, with their points and files' names; restoring them is no longer possible.
async fn purge(
    State(service): State<Experiments>,
    Caller(caller): Caller,
    ApiJson(body): ApiJson<Purge>,
) -> ProblemResult<Json<Purged>> {
    let before = Timestamp::from_millis(service.now().as_millis().saturating_sub(body.deleted_for_ms.max(0)));
    let purged = service.purge_runs(&caller.name, body.experiment_id, before).await?;
    Ok(Json(Purged { purged }))
}
