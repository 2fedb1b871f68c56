//! Native API: gates, scans, signatures, evaluations, cards, bills of materials.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{Method, header};
use platform_auth::Permission::{Approve, Read, Track};
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, ApiJson, Caller, Routes, Surface};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::evaluation::{Evaluation, EvaluationKind, Loss, Paired, Rows};
use crate::model::{FileScan, ModelVersion};
use crate::{Registry, RegistryError};

/// A million rows with ids, as JSON.
const EVALUATION_BYTES: usize = 128 * 1024 * 1024;

pub(crate) fn governance_surface(service: &Registry) -> Surface {
    let of_model = |rest: &str| format!("/api/v1/models/{{model}}{rest}");
    let of_version = |rest: &str| format!("/api/v1/models/{{model}}/versions/{{version}}{rest}");
    let (read, track, approve) = (Access::Needs(Read), Access::Needs(Track), Access::Needs(Approve));
    Routes::new(Dialect::Problem)
        .get("/api/v1/signing-key", read, signing_key)
        .get(&of_model("/gates"), read, gates)
        .route(Method::PUT, &of_model("/gates"), approve, put_gates)
        .route(Method::DELETE, &of_model("/gates"), approve, delete_gates)
        .get(&of_model("/compare"), read, compare)
        .route(Method::PUT, &of_model("/card"), track, put_model_card)
        .get(&of_model("/card-diff"), read, card_diff)
        .post(&of_version("/gate"), track, gate)
        .get(&of_version("/scans"), read, scans)
        .get(&of_version("/signature"), read, signature)
        .get(&of_version("/card"), read, card)
        .route(Method::PUT, &of_version("/card"), track, put_version_card)
        .get(&of_version("/bom"), read, bom)
        .with_state(service.clone())
}

/// Reads every byte of a version again.
pub(crate) fn verify_surface(service: &Registry) -> Surface {
    let path = "/api/v1/models/{model}/versions/{version}/verify";
    Routes::new(Dialect::Problem)
        .without_deadline()
        .post(path, Access::Needs(Read), verify)
        .with_state(service.clone())
}

pub(crate) fn evaluation_surface(service: &Registry) -> Surface {
    let path = "/api/v1/models/{model}/versions/{version}/evaluations";
    Routes::new(Dialect::Problem)
        .body_limit(EVALUATION_BYTES)
        .get(path, Access::Needs(Read), evaluations)
        .post(path, Access::Needs(Track), evaluate)
        .with_state(service.clone())
}

type OfVersion = Path<(String, i64)>;

async fn signing_key(State(service): State<Registry>) -> ProblemResult<Response> {
    let pem = service.public_key().await?;
    Ok(([(header::CONTENT_TYPE, "application/x-pem-file")], pem).into_response())
}

async fn delete_gates(
    State(service): State<Registry>,
    Path(model): Path<String>,
    Caller(caller): Caller,
) -> ProblemResult<Json<Value>> {
    service.delete_gate_policy(&caller.name, &model).await?;
    Ok(Json(json!({})))
}

async fn gates(State(service): State<Registry>, Path(model): Path<String>) -> ProblemResult<Json<Value>> {
    service.get_model(&model).await?;
    let policy = service.gate_policy(&model).await?.ok_or(RegistryError::NoPolicy { model })?;
    Ok(Json(json!(policy)))
}

async fn put_gates(
    State(service): State<Registry>,
    Path(model): Path<String>,
    Caller(caller): Caller,
    ApiJson(policy): ApiJson<Value>,
) -> ProblemResult<Json<Value>> {
    Ok(Json(json!(service.set_gate_policy(&caller.name, &model, policy).await?)))
}

async fn gate(
    State(service): State<Registry>,
    Path((model, version)): OfVersion,
    Caller(caller): Caller,
) -> ProblemResult<Json<Value>> {
    let version: ModelVersion = service.gate(&caller.name, &model, version).await?;
    let decisions = service.decisions(&model, version.version).await?;
    let gate = decisions.into_iter().rfind(|decision| decision.kind == "gate");
    Ok(Json(json!({"version": version, "gate": gate})))
}

async fn scans(
    State(service): State<Registry>,
    Path((model, version)): OfVersion,
) -> ProblemResult<Json<Vec<FileScan>>> {
    let version = service.get_version(&model, version).await?;
    Ok(Json(service.scan_version(&version).await?))
}

