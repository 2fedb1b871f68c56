//! Version 2, which clients before 3.0 speak and newer ones fall back to.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query};
use platform_primitives::Timestamp;
use platform_web::mlflow::{MlflowJson, Pair, Scoped, int64};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Pairs, all, one, render, wire};
use crate::model::TraceState;
use crate::service::{Mark, Search};
use crate::{TraceError, Traces};

fn texts(pairs: Vec<Pair>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|pair| (pair.key, pair.value)).collect()
}

#[derive(Deserialize)]
pub(super) struct Start {
    experiment_id: String,
    #[serde(deserialize_with = "int64")]
    timestamp_ms: i64,
    #[serde(default)]
    request_metadata: Vec<Pair>,
    #[serde(default)]
    tags: Vec<Pair>,
}

pub(super) async fn start(Scoped(service): Scoped<Traces>, MlflowJson(body): MlflowJson<Start>) -> Answer {
    let mark = Mark {
        at: Timestamp::from_millis(body.timestamp_ms),
        state: TraceState::InProgress,
        metadata: texts(body.request_metadata),
        tags: texts(body.tags),
    };
    let trace = service.open(&body.experiment_id, mark).await?;
    Ok(Json(json!({"trace_info": render::trace_v2(&trace)})))
}

#[derive(Deserialize)]
pub(super) struct End {
    #[serde(deserialize_with = "int64")]
    timestamp_ms: i64,
    status: String,
    #[serde(default)]
    request_metadata: Vec<Pair>,
    #[serde(default)]
    tags: Vec<Pair>,
}

pub(super) async fn end(
    Scoped(service): Scoped<Traces>,
    Path(trace_id): Path<String>,
    MlflowJson(body): MlflowJson<End>,
) -> Answer {
    let mark = Mark {
        at: Timestamp::from_millis(body.timestamp_ms),
        state: wire::parse_status(&body.status)?,
        metadata: texts(body.request_metadata),
        tags: texts(body.tags),
    };
    let trace = service.close(&trace_id, mark).await?;
    Ok(Json(json!({"trace_info": render::trace_v2(&trace)})))
}

pub(super) async fn get(Scoped(service): Scoped<Traces>, Path(trace_id): Path<String>) -> Answer {
    let trace = service.get(&trace_id).await?;
    Ok(Json(json!({"trace_info": render::trace_v2(&trace)})))
}

pub(super) async fn search(Scoped(service): Scoped<Traces>, Query(query): Query<Pairs>) -> Answer {
    let max_results = match one(&query, "max_results") {
        Some(text) => Some(
            text.parse().map_err(|_| TraceError::invalid("max_results", text, "expected a whole number"))?,
        ),
        None => None,
    };
    let search = Search {
        experiments: all(&query, "experiment_ids"),
        filter: one(&query, "filter").unwrap_or_default().to_owned(),
        order_by: all(&query, "order_by"),
        max_results,
        page_token: one(&query, "page_token").map(str::to_owned),
    };
    let (traces, token) = service.search(search).await?;
    let mut answer = json!({"traces": traces.iter().map(render::trace_v2).collect::<Vec<_>>()});
    if let Some(token) = token {
        answer["next_page_token"] = json!(token);
    }
    Ok(Json(answer))
}

/// Traces of a service that only the vendor's platform runs.
pub(super) async fn unified() -> Answer {
    Err(TraceError::Unsupported { feature: "unified search of traces" }.into())
}

pub(super) async fn online_details() -> Answer {
    Err(TraceError::Unsupported { feature: "traces of online inference" }.into())
}
