//! Aggregates of traces, spans and assessments in one query.

use platform_db::{Db, Row, Value};
use platform_primitives::Timestamp;
use platform_web::mlflow::filter::{Expr, FilterError, Operand, Operator};

use super::{Result, hole, holes};
use crate::metrics::{Aggregation, DataPoint, MetricQuery, View};
use crate::names::{TOKEN_KEYS, tag};

/// The column of a time bucket.
const TIME_BUCKET: &str = "time_bucket";

/// One point for each group, in the order of the groups.
pub(crate) async fn data_points(db: &Db, query: &MetricQuery) -> Result<Vec<DataPoint>> {
    let mut arguments = Vec::new();
    let names: Vec<&str> = query
        .interval_seconds
        .map(|_| TIME_BUCKET)
        .into_iter()
        .chain(query.dimensions.iter().map(String::as_str))
        .collect();
    let sql = statement(query, &names, &mut arguments)?;
    let rows = db.read(sql, arguments).await?;
    let mut points = Vec::new();
    for row in &rows {
        let point = point(row, query, &names)?;
        if !point.values.is_empty() {
            points.push(point);
        }
    }
    Ok(points)
}

/// From the inside out: dimensions and value of each row; its rank in its group; the groups.
fn statement(query: &MetricQuery, names: &[&str], arguments: &mut Vec<Value>) -> Result<String> {
    let inner = rows(query, names, arguments)?;
    let columns: Vec<String> = (0..names.len()).map(|index| format!("d{index}")).collect();
    let list = columns.join(", ");
    let aggregates: Vec<String> = query.aggregations.iter().map(|kind| aggregate(*kind)).collect();
    let present: String = columns.iter().map(|column| format!(" AND {column} IS NOT NULL")).collect();
    let (prefix, partition, groups) = match names.is_empty() {
        true => (String::new(), String::new(), String::new()),
        false => {
            (format!("{list}, "), format!("PARTITION BY {list}"), format!(" GROUP BY {list} ORDER BY {list}"))
        }
    };
    Ok(format!(
        "SELECT {prefix}{} FROM (SELECT {prefix}v, ROW_NUMBER() OVER ({partition} ORDER BY v) - 1 AS i, \
         COUNT(*) OVER ({partition}) AS n FROM ({inner}) raw WHERE v IS NOT NULL{present}) ranked{groups} LIMIT {}",
        aggregates.join(", "),
        query.limit
    ))
}

fn rows(query: &MetricQuery, names: &[&str], arguments: &mut Vec<Value>) -> Result<String> {
    let mut joins = match query.view {
        View::Traces => String::new(),
        View::Spans => " JOIN spans s ON s.trace_id = t.trace_id".to_owned(),
        View::Assessments => " JOIN trace_assessments a ON a.trace_id = t.trace_id".to_owned(),
    };
    let value = match (query.view, query.metric.as_str()) {
        (_, "trace_count" | "span_count" | "assessment_count") => "1",
        (View::Traces, "latency") => "t.duration_ms",
        (View::Spans, "latency") => "(s.end_ns - s.start_ns) / 1000000",
        (View::Assessments, _) => "a.number",
        (_, metric) => {
            let of_trace = TOKEN_KEYS.contains(&metric);
            let key = hole(arguments, metric);
            joins.push_str(&match of_trace {
                true => format!(" JOIN trace_metrics m ON m.trace_id = t.trace_id AND m.key = {key}"),
                false => format!(
                    " JOIN span_metrics m ON m.trace_id = s.trace_id AND m.span_id = s.span_id AND m.key = {key}"
                ),
            });
            "m.value"
        }
    };
    let mut columns = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let column = match *name {
            TIME_BUCKET => bucket(query),
            "trace_name" => {
                let key = hole(arguments, tag::NAME);
                let join = " JOIN trace_tags named ON named.trace_id = t.trace_id AND named.key = ";
                joins.push_str(&format!("{join}{key}"));
                "named.value".to_owned()
            }
            "trace_status" => "t.state".to_owned(),
            "span_name" => "s.name".to_owned(),
            "span_type" => "s.span_type".to_owned(),
            "span_status" => "s.status".to_owned(),
            "span_model_name" => "s.model".to_owned(),
            "span_model_provider" => "s.provider".to_owned(),
            "assessment_name" => "a.name".to_owned(),
            "assessment_value" => "a.value".to_owned(),
            other => return Err(FilterError::new("dimensions", other, "not a dimension").into()),
        };
        columns.push(format!("{column} AS d{index}, "));
    }
    let mut conditions = vec!["1 = 1".to_owned()];
    if !query.experiments.is_empty() {
        conditions.push(format!("t.experiment_id IN {}", holes(arguments, &query.experiments)));
    }
    if let Some(start_ms) = query.start_ms {
        conditions.push(format!("t.request_ms >= {}", hole(arguments, start_ms)));
    }
    if let Some(end_ms) = query.end_ms {
        conditions.push(format!("t.request_ms <= {}", hole(arguments, end_ms)));
    }
    for filter in &query.filters {
        conditions.push(condition(filter, query.view, arguments)?);
    }
    Ok(format!(
        "SELECT {}CAST({value} AS DOUBLE PRECISION) AS v FROM traces t{joins} WHERE {}",
        columns.join(""),
        conditions.join(" AND ")
    ))
}

