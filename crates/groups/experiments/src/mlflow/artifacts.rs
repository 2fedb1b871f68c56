//! The artifact proxy: `mlflow-artifacts:/PATH` is `/api/2.0/mlflow-artifacts/artifacts/PATH`.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query as UrlQuery};
use axum::response::{IntoResponse, Response};
use http::{Method, header};
use platform_primitives::{ErrorKind, Failure};
use platform_web::dialect::{Dialect, MlflowResult};
use platform_web::mlflow::{Scoped, Unscoped};
use platform_web::{Routes, Surface};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, READ, TRACK};
use crate::Experiments;
use crate::artifacts::ArtifactPath;
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
    routes
        .get("/get-artifact", READ, get_of_run)
        .get("/ajax-api/2.0/mlflow/get-artifact", READ, get_of_run)
        .post("/ajax-api/2.0/mlflow/upload-artifact", TRACK, upload_to_run)
        .get("/ajax-api/2.0/mlflow/logged-models/{id}/artifacts/files", READ, get_of_model)
        .get("/api/2.0/mlflow/logged-models/{id}/artifacts/files", READ, get_of_model)
        .with_state(Unscoped::new(service.clone()))
}

#[derive(Deserialize)]
struct RunFile {
    run_id: Option<String>,
    run_uuid: Option<String>,
    path: Option<String>,
}

impl RunFile {
    fn run(&self) -> Option<&str> {
        self.run_id.as_deref().or(self.run_uuid.as_deref()).filter(|id| !id.is_empty())
    }
}

fn missing(what: &str) -> Failure {
    Failure::new(ErrorKind::Invalid, "mlflow/artifacts", format!("Request must specify {what}."))
}

async fn get_of_run(
    Scoped(service): Scoped<Experiments>,
    UrlQuery(query): UrlQuery<RunFile>,
) -> MlflowResult<Response> {
    let run = query.run().ok_or_else(|| missing("run_id"))?;
    let path = query.path.as_deref().ok_or_else(|| missing("path"))?;
    ArtifactPath::parse(path)?;
    let run = service.get_run(run).await?;
    download(Scoped(service), Path(format!("{}/{path}", run.artifact_folder()?))).await
}

async fn upload_to_run(
    Scoped(service): Scoped<Experiments>,
    UrlQuery(query): UrlQuery<RunFile>,
    body: Body,
) -> MlflowResult<Response> {
    let run = query.run().ok_or_else(|| missing("run_uuid"))?;
    let path = query.path.as_deref().filter(|path| !path.is_empty()).ok_or_else(|| missing("path"))?;
    ArtifactPath::parse(path)?;
    if axum::body::HttpBody::size_hint(&body).exact() == Some(0) {
        return Err(missing("data").into());
    }
    let run = service.get_run(run).await?;
    upload(Scoped(service), Path(format!("{}/{path}", run.artifact_folder()?)), body).await
}

#[derive(Deserialize)]
struct ModelFile {
    artifact_file_path: String,
}

async fn get_of_model(
    Scoped(service): Scoped<Experiments>,
    Path(id): Path<String>,
    UrlQuery(query): UrlQuery<ModelFile>,
) -> MlflowResult<Response> {
    ArtifactPath::parse(&query.artifact_file_path)?;
    let model = service.get_logged_model(&id).await?;
    let folder = model.artifact_folder()?;
    download(Scoped(service), Path(format!("{folder}/{}", query.artifact_file_path))).await
}

#[derive(Deserialize)]
pub(super) struct ModelListQuery {
    #[serde(default)]
    artifact_directory_path: String,
}

pub(super) async fn list_of_model(
    Scoped(service): Scoped<Experiments>,
    Path(id): Path<String>,
    UrlQuery(query): UrlQuery<ModelListQuery>,
) -> Answer {
    let model = service.get_logged_model(&id).await?;
    let (root, uri) = (model.artifact_folder()?, model.artifact_uri());
    list_inside(&service, (&root, &uri), &query.artifact_directory_path).await
}

async fn upload(
    Scoped(service): Scoped<Experiments>,
    Path(path): Path<String>,
    body: Body,
) -> MlflowResult<Response> {
    service.put_artifact(&path, body.into_data_stream()).await?;
    Ok(Json(json!({})).into_response())
}

async fn download(Scoped(service): Scoped<Experiments>, Path(path): Path<String>) -> MlflowResult<Response> {
    let (size, bytes) = service.get_artifact(&path).await?;
    // Whatever a client logged is handed back as bytes: never shown as a page of ours.
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
        (header::CONTENT_DISPOSITION, "attachment".to_owned()),
    ];
    Ok((headers, Body::from_stream(bytes)).into_response())
}

async fn delete(Scoped(service): Scoped<Experiments>, Path(path): Path<String>) -> Answer {
    service.delete_artifacts(&path).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct ListQuery {
    #[serde(default)]
    path: String,
}

async fn list(Scoped(service): Scoped<Experiments>, UrlQuery(query): UrlQuery<ListQuery>) -> Answer {
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
    Scoped(service): Scoped<Experiments>,
    UrlQuery(query): UrlQuery<RunListQuery>,
) -> Answer {
    let run = service.get_run(&query.run_id).await?;
    let (root, uri) = (run.artifact_folder()?, run.artifact_uri());
    list_inside(&service, (&root, &uri), &query.path).await
}

async fn list_inside(service: &Experiments, (root, uri): (&str, &str), path: &str) -> Answer {
    let inside = path.trim_matches('/');
    let folder = if inside.is_empty() { root.to_owned() } else { format!("{root}/{inside}") };
    let prefix = if inside.is_empty() { String::new() } else { format!("{inside}/") };
    let entries = service.list_artifacts(&folder).await?;
    let files: Vec<Value> = entries.iter().map(|entry| file(entry, &prefix)).collect();
    Ok(Json(json!({"root_uri": uri, "files": files})))
}

fn file(entry: &ArtifactEntry, prefix: &str) -> Value {
    let mut file = json!({"path": format!("{prefix}{}", entry.name), "is_dir": entry.is_folder});
    if let Some(size) = entry.size_bytes {
        file["file_size"] = json!(size);
    }
    file
}
