//! MLflow's scoring protocol: `POST /endpoints/NAME/invocations`, and `POST /invocations` while there is one endpoint.
//! Source: observed with mlflow 3.17.2's scoring server.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use platform_auth::Permission::Predict;
use platform_web::dialect::{Dialect, MlflowResult};
use platform_web::{Access, Routes, Surface};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::service::Batch;
use crate::{Serving, ServingError};

const BODY_LIMIT: usize = 64 * 1024 * 1024;
const KINDS: &str = "exactly one of dataframe_split, dataframe_records, instances, inputs";

pub(crate) fn surface(service: &Serving) -> Surface {
    let predict = Access::Needs(Predict);
    let health = Access::Open("tells nothing but that the server answers");
    Routes::new(Dialect::Mlflow)
        .body_limit(BODY_LIMIT)
        .post("/invocations", predict, only_endpoint)
        .post("/endpoints/{name}/invocations", predict, one_endpoint)
        .get("/ping", health, async || "\n")
        .with_state(service.clone())
}

async fn only_endpoint(
    State(service): State<Serving>,
    headers: HeaderMap,
    body: Bytes,
) -> MlflowResult<Response> {
    let names = service.names();
    let [name] = names.as_slice() else {
        let rule = format!("{} endpoints are served: name one with /endpoints/NAME/invocations", names.len());
        return Err(ServingError::request(rule).into());
    };
    answer(&service, name, &headers, &body)
}

async fn one_endpoint(
    State(service): State<Serving>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> MlflowResult<Response> {
    answer(&service, &name, &headers, &body)
}

fn answer(service: &Serving, name: &str, headers: &HeaderMap, body: &[u8]) -> MlflowResult<Response> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.split(';').next() != Some("application/json") {
        let error = ServingError::ContentType { found: kind.to_owned(), supported: "application/json" };
        let mut response = Dialect::Mlflow.render(&error);
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Ok(response);
    }
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        ServingError::request(format!("the request is not valid: {error}; expected {KINDS}"))
    })?;
    let signature = service.describe(name)?.signature;
    let order: Vec<&str> = signature.inputs.iter().map(|column| column.name.as_str()).collect();
    let columns = body.columns(&order)?;
    let batch = Batch { columns, id: None, at: None, extra_is_error: false, explain: false };
    let predictions = service.predict(name, None, batch)?;
    let values: Value = match predictions.outputs {
        1 => json!(predictions.values),
        outputs => predictions.values.chunks(outputs).map(|row| json!(row)).collect(),
    };
    Ok(Json(json!({"predictions": values})).into_response())
}

#[derive(Deserialize)]
struct Body {
    dataframe_split: Option<Split>,
    dataframe_records: Option<Vec<Map<String, Value>>>,
    instances: Option<Value>,
    inputs: Option<Value>,
}

#[derive(Deserialize)]
struct Split {
    columns: Vec<String>,
    data: Vec<Vec<Value>>,
}

type Columns = Vec<(String, Vec<f64>)>;

impl Body {
    fn columns(self, order: &[&str]) -> Result<Columns, ServingError> {
        match (self.dataframe_split, self.dataframe_records, self.instances, self.inputs) {
            (Some(split), None, None, None) => from_rows(&split.columns, &split.data),
            (None, Some(records), None, None) => from_records(&records),
            (None, None, Some(value), None) | (None, None, None, Some(value)) => from_value(value, order),
            _ => Err(ServingError::request(format!("the request must hold {KINDS}"))),
        }
    }
}

fn real(name: &str, row: usize, value: &Value) -> Result<f64, ServingError> {
    match value {
        Value::Null => Ok(f64::NAN),
        Value::Bool(flag) => Ok(f64::from(u8::from(*flag))),
        Value::Number(number) => Ok(number.as_f64().unwrap_or(f64::NAN)),
        other => Err(ServingError::InputValue {
            name: name.to_owned(),
            place: format!(" row {row}"),
            rule: format!("is {other}, expected a number or null"),
        }),
    }
}

fn from_rows(names: &[String], rows: &[Vec<Value>]) -> Result<Columns, ServingError> {
    let mut columns: Columns =
        names.iter().map(|name| (name.clone(), Vec::with_capacity(rows.len()))).collect();
    for (index, row) in rows.iter().enumerate() {
        if row.len() != names.len() {
            let rule = format!("row {index} has {} values for {} columns", row.len(), names.len());
            return Err(ServingError::request(rule));
        }
        for ((name, column), value) in columns.iter_mut().zip(row) {
            column.push(real(name, index, value)?);
        }
    }
    Ok(columns)
}

fn from_records(records: &[Map<String, Value>]) -> Result<Columns, ServingError> {
    let names: Vec<String> = records.first().map(|first| first.keys().cloned().collect()).unwrap_or_default();
    let mut columns: Columns =
        names.into_iter().map(|name| (name, Vec::with_capacity(records.len()))).collect();
    for (index, record) in records.iter().enumerate() {
        for (name, column) in &mut columns {
            // A record that lacks a column has a missing value there; the signature judges it.
            column.push(real(name, index, record.get(name.as_str()).unwrap_or(&Value::Null))?);
        }
    }
    Ok(columns)
}

/// A map of columns, a list of records, or a list of rows in the model's order.
fn from_value(value: Value, order: &[&str]) -> Result<Columns, ServingError> {
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(name, values)| {
                let list = match values {
                    Value::Array(list) => list,
                    single => vec![single],
                };
                let column = list
                    .iter()
                    .enumerate()
                    .map(|(row, value)| real(&name, row, value))
                    .collect::<Result<_, _>>()?;
                Ok((name, column))
            })
            .collect(),
        Value::Array(rows) if rows.iter().all(Value::is_object) => {
            let records: Vec<Map<String, Value>> = rows
                .into_iter()
                .filter_map(|row| if let Value::Object(map) = row { Some(map) } else { None })
                .collect();
            from_records(&records)
        }
        Value::Array(rows) => {
            let names: Vec<String> = order.iter().map(|name| (*name).to_owned()).collect();
            let rows: Vec<Vec<Value>> = rows
                .into_iter()
                .map(|row| if let Value::Array(row) = row { row } else { vec![row] })
                .collect();
            from_rows(&names, &rows)
        }
        other => {
            Err(ServingError::request(format!("inputs is {other}, expected a list or a map of columns")))
        }
    }
}