/// The start of the row's bucket in milliseconds, by whole division.
fn bucket(query: &MetricQuery) -> String {
    let at = match query.view {
        View::Traces => "t.request_ms",
        View::Spans => "(s.start_ns / 1000000)",
        View::Assessments => "a.created_ms",
    };
    let size_ms = query.interval_seconds.unwrap_or(1).saturating_mul(1_000);
    format!("({at} / {size_ms}) * {size_ms}")
}

/// A percentile is a sum of neighbours: the row at rank `i` counts `1 - |i - q (n - 1)|`, or nothing when that is
/// negative. This is linear interpolation (Hyndman and Fan's method 7), written so that both engines know it.
fn aggregate(aggregation: Aggregation) -> String {
    match aggregation {
        Aggregation::Count => "COUNT(v)".to_owned(),
        Aggregation::Sum => "SUM(v)".to_owned(),
        Aggregation::Avg => "AVG(v)".to_owned(),
        Aggregation::Percentile(percent) => {
            let quantile = percent / 100.0;
            let distance = format!("ABS(i - CAST({quantile:?} AS DOUBLE PRECISION) * (n - 1))");
            format!("SUM(CASE WHEN {distance} < 1 THEN v * (1 - {distance}) ELSE 0 END)")
        }
    }
}

/// `trace.status`, `trace.tag.KEY`, `trace.metadata.KEY`, `span.name`, `assessment.type` … `= 'text'`.
fn condition(filter: &Expr, view: View, arguments: &mut Vec<Value>) -> Result<String> {
    let Expr::Compare(comparison) = filter else {
        return Err(FilterError::new("filters", "", "Invalid filter: expected one clause each").into());
    };
    let wrong = |rule: &str| FilterError::new("filters", comparison.text.clone(), rule);
    let (Operator::Eq, Operand::Text(value)) = (comparison.operator, &comparison.operand) else {
        return Err(wrong("Invalid comparator: only '=' with a quoted text is supported").into());
    };
    let (part, key) = match comparison.key.split_once('.') {
        Some((part, key)) => (part, Some(key.trim_matches(['`', '"', '\'']))),
        None => (comparison.key.as_str(), None),
    };
    let column = match (comparison.entity.as_str(), part, key) {
        ("trace", "status", None) => "t.state",
        ("trace", "tag" | "metadata", Some(key)) => {
            let table = if part == "tag" { "trace_tags" } else { "trace_metadata" };
            let (key, value) = (hole(arguments, key), hole(arguments, value));
            return Ok(format!(
                "EXISTS (SELECT 1 FROM {table} x WHERE x.trace_id = t.trace_id AND x.key = {key} AND x.value = {value})"
            ));
        }
        ("span", _, _) if view != View::Spans => {
            return Err(wrong("Filtering by span is only supported for the SPANS view").into());
        }
        ("assessment", _, _) if view != View::Assessments => {
            return Err(wrong("Filtering by assessment is only supported for the ASSESSMENTS view").into());
        }
        ("span", "name", None) => "s.name",
        ("span", "status", None) => "s.status",
        ("span", "type", None) => "s.span_type",
        ("assessment", "name", None) => "a.name",
        ("assessment", "type", None) => "a.kind",
        _ => {
            let rule = "Invalid identifier: expected trace.status, trace.tag.<key>, trace.metadata.<key>, \
                        span.name|status|type or assessment.name|type";
            return Err(wrong(rule).into());
        }
    };
    Ok(format!("{column} = {}", hole(arguments, value)))
}

fn point(row: &Row, query: &MetricQuery, names: &[&str]) -> Result<DataPoint> {
    let mut dimensions = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let value = match *name {
            // As Python writes a whole second in UTC.
            TIME_BUCKET => Timestamp::from_millis(row.int(index)?).to_string().replace(".000Z", "+00:00"),
            _ => row.string(index)?,
        };
        dimensions.push(((*name).to_owned(), value));
    }
    let mut values = Vec::new();
    for (index, aggregation) in query.aggregations.iter().enumerate() {
        if let Some(value) = row.opt_real(names.len() + index)? {
            values.push((aggregation.label(), value));
        }
    }
    Ok(DataPoint { dimensions, values })
}
