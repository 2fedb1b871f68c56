//! Version 3, and the calls that both versions share.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query};
use platform_primitives::Timestamp;
use platform_web::Caller;
use platform_web::mlflow::{MlflowJson, Scoped, optional_int64, real_to_json};
use serde::Deserialize;
use serde_json::json;

use super::assessments::AssessmentBody;
use super::{Answer, Pairs, all, one, render, required, wire};
use crate::model::{Trace, TraceState};
use crate::service::Search;
use crate::store::Doomed;
use crate::{TraceError, Traces};

#[derive(Deserialize)]
pub(super) struct Start {
    trace: StartedTrace,
}

#[derive(Deserialize)]
struct StartedTrace {
    #[serde(alias = "traceInfo")]
    trace_info: TraceBody,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TraceBody {
    trace_id: Option<String>,
    client_request_id: Option<String>,
    trace_location: Option<Location>,
    request_preview: Option<String>,
    response_preview: Option<String>,
    request_time: Option<String>,
    execution_duration: Option<String>,
    state: Option<String>,
    trace_metadata: Option<BTreeMap<String, String>>,
    tags: Option<BTreeMap<String, String>>,
    assessments: Vec<AssessmentBody>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Location {
    mlflow_experiment: Option<ExperimentLocation>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ExperimentLocation {
    experiment_id: Option<String>,
}

impl Location {
    fn experiment(self) -> Option<String> {
        self.mlflow_experiment?.experiment_id
    }
}

impl TraceBody {
    fn trace(self, now: Timestamp) -> Result<Trace, TraceError> {
        let trace_id = required(self.trace_id, "trace_id")?;
        let experiment =
            required(self.trace_location.and_then(Location::experiment), "trace_location.experiment_id")?;
        let request = match &self.request_time {
            Some(text) => wire::parse_time("request_time", text)?,
            None => Timestamp::from_millis(0),
        };
        let assessments = self
            .assessments
            .into_iter()
            .map(|body| body.assessment(&trace_id, now))
            .collect::<Result<Vec<_>, TraceError>>()?;
        let duration = self.execution_duration.as_deref();
        let mut trace = Trace::new(trace_id, experiment, request);
        trace.client_request_id = self.client_request_id;
        trace.request_preview = self.request_preview;
        trace.response_preview = self.response_preview;
        trace.duration_ms =
            duration.map(|text| wire::parse_duration("execution_duration", text)).transpose()?;
        trace.state = match &self.state {
            Some(name) => wire::parse_state(name)?,
            None => TraceState::Unspecified,
        };
        trace.metadata = self.trace_metadata.unwrap_or_default();
        trace.tags = self.tags.unwrap_or_default();
        trace.assessments = assessments;
        Ok(trace)
    }
}

pub(super) async fn start(Scoped(service): Scoped<Traces>, MlflowJson(body): MlflowJson<Start>) -> Answer {
    let trace = body.trace.trace_info.trace(service.now())?;
    let trace = service.start(trace).await?;
    Ok(Json(json!({"trace": {"trace_info": render::trace(&trace)}})))
}

pub(super) async fn get(Scoped(service): Scoped<Traces>, Path(trace_id): Path<String>) -> Answer {
    let trace = service.get(&trace_id).await?;
    Ok(Json(json!({"trace": {"trace_info": render::trace(&trace)}})))
}

pub(super) async fn get_full(Scoped(service): Scoped<Traces>, Query(query): Query<Pairs>) -> Answer {
    let trace_id = required(one(&query, "trace_id").map(str::to_owned), "trace_id")?;
    let partial = one(&query, "allow_partial").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let full = service.get_full(&trace_id, partial).await?;
    Ok(Json(json!({"trace": render::full_trace(&full)})))
}

pub(super) async fn get_many_full(Scoped(service): Scoped<Traces>, Query(query): Query<Pairs>) -> Answer {
    let found = service.get_many_full(&all(&query, "trace_ids")).await?;
    Ok(Json(json!({"traces": found.iter().map(render::full_trace).collect::<Vec<_>>()})))
}

#[derive(Deserialize)]
pub(super) struct Ids {
    trace_ids: Vec<String>,
}

pub(super) async fn get_many(Scoped(service): Scoped<Traces>, MlflowJson(body): MlflowJson<Ids>) -> Answer {
    let found = service.get_many(&body.trace_ids).await?;
    Ok(Json(json!({"trace_infos": found.iter().map(render::trace).collect::<Vec<_>>()})))
}

#[derive(Deserialize)]
pub(super) struct SearchBody {
    locations: Vec<Location>,
    filter: Option<String>,
    #[serde(default, deserialize_with = "optional_int64")]
    max_results: Option<i64>,
    #[serde(default)]
    order_by: Vec<String>,
    page_token: Option<String>,
}

pub(super) async fn search(
    Scoped(service): Scoped<Traces>,
    MlflowJson(body): MlflowJson<SearchBody>,
) -> Answer {
    let experiments: Vec<String> = body.locations.into_iter().filter_map(Location::experiment).collect();
    if experiments.is_empty() {
        return Err(TraceError::Missing { field: "locations" }.into());
    }
    let search = Search {
        experiments,
        filter: body.filter.unwrap_or_default(),
        order_by: body.order_by,
        max_results: body.max_results,
        page_token: body.page_token,
    };
    let (traces, token) = service.search(search).await?;
    let mut answer = json!({"traces": traces.iter().map(render::trace).collect::<Vec<_>>()});
    if let Some(token) = token {
        answer["next_page_token"] = json!(token);
    }
    Ok(Json(answer))
}

#[derive(Deserialize)]
pub(super) struct Pair {
    experiment_ids: Vec<String>,
    filter_string1: String,
    filter_string2: String,
    base_filter: Option<String>,
}

pub(super) async fn correlation(
    Scoped(service): Scoped<Traces>,
    MlflowJson(body): MlflowJson<Pair>,
) -> Answer {
    let base = body.base_filter.unwrap_or_default();
    let filters = [body.filter_string1.as_str(), body.filter_string2.as_str(), base.as_str()];
    let (counts, correlation) = service.correlation(&body.experiment_ids, filters).await?;
    Ok(Json(json!({
        "npmi": real_to_json(correlation.npmi),
        "npmi_smoothed": real_to_json(correlation.npmi_smoothed),
        "filter1_count": counts.first,
        "filter2_count": counts.second,
        "joint_count": counts.joint,
        "total_count": counts.total,
    })))
}

#[derive(Deserialize)]
pub(super) struct Delete {
    experiment_id: String,
    #[serde(default, deserialize_with = "optional_int64")]
    max_timestamp_millis: Option<i64>,
    #[serde(default, deserialize_with = "optional_int64")]
    max_traces: Option<i64>,
    #[serde(default)]
    request_ids: Vec<String>,
}

impl Delete {
    /// Which traces, and how many at most: by time or by id, never both.
    fn doomed(self) -> Result<(Doomed, Option<usize>), TraceError> {
        let wrong = |rule: &str| TraceError::invalid("max_timestamp_millis", "", rule);
        match (self.max_timestamp_millis, self.request_ids.is_empty()) {
            (None, true) => Err(wrong("Either `max_timestamp_millis` or `trace_ids` must be specified.")),
            (Some(_), false) => {
                Err(wrong("Only one of `max_timestamp_millis` and `trace_ids` can be specified."))
            }
            (None, false) if self.max_traces.is_some() => {
                Err(wrong("`max_traces` can't be specified if `trace_ids` is specified."))
            }
            (None, false) => Ok((Doomed::Ids(self.request_ids), None)),
            (Some(last), true) => {
                let most = self.max_traces.map(|most| {
                    usize::try_from(most).ok().filter(|most| *most > 0).ok_or_else(|| {
                        TraceError::invalid("max_traces", most.to_string(), "must be a positive integer")
                    })
                });
                Ok((Doomed::Until(Timestamp::from_millis(last)), most.transpose()?))
            }
        }
    }
}

pub(super) async fn delete(
    Scoped(service): Scoped<Traces>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Delete>,
) -> Answer {
    let experiment = body.experiment_id.clone();
    let (doomed, most) = body.doomed()?;
    let gone = service.delete(&caller.name, &experiment, doomed, most).await?;
    Ok(Json(json!({"traces_deleted": gone})))
}

#[derive(Deserialize)]
pub(super) struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

pub(super) async fn set_tag(
    Scoped(service): Scoped<Traces>,
    Path(trace_id): Path<String>,
    MlflowJson(body): MlflowJson<Tag>,
) -> Answer {
    service.set_tag(&trace_id, body.key, body.value).await?;
    Ok(Json(json!({})))
}

pub(super) async fn delete_tag(
    Scoped(service): Scoped<Traces>,
    Path(trace_id): Path<String>,
    MlflowJson(body): MlflowJson<Tag>,
) -> Answer {
    service.delete_tag(&trace_id, body.key).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct RunLink {
    trace_ids: Vec<String>,
    run_id: String,
}

pub(super) async fn link_run(
    Scoped(service): Scoped<Traces>,
    MlflowJson(body): MlflowJson<RunLink>,
) -> Answer {
    service.link_run(body.trace_ids, &body.run_id).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct PromptLink {
    trace_id: String,
    prompt_versions: Vec<PromptVersion>,
}

#[derive(Deserialize)]
struct PromptVersion {
    name: String,
    version: String,
}

pub(super) async fn link_prompts(
    Scoped(service): Scoped<Traces>,
    MlflowJson(body): MlflowJson<PromptLink>,
) -> Answer {
    let mut prompts = Vec::new();
    for PromptVersion { name, version } in body.prompt_versions {
        let number: u64 = version
            .parse()
            .map_err(|_| TraceError::invalid("version", version.as_str(), "expected a whole number"))?;
        prompts.push(format!("{name}/{number}"));
    }
    service.link_prompts(&body.trace_id, prompts).await?;
    Ok(Json(json!({})))
}
