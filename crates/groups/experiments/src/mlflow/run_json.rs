//! Runs as MLflow's JSON, written straight from the records: a page of a hundred runs is a few thousand small objects.

use std::collections::BTreeMap;

use kernel_series::{Point, Summaries};
use platform_primitives::Timestamp;
use serde::{Serialize, Serializer};

use crate::model::{DatasetInput, ModelOutput, Run, RunRecord};

#[derive(Serialize)]
pub(super) struct RunJson<'r> {
    info: RunInfoJson<'r>,
    data: DataJson<'r>,
    inputs: InputsJson<'r>,
    outputs: OutputsJson<'r>,
}

#[derive(Serialize)]
pub(super) struct RunInfoJson<'r> {
    run_id: &'r str,
    run_uuid: &'r str,
    run_name: &'r str,
    experiment_id: String,
    user_id: &'r str,
    status: &'static str,
    start_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<Timestamp>,
    artifact_uri: String,
    lifecycle_stage: &'static str,
}

#[derive(Serialize)]
struct DataJson<'r> {
    #[serde(serialize_with = "metrics")]
    metrics: &'r Summaries,
    #[serde(serialize_with = "pairs")]
    params: &'r BTreeMap<String, String>,
    #[serde(serialize_with = "pairs")]
    tags: &'r BTreeMap<String, String>,
}

#[derive(Serialize)]
struct InputsJson<'r> {
    #[serde(serialize_with = "datasets")]
    dataset_inputs: &'r [DatasetInput],
    #[serde(serialize_with = "model_ids")]
    model_inputs: &'r [String],
}

#[derive(Serialize)]
struct OutputsJson<'r> {
    model_outputs: &'r [ModelOutput],
}

#[derive(Serialize)]
struct PairJson<'r> {
    key: &'r str,
    value: &'r str,
}

#[derive(Serialize)]
struct MetricJson<'r> {
    key: &'r str,
    #[serde(serialize_with = "value")]
    value: f64,
    timestamp: i64,
    step: i64,
}

#[derive(Serialize)]
struct DatasetInputJson<'r> {
    #[serde(serialize_with = "pairs")]
    tags: &'r BTreeMap<String, String>,
    dataset: DatasetJson<'r>,
}

#[derive(Serialize)]
struct DatasetJson<'r> {
    name: &'r str,
    digest: &'r str,
    source_type: &'r str,
    source: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'r str>,
}

#[derive(Serialize)]
struct ModelIdJson<'r> {
    model_id: &'r str,
}

impl<'r> From<&'r RunRecord> for RunJson<'r> {
    fn from(record: &'r RunRecord) -> Self {
        Self {
            info: RunInfoJson::from(&record.run),
            data: DataJson { metrics: &record.metrics, params: &record.params, tags: &record.tags },
            inputs: InputsJson { dataset_inputs: &record.inputs, model_inputs: &record.model_inputs },
            outputs: OutputsJson { model_outputs: &record.outputs },
        }
    }
}

impl<'r> From<&'r Run> for RunInfoJson<'r> {
    fn from(run: &'r Run) -> Self {
        Self {
            run_id: &run.id,
            run_uuid: &run.id,
            run_name: &run.name,
            experiment_id: run.experiment_id.to_string(),
            user_id: &run.user,
            status: run.status.name(),
            start_time: run.start,
            end_time: run.end,
            artifact_uri: run.artifact_uri(),
            lifecycle_stage: if run.deleted { "deleted" } else { "active" },
        }
    }
}

fn pairs<S: Serializer>(map: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(map.iter().map(|(key, value)| PairJson { key, value }))
}

fn metrics<S: Serializer>(summaries: &Summaries, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(summaries.iter().map(|(key, summary)| {
        let Point { at_ms, step, value } = summary.latest;
        MetricJson { key, value, timestamp: at_ms, step }
    }))
}

/// NaN as text, infinities as the largest numbers, as upstream answers.
fn value<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match value.is_nan() {
        true => serializer.serialize_str("NaN"),
        false => serializer.serialize_f64(value.clamp(f64::MIN, f64::MAX)),
    }
}

fn datasets<S: Serializer>(inputs: &[DatasetInput], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(inputs.iter().map(|input| DatasetInputJson {
        tags: &input.tags,
        dataset: DatasetJson {
            name: &input.name,
            digest: &input.digest,
            source_type: &input.source_type,
            source: &input.source,
            schema: input.schema.as_deref(),
            profile: input.profile.as_deref(),
        },
    }))
}

fn model_ids<S: Serializer>(ids: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ids.iter().map(|model_id| ModelIdJson { model_id }))
}
