use axum::Json;
use platform_web::mlflow::filter::{FilterError, parse};
use platform_web::mlflow::{MlflowJson, Scoped, optional_int64, real_to_json};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Answer;
use crate::metrics::{Aggregation, DataPoint, MetricQuery, View};
use crate::{TraceError, Traces};

const DEFAULT_RESULTS: i64 = 1_000;
const MAX_FILTERS: usize = 50;

#[derive(Deserialize)]
pub(super) struct Ask {
    experiment_ids: Vec<String>,
    view_type: String,
    metric_name: String,
    aggregations: Vec<AggregationBody>,
    #[serde(default)]
    dimensions: Vec<String>,
    #[serde(default)]
    filters: Vec<String>,
    #[serde(default, deserialize_with = "optional_int64")]
    time_interval_seconds: Option<i64>,
    #[serde(default, deserialize_with = "optional_int64")]
    start_time_ms: Option<i64>,
    #[serde(default, deserialize_with = "optional_int64")]
    end_time_ms: Option<i64>,
    #[serde(default, deserialize_with = "optional_int64")]
    max_results: Option<i64>,
}

#[derive(Deserialize)]
struct AggregationBody {
    aggregation_type: String,
    percentile_value: Option<f64>,
}

impl Ask {
    fn query(self) -> Result<MetricQuery, TraceError> {
        let view = View::parse(&self.view_type).ok_or_else(|| {
            TraceError::invalid("view_type", &self.view_type, "expected TRACES, SPANS or ASSESSMENTS")
        })?;
        let max_results = self.max_results.unwrap_or(DEFAULT_RESULTS);
        if !(1..=DEFAULT_RESULTS).contains(&max_results) {
            let rule = format!("expected 1 to {DEFAULT_RESULTS}");
            return Err(TraceError::invalid("max_results", max_results.to_string(), rule));
        }
        if self.filters.len() > MAX_FILTERS {
            let rule = format!("at most {MAX_FILTERS} filters are taken");
            return Err(TraceError::invalid("filters", self.filters.len().to_string(), rule));
        }
        let aggregations = self
            .aggregations
            .iter()
            .map(|body| Aggregation::parse(&body.aggregation_type, body.percentile_value))
            .collect::<Result<Vec<_>, TraceError>>()?;
        let mut filters = Vec::new();
        for text in &self.filters {
            let rule = "Invalid filter: expected one clause";
            filters.push(parse(text)?.ok_or_else(|| FilterError::new("filters", text.as_str(), rule))?);
        }
        // A zero means the same as none there.
        let interval_seconds = self.time_interval_seconds.filter(|seconds| *seconds != 0);
        Ok(MetricQuery {
            experiments: self.experiment_ids,
            view,
            metric: self.metric_name,
            aggregations,
            dimensions: self.dimensions,
            filters,
            interval_seconds,
            start_ms: self.start_time_ms,
            end_ms: self.end_time_ms,
            limit: max_results as usize,
        })
    }
}

pub(super) async fn query(Scoped(service): Scoped<Traces>, MlflowJson(body): MlflowJson<Ask>) -> Answer {
    let metric = body.metric_name.clone();
    let points = service.data_points(body.query()?).await?;
    let points: Vec<Value> = points.iter().map(|point| render(&metric, point)).collect();
    Ok(Json(json!({"data_points": points})))
}

fn render(metric: &str, point: &DataPoint) -> Value {
    let dimensions: Map<String, Value> =
        point.dimensions.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    let values: Map<String, Value> =
        point.values.iter().map(|(key, value)| (key.clone(), real_to_json(*value))).collect();
    json!({"metric_name": metric, "dimensions": dimensions, "values": values})
}
