//! Our records as MLflow's JSON.

use std::collections::BTreeMap;

use kernel_series::Point;
use platform_web::mlflow::real_to_json;
use serde_json::{Value, json};

use crate::ExperimentError;
use crate::model::*;

pub(super) fn tags(tags: &BTreeMap<String, String>) -> Vec<Value> {
    tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}

fn lifecycle(deleted: bool) -> &'static str {
    if deleted { "deleted" } else { "active" }
}

pub(super) fn experiment(experiment: &Experiment) -> Value {
    json!({
        "experiment_id": experiment.id.to_string(),
        "name": experiment.name,
        "artifact_location": format!("mlflow-artifacts:/{}", experiment.id),
        "lifecycle_stage": lifecycle(experiment.deleted),
        "creation_time": experiment.created,
        "last_update_time": experiment.updated,
        "tags": tags(&experiment.tags),
    })
}

pub(super) fn run_info(run: &Run) -> Value {
    let mut info = json!({
        "run_id": run.id,
        "run_uuid": run.id,
        "run_name": run.name,
        "experiment_id": run.experiment_id.to_string(),
        "user_id": run.user,
        "status": run.status.name(),
        "start_time": run.start,
        "artifact_uri": run.artifact_uri(),
        "lifecycle_stage": lifecycle(run.deleted),
    });
    if let Some(end) = run.end {
        info["end_time"] = json!(end);
    }
    info
}

fn metric(key: &str, point: &Point) -> Value {
    json!({"key": key, "value": real_to_json(point.value), "timestamp": point.at_ms, "step": point.step})
}

fn model_metric(model: &str, metric: &ModelMetric) -> Value {
    let mut value = json!({
        "key": metric.key,
        "value": real_to_json(metric.value),
        "timestamp": metric.at,
        "step": metric.step,
        "model_id": model,
        "run_id": metric.run_id,
    });
    if !metric.dataset_name.is_empty() {
        value["dataset_name"] = json!(metric.dataset_name);
        value["dataset_digest"] = json!(metric.dataset_digest);
    }
    value
}

pub(super) fn run(record: &RunRecord) -> Value {
    let inputs: Vec<Value> = record
        .inputs
        .iter()
        .map(|input| {
            json!({
                "tags": tags(&input.tags),
                "dataset": {
                    "name": input.name,
                    "digest": input.digest,
                    "source_type": input.source_type,
                    "source": input.source,
                    "schema": input.schema,
                    "profile": input.profile,
                },
            })
        })
        .collect();
    let model_inputs: Vec<Value> = record.model_inputs.iter().map(|id| json!({"model_id": id})).collect();
    let metrics: Vec<Value> =
        record.metrics.iter().map(|(key, summary)| metric(key, &summary.latest)).collect();
    json!({
        "info": run_info(&record.run),
        "data": {
            "metrics": metrics,
            "params": tags(&record.params),
            "tags": tags(&record.tags),
        },
        "inputs": {"dataset_inputs": inputs, "model_inputs": model_inputs},
        "outputs": {"model_outputs": record.outputs},
    })
}

pub(super) fn logged_model(model: &LoggedModel) -> Value {
    json!({
        "info": {
            "model_id": model.id,
            "experiment_id": model.experiment_id.to_string(),
            "name": model.name,
            "creation_timestamp_ms": model.created,
            "last_updated_timestamp_ms": model.updated,
            "artifact_uri": format!("mlflow-artifacts:/{}", model.artifact_folder()),
            "status": status(model.status),
            "status_message": model.status_message,
            "model_type": model.model_type,
            "source_run_id": model.run_id,
            "tags": tags(&model.tags),
        },
        "data": {
            "params": tags(&model.params),
            "metrics": model.metrics.iter().map(|metric| model_metric(&model.id, metric)).collect::<Vec<_>>(),
        },
    })
}

fn status(status: LoggedModelStatus) -> &'static str {
    match status {
        LoggedModelStatus::Pending => "LOGGED_MODEL_PENDING",
        LoggedModelStatus::Ready => "LOGGED_MODEL_READY",
        LoggedModelStatus::Failed => "LOGGED_MODEL_UPLOAD_FAILED",
    }
}

pub(super) fn parse_status(name: &str) -> Result<LoggedModelStatus, ExperimentError> {
    let known = [LoggedModelStatus::Pending, LoggedModelStatus::Ready, LoggedModelStatus::Failed];
    known.into_iter().find(|known| status(*known) == name).ok_or_else(|| {
        let names = known.map(status).join(", ");
        ExperimentError::invalid("status", name, format!("expected one of {names}"))
    })
}
