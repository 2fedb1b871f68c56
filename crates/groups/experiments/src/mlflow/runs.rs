use axum::Json;
use axum::extract::Query as UrlQuery;
use axum::response::{IntoResponse, Response};
use platform_primitives::Timestamp;
use platform_web::Caller;
use platform_web::dialect::MlflowResult;
use platform_web::mlflow::{MlflowJson, Scoped, optional_int64};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::experiments::{Pair, map, numbers};
use super::run_json::{RunInfoJson, RunJson};
use super::{Answer, ask, view};
use crate::model::{DatasetInput, ModelOutput, RunStatus};
use crate::service::{Batch, NewRun, RunChange};
use crate::{ExperimentError, Experiments};

/// Clients send `run_id` and the older `run_uuid`; either names the run.
#[derive(Deserialize)]
pub(super) struct RunKey {
    pub run_id: Option<String>,
    pub run_uuid: Option<String>,
}

impl RunKey {
    pub fn id(&self) -> Result<&str, ExperimentError> {
        self.run_id
            .as_deref()
            .or(self.run_uuid.as_deref())
            .filter(|id| !id.is_empty())
            .ok_or_else(|| ExperimentError::Missing { field: "run_id" })
    }
}

#[derive(Serialize)]
struct OneRun<'r> {
    run: RunJson<'r>,
}

#[derive(Serialize)]
struct UpdatedJson<'r> {
    run_info: RunInfoJson<'r>,
}

#[derive(Serialize)]
struct RunPage<'r> {
    runs: Vec<RunJson<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
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
    Scoped(service): Scoped<Experiments>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Create>,
) -> MlflowResult<Response> {
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
    Ok(Json(OneRun { run: RunJson::from(&record) }).into_response())
}

pub(super) async fn get(
    Scoped(service): Scoped<Experiments>,
    UrlQuery(key): UrlQuery<RunKey>,
) -> MlflowResult<Response> {
    let record = service.get_record(key.id()?).await?;
    Ok(Json(OneRun { run: RunJson::from(&*record) }).into_response())
}

#[derive(Deserialize)]
pub(super) struct Update {
    run_id: Option<String>,
    run_uuid: Option<String>,
    status: Option<String>,
    #[serde(default, deserialize_with = "optional_int64")]
    end_time: Option<i64>,
    run_name: Option<String>,
}

pub(super) async fn update(
    Scoped(service): Scoped<Experiments>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Update>,
) -> MlflowResult<Response> {
    let key = RunKey { run_id: body.run_id, run_uuid: body.run_uuid };
    let status = body.status.as_deref().map(RunStatus::parse).transpose()?;
    let end = body.end_time.map(Timestamp::from_millis);
    let name = body.run_name.filter(|name| !name.is_empty());
    let change = RunChange { status, end, name, user: None };
    let run = service.apply_run_change(&caller.name, key.id()?, change).await?;
    Ok(Json(UpdatedJson { run_info: RunInfoJson::from(&run) }).into_response())
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
    Scoped(service): Scoped<Experiments>,
    MlflowJson(body): MlflowJson<Search>,
) -> MlflowResult<Response> {
    let view = view(body.run_view_type.as_deref());
    let ask = ask(body.filter, body.order_by, body.max_results, body.page_token, (1_000, 50_000))?;
    let (found, token) = service.search_runs(&numbers(&body.experiment_ids), view, &ask).await?;
    let runs = found.iter().map(|record| RunJson::from(&**record)).collect();
    Ok(Json(RunPage { runs, next_page_token: token }).into_response())
}

pub(super) async fn delete(
    Scoped(service): Scoped<Experiments>,
    Caller(caller): Caller,
    MlflowJson(key): MlflowJson<RunKey>,
) -> Answer {
    service.set_run_deleted(&caller.name, key.id()?, true).await?;
    Ok(Json(json!({})))
}

pub(super) async fn restore(
    Scoped(service): Scoped<Experiments>,
    Caller(caller): Caller,
    MlflowJson(key): MlflowJson<RunKey>,
) -> Answer {
    service.set_run_deleted(&caller.name, key.id()?, false).await?;
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
    Scoped(service): Scoped<Experiments>,
    MlflowJson(body): MlflowJson<LogPair>,
) -> Answer {
    let (key, pair) = body.split();
    service.log_batch(key.id()?, Batch { params: vec![pair], ..Batch::default() }).await?;
    Ok(Json(json!({})))
}

pub(super) async fn set_tag(
    Scoped(service): Scoped<Experiments>,
    MlflowJson(body): MlflowJson<LogPair>,
) -> Answer {
    let (key, pair) = body.split();
    service.log_batch(key.id()?, Batch { tags: vec![pair], ..Batch::default() }).await?;
    Ok(Json(json!({})))
}

pub(super) async fn delete_tag(
    Scoped(service): Scoped<Experiments>,
    MlflowJson(body): MlflowJson<LogPair>,
) -> Answer {
    let (key, (tag, _)) = body.split();
    service.delete_tag(key.id()?, &tag).await?;
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
    #[serde(default)]
    models: Vec<WireModelInput>,
}

#[derive(Deserialize)]
struct WireModelInput {
    model_id: String,
}

pub(super) async fn log_inputs(
    Scoped(service): Scoped<Experiments>,
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
    let models = body.models.into_iter().map(|model| model.model_id).collect();
    service.log_inputs(&caller.name, &body.run_id, inputs, models).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct WireOutput {
    model_id: String,
    #[serde(default, deserialize_with = "optional_int64")]
    step: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct LogOutputs {
    run_id: String,
    #[serde(default)]
    models: Vec<WireOutput>,
}

pub(super) async fn log_outputs(
    Scoped(service): Scoped<Experiments>,
    MlflowJson(body): MlflowJson<LogOutputs>,
) -> Answer {
    let outputs = body
        .models
        .into_iter()
        .map(|output| ModelOutput { model_id: output.model_id, step: output.step.unwrap_or(0) })
        .collect();
    service.log_outputs(&body.run_id, outputs).await?;
    Ok(Json(json!({})))
}
