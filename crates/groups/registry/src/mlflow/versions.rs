use axum::Json;
use axum::body::Body;
use axum::extract::Query;
use axum::response::{IntoResponse as _, Response};
use http::header;
use platform_web::Caller;
use platform_web::dialect::MlflowResult;
use platform_web::mlflow::{MlflowJson, Scoped};
use serde::Deserialize;
use serde_json::json;

use super::query::{Params, whole};
use super::shelf::Shelf;
use super::{Answer, Pair, pairs, version_json, versions_json};
use crate::RegistryError;
use crate::service::NewVersion;

#[derive(Deserialize)]
pub(super) struct Create {
    name: String,
    source: String,
    run_id: Option<String>,
    run_link: Option<String>,
    model_id: Option<String>,
    description: Option<String>,
    #[serde(default)]
    tags: Vec<Pair>,
}

pub(super) async fn create(
    Scoped(shelf): Scoped<Shelf>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Create>,
) -> Answer {
    let (service, model) = shelf.new_model("name", &body.name)?;
    let new = NewVersion {
        model,
        source: body.source,
        run_id: body.run_id.unwrap_or_default(),
        run_link: body.run_link.unwrap_or_default(),
        logged_model_id: body.model_id.unwrap_or_default(),
        description: body.description.unwrap_or_default(),
        tags: pairs(body.tags),
    };
    let version = service.create_version(&caller.name, new).await?;
    Ok(Json(json!({"model_version": version_json(&version)})))
}

pub(super) async fn get(Scoped(shelf): Scoped<Shelf>, Query(query): Query<Params>) -> Answer {
    let number = whole("version", query.text("version")?)?;
    let (service, name) = shelf.model(query.text("name")?)?;
    let version = service.get_version(&name, number).await?;
    Ok(Json(json!({"model_version": version_json(&version)})))
}

pub(super) async fn download_uri(Scoped(shelf): Scoped<Shelf>, Query(query): Query<Params>) -> Answer {
    let number = whole("version", query.text("version")?)?;
    let (service, name) = shelf.model(query.text("name")?)?;
    let version = service.get_version(&name, number).await?;
    Ok(Json(json!({"artifact_uri": version.location})))
}

pub(super) async fn search(Scoped(shelf): Scoped<Shelf>, Query(query): Query<Params>) -> Answer {
    let page = shelf.to_search().search_versions(query.search()?).await?;
    Ok(Json(json!({"model_versions": versions_json(&page.items), "next_page_token": page.next})))
}

#[derive(Deserialize)]
pub(super) struct Update {
    name: String,
    version: String,
    #[serde(default)]
    description: String,
}

pub(super) async fn update(
    Scoped(shelf): Scoped<Shelf>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Update>,
) -> Answer {
    let number = whole("version", &body.version)?;
    let (service, name) = shelf.model(&body.name)?;
    let version = service.describe_version(&caller.name, &name, number, body.description).await?;
    Ok(Json(json!({"model_version": version_json(&version)})))
}

#[derive(Deserialize)]
pub(super) struct Transition {
    name: String,
    version: String,
    stage: String,
    #[serde(default)]
    archive_existing_versions: bool,
}

pub(super) async fn transition_stage(
    Scoped(shelf): Scoped<Shelf>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Transition>,
) -> Answer {
    let number = whole("version", &body.version)?;
    let archive = body.archive_existing_versions;
    let (service, name) = shelf.model(&body.name)?;
    let version = service.put_in_stage(&caller.name, &name, number, &body.stage, archive).await?;
    Ok(Json(json!({"model_version": version_json(&version)})))
}

#[derive(Deserialize)]
pub(super) struct Key {
    name: String,
    version: String,
}

pub(super) async fn delete(
    Scoped(shelf): Scoped<Shelf>,
    Caller(caller): Caller,
    MlflowJson(key): MlflowJson<Key>,
) -> Answer {
    let (service, name) = shelf.model(&key.name)?;
    service.delete_version(&caller.name, &name, whole("version", &key.version)?).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct Tag {
    name: String,
    version: String,
    key: String,
    value: Option<String>,
}

pub(super) async fn set_tag(
    Scoped(shelf): Scoped<Shelf>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Tag>,
) -> Answer {
    let number = whole("version", &body.version)?;
    let value = Some(body.value.unwrap_or_default());
    let (service, name) = shelf.model(&body.name)?;
    service.set_version_tag(&caller.name, &name, number, body.key, value).await?;
    Ok(Json(json!({})))
}

pub(super) async fn delete_tag(
    Scoped(shelf): Scoped<Shelf>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Tag>,
) -> Answer {
    let number = whole("version", &body.version)?;
    let (service, name) = shelf.model(&body.name)?;
    service.set_version_tag(&caller.name, &name, number, body.key, None).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct FileOfVersion {
    name: String,
    version: i64,
    path: String,
}

/// Whatever a client logged is handed back as bytes: never shown as a page of ours.
pub(super) async fn get_artifact(
    Scoped(shelf): Scoped<Shelf>,
    Query(query): Query<FileOfVersion>,
) -> MlflowResult<Response> {
    if query.path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(RegistryError::HostilePath.into());
    }
    let (service, name) = shelf.model(&query.name)?;
    let (size, bytes) = service.open_file(&name, query.version, &query.path).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
        (header::CONTENT_DISPOSITION, "attachment".to_owned()),
    ];
    Ok((headers, Body::from_stream(bytes)).into_response())
}
