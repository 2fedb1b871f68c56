//! Uploads in parts, as mlflow 3.17.2's client sends them with `MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD`.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query as UrlQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, header};
use platform_web::dialect::{Dialect, MlflowResult};
use platform_web::mlflow::{MlflowJson, Scoped, Unscoped, int64};
use platform_web::{Access, Routes, Surface};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, TRACK};
use crate::Experiments;
use crate::service::NamedPart;

/// Ten thousand parts with address and ETag.
const BODY_LIMIT: usize = 8 * 1024 * 1024;
const PARTS: &str = "/api/2.0/mlflow-artifacts/mpu/part";

/// Completing reads and writes the whole file once more.
pub(crate) fn surface(service: &Experiments) -> Surface {
    let mut routes = Routes::new(Dialect::Mlflow).body_limit(BODY_LIMIT).without_deadline();
    for prefix in ["/api", "/ajax-api"] {
        let path = |verb: &str| format!("{prefix}/2.0/mlflow-artifacts/mpu/{verb}/{{*folder}}");
        routes = routes.post(&path("create"), TRACK, create).post(&path("complete"), TRACK, complete).post(
            &path("abort"),
            TRACK,
            abort,
        );
    }
    routes.with_state(Unscoped::new(service.clone()))
}

pub(crate) fn part_surface(service: &Experiments) -> Surface {
    let open = Access::Open("the address holds a secret that was made for this one part");
    Routes::new(Dialect::Mlflow)
        .streaming()
        .route(Method::PUT, &format!("{PARTS}/{{upload}}/{{number}}"), open, part)
        .with_state(service.clone())
}

/// The folder in the route, and the name of the client's file.
fn place(folder: &str, local_file: &str) -> String {
    let name = local_file.rsplit(['/', '\\']).next().unwrap_or_default();
    format!("{}/{name}", folder.trim_end_matches('/'))
}

/// Where the client reached this server; the edge has checked the host.
fn origin(headers: &HeaderMap) -> String {
    let text = |value: Option<&http::HeaderValue>| {
        value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let forwarded = text(headers.get("x-forwarded-proto"));
    let is_https =
        forwarded.split(',').next().is_some_and(|first| first.trim().eq_ignore_ascii_case("https"));
    format!("{}://{}", if is_https { "https" } else { "http" }, text(headers.get(header::HOST)))
}

#[derive(Deserialize)]
struct Create {
    path: String,
    #[serde(deserialize_with = "int64")]
    num_parts: i64,
}

async fn create(
    Scoped(service): Scoped<Experiments>,
    Path(folder): Path<String>,
    headers: HeaderMap,
    MlflowJson(body): MlflowJson<Create>,
) -> Answer {
    let upload = service.begin_upload(&place(&folder, &body.path), body.num_parts).await?;
    let (id, origin) = (&upload.id, origin(&headers));
    let credential = |number: i64| {
        let token = upload.token(number);
        let url = format!("{origin}{PARTS}/{id}/{number}?token={token}");
        json!({"url": url, "part_number": number, "headers": {}})
    };
    let credentials: Vec<Value> = (1..=upload.parts).map(credential).collect();
    Ok(Json(json!({"upload_id": id, "credentials": credentials})))
}

#[derive(Deserialize)]
struct PartQuery {
    #[serde(default)]
    token: String,
}

async fn part(
    State(service): State<Experiments>,
    Path((upload, number)): Path<(String, i64)>,
    UrlQuery(query): UrlQuery<PartQuery>,
    body: Body,
) -> MlflowResult<Response> {
    let digest = service.put_upload_part(&upload, number, &query.token, body.into_data_stream()).await?;
    Ok(([(header::ETAG, format!("\"{digest}\""))], Json(json!({}))).into_response())
}

#[derive(Deserialize)]
struct Part {
    #[serde(deserialize_with = "int64")]
    part_number: i64,
    etag: String,
}

#[derive(Deserialize)]
struct Complete {
    path: String,
    upload_id: String,
    parts: Vec<Part>,
}

async fn complete(
    Scoped(service): Scoped<Experiments>,
    Path(folder): Path<String>,
    MlflowJson(body): MlflowJson<Complete>,
) -> Answer {
    let named = |part: Part| NamedPart { number: part.part_number, etag: part.etag };
    let parts: Vec<NamedPart> = body.parts.into_iter().map(named).collect();
    service.complete_upload(&place(&folder, &body.path), &body.upload_id, parts).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct Abort {
    path: String,
    upload_id: String,
}

async fn abort(
    Scoped(service): Scoped<Experiments>,
    Path(folder): Path<String>,
    MlflowJson(body): MlflowJson<Abort>,
) -> Answer {
    service.abort_upload(&place(&folder, &body.path), &body.upload_id).await?;
    Ok(Json(json!({})))
}
