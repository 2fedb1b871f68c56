//! MLflow's evaluation data sets, scorers and issues over REST, as mlflow 3.17.2 speaks it. Translates; decides nothing.
//!
//! Not served: the online configuration of scorers, because no scorer runs here.

mod datasets;
mod issues;
mod scorers;

use axum::Json;
use http::Method;
use platform_auth::Permission::{Read, Track};
use platform_web::dialect::{Dialect, MlflowResult};
use platform_web::mlflow::Unscoped;
use platform_web::mlflow::search::Ask;
use platform_web::{Access, Routes, Surface};
use serde_json::Value;

use crate::{Evaluation, EvaluationError};

type Answer = MlflowResult<Json<Value>>;

const READ: Access = Access::Needs(Read);
const TRACK: Access = Access::Needs(Track);

/// Records come by the thousand in one call.
const BODY_LIMIT_BYTES: usize = 64 * 1024 * 1024;

pub(crate) fn surface(service: &Evaluation) -> Surface {
    let mut routes = Routes::new(Dialect::Mlflow).body_limit(BODY_LIMIT_BYTES);
    for prefix in ["/api/3.0/mlflow", "/ajax-api/3.0/mlflow"] {
        let path = |rest: &str| format!("{prefix}{rest}");
        let dataset = |rest: &str| format!("{prefix}/datasets/{{dataset_id}}{rest}");
        routes = routes
            .post(&path("/datasets/create"), TRACK, datasets::create)
            .post(&path("/datasets/search"), READ, datasets::search)
            .get(&path("/datasets/search"), READ, datasets::search_by_query)
            .get(&dataset(""), READ, datasets::get)
            .route(Method::DELETE, &dataset(""), TRACK, datasets::delete)
            .route(Method::PATCH, &dataset("/tags"), TRACK, datasets::set_tags)
            .route(Method::DELETE, &dataset("/tags/{key}"), TRACK, datasets::delete_tag)
            .get(&dataset("/experiment-ids"), READ, datasets::experiments)
            .post(&dataset("/add-experiments"), TRACK, datasets::add_experiments)
            .post(&dataset("/remove-experiments"), TRACK, datasets::remove_experiments)
            .get(&dataset("/records"), READ, datasets::records)
            .post(&dataset("/records"), TRACK, datasets::put_records)
            .route(Method::DELETE, &dataset("/records"), TRACK, datasets::delete_records)
            .post(&path("/scorers/register"), TRACK, scorers::register)
            .get(&path("/scorers/list"), READ, scorers::list)
            .get(&path("/scorers/versions"), READ, scorers::versions)
            .get(&path("/scorers/get"), READ, scorers::get)
            .route(Method::DELETE, &path("/scorers/delete"), TRACK, scorers::delete)
            .post(&path("/issues"), TRACK, issues::create)
            .post(&path("/issues/search"), READ, issues::search)
            .get(&path("/issues/{issue_id}"), READ, issues::get)
            .route(Method::PATCH, &path("/issues/{issue_id}"), TRACK, issues::update);
    }
    routes.with_state(Unscoped::new(service.clone()))
}

/// A page of at most 1,000 unless the client asks for another size.
fn ask(
    filter: Option<String>,
    order_by: Vec<String>,
    max_results: Option<i64>,
    token: Option<String>,
) -> Result<Ask, EvaluationError> {
    let limit = page_limit(max_results)?;
    Ok(Ask { filter: filter.unwrap_or_default(), order_by, token, limit })
}

fn page_limit(max_results: Option<i64>) -> Result<usize, EvaluationError> {
    const MOST: i64 = 50_000;
    match max_results.unwrap_or(1_000) {
        limit if (1..=MOST).contains(&limit) => Ok(limit as usize),
        limit => {
            let rule = format!("It must be at least 1 and at most {MOST}.");
            Err(EvaluationError::invalid("max_results", limit.to_string(), rule))
        }
    }
}

fn required(value: Option<String>, field: &'static str) -> Result<String, EvaluationError> {
    value.filter(|value| !value.is_empty()).ok_or(EvaluationError::Missing { field })
}
