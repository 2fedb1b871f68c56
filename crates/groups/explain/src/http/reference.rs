//! Native API: reference data of an endpoint's versions.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, header};
use platform_auth::Permission::{Deploy, Read};
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, Caller, Routes, Surface};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::reference::{NewReference, ReferenceSummary, TableFormat};
use crate::{Explain, ExplainError};

const PATH: &str = "/api/v1/endpoints/{name}/reference";
const BODY_LIMIT: usize = 32 * 1024 * 1024;

pub(crate) fn surface(service: &Explain) -> Surface {
    Routes::new(Dialect::Problem)
        .body_limit(BODY_LIMIT)
        .get(PATH, Access::Needs(Read), get)
        .route(Method::PUT, PATH, Access::Needs(Deploy), put)
        .route(Method::DELETE, PATH, Access::Needs(Deploy), delete)
        .with_state(service.clone())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    version: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    version: Option<String>,
    /// The column with the truth.
    label: Option<String>,
}

async fn put(
    State(service): State<Explain>,
    Path(name): Path<String>,
    Query(described): Query<Described>,
    Caller(caller): Caller,
    headers: HeaderMap,
    body: Bytes,
) -> ProblemResult<Json<ReferenceSummary>> {
    let new = NewReference {
        endpoint: name,
        version: described.version,
        label: described.label,
        format: format(&headers)?,
        bytes: body.into(),
    };
    Ok(Json(service.put_reference(&caller.name, new).await?))
}

fn format(headers: &HeaderMap) -> Result<TableFormat, ExplainError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "text/csv" => Ok(TableFormat::Csv),
        "application/vnd.apache.parquet" => Ok(TableFormat::Parquet),
        _ => Err(ExplainError::request(format!(
            "Content-Type is {kind:?}, expected text/csv or application/vnd.apache.parquet"
        ))),
    }
}

async fn get(
    State(service): State<Explain>,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> ProblemResult<Json<ReferenceSummary>> {
    Ok(Json(service.describe_reference(&name, wanted.version.as_deref()).await?))
}

async fn delete(
    State(service): State<Explain>,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
    Caller(caller): Caller,
) -> ProblemResult<Json<Value>> {
    service.delete_reference(&caller.name, &name, wanted.version.as_deref()).await?;
    Ok(Json(json!({})))
}
