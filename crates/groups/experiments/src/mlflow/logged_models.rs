use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Path;
use platform_primitives::new_id;
use platform_web::Caller;
use platform_web::mlflow::{MlflowJson, Scoped, optional_int64};
use serde::Deserialize;
use serde_json::json;

use super::experiments::{Pair, map, numbers};
use super::{Answer, ask, render};
use crate::model::{DatasetKey, LoggedModel, LoggedModelStatus, ModelDatasets};
use crate::store::ordered_entity;
use crate::{ExperimentError, Experiments};

#[derive(Deserialize)]
pub(super) struct Create {
    experiment_id: String,
    name: Option<String>,
    model_type: Option<String>,
    source_run_id: Option<String>,
    #[serde(default)]
    params: Vec<Pair>,
    #[serde(default)]
    tags: Vec<Pair>,
}

pub(super) async fn create(
    Scoped(service): Scoped<Experiments>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Create>,
) -> Answer {
    let id = format!("m-{}", new_id());
    let unknown = || ExperimentError::ExperimentNotFound { id: body.experiment_id.clone() };
    let now = service.now();
    let model = LoggedModel {
        experiment_id: body.experiment_id.parse().map_err(|_| unknown())?,
        run_id: body.source_run_id.unwrap_or_default(),
        name: body.name.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("model-{}", &id[26..])),
        model_type: body.model_type.unwrap_or_default(),
        status: LoggedModelStatus::Pending,
        status_message: String::new(),
        metrics: Vec::new(),
        // The experiment knows it.
        artifact_root: String::new(),
        created: now,
        updated: now,
        tags: map(body.tags),
        params: map(body.params),
        id,
    };
    let model = service.create_logged_model(&caller.name, model).await?;
    Ok(Json(json!({"model": render::logged_model(&model)})))
}

pub(super) async fn get(Scoped(service): Scoped<Experiments>, Path(id): Path<String>) -> Answer {
    let model = service.get_logged_model(&id).await?;
    Ok(Json(json!({"model": render::logged_model(&model)})))
}

#[derive(Deserialize)]
pub(super) struct Finalize {
    status: String,
    #[serde(default)]
    status_message: String,
}

pub(super) async fn finalize(
    Scoped(service): Scoped<Experiments>,
    Path(id): Path<String>,
    MlflowJson(body): MlflowJson<Finalize>,
) -> Answer {
    let status = render::parse_status(&body.status)?;
    let model = service.set_logged_model_status(&id, status, body.status_message).await?;
    Ok(Json(json!({"model": render::logged_model(&model)})))
}

pub(super) async fn delete(
    Scoped(service): Scoped<Experiments>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Answer {
    service.delete_logged_model(&caller.name, &id).await?;
    Ok(Json(json!({})))
}

pub(super) async fn delete_tag(
    Scoped(service): Scoped<Experiments>,
    Path((id, key)): Path<(String, String)>,
) -> Answer {
    service.delete_logged_model_tag(&id, &key).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct Fields {
    #[serde(default)]
    tags: Vec<Pair>,
    #[serde(default)]
    params: Vec<Pair>,
}

pub(super) async fn set_tags(
    Scoped(service): Scoped<Experiments>,
    Path(id): Path<String>,
    MlflowJson(body): MlflowJson<Fields>,
) -> Answer {
    put(&service, &id, "tag", map(body.tags)).await
}

pub(super) async fn log_params(
    Scoped(service): Scoped<Experiments>,
    Path(id): Path<String>,
    MlflowJson(body): MlflowJson<Fields>,
) -> Answer {
    put(&service, &id, "param", map(body.params)).await
}

async fn put(
    service: &Experiments,
    id: &str,
    kind: &'static str,
    fields: BTreeMap<String, String>,
) -> Answer {
    let model = service.put_logged_model_fields(id, kind, fields).await?;
    Ok(Json(json!({"model": render::logged_model(&model)})))
}

#[derive(Deserialize)]
struct OrderBy {
    field_name: String,
    #[serde(default = "ascending")]
    ascending: bool,
    /// The data set that the metric was measured on.
    dataset_name: Option<String>,
    dataset_digest: Option<String>,
}

fn ascending() -> bool {
    true
}

#[derive(Deserialize)]
struct WireDataset {
    dataset_name: String,
    #[serde(default)]
    dataset_digest: Option<String>,
}

impl WireDataset {
    fn key(self) -> DatasetKey {
        DatasetKey { name: self.dataset_name, digest: self.dataset_digest.unwrap_or_default() }
    }
}

#[derive(Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    experiment_ids: Vec<String>,
    #[serde(default)]
    datasets: Vec<WireDataset>,
    filter: Option<String>,
    #[serde(default, deserialize_with = "optional_int64")]
    max_results: Option<i64>,
    #[serde(default)]
    order_by: Vec<OrderBy>,
    page_token: Option<String>,
}

pub(super) async fn search(
    Scoped(service): Scoped<Experiments>,
    MlflowJson(body): MlflowJson<Search>,
) -> Answer {
    let mut datasets = ModelDatasets {
        searched: body.datasets.into_iter().map(WireDataset::key).collect(),
        ordered: Vec::new(),
    };
    let mut order = Vec::new();
    for OrderBy { field_name, ascending, dataset_name, dataset_digest } in body.order_by {
        let direction = if ascending { "ASC" } else { "DESC" };
        let metric = field_name.strip_prefix("metrics.").or_else(|| field_name.strip_prefix("metric."));
        order.push(match (dataset_name.filter(|name| !name.is_empty()), metric) {
            (None, _) => format!("{field_name} {direction}"),
            (Some(name), Some(metric)) => {
                let entity = ordered_entity(datasets.ordered.len());
                datasets.ordered.push(DatasetKey { name, digest: dataset_digest.unwrap_or_default() });
                format!("{entity}.{metric} {direction}")
            }
            (Some(_), None) => {
                let rule = "only metrics are ordered by the data set they were measured on";
                return Err(ExperimentError::invalid("order_by", &field_name, rule).into());
            }
        });
    }
    let ask = ask(body.filter, Some(order), body.max_results, body.page_token, (50, 50_000))?;
    let (found, token) =
        service.search_logged_models(&numbers(&body.experiment_ids), &datasets, &ask).await?;
    let models: Vec<_> = found.iter().map(render::logged_model).collect();
    Ok(Json(json!({"models": models, "next_page_token": token})))
}
