use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Query as UrlQuery;
use platform_primitives::{ErrorKind, Failure};
use platform_web::Caller;
pub(super) use platform_web::mlflow::Pair;
use platform_web::mlflow::{MlflowJson, Scoped, optional_int64};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, ask, render, view};
use crate::Experiments;

pub(super) fn map(pairs: Vec<Pair>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|pair| (pair.key, pair.value)).collect()
}

#[derive(Deserialize)]
pub(super) struct Create {
    name: String,
    #[serde(default)]
    artifact_location: Option<String>,
    #[serde(default)]
    tags: Vec<Pair>,
}

pub(super) async fn create(
    Scoped(service): Scoped<Experiments>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Create>,
) -> Answer {
    let location = body.artifact_location.unwrap_or_default();
    let id = service.create_experiment(&caller.name, &body.name, &location, map(body.tags)).await?;
    Ok(Json(json!({"experiment_id": id.to_string()})))
}

#[derive(Deserialize)]
pub(super) struct ById {
    experiment_id: String,
}

pub(super) async fn get(Scoped(service): Scoped<Experiments>, UrlQuery(query): UrlQuery<ById>) -> Answer {
    let experiment = service.get_experiment(&query.experiment_id).await?;
    Ok(Json(json!({"experiment": render::experiment(&experiment)})))
}

#[derive(Deserialize)]
pub(super) struct ByName {
    experiment_name: String,
}

pub(super) async fn get_by_name(
    Scoped(service): Scoped<Experiments>,
    UrlQuery(query): UrlQuery<ByName>,
) -> Answer {
    let experiment = service.get_experiment_by_name(&query.experiment_name).await?;
    Ok(Json(json!({"experiment": render::experiment(&experiment)})))
}

#[derive(Deserialize)]
pub(super) struct Search {
    filter: Option<String>,
    #[serde(default)]
    order_by: Option<Vec<String>>,
    #[serde(default)]
    view_type: Option<String>,
    #[serde(default, deserialize_with = "optional_int64")]
    max_results: Option<i64>,
    #[serde(default)]
    page_token: Option<String>,
}

pub(super) async fn search(
    Scoped(service): Scoped<Experiments>,
    MlflowJson(body): MlflowJson<Search>,
) -> Answer {
    let view = view(body.view_type.as_deref());
    let ask = ask(body.filter, body.order_by, body.max_results, body.page_token, (1_000, 50_000))?;
    let (found, token) = service.search_experiments(view, &ask).await?;
    let experiments: Vec<_> = found.iter().map(render::experiment).collect();
    Ok(Json(json!({"experiments": experiments, "next_page_token": token})))
}

#[derive(Deserialize)]
pub(super) struct SearchQuery {
    filter: Option<String>,
    view_type: Option<String>,
    max_results: Option<i64>,
    page_token: Option<String>,
}

pub(super) async fn search_by_query(
    scoped: Scoped<Experiments>,
    UrlQuery(query): UrlQuery<SearchQuery>,
) -> Answer {
    let body = Search {
        filter: query.filter,
        order_by: None,
        view_type: query.view_type,
        max_results: query.max_results,
        page_token: query.page_token,
    };
    search(scoped, MlflowJson(body)).await
}

pub(super) async fn delete(
    Scoped(service): Scoped<Experiments>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<ById>,
) -> Answer {
    service.set_experiment_deleted(&caller.name, &body.experiment_id, true).await?;
    Ok(Json(json!({})))
}

pub(super) async fn restore(
    Scoped(service): Scoped<Experiments>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<ById>,
) -> Answer {
    service.set_experiment_deleted(&caller.name, &body.experiment_id, false).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct Update {
    experiment_id: String,
    new_name: String,
}

pub(super) async fn update(
    Scoped(service): Scoped<Experiments>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Update>,
) -> Answer {
    service.rename_experiment(&caller.name, &body.experiment_id, &body.new_name).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct SetTag {
    experiment_id: String,
    key: String,
    #[serde(default)]
    value: String,
}

pub(super) async fn set_tag(
    Scoped(service): Scoped<Experiments>,
    MlflowJson(body): MlflowJson<SetTag>,
) -> Answer {
    service.set_experiment_tag(&body.experiment_id, body.key, body.value).await?;
    Ok(Json(json!({})))
}

pub(super) async fn delete_tag(
    Scoped(service): Scoped<Experiments>,
    MlflowJson(body): MlflowJson<SetTag>,
) -> Answer {
    service.delete_experiment_tag(&body.experiment_id, body.key).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct SearchDatasets {
    #[serde(default)]
    experiment_ids: Vec<String>,
}

/// As many as upstream's page asks for.
const DATASETS: usize = 1_000;
const DATASET_EXPERIMENTS: usize = 20;

pub(super) async fn search_datasets(
    Scoped(service): Scoped<Experiments>,
    MlflowJson(body): MlflowJson<SearchDatasets>,
) -> Answer {
    let invalid = |message: String| Failure::new(ErrorKind::Invalid, "mlflow/datasets", message);
    if body.experiment_ids.is_empty() {
        let message = "SearchDatasets request must specify at least one experiment_id.";
        return Err(invalid(message.to_owned()).into());
    }
    if body.experiment_ids.len() > DATASET_EXPERIMENTS {
        let (most, found) = (DATASET_EXPERIMENTS, body.experiment_ids.len());
        let message = format!(
            "SearchDatasets request cannot specify more than {most} experiment_ids. Received {found}."
        );
        return Err(invalid(message).into());
    }
    let experiments = numbers(&body.experiment_ids);
    if experiments.is_empty() {
        return Ok(Json(json!({})));
    }
    let found = service.dataset_summaries(&experiments, DATASETS).await?;
    let summaries: Vec<_> = found
        .iter()
        .map(|dataset| {
            json!({
                "experiment_id": dataset.experiment_id.to_string(),
                "name": dataset.name,
                "digest": dataset.digest,
                "context": dataset.context,
            })
        })
        .collect();
    Ok(Json(json!({"dataset_summaries": summaries})))
}

/// Ids that are no numbers name no experiment.
pub(super) fn numbers(ids: &[String]) -> Vec<i64> {
    ids.iter().filter_map(|id| id.parse().ok()).collect()
}
