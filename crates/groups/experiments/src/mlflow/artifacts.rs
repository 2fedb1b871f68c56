//! The artifact proxy: `mlflow-artifacts:/PATH` is `/api/2.0/mlflow-artifacts/artifacts/PATH`.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query as UrlQuery, State};
use axum::response::{IntoResponse, Response};
use http::{Method, header};
use platform_web::dialect::{Dialect, MlflowResult};
use platform_web::{Routes, Surface};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, READ, TRACK};
use crate::Experiments;
use crate::model::ArtifactEntry;

pub(crate) fn surface(service: &Experiments) -> Surface {
    let mut routes = Routes::new(Dialect::Mlflow).streaming();
    for prefix in ["/api", "/ajax-api"] {
        let root = format!("{prefix}/2.0/mlflow-artifacts/artifacts");
        let one = format!("{root}/{{*path}}");
        routes = routes
            .get(&root, READ, list)
            .get(&one, READ, download)
            .route(Method::PUT, &one, TRACK, upload)
            .route(Method::DELETE, &one, TRACK, delete);
    }
    routes.with_state(service.clone())
}

async fn upload(
    State(service): State<Experiments>,
    Path(path): Path<String>,
    body: Body,
) -> MlflowResult<Response> {
    service.put_artifact(&path, body.into_data_stream()).await?;
    Ok(Json(json!({})).into_response())
}

async fn download(State(service): State<Experiments>, Path(path): Path<String>) -> MlflowResult<Response> {
    let (size, bytes) = service.get_artifact(&path).await?;
    // Whatever a client logged is handed back as bytes: never shown as a page of ours.
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
        (header::CONTENT_DISPOSITION, "attachment".to_owned()),
    ];
    Ok((headers, Body::from_stream(bytes)).into_response())
}

async fn delete(State(service): State<Experiments>, Path(path): Path<String>) -> Answer {
    service.delete_artifacts(&path).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct ListQuery {
    #[serde(default)]
    path: String,
}

async fn list(State(service): State<Experiments>, UrlQuery(query): UrlQuery<ListQuery>) -> Answer {
    let entries = service.list_artifacts(&query.path).await?;
    Ok(Json(json!({"files": entries.iter().map(|entry| file(entry, "")).collect::<Vec<_>>()})))
}

#[derive(Deserialize)]
pub(super) struct RunListQuery {
    run_id: String,
    #[serde(default)]
    path: String,
}

/// Paths in this answer are relative to the run's root.
pub(super) async fn list_of_run(
    State(service): State<Experiments>,
    UrlQuery(query): UrlQuery<RunListQuery>,
) -> Answer {
    let run = service.get_run(&query.run_id).await?;
    let inside = query.path.trim_matches('/');
    let folder =
        if inside.is_empty() { run.artifact_folder() } else { format!("{}/{inside}", run.artifact_folder()) };
    let prefix = if inside.is_empty() { String::new() } else { format!("{inside}/") };
    let entries = service.list_artifacts(&folder).await?;
    let files: Vec<Value> = entries.iter().map(|entry| file(entry, &prefix)).collect();
    Ok(Json(json!({"root_uri": format!("mlflow-artifacts:/{}", run.artifact_folder()), "files": files})))
}

fn file(entry: &ArtifactEntry, prefix: &str) -> Value {
    let mut file = json!({"path": format!("{prefix}{}", entry.name), "is_dir": entry.is_folder});
    if let Some(size) = entry.size_bytes {
        file["file_size"] = json!(size);
    }
    file
}
