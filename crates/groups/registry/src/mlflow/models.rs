use axum::Json;
use axum::extract::{Query, State};
use platform_web::Caller;
use platform_web::mlflow::MlflowJson;
use serde::Deserialize;
use serde_json::json;

use super::query::{Params, whole};
use super::{Answer, Pair, entry_json, model_json, pairs, version_json, versions_json};
use crate::model::Stage;
use crate::{Registry, RegistryError};

#[derive(Deserialize)]
pub(super) struct Create {
    name: String,
    #[serde(default)]
    tags: Vec<Pair>,
    description: Option<String>,
}

pub(super) async fn create(
    State(service): State<Registry>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Create>,
) -> Answer {
    let description = body.description.unwrap_or_default();
    let model = service.create_model(&caller.name, &body.name, &description, pairs(body.tags)).await?;
    Ok(Json(json!({"registered_model": model_json(&model, &[])})))
}

pub(super) async fn get(State(service): State<Registry>, Query(query): Query<Params>) -> Answer {
    let entry = service.get_model_entry(query.text("name")?).await?;
    Ok(Json(json!({"registered_model": entry_json(&entry)})))
}

pub(super) async fn search(State(service): State<Registry>, Query(query): Query<Params>) -> Answer {
    let page = service.search_models(query.search()?).await?;
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
    State(service): State<Registry>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Update>,
) -> Answer {
    service.describe_model(&caller.name, &body.name, body.description).await?;
    let entry = service.get_model_entry(&body.name).await?;
    Ok(Json(json!({"registered_model": entry_json(&entry)})))
}

#[derive(Deserialize)]
pub(super) struct Rename {
    name: String,
    #[serde(default)]
    new_name: String,
}

pub(super) async fn rename(
    State(service): State<Registry>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Rename>,
) -> Answer {
    let entry = service.rename_model(&caller.name, &body.name, &body.new_name).await?;
    Ok(Json(json!({"registered_model": entry_json(&entry)})))
}

#[derive(Deserialize)]
pub(super) struct ByName {
    name: String,
}

pub(super) async fn delete(
    State(service): State<Registry>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<ByName>,
) -> Answer {
    service.delete_model(&caller.name, &body.name).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct Tag {
    name: String,
    key: String,
    value: Option<String>,
}

pub(super) async fn set_tag(
    State(service): State<Registry>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Tag>,
) -> Answer {
    let value = Some(body.value.unwrap_or_default());
    service.set_model_tag(&caller.name, &body.name, body.key, value).await?;
    Ok(Json(json!({})))
}

pub(super) async fn delete_tag(
    State(service): State<Registry>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Tag>,
) -> Answer {
    service.set_model_tag(&caller.name, &body.name, body.key, None).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct Latest {
    name: String,
    #[serde(default)]
    stages: Vec<String>,
}

pub(super) async fn latest_versions(
    State(service): State<Registry>,
    MlflowJson(body): MlflowJson<Latest>,
) -> Answer {
    latest(&service, &body.name, &body.stages).await
}

pub(super) async fn latest_versions_by_query(
    State(service): State<Registry>,
    Query(query): Query<Params>,
) -> Answer {
    latest(&service, query.text("name")?, &query.list("stages")).await
}

async fn latest(service: &Registry, name: &str, stages: &[String]) -> Answer {
    let stages: Result<Vec<Stage>, RegistryError> = stages.iter().map(|stage| Stage::parse(stage)).collect();
    let latest = service.latest_versions(name, &stages?).await?;
    Ok(Json(json!({"model_versions": versions_json(&latest)})))
}

#[derive(Deserialize)]
pub(super) struct Alias {
    name: String,
    #[serde(default)]
    alias: String,
    version: Option<String>,
}

pub(super) async fn get_alias(State(service): State<Registry>, Query(query): Query<Params>) -> Answer {
    let version = service.version_by_alias(query.text("name")?, query.text("alias")?).await?;
    Ok(Json(json!({"model_version": version_json(&version)})))
}

pub(super) async fn set_alias(
    State(service): State<Registry>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Alias>,
) -> Answer {
    let text = body.version.ok_or(RegistryError::Missing { field: "version" })?;
    let version = whole("version", &text)?;
    service.set_alias(&caller.name, &body.name, &body.alias, Some(version)).await?;
    Ok(Json(json!({})))
}

pub(super) async fn delete_alias(
    State(service): State<Registry>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Alias>,
) -> Answer {
    service.set_alias(&caller.name, &body.name, &body.alias, None).await?;
    Ok(Json(json!({})))
}
