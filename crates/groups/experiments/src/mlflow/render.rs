//! Our records as MLflow's JSON.

use std::collections::BTreeMap;

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
        "artifact_location": experiment.artifact_uri(),
        "lifecycle_stage": lifecycle(experiment.deleted),
        "creation_time": experiment.created,
        "last_update_time": experiment.updated,
        "tags": tags(&experiment.tags),
    })
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

pub(super) fn logged_model(model: &LoggedModel) -> Value {
    json!({
        "info": {
            "model_id": model.id,
            "experiment_id": model.experiment_id.to_string(),
            "name": model.name,
            "creation_timestamp_ms": model.created,
            "last_updated_timestamp_ms": model.updated,
            "artifact_uri": model.artifact_uri(),
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
