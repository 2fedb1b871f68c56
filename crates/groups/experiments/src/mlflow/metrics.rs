//! Metrics on the wire: single points, batches, histories.

use axum::Json;
use axum::extract::Query as UrlQuery;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header;
use kernel_series::Point;
use platform_primitives::{ErrorKind, Failure};
use platform_web::dialect::MlflowResult;
use platform_web::mlflow::{MlflowJson, Scoped, int64, optional_int64, real};
use serde::Deserialize;
use serde_json::json;

use super::Answer;
use super::experiments::Pair;
use super::runs::RunKey;
use crate::model::MetricPoint;
use crate::service::Batch;
use crate::{ExperimentError, Experiments};

#[derive(Deserialize)]
struct WirePoint {
    key: String,
    #[serde(deserialize_with = "real")]
    value: f64,
    #[serde(deserialize_with = "int64")]
    timestamp: i64,
    #[serde(default, deserialize_with = "optional_int64")]
    step: Option<i64>,
    #[serde(default)]
    model_id: Option<String>,
    #[serde(default)]
    dataset_name: Option<String>,
    #[serde(default)]
    dataset_digest: Option<String>,
}

impl WirePoint {
    fn point(self) -> MetricPoint {
        MetricPoint {
            key: self.key,
            point: Point { at_ms: self.timestamp, step: self.step.unwrap_or(0), value: self.value },
            model_id: self.model_id.unwrap_or_default(),
            dataset_name: self.dataset_name.unwrap_or_default(),
            dataset_digest: self.dataset_digest.unwrap_or_default(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct LogMetric {
    run_id: Option<String>,
    run_uuid: Option<String>,
    key: String,
    #[serde(deserialize_with = "real")]
    value: f64,
    #[serde(deserialize_with = "int64")]
    timestamp: i64,
    #[serde(default, deserialize_with = "optional_int64")]
    step: Option<i64>,
    #[serde(default)]
    model_id: Option<String>,
    #[serde(default)]
    dataset_name: Option<String>,
    #[serde(default)]
    dataset_digest: Option<String>,
}

pub(super) async fn log_metric(
    Scoped(service): Scoped<Experiments>,
    MlflowJson(body): MlflowJson<LogMetric>,
) -> Answer {
    let key = RunKey { run_id: body.run_id, run_uuid: body.run_uuid };
    let wire = WirePoint {
        key: body.key,
        value: body.value,
        timestamp: body.timestamp,
        step: body.step,
        model_id: body.model_id,
        dataset_name: body.dataset_name,
        dataset_digest: body.dataset_digest,
    };
    let batch = Batch { metrics: vec![wire.point()], ..Batch::default() };
    service.log_batch(key.id()?, batch).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct LogBatch {
    run_id: String,
    #[serde(default)]
    metrics: Vec<WirePoint>,
    #[serde(default)]
    params: Vec<Pair>,
    #[serde(default)]
    tags: Vec<Pair>,
}

pub(super) async fn log_batch(
    Scoped(service): Scoped<Experiments>,
    MlflowJson(body): MlflowJson<LogBatch>,
) -> Answer {
    let pairs = |list: Vec<Pair>| list.into_iter().map(|pair| (pair.key, pair.value)).collect();
    let batch = Batch {
        metrics: body.metrics.into_iter().map(WirePoint::point).collect(),
        params: pairs(body.params),
        tags: pairs(body.tags),
    };
    service.log_batch(&body.run_id, batch).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct HistoryQuery {
    run_id: Option<String>,
    run_uuid: Option<String>,
    #[serde(default)]
    metric_key: Option<String>,
    max_results: Option<i64>,
    page_token: Option<String>,
}

/// Upstream's cap on a page of history; without `max_results` all points come in one answer.
const HISTORY_PAGE: i64 = 25_000;

pub(super) async fn history(
    Scoped(service): Scoped<Experiments>,
    UrlQuery(query): UrlQuery<HistoryQuery>,
) -> MlflowResult<Response> {
    let run = RunKey { run_id: query.run_id, run_uuid: query.run_uuid };
    let key = query.metric_key.ok_or(ExperimentError::Missing { field: "metric_key" })?;
    let limit = match query.max_results {
        None => usize::MAX - 1,
        Some(limit) if limit < 1 => {
            let rule = "It must be at least 1.";
            return Err(ExperimentError::invalid_number("max_results", limit, rule).into());
        }
        Some(limit) => limit.min(HISTORY_PAGE) as usize,
    };
    let after =
        query.page_token.as_deref().filter(|token| !token.is_empty()).map(decode_token).transpose()?;
    let (points, more) = service.history_page(run.id()?, &key, after, limit).await?;
    let mut body = String::with_capacity(points.len() * (72 + key.len()) + 64);
    body.push_str("{\"metrics\":[");
    write_points(&mut body, &key, None, &points);
    body.push(']');
    if let Some(last) = points.last().filter(|_| more) {
        body.push_str(&format!(",\"next_page_token\":\"{}\"", encode_token(last)));
    }
    body.push('}');
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// The page ended at this point; the bits of the value, because a token must order as the point does.
fn encode_token(point: &Point) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}:{}:{}", point.at_ms, point.step, point.value.to_bits()))
}

fn decode_token(token: &str) -> Result<Point, ExperimentError> {
    let parse = || -> Option<Point> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let mut parts = text.split(':');
        let at_ms = parts.next()?.parse().ok()?;
        let step = parts.next()?.parse().ok()?;
        let value = f64::from_bits(parts.next()?.parse().ok()?);
        Some(Point { at_ms, step, value })
    };
    parse().ok_or_else(|| ExperimentError::invalid("page_token", token, "Invalid page token"))
}

/// By hand: a history of a million points is a hundred megabytes of JSON, and this is what it costs.
fn write_points(out: &mut String, key: &str, run: Option<&str>, points: &[Point]) {
    use std::fmt::Write as _;
    let key = serde_json::Value::from(key).to_string();
    for (place, point) in points.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        out.push_str("{\"key\":");
        out.push_str(&key);
        out.push_str(",\"value\":");
        if point.value.is_nan() {
            out.push_str("\"NaN\"");
        } else {
            // `{:?}` is the shortest text that reads back as the same number, and JSON.
            let written = write!(out, "{:?}", point.value.clamp(f64::MIN, f64::MAX));
            written.expect("a String takes everything");
        }
        let written = write!(out, ",\"timestamp\":{},\"step\":{}", point.at_ms, point.step);
        written.expect("a String takes everything");
        if let Some(run) = run {
            out.push_str(",\"run_id\":");
            out.push_str(&serde_json::Value::from(run).to_string());
        }
        out.push('}');
    }
}

type Pairs = UrlQuery<Vec<(String, String)>>;

/// Values of a query parameter that may come more than once.
fn all<'q>(pairs: &'q [(String, String)], name: &str) -> Vec<&'q str> {
    pairs.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect()
}

fn number(pairs: &[(String, String)], name: &'static str) -> Result<Option<i64>, ExperimentError> {
    let Some(text) = all(pairs, name).pop() else { return Ok(None) };
    text.parse().map(Some).map_err(|_| ExperimentError::invalid(name, text, "expected a whole number"))
}

fn refusal(message: String) -> Failure {
    Failure::new(ErrorKind::Invalid, "mlflow/history", message)
}

const BULK_RUNS: usize = 100;
const BULK_POINTS: i64 = 25_000;

/// Points of one metric of several runs, by run.
pub(super) async fn history_bulk(
    Scoped(service): Scoped<Experiments>,
    UrlQuery(query): Pairs,
) -> MlflowResult<Response> {
    let mut runs = all(&query, "run_id");
    let keys = all(&query, "metric_key");
    if runs.is_empty() {
        let message = "GetMetricHistoryBulk request must specify at least one run_id.";
        return Err(refusal(message.to_owned()).into());
    }
    if runs.len() > BULK_RUNS {
        let found = runs.len();
        let message = format!(
            "GetMetricHistoryBulk request cannot specify more than {BULK_RUNS} run_ids. Received {found} run_ids."
        );
        return Err(refusal(message).into());
    }
    let Some(key) = keys.first() else {
        return Err(refusal("GetMetricHistoryBulk request must specify a metric_key.".to_owned()).into());
    };
    let limit = number(&query, "max_results")?.unwrap_or(BULK_POINTS).clamp(0, BULK_POINTS) as usize;
    runs.sort_unstable();
    runs.dedup();
    let mut body = "{\"metrics\":[".to_owned();
    let mut left = limit;
    for run in runs {
        if left == 0 {
            break;
        }
        let points = match service.history_page(run, key, None, left).await {
            Ok((points, _)) => points,
            Err(ExperimentError::RunNotFound { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        if !points.is_empty() && left < limit {
            body.push(',');
        }
        left -= points.len();
        write_points(&mut body, key, Some(run), &points);
    }
    body.push_str("]}");
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

const INTERVAL_POINTS: i64 = 2_500;
/// Points of a chart when the client names no number.
const INTERVAL_DEFAULT: i64 = 320;

/// Points of one metric of several runs, thinned out evenly over the steps; the first and last of each run stay.
pub(super) async fn history_interval(
    Scoped(service): Scoped<Experiments>,
    UrlQuery(query): Pairs,
) -> MlflowResult<Response> {
    let runs = all(&query, "run_ids");
    let key = all(&query, "metric_key").first().copied().unwrap_or_default();
    if runs.is_empty() {
        return Err(ExperimentError::Missing { field: "run_ids" }.into());
    }
    if runs.len() > BULK_RUNS {
        let message = "GetMetricHistoryBulkInterval request must specify at most 100 run_ids. ";
        return Err(refusal(format!("{message}Received {} run_ids.", runs.len())).into());
    }
    if key.is_empty() {
        return Err(ExperimentError::Missing { field: "metric_key" }.into());
    }
    let most = number(&query, "max_results")?.unwrap_or(INTERVAL_DEFAULT);
    if !(1..=INTERVAL_POINTS).contains(&most) {
        return Err(refusal(format!("max_results must be between 1 and {INTERVAL_POINTS}.")).into());
    }
    let range = match (number(&query, "start_step")?, number(&query, "end_step")?) {
        (None, None) => None,
        (Some(start), Some(end)) if start > end => {
            let message = format!(
                "end_step must be greater than start_step. Found start_step={start} and end_step={end}."
            );
            return Err(refusal(message).into());
        }
        (Some(start), Some(end)) => Some((start, end)),
        _ => {
            let message = "If either start step or end step are specified, both must be specified.";
            return Err(refusal(message.to_owned()).into());
        }
    };
    let mut runs: Vec<String> = runs.into_iter().map(str::to_owned).collect();
    runs.sort_unstable();
    runs.dedup();
    let found = service.thinned_history(&runs, key, range, most as usize).await?;
    let mut body = "{\"metrics\":[".to_owned();
    let mut first = true;
    for (run, points) in &found {
        if !points.is_empty() && !std::mem::take(&mut first) {
            body.push(',');
        }
        first &= points.is_empty();
        write_points(&mut body, key, Some(run), points);
    }
    body.push_str("]}");
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}
