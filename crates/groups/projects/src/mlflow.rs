//! MLflow's workspaces over REST, as mlflow 3.17.2 speaks it. Translates; decides nothing.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode};
use platform_auth::Permission::{Administer, Read};
use platform_web::dialect::{Dialect, MlflowResult};
use platform_web::mlflow::MlflowJson;
use platform_web::{Access, Caller, Routes, Surface};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::Workspace;
use crate::service::WorkspaceChange;
use crate::{ProjectError, Projects};

type Answer = MlflowResult<Json<Value>>;

pub(crate) fn surface(service: &Projects) -> Surface {
    const READ: Access = Access::Needs(Read);
    const ADMINISTER: Access = Access::Needs(Administer);
    let mut routes = Routes::new(Dialect::Mlflow);
    for prefix in ["/api", "/ajax-api"] {
        let all = format!("{prefix}/3.0/mlflow/workspaces");
        let one = format!("{all}/{{name}}");
        routes = routes
            .get(&all, READ, list)
            .post(&all, ADMINISTER, create)
            .get(&one, READ, get)
            .route(Method::PATCH, &one, ADMINISTER, update)
            .route(Method::DELETE, &one, ADMINISTER, delete);
    }
    routes.with_state(service.clone())
}

fn workspace_json(workspace: &Workspace) -> Value {
    let mut body = json!({"name": workspace.name});
    if let Some(description) = &workspace.description {
        body["description"] = json!(description);
    }
    if let Some(root) = &workspace.default_artifact_root {
        body["default_artifact_root"] = json!(root);
    }
    body
}

async fn list(State(service): State<Projects>) -> Answer {
    let workspaces: Vec<Value> = service.workspaces().await?.iter().map(workspace_json).collect();
    Ok(Json(json!({"workspaces": workspaces})))
}

async fn get(State(service): State<Projects>, Path(name): Path<String>) -> Answer {
    Ok(Json(json!({"workspace": workspace_json(&service.get_workspace(&name).await?)})))
}

#[derive(Deserialize)]
struct Create {
    name: String,
    description: Option<String>,
    default_artifact_root: Option<String>,
}

async fn create(
    State(service): State<Projects>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Create>,
) -> MlflowResult<Response> {
    let made = service
        .create_workspace(&caller.name, &body.name, body.description, body.default_artifact_root)
        .await?;
    Ok((StatusCode::CREATED, Json(json!({"workspace": workspace_json(&made)}))).into_response())
}

#[derive(Deserialize)]
struct Update {
    description: Option<String>,
    default_artifact_root: Option<String>,
}

async fn update(
    State(service): State<Projects>,
    Path(name): Path<String>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Update>,
) -> Answer {
    let change =
        WorkspaceChange { description: body.description, default_artifact_root: body.default_artifact_root };
    let workspace = service.update_workspace(&caller.name, &name, change).await?;
    Ok(Json(json!({"workspace": workspace_json(&workspace)})))
}

#[derive(Deserialize)]
struct Delete {
    mode: Option<String>,
}

/// What becomes of the things in a workspace: of upstream's three modes, the one that keeps them.
async fn delete(
    State(service): State<Projects>,
    Path(name): Path<String>,
    Caller(caller): Caller,
    Query(query): Query<Delete>,
) -> MlflowResult<Response> {
    match query.mode.as_deref() {
        None | Some("RESTRICT") => {}
        Some(mode @ ("SET_DEFAULT" | "CASCADE")) => {
            return Err(ProjectError::DeletionMode { mode: mode.to_owned() }.into());
        }
        Some(mode) => return Err(ProjectError::UnknownMode { mode: mode.to_owned() }.into()),
    }
    service.delete_workspace(&caller.name, &name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
