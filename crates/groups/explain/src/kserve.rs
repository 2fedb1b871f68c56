//! KServe's v1 protocol: `POST /v1/models/NAME:explain`. Source: the client of kserve 0.21.

use axum::Json;
use axum::extract::{Path, State};
use platform_auth::Permission::Predict;
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, ApiJson, Routes, Surface};
use serde::Deserialize;
use serde_json::Value;

use crate::http::answer;
use crate::rows::from_instances;
use crate::{Explain, ExplainError};

const BODY_LIMIT: usize = 64 * 1024 * 1024;

pub(crate) fn surface(service: &Explain) -> Surface {
    Routes::new(Dialect::Problem)
        .body_limit(BODY_LIMIT)
        .post("/v1/models/{target}", Access::Needs(Predict), explain)
        .with_state(service.clone())
}

#[derive(Deserialize)]
struct Body {
    instances: Vec<Value>,
}

async fn explain(
    State(service): State<Explain>,
    Path(target): Path<String>,
    ApiJson(body): ApiJson<Body>,
) -> ProblemResult<Json<Value>> {
    let Some((name, "explain")) = target.rsplit_once(':') else {
        let rule = format!("{target:?} is not NAME:explain, the one verb that is answered here");
        return Err(ExplainError::request(rule).into());
    };
    let ready = service.ready(name, None)?;
    let rows = from_instances(&body.instances, &ready.served.inputs)?;
    let explanations = service.explain(&ready, rows, None).await?;
    Ok(Json(answer(name, &ready.served.version, &explanations)))
}
