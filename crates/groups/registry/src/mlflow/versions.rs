use axum::Json;
use axum::extract::{Query, State};
use platform_web::Caller;
use platform_web::mlflow::{MlflowJson, optional_int64};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Pair, version_json};
use crate::service::NewVersion;
use crate::{Registry, RegistryError};

pub(super) fn number(model: &str, version: &str) -> Result<i64, RegistryError> {
    version
        .parse()
        .map_err(|_| RegistryError::VersionNotFound { model: model.to_owned(), version: version.to_owned() })
}

#[derive(Deserialize)]
pub(super) struct Create {
    name: String,
    source: String,
    run_id: Option<String>,
    model_id: Option<String>,
    description: Option<String>,
    #[serde(default)]
    tags: Vec<Pair>,
}

pub(super) async fn create(
    State(service): State<Registry>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Create>,
) -> Answer {
    let scheme = body.source.split_once(':').map_or("", |(scheme, _)| scheme);
    if !matches!(scheme, "models" | "runs" | "mlflow-artifacts") || body.source.contains("..") {
        let rule = "expected models:/, runs:/ or mlflow-artifacts:/ on this server".to_owned();
        return Err(RegistryError::Invalid { field: "source", value: body.source, rule }.into());
    }
    let logged_model_id = body.model_id.unwrap_or_else(|| {
        body.source.strip_prefix("models:/").filter(|id| id.starts_with("m-")).unwrap_or_default().to_owned()
    });
    let new = NewVersion {
        model: body.name,
        source: body.source,
        run_id: body.run_id.unwrap_or_default(),
        logged_model_id,
        description: body.description.unwrap_or_default(),
        tags: body.tags.into_iter().map(|pair| (pair.key, pair.value)).collect(),
    };
    let version = service.create_version(&caller.name, new).await?;
    Ok(Json(json!({"model_version": version_json(&version)})))
}

#[derive(Deserialize)]
pub(super) struct Key {
    name: String,
    version: String,
}

pub(super) async fn get(State(service): State<Registry>, Query(key): Query<Key>) -> Answer {
    let version = service.get_version(&key.name, number(&key.name, &key.version)?).await?;
    Ok(Json(json!({"model_version": version_json(&version)})))
}

pub(super) async fn download_uri(State(service): State<Registry>, Query(key): Query<Key>) -> Answer {
    let version = service.get_version(&key.name, number(&key.name, &key.version)?).await?;
    Ok(Json(json!({"artifact_uri": version.source})))
}

#[derive(Deserialize)]
pub(super) struct Search {
    filter: Option<String>,
    #[serde(default, deserialize_with = "optional_int64")]
    max_results: Option<i64>,
}

pub(super) async fn search(State(service): State<Registry>, Query(query): Query<Search>) -> Answer {
    let limit = query.max_results.unwrap_or(10_000).clamp(1, 200_000) as usize;
    let found = service.search_versions(query.filter.as_deref().unwrap_or_default(), limit).await?;
    Ok(Json(json!({"model_versions": found.iter().map(version_json).collect::<Vec<_>>()})))
}

#[derive(Deserialize)]
pub(super) struct Update {
    name: String,
    version: String,
    #[serde(default)]
    description: String,
}

pub(super) async fn update(
    State(service): State<Registry>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Update>,
) -> Answer {
    let version = number(&body.name, &body.version)?;
    let version = service.describe_version(&caller.name, &body.name, version, body.description).await?;
    Ok(Json(json!({"model_version": version_json(&version)})))
}

pub(super) async fn delete(
    State(service): State<Registry>,
    Caller(caller): Caller,
    MlflowJson(key): MlflowJson<Key>,
) -> Answer {
    service.delete_version(&caller.name, &key.name, number(&key.name, &key.version)?).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct Tag {
    name: String,
    version: String,
    key: String,
    value: Option<String>,
}

pub(super) async fn set_tag(State(service): State<Registry>, MlflowJson(body): MlflowJson<Tag>) -> Answer {
    let version = number(&body.name, &body.version)?;
    service.set_version_tag(&body.name, version, body.key, Some(body.value.unwrap_or_default())).await?;
    Ok(Json(json!({})))
}

pub(super) async fn delete_tag(State(service): State<Registry>, MlflowJson(body): MlflowJson<Tag>) -> Answer {
    let version = number(&body.name, &body.version)?;
    service.set_version_tag(&body.name, version, body.key, None).await?;
    Ok(Json(json!({})))
}

/// Stages would be a second way to say who serves.
pub(super) async fn transition_stage() -> Answer {
    Err(RegistryError::Unsupported { feature: "model version stages (use aliases and approvals)" }.into())
}
