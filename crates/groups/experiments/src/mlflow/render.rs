//! Our records as MLflow's JSON.

use std::collections::BTreeMap;

use platform_web::mlflow::real_to_json;
use serde_json::{Value, json};

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
        "artifact_uri": format!("mlflow-artifacts:/{}", run.artifact_folder()),
        "lifecycle_stage": lifecycle(run.deleted),
    });
    if let Some(end) = run.end {
        info["end_time"] = json!(end);
    }
    info
}

pub(super) fn metric(point: &MetricPoint) -> Value {
    json!({"key": point.key, "value": real_to_json(point.value), "timestamp": point.at, "step": point.step})
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
    let outputs: Vec<Value> = record.outputs.iter().map(|id| json!({"model_id": id, "step": 0})).collect();
    json!({
        "info": run_info(&record.run),
        "data": {
            "metrics": record.metrics.iter().map(metric).collect::<Vec<_>>(),
            "params": tags(&record.params),
            "tags": tags(&record.tags),
        },
        "inputs": {"dataset_inputs": inputs},
        "outputs": {"model_outputs": outputs},
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
            "status": model.status,
            "model_type": model.model_type,
            "source_run_id": model.run_id,
            "tags": tags(&model.tags),
        },
        "data": {"params": tags(&model.params), "metrics": []},
    })
}
