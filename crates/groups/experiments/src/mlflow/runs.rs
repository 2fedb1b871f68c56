use axum::Json;
use axum::extract::{Query as UrlQuery, State};
use platform_primitives::Timestamp;
use platform_web::Caller;
use platform_web::mlflow::{MlflowJson, int64, optional_int64, real};
use serde::Deserialize;
use serde_json::json;

use super::experiments::{Pair, map};
use super::{Answer, next_token, page, render};
use crate::model::{DatasetInput, MetricPoint, RunStatus};
use crate::service::{Batch, NewRun};
use crate::{ExperimentError, Experiments};

/// Clients send `run_id` and the older `run_uuid`; either names the run.
#[derive(Deserialize)]
pub(super) struct RunKey {
    run_id: Option<String>,
    run_uuid: Option<String>,
}

impl RunKey {
    fn id(&self) -> Result<&str, ExperimentError> {
        self.run_id.as_deref().or(self.run_uuid.as_deref()).filter(|id| !id.is_empty()).ok_or_else(|| {
            ExperimentError::invalid("run_id", "", "Missing value for required parameter 'run_id'")
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Create {
    #[serde(default)]
    experiment_id: Option<String>,
    #[serde(default)]
    user_id: Option<String>,
    #[serde(default)]
    run_name: Option<String>,
    #[serde(default, deserialize_with = "optional_int64")]
    start_time: Option<i64>,
    #[serde(default)]
    tags: Vec<Pair>,
}

pub(super) async fn create(
    State(service): State<Experiments>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Create>,
) -> Answer {
    let experiment = body.experiment_id.unwrap_or_else(|| "0".to_owned());
    let tags = map(body.tags);
    let name = body.run_name.filter(|name| !name.is_empty()).or_else(|| tags.get("mlflow.runName").cloned());
    let new = NewRun {
        experiment_id: experiment
            .parse()
            .map_err(|_| ExperimentError::ExperimentNotFound { id: experiment.clone() })?,
        name: name.unwrap_or_default(),
        user: body.user_id.unwrap_or_default(),
        start: body.start_time.map(Timestamp::from_millis),
        tags,
    };
    let record = service.create_run(&caller.name, new).await?;
    Ok(Json(json!({"run": render::run(&record)})))
}

pub(super) async fn get(State(service): State<Experiments>, UrlQuery(key): UrlQuery<RunKey>) -> Answer {
    let record = service.get_record(key.id()?).await?;
    Ok(Json(json!({"run": render::run(&record)})))
}

#[derive(Deserialize)]
pub(super) struct Update {
    run_id: String,
    status: Option<String>,
    #[serde(default, deserialize_with = "optional_int64")]
    end_time: Option<i64>,
    run_name: Option<String>,
}

pub(super) async fn update(
    State(service): State<Experiments>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Update>,
) -> Answer {
    let status = body.status.as_deref().map(RunStatus::parse).transpose()?;
    let end = body.end_time.map(Timestamp::from_millis);
    let name = body.run_name.filter(|name| !name.is_empty());
    let run = service.update_run(&caller.name, &body.run_id, status, end, name).await?;
    Ok(Json(json!({"run_info": render::run_info(&run)})))
}

#[derive(Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    experiment_ids: Vec<String>,
    filter: Option<String>,
    run_view_type: Option<String>,
    #[serde(default, deserialize_with = "optional_int64")]
    max_results: Option<i64>,
    order_by: Option<Vec<String>>,
    page_token: Option<String>,
}

pub(super) async fn search(
    State(service): State<Experiments>,
    MlflowJson(body): MlflowJson<Search>,
) -> Answer {
    let query = page(
        body.filter,
        body.order_by,
        body.run_view_type.as_deref(),
        body.max_results,
        body.page_token.as_deref(),
        (1_000, 50_000),
    )?;
    let experiments: Vec<i64> = body.experiment_ids.iter().filter_map(|id| id.parse().ok()).collect();
    let found = service.search_runs(&experiments, &query).await?;
    let token = next_token(&query, found.len());
    Ok(Json(json!({"runs": found.iter().map(render::run).collect::<Vec<_>>(), "next_page_token": token})))
}

pub(super) async fn delete(
    State(service): State<Experiments>,
    Caller(caller): Caller,
    MlflowJson(key): MlflowJson<RunKey>,
) -> Answer {
    service.set_run_deleted(&caller.name, key.id()?, true).await?;
    Ok(Json(json!({})))
}

pub(super) async fn restore(
    State(service): State<Experiments>,
    Caller(caller): Caller,
    MlflowJson(key): MlflowJson<RunKey>,
) -> Answer {
    service.set_run_deleted(&caller.name, key.id()?, false).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct WirePoint {
    key: String,
    #[serde(deserialize_with = "real")]
    value: f64,
    #[serde(deserialize_with = "int64")]
    timestamp: i64,
    #[serde(default, deserialize_with = "optional_int64")]
    step: Option<i64>,
}

impl WirePoint {
    fn point(self) -> MetricPoint {
        MetricPoint {
            key: self.key,
            value: self.value,
            step: self.step.unwrap_or(0),
            at: Timestamp::from_millis(self.timestamp),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct LogMetric {
    run_id: Option<String>,
    run_uuid: Option<String>,
    key: String,
    #[serde(deserialize_with = "real")]
    value: f64,
    #[serde(deserialize_with = "int64")]
    timestamp: i64,
    #[serde(default, deserialize_with = "optional_int64")]
    step: Option<i64>,
}

pub(super) async fn log_metric(
    State(service): State<Experiments>,
    MlflowJson(body): MlflowJson<LogMetric>,
) -> Answer {
    let key = RunKey { run_id: body.run_id, run_uuid: body.run_uuid };
    let wire = WirePoint { key: body.key, value: body.value, timestamp: body.timestamp, step: body.step };
    let batch = Batch { metrics: vec![wire.point()], ..Batch::default() };
    service.log_batch(key.id()?, batch).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct LogPair {
    run_id: Option<String>,
    run_uuid: Option<String>,
    key: String,
    #[serde(default)]
    value: String,
}

impl LogPair {
    fn split(self) -> (RunKey, (String, String)) {
        (RunKey { run_id: self.run_id, run_uuid: self.run_uuid }, (self.key, self.value))
    }
}

pub(super) async fn log_param(
    State(service): State<Experiments>,
    MlflowJson(body): MlflowJson<LogPair>,
) -> Answer {
    let (key, pair) = body.split();
    service.log_batch(key.id()?, Batch { params: vec![pair], ..Batch::default() }).await?;
    Ok(Json(json!({})))
}

pub(super) async fn set_tag(
    State(service): State<Experiments>,
    MlflowJson(body): MlflowJson<LogPair>,
) -> Answer {
    let (key, pair) = body.split();
    service.log_batch(key.id()?, Batch { tags: vec![pair], ..Batch::default() }).await?;
    Ok(Json(json!({})))
}

pub(super) async fn delete_tag(
    State(service): State<Experiments>,
    MlflowJson(body): MlflowJson<LogPair>,
) -> Answer {
    let (key, (tag, _)) = body.split();
    service.delete_tag(key.id()?, &tag).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct LogBatch {
    run_id: String,
    #[serde(default)]
    metrics: Vec<WirePoint>,
    #[serde(default)]
    params: Vec<Pair>,
    #[serde(default)]
    tags: Vec<Pair>,
}

pub(super) async fn log_batch(
    State(service): State<Experiments>,
    MlflowJson(body): MlflowJson<LogBatch>,
) -> Answer {
    let pairs = |list: Vec<Pair>| list.into_iter().map(|pair| (pair.key, pair.value)).collect();
    let batch = Batch {
        metrics: body.metrics.into_iter().map(WirePoint::point).collect(),
        params: pairs(body.params),
        tags: pairs(body.tags),
    };
    service.log_batch(&body.run_id, batch).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct WireDataset {
    name: String,
    digest: String,
    source_type: String,
    source: String,
    schema: Option<String>,
    profile: Option<String>,
}

#[derive(Deserialize)]
struct WireInput {
    #[serde(default)]
    tags: Vec<Pair>,
    dataset: WireDataset,
}

#[derive(Deserialize)]
pub(super) struct LogInputs {
    run_id: String,
    #[serde(default)]
    datasets: Vec<WireInput>,
}

pub(super) async fn log_inputs(
    State(service): State<Experiments>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<LogInputs>,
) -> Answer {
    let inputs = body
        .datasets
        .into_iter()
        .map(|input| DatasetInput {
            name: input.dataset.name,
            digest: input.dataset.digest,
            source_type: input.dataset.source_type,
            source: input.dataset.source,
            schema: input.dataset.schema,
            profile: input.dataset.profile,
            tags: map(input.tags),
        })
        .collect();
    service.log_inputs(&caller.name, &body.run_id, inputs).await?;
    Ok(Json(json!({})))
}

/// A run's outputs are the models it logged; they name their run when they are created.
pub(super) async fn log_outputs(
    State(service): State<Experiments>,
    MlflowJson(key): MlflowJson<RunKey>,
) -> Answer {
    service.get_run(key.id()?).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct HistoryQuery {
    run_id: Option<String>,
    run_uuid: Option<String>,
    metric_key: String,
    max_results: Option<i64>,
    page_token: Option<String>,
}

/// Upstream's cap on a page of history.
const HISTORY_PAGE: i64 = 25_000;

pub(super) async fn history(
    State(service): State<Experiments>,
    UrlQuery(query): UrlQuery<HistoryQuery>,
) -> Answer {
    let key = RunKey { run_id: query.run_id, run_uuid: query.run_uuid };
    let limit = query.max_results.unwrap_or(HISTORY_PAGE).min(HISTORY_PAGE);
    let page =
        page(None, None, None, Some(limit), query.page_token.as_deref(), (HISTORY_PAGE, HISTORY_PAGE))?;
    let points = service.history(key.id()?, &query.metric_key, page.offset, page.limit).await?;
    let token = next_token(&page, points.len());
    let metrics: Vec<_> = points.iter().map(render::metric).collect();
    Ok(Json(json!({"metrics": metrics, "next_page_token": token})))
}
