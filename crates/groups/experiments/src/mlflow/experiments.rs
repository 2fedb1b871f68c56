use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Query as UrlQuery, State};
use platform_web::Caller;
use platform_web::mlflow::{MlflowJson, optional_int64};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, next_token, page, render};
use crate::Experiments;

#[derive(Deserialize)]
pub(super) struct Pair {
    pub key: String,
    #[serde(default)]
    pub value: String,
}

pub(super) fn map(pairs: Vec<Pair>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|pair| (pair.key, pair.value)).collect()
}

#[derive(Deserialize)]
pub(super) struct Create {
    name: String,
    #[serde(default)]
    tags: Vec<Pair>,
}

pub(super) async fn create(
    State(service): State<Experiments>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Create>,
) -> Answer {
    let id = service.create_experiment(&caller.name, &body.name, map(body.tags)).await?;
    Ok(Json(json!({"experiment_id": id.to_string()})))
}

#[derive(Deserialize)]
pub(super) struct ById {
    experiment_id: String,
}

pub(super) async fn get(State(service): State<Experiments>, UrlQuery(query): UrlQuery<ById>) -> Answer {
    let experiment = service.get_experiment(&query.experiment_id).await?;
    Ok(Json(json!({"experiment": render::experiment(&experiment)})))
}

#[derive(Deserialize)]
pub(super) struct ByName {
    experiment_name: String,
}

pub(super) async fn get_by_name(
    State(service): State<Experiments>,
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
    State(service): State<Experiments>,
    MlflowJson(body): MlflowJson<Search>,
) -> Answer {
    let query = page(
        body.filter,
        body.order_by,
        body.view_type.as_deref(),
        body.max_results,
        body.page_token.as_deref(),
        (1_000, 50_000),
    )?;
    let found = service.search_experiments(&query).await?;
    let token = next_token(&query, found.len());
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
    state: State<Experiments>,
    UrlQuery(query): UrlQuery<SearchQuery>,
) -> Answer {
    let body = Search {
        filter: query.filter,
        order_by: None,
        view_type: query.view_type,
        max_results: query.max_results,
        page_token: query.page_token,
    };
    search(state, MlflowJson(body)).await
}

pub(super) async fn delete(
    State(service): State<Experiments>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<ById>,
) -> Answer {
    service
        .change_experiment(&caller.name, &body.experiment_id, |experiment| experiment.deleted = true)
        .await?;
    Ok(Json(json!({})))
}

pub(super) async fn restore(
    State(service): State<Experiments>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<ById>,
) -> Answer {
    service
        .change_experiment(&caller.name, &body.experiment_id, |experiment| experiment.deleted = false)
        .await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct Update {
    experiment_id: String,
    new_name: String,
}

pub(super) async fn update(
    State(service): State<Experiments>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Update>,
) -> Answer {
    service
        .change_experiment(&caller.name, &body.experiment_id, |experiment| experiment.name = body.new_name)
        .await?;
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
    State(service): State<Experiments>,
    MlflowJson(body): MlflowJson<SetTag>,
) -> Answer {
    service.set_experiment_tag(&body.experiment_id, body.key, body.value).await?;
    Ok(Json(json!({})))
}
