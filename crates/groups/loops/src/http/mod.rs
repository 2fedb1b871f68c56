//! Native API: build, clock, status, report.

use axum::Json;
use axum::extract::{Path, State};
use platform_auth::Permission::{Build, Read};
use platform_primitives::{ErrorKind, Failure, Timestamp};
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, ApiJson, Caller, Routes, Surface};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Loops;
use crate::model::{Cause, ClockMode, Phase};
use crate::report::{Report, TimelineEntry};

pub(crate) fn surface(service: &Loops) -> Surface {
    Routes::new(Dialect::Problem)
        .post("/api/v1/projects/{project}/build", Access::Needs(Build), build)
        .get("/api/v1/projects/{project}/loop", Access::Needs(Read), status)
        .post("/api/v1/projects/{project}/loop/clock", Access::Needs(Build), move_clock)
        .get("/api/v1/projects/{project}/loop/timeline", Access::Needs(Read), timeline)
        .get("/api/v1/projects/{project}/report", Access::Needs(Read), report)
        .with_state(service.clone())
}

#[derive(Deserialize)]
struct BuildBody {
    /// Present in replay mode: the loop's first "now", RFC 3339.
    replay_from: Option<String>,
}

fn time(field: &str, text: &str) -> Result<Timestamp, Failure> {
    Timestamp::parse(text)
        .map_err(|error| Failure::new(ErrorKind::Invalid, "loops/time", format!("{field}: {error}")))
}

async fn build(
    State(service): State<Loops>,
    Path(project): Path<String>,
    Caller(caller): Caller,
    ApiJson(body): ApiJson<BuildBody>,
) -> ProblemResult<Json<Value>> {
    let (clock, start) = match &body.replay_from {
        Some(text) => (ClockMode::Replay, time("replay_from", text)?),
        None => (ClockMode::Wall, service.wall_now()),
    };
    service.build(&caller.name, &project, clock, start).await?;
    service.settle().await?;
    Ok(Json(json!({})))
}

async fn status(State(service): State<Loops>, Path(project): Path<String>) -> ProblemResult<Json<Value>> {
    let (state, attempts, waits_for) = service.status(&project).await?;
    let first =
        attempts.iter().find(|attempt| attempt.phase == Phase::Promoted && attempt.cause == Cause::First);
    Ok(Json(json!({
        "state": state,
        "attempt": attempts.last(),
        "first_build": first.and_then(|attempt| attempt.pipeline_run.as_ref()),
        "waits_for": waits_for,
    })))
}

#[derive(Deserialize)]
struct ClockBody {
    now: String,
}

/// Lets the loop see everything up to `now`. `waits_for` tells what must happen before time goes on.
async fn move_clock(
    State(service): State<Loops>,
    Path(project): Path<String>,
    ApiJson(body): ApiJson<ClockBody>,
) -> ProblemResult<Json<Value>> {
    let waits_for = service.advance(&project, time("now", &body.now)?, ClockMode::Replay).await?;
    Ok(Json(json!({"waits_for": waits_for})))
}

async fn report(State(service): State<Loops>, Path(project): Path<String>) -> ProblemResult<Json<Report>> {
    Ok(Json(service.report(&project).await?))
}

async fn timeline(
    State(service): State<Loops>,
    Path(project): Path<String>,
) -> ProblemResult<Json<Vec<TimelineEntry>>> {
    Ok(Json(service.timeline(&project).await?))
}
