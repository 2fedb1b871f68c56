//! Native API: what went into a node.

use axum::Json;
use axum::extract::{Query, State};
use platform_auth::Permission::Read;
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, Routes, Surface};
use serde::Deserialize;

use crate::Lineage;
use crate::service::Edge;

pub(crate) fn surface(service: &Lineage) -> Surface {
    Routes::new(Dialect::Problem)
        .get("/api/v1/lineage/upstream", Access::Needs(Read), upstream)
        .with_state(service.clone())
}

#[derive(Deserialize)]
struct UpstreamQuery {
    /// `model_version:NAME/N`, `endpoint:NAME`, `run:ID`, `file:SHA256` …
    node: String,
    #[serde(default = "six")]
    depth: usize,
}

fn six() -> usize {
    6
}

async fn upstream(
    State(service): State<Lineage>,
    Query(query): Query<UpstreamQuery>,
) -> ProblemResult<Json<Vec<Edge>>> {
    Ok(Json(service.upstream(&query.node, query.depth.min(20)).await?))
}
