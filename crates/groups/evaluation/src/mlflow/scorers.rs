use axum::Json;
use axum::extract::Query;
use platform_web::Caller;
use platform_web::mlflow::{MlflowJson, Scoped, optional_int64};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, required};
use crate::{Evaluation, ScorerVersion};

fn scorer_json(scorer: &ScorerVersion) -> Value {
    json!({
        // A whole number on the wire, unlike everywhere else.
        "experiment_id": scorer.experiment.parse::<i64>().unwrap_or_default(),
        "scorer_id": scorer.scorer,
        "scorer_name": scorer.name,
        "scorer_version": scorer.version,
        "serialized_scorer": scorer.serialized,
        "creation_time": scorer.created,
    })
}

#[derive(Deserialize)]
pub(super) struct Register {
    experiment_id: Option<String>,
    name: Option<String>,
    serialized_scorer: Option<String>,
}

pub(super) async fn register(
    Scoped(service): Scoped<Evaluation>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Register>,
) -> Answer {
    let experiment = required(body.experiment_id, "experiment_id")?;
    let name = required(body.name, "name")?;
    let serialized = required(body.serialized_scorer, "serialized_scorer")?;
    let new = service.register_scorer(&caller.name, experiment, name, serialized).await?;
    Ok(Json(json!({
        "version": new.version,
        "scorer_id": new.scorer,
        "experiment_id": new.experiment,
        "name": new.name,
        "serialized_scorer": new.serialized,
        "creation_time": new.created,
    })))
}

/// Which scorer, and which version of it.
#[derive(Deserialize)]
pub(super) struct Which {
    experiment_id: Option<String>,
    name: Option<String>,
    #[serde(default, deserialize_with = "optional_int64")]
    version: Option<i64>,
}

pub(super) async fn list(Scoped(service): Scoped<Evaluation>, Query(query): Query<Which>) -> Answer {
    let experiment = query.experiment_id.filter(|id| !id.is_empty());
    let scorers = service.scorers(experiment.as_deref()).await?;
    Ok(Json(json!({"scorers": scorers.iter().map(scorer_json).collect::<Vec<_>>()})))
}

pub(super) async fn versions(Scoped(service): Scoped<Evaluation>, Query(query): Query<Which>) -> Answer {
    let experiment = required(query.experiment_id, "experiment_id")?;
    let versions = service.scorer_versions(&experiment, &required(query.name, "name")?).await?;
    Ok(Json(json!({"scorers": versions.iter().map(scorer_json).collect::<Vec<_>>()})))
}

pub(super) async fn get(Scoped(service): Scoped<Evaluation>, Query(query): Query<Which>) -> Answer {
    let experiment = required(query.experiment_id, "experiment_id")?;
    let scorer = service.get_scorer(&experiment, &required(query.name, "name")?, query.version).await?;
    Ok(Json(json!({"scorer": scorer_json(&scorer)})))
}

pub(super) async fn delete(
    Scoped(service): Scoped<Evaluation>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Which>,
) -> Answer {
    let experiment = required(body.experiment_id, "experiment_id")?;
    service.delete_scorer(&caller.name, experiment, required(body.name, "name")?, body.version).await?;
    Ok(Json(json!({})))
}
