//! MLflow's GraphQL: every root field is one call of a REST route, cut to the fields asked for. Decides nothing.

mod execute;
mod limits;
mod schema;

use async_graphql_parser::parse_query;
use axum::extract::{Query, Request, State};
use axum::{Json, RequestExt};
use platform_auth::Permission::Read;
use platform_web::dialect::{Dialect, MlflowResult};
use platform_web::mlflow::MlflowJson;
use platform_web::{Access, Inside, Routes, Surface};
use serde::Deserialize;
use serde_json::{Value, json};

/// Why a query has no answer; goes to the client as a text.
#[derive(Debug, thiserror::Error)]
enum QueryError {
    #[error("Syntax Error: {0}")]
    Syntax(String),
    #[error("{0}")]
    Limit(String),
    #[error("{0}")]
    Operation(String),
    #[error("Cannot query field '{field}' on type '{kind}'.")]
    Field { field: String, kind: &'static str },
    #[error("Field '{field}' of type '{kind}' must have a selection of subfields.")]
    NoSelection { field: String, kind: &'static str },
    #[error("Unknown fragment '{0}'.")]
    Fragment(String),
    #[error("Variable '${0}' is not defined.")]
    Variable(String),
    #[error("{0}")]
    Refused(String),
}

/// Answers with the routes of `surfaces`.
pub fn surface(surfaces: &[Surface]) -> Surface {
    let mut routes = Routes::new(Dialect::Mlflow);
    for path in ["/graphql", "/ajax-api/2.0/mlflow/graphql"] {
        routes = routes.get(path, Access::Needs(Read), by_query).post(path, Access::Needs(Read), by_body);
    }
    routes.with_state(Inside::of(surfaces))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    #[serde(default)]
    query: String,
    operation_name: Option<String>,
    variables: Option<Value>,
}

async fn by_body(
    State(inside): State<Inside>,
    request: Request,
) -> Result<Json<Value>, axum::response::Response> {
    let extensions = request.extensions().clone();
    let MlflowJson(asked) = request.extract::<MlflowJson<Asked>, _>().await?;
    Ok(answer(&inside, &extensions, asked).await)
}

/// Variables come as the text of JSON.
async fn by_query(
    State(inside): State<Inside>,
    Query(pairs): Query<Vec<(String, String)>>,
    request: Request,
) -> MlflowResult<Json<Value>> {
    let find = |key: &str| pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    let asked = Asked {
        query: find("query").unwrap_or_default(),
        operation_name: find("operationName"),
        variables: find("variables").and_then(|text| serde_json::from_str(&text).ok()),
    };
    Ok(answer(&inside, request.extensions(), asked).await)
}

async fn answer(inside: &Inside, caller: &http::Extensions, asked: Asked) -> Json<Value> {
    Json(match run(inside, caller, asked).await {
        Ok(data) => json!({"data": data, "errors": null}),
        Err(error) => json!({"data": null, "errors": [error.to_string()]}),
    })
}

async fn run(inside: &Inside, caller: &http::Extensions, asked: Asked) -> Result<Value, QueryError> {
    limits::check_text(&asked.query)?;
    let document = parse_query(&asked.query).map_err(|error| QueryError::Syntax(error.to_string()))?;
    limits::check(&document)?;
    let execution = execute::Execution::new(inside, caller, &document, &asked.variables);
    execution.operation(asked.operation_name.as_deref()).await
}
