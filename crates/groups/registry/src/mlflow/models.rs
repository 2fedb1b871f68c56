use axum::Json;
use axum::extract::Query;
use platform_web::Caller;
use platform_web::mlflow::{MlflowJson, Scoped};
use serde::Deserialize;
use serde_json::json;

use super::query::{Params, whole};
use super::shelf::Shelf;
use super::{Answer, Pair, entry_json, model_json, pairs, version_json, versions_json};
use crate::RegistryError;
use crate::model::Stage;

#[derive(Deserialize)]
pub(super) struct Create {
    name: String,
    #[serde(default)]
    tags: Vec<Pair>,
    description: Option<String>,
}

pub(super) async fn create(
    Scoped(shelf): Scoped<Shelf>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Create>,
) -> Answer {
    let description = body.description.unwrap_or_default();
    let (service, name) = shelf.new_model("name", &body.name)?;
    let model = service.create_model(&caller.name, &name, &description, pairs(body.tags)).await?;
    Ok(Json(json!({"registered_model": model_json(&model, &[])})))
}

pub(super) async fn get(Scoped(shelf): Scoped<Shelf>, Query(query): Query<Params>) -> Answer {
    let (service, name) = shelf.model(query.text("name")?)?;
    let entry = service.get_model_entry(&name).await?;
    Ok(Json(json!({"registered_model": entry_json(&entry)})))
}

pub(super) async fn search(Scoped(shelf): Scoped<Shelf>, Query(query): Query<Params>) -> Answer {
    let page = shelf.to_search().search_models(query.search()?).await?;
    let models: Vec<_> = page.items.iter().map(entry_json).collect();
    Ok(Json(json!({"registered_models": models, "next_page_token": page.next})))
}

#[derive(Deserialize)]
pub(super) struct Update {
    name: String,
    #[serde(default)]
    description: String,
}

pub(super) async fn update(
    Scoped(shelf): Scoped<Shelf>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Update>,
) -> Answer {
    let (service, name) = shelf.model(&body.name)?;
    service.describe_model(&caller.name, &name, body.description).await?;
    let entry = service.get_model_entry(&name).await?;
    Ok(Json(json!({"registered_model": entry_json(&entry)})))
}

#[derive(Deserialize)]
pub(super) struct Rename {
    name: String,
    #[serde(default)]
    new_name: String,
}

pub(super) async fn rename(
    Scoped(shelf): Scoped<Shelf>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Rename>,
) -> Answer {
    let (_, new_name) = shelf.new_model("new_name", &body.new_name)?;
    let (service, name) = shelf.model(&body.name)?;
    let entry = service.rename_model(&caller.name, &name, &new_name).await?;
    Ok(Json(json!({"registered_model": entry_json(&entry)})))
}

#[derive(Deserialize)]
pub(super) struct ByName {
    name: String,
}

pub(super) async fn delete(
    Scoped(shelf): Scoped<Shelf>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<ByName>,
) -> Answer {
    let (service, name) = shelf.model(&body.name)?;
    service.delete_model(&caller.name, &name).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct Tag {
    name: String,
    key: String,
    value: Option<String>,
}

pub(super) async fn set_tag(
    Scoped(shelf): Scoped<Shelf>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Tag>,
) -> Answer {
    let value = Some(body.value.unwrap_or_default());
    let (service, name) = shelf.model(&body.name)?;
    service.set_model_tag(&caller.name, &name, body.key, value).await?;
    Ok(Json(json!({})))
}

pub(super) async fn delete_tag(
    Scoped(shelf): Scoped<Shelf>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Tag>,
) -> Answer {
    let (service, name) = shelf.model(&body.name)?;
    service.set_model_tag(&caller.name, &name, body.key, None).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct Latest {
    name: String,
    #[serde(default)]
    stages: Vec<String>,
}

pub(super) async fn latest_versions(
    Scoped(shelf): Scoped<Shelf>,
    MlflowJson(body): MlflowJson<Latest>,
) -> Answer {
    latest(&shelf, &body.name, &body.stages).await
}

pub(super) async fn latest_versions_by_query(
    Scoped(shelf): Scoped<Shelf>,
    Query(query): Query<Params>,
) -> Answer {
    latest(&shelf, query.text("name")?, &query.list("stages")).await
}

async fn latest(shelf: &Shelf, name: &str, stages: &[String]) -> Answer {
    let stages: Result<Vec<Stage>, RegistryError> = stages.iter().map(|stage| Stage::parse(stage)).collect();
    let (service, name) = shelf.model(name)?;
    let latest = service.latest_versions(&name, &stages?).await?;
    Ok(Json(json!({"model_versions": versions_json(&latest)})))
}

#[derive(Deserialize)]
pub(super) struct Alias {
    name: String,
    #[serde(default)]
    alias: String,
    version: Option<String>,
}

pub(super) async fn get_alias(Scoped(shelf): Scoped<Shelf>, Query(query): Query<Params>) -> Answer {
    let (service, name) = shelf.model(query.text("name")?)?;
    let version = service.version_by_alias(&name, query.text("alias")?).await?;
    Ok(Json(json!({"model_version": version_json(&version)})))
}

pub(super) async fn set_alias(
    Scoped(shelf): Scoped<Shelf>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Alias>,
) -> Answer {
    let text = body.version.ok_or(RegistryError::Missing { field: "version" })?;
    let version = whole("version", &text)?;
    let (service, name) = shelf.model(&body.name)?;
    service.set_alias(&caller.name, &name, &body.alias, Some(version)).await?;
    Ok(Json(json!({})))
}

pub(super) async fn delete_alias(
    Scoped(shelf): Scoped<Shelf>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Alias>,
) -> Answer {
    let (service, name) = shelf.model(&body.name)?;
    service.set_alias(&caller.name, &name, &body.alias, None).await?;
    Ok(Json(json!({})))
}
