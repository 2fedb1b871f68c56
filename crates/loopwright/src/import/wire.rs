//! MLflow's JSON as the things it stands for. Whole numbers come as numbers or as text, empty fields not at all.

use std::collections::BTreeMap;

use group_experiments::{
    DatasetInput, Experiment, LoggedModel, LoggedModelStatus, ModelMetric, ModelOutput, Run, RunRecord,
    RunStatus,
};
use group_registry::{ForeignVersion, RegisteredModel, Stage};
use kernel_series::Point;
use platform_primitives::Timestamp;
use platform_web::mlflow::DEFAULT_WORKSPACE;
use serde_json::Value;

use super::source::{ForeignExperiment, ForeignModel, ForeignRun, logged_value};
use crate::cli::CommandError;

/// The list under a key; empty when there is none.
pub fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[] as &[Value], Vec::as_slice)
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn whole(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}

fn time(value: &Value) -> Timestamp {
    Timestamp::from_millis(whole(value))
}

fn real(value: &Value) -> f64 {
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
    logged_value(number.unwrap_or(f64::NAN))
}

/// A list of `{"key", "value"}`.
fn pairs(value: &Value, key: &str) -> BTreeMap<String, String> {
    list(value, key).iter().map(|pair| (text(&pair["key"]), text(&pair["value"]))).collect()
}

fn is_deleted(value: &Value) -> bool {
    value["lifecycle_stage"].as_str() == Some("deleted")
}

/// The token of the next page; an empty one is none.
pub fn next_token(value: &Value) -> Option<String> {
    value["next_page_token"].as_str().filter(|token| !token.is_empty()).map(str::to_owned)
}

pub fn experiment(value: &Value) -> ForeignExperiment {
    let id = text(&value["experiment_id"]);
    ForeignExperiment {
        experiment: Experiment {
            id: id.parse().unwrap_or(-1),
            name: text(&value["name"]),
            deleted: is_deleted(value),
            created: time(&value["creation_time"]),
            updated: time(&value["last_update_time"]),
            workspace: DEFAULT_WORKSPACE.to_owned(),
            artifact_location: String::new(),
            tags: pairs(value, "tags"),
        },
        id,
    }
}

/// A run as `runs/get` answers, to be in experiment `target`.
pub fn run(value: &Value, target: i64) -> Result<ForeignRun, CommandError> {
    let (info, data) = (&value["info"], &value["data"]);
    let end = &info["end_time"];
    let tags = pairs(data, "tags");
    let name = info["run_name"].as_str().filter(|name| !name.is_empty());
    let name = name.or(tags.get("mlflow.runName").map(String::as_str)).unwrap_or_default().to_owned();
    let run = Run {
        id: text(&info["run_id"]),
        experiment_id: target,
        name,
        status: RunStatus::parse(info["status"].as_str().unwrap_or("RUNNING"))?,
        user: text(&info["user_id"]),
        deleted: is_deleted(info),
        start: time(&info["start_time"]),
        end: (!end.is_null()).then(|| time(end)).filter(|end| end.as_millis() != 0),
        artifact_root: String::new(),
    };
    let inputs = &value["inputs"];
    let models = list(inputs, "model_inputs").iter();
    let outputs = list(&value["outputs"], "model_outputs").iter();
    Ok(ForeignRun {
        metric_keys: list(data, "metrics").iter().map(|metric| text(&metric["key"])).collect(),
        artifact_uri: text(&info["artifact_uri"]),
        record: RunRecord {
            run,
            tags,
            params: pairs(data, "params"),
            metrics: Default::default(),
            inputs: list(inputs, "dataset_inputs").iter().map(dataset).collect(),
            model_inputs: models.map(|model| text(&model["model_id"])).collect(),
            outputs: outputs
                .map(|model| ModelOutput { model_id: text(&model["model_id"]), step: whole(&model["step"]) })
                .collect(),
        },
    })
}

fn dataset(input: &Value) -> DatasetInput {
    let dataset = &input["dataset"];
    let optional = |key: &str| dataset[key].as_str().map(str::to_owned);
    DatasetInput {
        name: text(&dataset["name"]),
        digest: text(&dataset["digest"]),
        source_type: text(&dataset["source_type"]),
        source: text(&dataset["source"]),
        schema: optional("schema"),
        profile: optional("profile"),
        tags: pairs(input, "tags"),
    }
}

