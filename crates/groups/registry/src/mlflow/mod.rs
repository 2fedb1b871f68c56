//! MLflow's model registry REST protocol, as mlflow 3.17.2 speaks it. Translates; decides nothing.

mod models;
mod query;
mod shelf;
mod versions;

use std::collections::BTreeMap;

use axum::Json;
use http::Method;
use platform_auth::Permission::{Read, Track};
use platform_web::dialect::{Dialect, MlflowResult};
pub(super) use platform_web::mlflow::Pair;
use platform_web::mlflow::Unscoped;
use platform_web::{Access, Routes, Surface};
use serde_json::{Value, json};

use crate::Registry;
use crate::full_name::split_name;
use crate::model::{ModelEntry, ModelVersion, RegisteredModel};
use shelf::Shelf;

type Answer = MlflowResult<Json<Value>>;

const READ: Access = Access::Needs(Read);
const TRACK: Access = Access::Needs(Track);

pub(crate) fn surface(service: &Registry) -> Surface {
    let mut routes = Routes::new(Dialect::Mlflow);
    for prefix in ["/api/2.0/mlflow", "/ajax-api/2.0/mlflow"] {
        let path = |rest: &str| format!("{prefix}{rest}");
        routes = routes
            .post(&path("/registered-models/create"), TRACK, models::create)
            .get(&path("/registered-models/get"), READ, models::get)
            .get(&path("/registered-models/search"), READ, models::search)
            .post(&path("/registered-models/rename"), TRACK, models::rename)
            .route(Method::PATCH, &path("/registered-models/update"), TRACK, models::update)
            .route(Method::DELETE, &path("/registered-models/delete"), TRACK, models::delete)
            .post(&path("/registered-models/set-tag"), TRACK, models::set_tag)
            .route(Method::DELETE, &path("/registered-models/delete-tag"), TRACK, models::delete_tag)
            .get(&path("/registered-models/get-latest-versions"), READ, models::latest_versions_by_query)
            .post(&path("/registered-models/get-latest-versions"), READ, models::latest_versions)
            .get(&path("/registered-models/alias"), READ, models::get_alias)
            .post(&path("/registered-models/alias"), TRACK, models::set_alias)
            .route(Method::DELETE, &path("/registered-models/alias"), TRACK, models::delete_alias)
            .post(&path("/model-versions/create"), TRACK, versions::create)
            .get(&path("/model-versions/get"), READ, versions::get)
            .get(&path("/model-versions/search"), READ, versions::search)
            .get(&path("/model-versions/get-download-uri"), READ, versions::download_uri)
            .route(Method::PATCH, &path("/model-versions/update"), TRACK, versions::update)
            .route(Method::DELETE, &path("/model-versions/delete"), TRACK, versions::delete)
            .post(&path("/model-versions/set-tag"), TRACK, versions::set_tag)
            .route(Method::DELETE, &path("/model-versions/delete-tag"), TRACK, versions::delete_tag)
            .post(&path("/model-versions/transition-stage"), TRACK, versions::transition_stage);
    }
    // MLflow's pages ask with two slashes.
    for path in ["/model-versions/get-artifact", "//model-versions/get-artifact"] {
        routes = routes.get(path, READ, versions::get_artifact);
    }
    routes.with_state(Unscoped::new(Shelf::new(service)))
}

fn pairs(list: Vec<Pair>) -> BTreeMap<String, String> {
    list.into_iter().map(|pair| (pair.key, pair.value)).collect()
}

fn tags(map: &BTreeMap<String, String>) -> Vec<Value> {
    map.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}

fn entry_json(entry: &ModelEntry) -> Value {
    model_json(&entry.model, &entry.latest)
}

fn model_json(model: &RegisteredModel, latest: &[ModelVersion]) -> Value {
    let aliases: Vec<Value> = model
        .aliases
        .iter()
        .map(|(alias, version)| json!({"alias": alias, "version": version.to_string()}))
        .collect();
    json!({
        "name": split_name(&model.name).1,
        "description": model.description,
        "creation_timestamp": model.created,
        "last_updated_timestamp": model.updated,
        "tags": tags(&model.tags),
        "aliases": aliases,
        "latest_versions": versions_json(latest),
    })
}

fn versions_json(versions: &[ModelVersion]) -> Vec<Value> {
    versions.iter().map(version_json).collect()
}

fn version_json(version: &ModelVersion) -> Value {
    let mut tags = tags(&version.tags);
    // Unmodified clients see here where the version stands, and what was decided on it.
    tags.extend(version.decided_tags().into_iter().map(|(key, value)| json!({"key": key, "value": value})));
    json!({
        "name": split_name(&version.model).1,
        "version": version.version.to_string(),
        "creation_timestamp": version.created,
        "last_updated_timestamp": version.updated,
        "current_stage": version.stage.name(),
        "description": version.description,
        "source": version.source,
        "run_id": version.run_id,
        "run_link": version.run_link,
        "model_id": version.logged_model_id,
        "status": "READY",
        "status_message": "",
        "user_id": version.author,
        "tags": tags,
        "aliases": version.aliases,
    })
}
