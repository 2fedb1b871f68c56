//! Native API: apply a repository, list projects.

use std::path::PathBuf;

use axum::Json;
use axum::extract::State;
use platform_auth::Permission::{Build, Read};
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, ApiJson, Caller, Routes, Surface};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Projects;
use crate::model::Project;

pub(crate) fn surface(service: &Projects) -> Surface {
    Routes::new(Dialect::Problem)
        .post("/api/v1/projects", Access::Needs(Build), apply)
        .get("/api/v1/projects", Access::Needs(Read), list)
        .with_state(service.clone())
}

#[derive(Deserialize)]
struct ApplyBody {
    /// Absolute path of a repository on the server's machine.
    directory: PathBuf,
}

fn render(project: &Project) -> Value {
    json!({"name": project.name, "digest": project.digest, "file": project.file, "updated": project.updated})
}

async fn apply(
    State(service): State<Projects>,
    Caller(caller): Caller,
    ApiJson(body): ApiJson<ApplyBody>,
) -> ProblemResult<Json<Value>> {
    Ok(Json(render(&service.apply(&caller.name, &body.directory).await?)))
}

async fn list(State(service): State<Projects>) -> ProblemResult<Json<Value>> {
    Ok(Json(service.list().await?.iter().map(render).collect()))
}