async fn signature(
    State(service): State<Registry>,
    Path((model, version)): OfVersion,
) -> ProblemResult<Response> {
    let signature = service.signature(&model, version).await?;
    let head = [
        (header::CONTENT_TYPE, "application/vnd.dev.sigstore.bundle.v0.3+json"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"model.sig\""),
    ];
    Ok((head, signature.bundle).into_response())
}

async fn verify(
    State(service): State<Registry>,
    Path((model, version)): OfVersion,
) -> ProblemResult<Json<Value>> {
    service.verify_files(&model, version).await?;
    Ok(Json(json!({"verified": true})))
}

/// A number as JSON has it; null stands for what is no number, and is refused with its place.
type Number = Option<f64>;

#[derive(Deserialize)]
#[serde(untagged)]
enum RowId {
    Number(i64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewEvaluation {
    dataset: String,
    kind: EvaluationKind,
    rows: Vec<RowId>,
    truth: Vec<Number>,
    prediction: Vec<Number>,
}

async fn evaluate(
    State(service): State<Registry>,
    Path((model, version)): OfVersion,
    Caller(caller): Caller,
    ApiJson(body): ApiJson<NewEvaluation>,
) -> ProblemResult<Json<Evaluation>> {
    let numbers = |values: Vec<Number>| -> Vec<f64> {
        values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect()
    };
    let id = |id: RowId| match id {
        RowId::Number(number) => number.to_string(),
        RowId::Text(text) => text,
    };
    let rows = Rows {
        kind: body.kind,
        ids: body.rows.into_iter().map(id).collect(),
        truth: numbers(body.truth),
        prediction: numbers(body.prediction),
    };
    Ok(Json(service.evaluate(&caller.name, &model, version, &body.dataset, rows).await?))
}

async fn evaluations(
    State(service): State<Registry>,
    Path((model, version)): OfVersion,
) -> ProblemResult<Json<Vec<Evaluation>>> {
    service.get_version(&model, version).await?;
    Ok(Json(service.evaluations(&model, version).await?))
}

#[derive(Deserialize)]
struct ComparisonQuery {
    a: i64,
    b: i64,
    dataset: String,
    loss: Loss,
    confidence: Option<f64>,
}

async fn compare(
    State(service): State<Registry>,
    Path(model): Path<String>,
    Query(query): Query<ComparisonQuery>,
) -> ProblemResult<Json<Paired>> {
    let confidence = query.confidence.unwrap_or(0.95);
    if !(0.5..1.0).contains(&confidence) {
        let rule = "expected 0.5 to 1".to_owned();
        let value = confidence.to_string();
        return Err(RegistryError::Invalid { field: "confidence", value, rule }.into());
    }
    Ok(Json(service.compare(&model, (query.a, query.b), &query.dataset, query.loss, confidence).await?))
}

#[derive(Deserialize)]
struct CardQuery {
    revision: Option<i64>,
}

async fn card(
    State(service): State<Registry>,
    Path((model, version)): OfVersion,
    Query(query): Query<CardQuery>,
) -> ProblemResult<Json<Value>> {
    match query.revision {
        Some(revision) => Ok(Json(service.kept_card(&model, version, revision).await?)),
        None => Ok(Json(service.card_of(&model, version).await?)),
    }
}

async fn put_model_card(
    State(service): State<Registry>,
    Path(model): Path<String>,
    Caller(caller): Caller,
    ApiJson(fields): ApiJson<Value>,
) -> ProblemResult<Json<Value>> {
    Ok(Json(service.put_card_fields(&caller.name, &model, None, fields).await?))
}

async fn put_version_card(
    State(service): State<Registry>,
    Path((model, version)): OfVersion,
    Caller(caller): Caller,
    ApiJson(fields): ApiJson<Value>,
) -> ProblemResult<Json<Value>> {
    Ok(Json(service.put_card_fields(&caller.name, &model, Some(version), fields).await?))
}

#[derive(Deserialize)]
struct TwoVersions {
    a: i64,
    b: i64,
}

async fn card_diff(
    State(service): State<Registry>,
    Path(model): Path<String>,
    Query(query): Query<TwoVersions>,
) -> ProblemResult<Json<Value>> {
    Ok(Json(json!(service.card_diff(&model, (query.a, query.b)).await?)))
}

async fn bom(State(service): State<Registry>, Path((model, version)): OfVersion) -> ProblemResult<Response> {
    let document = service.bom(&model, version).await?;
    let kind = [(header::CONTENT_TYPE, "application/vnd.cyclonedx+json; version=1.6")];
    Ok((kind, document.to_string()).into_response())
}
