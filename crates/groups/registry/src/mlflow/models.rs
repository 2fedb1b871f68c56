use axum::Json;
use axum::extract::{Query, State};
use platform_web::Caller;
use platform_web::mlflow::{MlflowJson, optional_int64};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Pair, model_json, version_json};
use crate::Registry;

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
    let tags = body.tags.into_iter().map(|pair| (pair.key, pair.value)).collect();
    let description = body.description.unwrap_or_default();
    let model = service.create_model(&caller.name, &body.name, &description, tags).await?;
    Ok(Json(json!({"registered_model": model_json(&model, &[])})))
}

#[derive(Deserialize)]
pub(super) struct ByName {
    name: String,
}

pub(super) async fn get(State(service): State<Registry>, Query(query): Query<ByName>) -> Answer {
    let model = service.get_model(&query.name).await?;
    let latest = service.list_versions(&query.name, 1).await?;
    Ok(Json(json!({"registered_model": model_json(&model, &latest)})))
}

#[derive(Deserialize)]
pub(super) struct Search {
    filter: Option<String>,
    #[serde(default, deserialize_with = "optional_int64")]
    max_results: Option<i64>,
    page_token: Option<String>,
}

pub(super) async fn search(State(service): State<Registry>, Query(query): Query<Search>) -> Answer {
    let limit = query.max_results.unwrap_or(100).clamp(1, 1_000) as usize;
    let after = query.page_token.unwrap_or_default();
    let models = service.list_models(query.filter.as_deref().unwrap_or_default(), &after, limit).await?;
    let token = (models.len() == limit).then(|| models.last().map(|model| model.name.clone())).flatten();
    let models: Vec<_> = models.iter().map(|model| model_json(model, &[])).collect();
    Ok(Json(json!({"registered_models": models, "next_page_token": token})))
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
    service.change_model(&caller.name, &body.name, |model| model.description = body.description).await?;
    get(State(service), Query(ByName { name: body.name })).await
}

#[derive(Deserialize)]
pub(super) struct Rename {
    name: String,
    new_name: String,
}

pub(super) async fn rename(
    State(service): State<Registry>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Rename>,
) -> Answer {
    let model = service.rename_model(&caller.name, &body.name, &body.new_name).await?;
    Ok(Json(json!({"registered_model": model_json(&model, &[])})))
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

pub(super) async fn set_tag(State(service): State<Registry>, MlflowJson(body): MlflowJson<Tag>) -> Answer {
    service.set_model_tag(&body.name, body.key, Some(body.value.unwrap_or_default())).await?;
    Ok(Json(json!({})))
}

pub(super) async fn delete_tag(State(service): State<Registry>, MlflowJson(body): MlflowJson<Tag>) -> Answer {
    service.set_model_tag(&body.name, body.key, None).await?;
    Ok(Json(json!({})))
}

pub(super) async fn latest_versions(
    State(service): State<Registry>,
    MlflowJson(body): MlflowJson<ByName>,
) -> Answer {
    service.get_model(&body.name).await?;
    let latest = service.list_versions(&body.name, 1).await?;
    Ok(Json(json!({"model_versions": latest.iter().map(version_json).collect::<Vec<_>>()})))
}

#[derive(Deserialize)]
pub(super) struct Alias {
    name: String,
    alias: String,
    version: Option<String>,
}

pub(super) async fn get_alias(State(service): State<Registry>, Query(query): Query<Alias>) -> Answer {
    let version = service.version_by_alias(&query.name, &query.alias).await?;
    Ok(Json(json!({"model_version": version_json(&version)})))
}

pub(super) async fn set_alias(
    State(service): State<Registry>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Alias>,
) -> Answer {
    let text = body.version.unwrap_or_default();
    let version = super::versions::number(&body.name, &text)?;
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
