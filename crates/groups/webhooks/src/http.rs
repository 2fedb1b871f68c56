//! Native API: all webhooks, also those that MLflow's clients cannot read, and what became of their deliveries.

use axum::Json;
use axum::extract::{Path, Query, State};
use platform_auth::Permission::Read;
use platform_primitives::{Page, PageRequest};
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, Routes, Surface};
use serde::Deserialize;

use crate::{Delivery, Webhook, Webhooks};

const DEFAULT_LIMIT: usize = 100;

pub(crate) fn surface(service: &Webhooks) -> Surface {
    Routes::new(Dialect::Problem)
        .get("/api/v1/webhooks", Access::Needs(Read), list)
        .get("/api/v1/webhooks/{webhook_id}/deliveries", Access::Needs(Read), deliveries)
        .with_state(service.clone())
}

#[derive(Deserialize)]
struct Listing {
    limit: Option<usize>,
    after: Option<String>,
}

async fn list(
    State(service): State<Webhooks>,
    Query(query): Query<Listing>,
) -> ProblemResult<Json<Page<Webhook>>> {
    let limit = PageRequest::first(query.limit.unwrap_or(DEFAULT_LIMIT)).limit;
    Ok(Json(service.list(false, query.after.as_deref(), limit).await?))
}

#[derive(Deserialize)]
struct Newest {
    limit: Option<usize>,
}

async fn deliveries(
    State(service): State<Webhooks>,
    Path(webhook_id): Path<String>,
    Query(query): Query<Newest>,
) -> ProblemResult<Json<Vec<Delivery>>> {
    let limit = PageRequest::first(query.limit.unwrap_or(DEFAULT_LIMIT)).limit;
    Ok(Json(service.list_deliveries(&webhook_id, limit).await?))
}
