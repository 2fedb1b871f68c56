//! Native API: labels in, assessments and drift out.

use axum::Json;
use axum::extract::{Path, State};
use platform_auth::Permission::{Predict, Read};
use platform_primitives::{ErrorKind, Failure, Timestamp};
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, ApiJson, Routes, Surface};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Monitoring;
use crate::model::{Assessment, DriftScore, Label};

const BODY_LIMIT: usize = 16 * 1024 * 1024;
const SHOWN: usize = 1_000;

pub(crate) fn surface(service: &Monitoring) -> Surface {
    Routes::new(Dialect::Problem)
        .body_limit(BODY_LIMIT)
        .post("/api/v1/endpoints/{name}/labels", Access::Needs(Predict), add_labels)
        .get("/api/v1/endpoints/{name}/assessments", Access::Needs(Read), assessments)
        .get("/api/v1/endpoints/{name}/drift", Access::Needs(Read), drift)
        .with_state(service.clone())
}

#[derive(Deserialize)]
struct LabelsBody {
    labels: Vec<Label>,
}

async fn add_labels(
    State(service): State<Monitoring>,
    Path(name): Path<String>,
    ApiJson(body): ApiJson<LabelsBody>,
) -> ProblemResult<Json<Value>> {
    let sent = body.labels.len();
    let mut labels = Vec::with_capacity(sent);
    for label in body.labels {
        let observed = Timestamp::parse(&label.observed_at).map_err(|error| {
            let message = format!("label {:?}: observed_at: {error}", label.id);
            Failure::new(ErrorKind::Invalid, "monitoring/label-time", message)
        })?;
        labels.push((label.id, label.value, observed));
    }
    let accepted = service.add_labels(&name, labels).await?;
    Ok(Json(json!({"accepted": accepted, "known_before": sent as u64 - accepted})))
}

async fn assessments(
    State(service): State<Monitoring>,
    Path(name): Path<String>,
) -> ProblemResult<Json<Vec<Assessment>>> {
    Ok(Json(service.assessments(&name, SHOWN).await?))
}

async fn drift(
    State(service): State<Monitoring>,
    Path(name): Path<String>,
) -> ProblemResult<Json<Vec<DriftScore>>> {
    Ok(Json(service.drift_scores(&name, SHOWN).await?))
}