pub fn point(metric: &Value) -> Point {
    Point { at_ms: whole(&metric["timestamp"]), step: whole(&metric["step"]), value: real(&metric["value"]) }
}

pub fn logged_model(value: &Value, target: i64) -> Result<ForeignModel, CommandError> {
    let (info, data) = (&value["info"], &value["data"]);
    let metrics = list(data, "metrics").iter().map(|metric| ModelMetric {
        key: text(&metric["key"]),
        value: real(&metric["value"]),
        step: whole(&metric["step"]),
        at: time(&metric["timestamp"]),
        dataset_name: text(&metric["dataset_name"]),
        dataset_digest: text(&metric["dataset_digest"]),
        run_id: text(&metric["run_id"]),
    });
    Ok(ForeignModel {
        artifact_uri: text(&info["artifact_uri"]),
        model: LoggedModel {
            id: text(&info["model_id"]),
            experiment_id: target,
            run_id: text(&info["source_run_id"]),
            name: text(&info["name"]),
            model_type: text(&info["model_type"]),
            status: model_status(info["status"].as_str().unwrap_or_default()),
            status_message: text(&info["status_message"]),
            created: time(&info["creation_timestamp_ms"]),
            updated: time(&info["last_updated_timestamp_ms"]),
            tags: pairs(info, "tags"),
            params: pairs(data, "params"),
            metrics: metrics.collect(),
            artifact_root: String::new(),
        },
    })
}

/// What is not said is still to come.
fn model_status(name: &str) -> LoggedModelStatus {
    match name {
        "LOGGED_MODEL_READY" => LoggedModelStatus::Ready,
        "LOGGED_MODEL_UPLOAD_FAILED" => LoggedModelStatus::Failed,
        _ => LoggedModelStatus::Pending,
    }
}

pub fn registered_model(value: &Value) -> RegisteredModel {
    let aliases = list(value, "aliases").iter();
    RegisteredModel {
        name: text(&value["name"]),
        description: text(&value["description"]),
        project: String::new(),
        created: time(&value["creation_timestamp"]),
        updated: time(&value["last_updated_timestamp"]),
        tags: pairs(value, "tags"),
        aliases: aliases.map(|alias| (text(&alias["alias"]), whole(&alias["version"]))).collect(),
    }
}

/// Without its aliases: those are with its model.
pub fn version(value: &Value) -> Result<ForeignVersion, CommandError> {
    Ok(ForeignVersion {
        model: text(&value["name"]),
        version: whole(&value["version"]),
        stage: Stage::parse(value["current_stage"].as_str().unwrap_or("None"))?,
        source: text(&value["source"]),
        run_id: text(&value["run_id"]),
        run_link: text(&value["run_link"]),
        logged_model_id: text(&value["model_id"]),
        description: text(&value["description"]),
        author: text(&value["user_id"]),
        created: time(&value["creation_timestamp"]),
        updated: time(&value["last_updated_timestamp"]),
        tags: pairs(value, "tags"),
        aliases: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_that_json_has_no_word_for_are_read() {
        for (value, bits) in [
            (json!("NaN"), f64::NAN.to_bits()),
            (json!("Infinity"), f64::INFINITY.to_bits()),
            (json!("-Infinity"), f64::NEG_INFINITY.to_bits()),
            (json!(f64::MAX), f64::INFINITY.to_bits()),
            (json!(1), 1.0f64.to_bits()),
            (json!(0.1), 0.1f64.to_bits()),
        ] {
            let read = point(&json!({"value": value, "timestamp": "7", "step": -1}));
            assert_eq!((read.at_ms, read.step), (7, -1));
            assert!(read.value.to_bits() == bits || (read.value.is_nan() && f64::from_bits(bits).is_nan()));
        }
    }

    #[test]
    fn an_experiment_without_a_number_gets_any() {
        let read = experiment(&json!({"experiment_id": "abc", "name": "x", "lifecycle_stage": "deleted"}));
        assert_eq!((read.id.as_str(), read.experiment.id, read.experiment.deleted), ("abc", -1, true));
    }
}
