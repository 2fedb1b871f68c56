//! Native API: a run's state and the files it wrote.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use platform_auth::Permission::Read;
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, Routes, Surface};
use serde_json::{Value, json};

use crate::Pipelines;

pub(crate) fn surface(service: &Pipelines) -> Surface {
    Routes::new(Dialect::Problem)
        .streaming()
        .get("/api/v1/projects/{project}/pipeline-runs/{run}", Access::Needs(Read), get)
        .get("/api/v1/projects/{project}/pipeline-runs/{run}/files/{*path}", Access::Needs(Read), file)
        .with_state(service.clone())
}

async fn get(
    State(service): State<Pipelines>,
    Path((_, run)): Path<(String, String)>,
) -> ProblemResult<Json<Value>> {
    let run = service.get(&run).await?;
    let steps: Vec<Value> = run
        .steps
        .iter()
        .map(|step| {
            json!({"stage": step.stage, "state": step.state, "job": step.job_id, "run": step.run_id,
                "deps": step.deps, "outs": step.outs})
        })
        .collect();
    Ok(Json(
        json!({"id": run.id, "label": run.label, "state": run.state, "error": run.error, "steps": steps}),
    ))
}

async fn file(
    State(service): State<Pipelines>,
    Path((_, run, path)): Path<(String, String, String)>,
) -> ProblemResult<Response> {
    Ok(Body::from_stream(service.read_output(&run, &path).await?).into_response())
}
