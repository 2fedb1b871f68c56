use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query};
use platform_web::Caller;
use platform_web::mlflow::{MlflowJson, Scoped, optional_int64};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, ask, page_limit, required};
use crate::{Evaluation, EvaluationDataset, EvaluationError, EvaluationRecord, record};

fn dataset_json(dataset: &EvaluationDataset) -> Value {
    let tags = json!(dataset.tags).to_string();
    let mut body = json!({
        "dataset_id": dataset.id,
        "name": dataset.name,
        "tags": tags,
        "digest": dataset.digest,
        "created_time": dataset.created,
        "last_update_time": dataset.updated,
        "experiment_ids": dataset.experiments,
    });
    let mut put = |field: &str, value: Option<String>| {
        if let Some(value) = value {
            body[field] = value.into();
        }
    };
    put("schema", dataset.schema.as_ref().map(Value::to_string));
    put("profile", (dataset.records > 0).then(|| json!({"num_records": dataset.records}).to_string()));
    put("created_by", dataset.created_by.clone());
    put("last_updated_by", dataset.updated_by.clone());
    body
}

/// Tags travel as the text of a JSON object; what is no text becomes one.
fn tags(text: Option<&str>) -> Result<BTreeMap<String, String>, EvaluationError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(BTreeMap::new()) };
    let tags: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        EvaluationError::invalid("tags", text, format!("expected the text of a JSON object: {error}"))
    })?;
    let text = |value: Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    Ok(tags.into_iter().filter_map(|(key, value)| Some((key, text(value)?))).collect())
}

#[derive(Deserialize)]
pub(super) struct Create {
    name: Option<String>,
    #[serde(default)]
    experiment_ids: Vec<String>,
    tags: Option<String>,
}

pub(super) async fn create(
    Scoped(service): Scoped<Evaluation>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Create>,
) -> Answer {
    let name = required(body.name, "name")?;
    let tags = tags(body.tags.as_deref())?;
    let dataset = service.create_dataset(&caller.name, name, tags, body.experiment_ids).await?;
    Ok(Json(json!({"dataset": dataset_json(&dataset)})))
}

pub(super) async fn get(Scoped(service): Scoped<Evaluation>, Path(id): Path<String>) -> Answer {
    Ok(Json(json!({"dataset": dataset_json(&service.get_dataset(&id).await?)})))
}

