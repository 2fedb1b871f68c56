//! Native API: explanations that were kept, and how they drift.

use axum::Json;
use axum::extract::{Path, Query, State};
use platform_auth::Permission::Read;
use platform_primitives::Timestamp;
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, Routes, Surface};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ExplainError;
use crate::stored::Wanted;
use crate::whole::Whole;

const MOST: usize = 1_000;

pub(crate) fn surface(whole: &Whole) -> Surface {
    Routes::new(Dialect::Problem)
        .get("/api/v1/endpoints/{name}/explanations", Access::Needs(Read), list)
        .get("/api/v1/endpoints/{name}/explanations/drift", Access::Needs(Read), drift)
        .with_state(whole.clone())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Of the prediction.
    id: Option<String>,
    /// RFC 3339.
    from: Option<String>,
    to: Option<String>,
    limit: Option<usize>,
    /// `next` of the page before.
    before: Option<i64>,
}

fn time(name: &str, text: Option<&str>, otherwise: Timestamp) -> Result<Timestamp, ExplainError> {
    let Some(text) = text else { return Ok(otherwise) };
    Timestamp::parse(text).map_err(|error| ExplainError::request(format!("{name}: {error}")))
}

async fn list(
    State(whole): State<Whole>,
    Path(name): Path<String>,
    Query(query): Query<ListQuery>,
) -> ProblemResult<Json<Value>> {
    let most = query.limit.unwrap_or(100);
    if !(1..=MOST).contains(&most) {
        return Err(ExplainError::request(format!("limit is {most}, expected 1 to {MOST}")).into());
    }
    let wanted = Wanted {
        from: time("from", query.from.as_deref(), Timestamp::from_millis(i64::MIN / 2))?,
        to: time("to", query.to.as_deref(), Timestamp::from_millis(i64::MAX / 2))?,
        before: query.before.unwrap_or(i64::MAX),
        id: query.id,
        most,
    };
    let (found, next) = whole.service.stored(&name, &wanted).await?;
    Ok(Json(json!({"explanations": found, "next": next})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DriftQuery {
    version: Option<String>,
    #[serde(default)]
    output: usize,
}

async fn drift(
    State(whole): State<Whole>,
    Path(name): Path<String>,
    Query(query): Query<DriftQuery>,
) -> ProblemResult<Json<Value>> {
    let found = whole.service.drift(&whole, &name, query.version.as_deref(), query.output).await?;
    let found = found.ok_or_else(|| ExplainError::NothingStored { endpoint: name })?;
    Ok(Json(serde_json::to_value(found).map_err(|error| ExplainError::request(error.to_string()))?))
}