pub(super) async fn delete(
    Scoped(service): Scoped<Evaluation>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Answer {
    service.delete_dataset(&caller.name, &id).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    experiment_ids: Vec<String>,
    filter_string: Option<String>,
    #[serde(default, deserialize_with = "optional_int64")]
    max_results: Option<i64>,
    #[serde(default)]
    order_by: Vec<String>,
    page_token: Option<String>,
}

pub(super) async fn search(
    Scoped(service): Scoped<Evaluation>,
    MlflowJson(body): MlflowJson<Search>,
) -> Answer {
    let ask = ask(body.filter_string, body.order_by, body.max_results, body.page_token)?;
    let (found, token) = service.search_datasets(&body.experiment_ids, &ask).await?;
    let datasets: Vec<Value> = found.iter().map(dataset_json).collect();
    Ok(Json(json!({"datasets": datasets, "next_page_token": token})))
}

/// The same by GET: lists are their key again and again.
pub(super) async fn search_by_query(
    scoped: Scoped<Evaluation>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Answer {
    let all = |key: &str| {
        pairs.iter().filter(|(name, _)| name == key).map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let limit = all("max_results").pop();
    let max_results = limit
        .map(|text| {
            text.parse().map_err(|_| EvaluationError::invalid("max_results", text, "expected a number"))
        })
        .transpose()?;
    let body = Search {
        experiment_ids: all("experiment_ids"),
        filter_string: all("filter_string").pop(),
        max_results,
        order_by: all("order_by"),
        page_token: all("page_token").pop(),
    };
    search(scoped, MlflowJson(body)).await
}

#[derive(Deserialize)]
pub(super) struct SetTags {
    tags: Option<String>,
}

pub(super) async fn set_tags(
    Scoped(service): Scoped<Evaluation>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    MlflowJson(body): MlflowJson<SetTags>,
) -> Answer {
    let text = required(body.tags, "tags")?;
    service.set_dataset_tags(&caller.name, &id, tags(Some(&text))?).await?;
    Ok(Json(json!({})))
}

pub(super) async fn delete_tag(
    Scoped(service): Scoped<Evaluation>,
    Caller(caller): Caller,
    Path((id, key)): Path<(String, String)>,
) -> Answer {
    service.delete_dataset_tag(&caller.name, &id, key).await?;
    Ok(Json(json!({})))
}

pub(super) async fn experiments(Scoped(service): Scoped<Evaluation>, Path(id): Path<String>) -> Answer {
    Ok(Json(json!({"experiment_ids": service.get_dataset(&id).await?.experiments})))
}

#[derive(Deserialize)]
pub(super) struct Experiments {
    #[serde(default)]
    experiment_ids: Vec<String>,
}

pub(super) async fn add_experiments(
    Scoped(service): Scoped<Evaluation>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    MlflowJson(body): MlflowJson<Experiments>,
) -> Answer {
    let dataset = service.add_experiments(&caller.name, &id, body.experiment_ids).await?;
    Ok(Json(json!({"dataset": dataset_json(&dataset)})))
}

pub(super) async fn remove_experiments(
    Scoped(service): Scoped<Evaluation>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    MlflowJson(body): MlflowJson<Experiments>,
) -> Answer {
    let dataset = service.remove_experiments(&caller.name, &id, body.experiment_ids).await?;
    Ok(Json(json!({"dataset": dataset_json(&dataset)})))
}

#[derive(Deserialize)]
pub(super) struct PutRecords {
    records: Option<String>,
}

pub(super) async fn put_records(
    Scoped(service): Scoped<Evaluation>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    MlflowJson(body): MlflowJson<PutRecords>,
) -> Answer {
    let records = record::parse(&required(body.records, "records")?)?;
    let (inserted, updated) = service.put_records(&caller.name, &id, records).await?;
    Ok(Json(json!({"inserted_count": inserted, "updated_count": updated})))
}

#[derive(Deserialize)]
pub(super) struct RecordsQuery {
    #[serde(default, deserialize_with = "optional_int64")]
    max_results: Option<i64>,
    page_token: Option<String>,
}

pub(super) async fn records(
    Scoped(service): Scoped<Evaluation>,
    Path(id): Path<String>,
    Query(query): Query<RecordsQuery>,
) -> Answer {
    let limit = page_limit(query.max_results)?;
    let after = match query.page_token.as_deref().filter(|token| !token.is_empty()) {
        None => None,
        Some(token) => {
            let parts = token.split_once(':').and_then(|(at, id)| Some((at.parse().ok()?, id.to_owned())));
            let rule = "Invalid page token: it is not a token of these records";
            Some(parts.ok_or_else(|| EvaluationError::invalid("page_token", token, rule))?)
        }
    };
    let (records, more) = service.records(&id, after, limit).await?;
    let token =
        records.last().filter(|_| more).map(|last| format!("{}:{}", last.created.as_millis(), last.id));
    let records: Vec<Value> = records.into_iter().map(record_json).collect();
    Ok(Json(json!({"records": Value::from(records).to_string(), "next_page_token": token})))
}

fn record_json(record: EvaluationRecord) -> Value {
    let mut body = record.body;
    if let Some(kind) = body.get("source").and_then(|source| source.get("source_type")).cloned() {
        body.insert("source_type".to_owned(), kind);
    }
    body.insert("dataset_record_id".to_owned(), record.id.into());
    body.insert("dataset_id".to_owned(), record.dataset.into());
    body.insert("created_time".to_owned(), record.created.as_millis().into());
    body.insert("last_update_time".to_owned(), record.updated.as_millis().into());
    body.into()
}

#[derive(Deserialize)]
pub(super) struct DeleteRecords {
    #[serde(default)]
    dataset_record_ids: Vec<String>,
}

pub(super) async fn delete_records(
    Scoped(service): Scoped<Evaluation>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    MlflowJson(body): MlflowJson<DeleteRecords>,
) -> Answer {
    let gone = service.delete_records(&caller.name, &id, body.dataset_record_ids).await?;
    Ok(Json(json!({"deleted_count": gone})))
}
