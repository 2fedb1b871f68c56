//! Which numbers of traces, spans and assessments can be asked for, and how they are put together.

use platform_web::mlflow::filter::Expr;

use crate::TraceError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    Traces,
    Spans,
    Assessments,
}

impl View {
    const ALL: [Self; 3] = [Self::Traces, Self::Spans, Self::Assessments];

    pub fn name(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Spans => "SPANS",
            Self::Assessments => "ASSESSMENTS",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|view| view.name() == name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregation {
    Count,
    Sum,
    Avg,
    /// In percent; linear between neighbours.
    Percentile(f64),
}

impl Aggregation {
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "COUNT",
            Self::Sum => "SUM",
            Self::Avg => "AVG",
            Self::Percentile(_) => "PERCENTILE",
        }
    }

    /// As the answer names it: `COUNT`, `P99.9`.
    pub fn label(self) -> String {
        match self {
            Self::Percentile(percent) => format!("P{percent:?}"),
            other => other.name().to_owned(),
        }
    }

    /// `percent` is for percentiles, and only for them.
    pub fn parse(name: &str, percent: Option<f64>) -> Result<Self, TraceError> {
        let wrong = |rule: &str| TraceError::invalid("aggregations", name, rule);
        match (name, percent) {
            ("PERCENTILE", Some(percent)) if (0.0..=100.0).contains(&percent) => {
                Ok(Self::Percentile(percent))
            }
            ("PERCENTILE", _) => Err(wrong("a percentile_value from 0 to 100 is required")),
            (_, Some(_)) => Err(wrong("percentile_value is only for PERCENTILE")),
            ("COUNT", None) => Ok(Self::Count),
            ("SUM", None) => Ok(Self::Sum),
            ("AVG", None) => Ok(Self::Avg),
            _ => Err(wrong("Found invalid aggregation_type(s); supported are COUNT, SUM, AVG, PERCENTILE")),
        }
    }
}

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct MetricQuery {
    /// Empty: all.
    pub experiments: Vec<String>,
    pub view: View,
    pub metric: String,
    pub aggregations: Vec<Aggregation>,
    pub dimensions: Vec<String>,
    /// Each is one clause; all hold.
    pub filters: Vec<Expr>,
    pub interval_seconds: Option<i64>,
    pub start_ms: Option<i64>,
    pub end_ms: Option<i64>,
    pub limit: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DataPoint {
    pub dimensions: Vec<(String, String)>,
    pub values: Vec<(String, f64)>,
}

/// A metric with the aggregations and dimensions that make sense for it.
struct Offer {
    view: View,
    metric: &'static str,
    aggregations: &'static [&'static str],
    dimensions: &'static [&'static str],
}

const COUNTED: &[&str] = &["COUNT"];
const MEASURED: &[&str] = &["AVG", "PERCENTILE"];
const SUMMED: &[&str] = &["SUM", "AVG", "PERCENTILE"];
const BY_NAME: &[&str] = &["trace_name"];
const BY_MODEL: &[&str] = &["span_model_name", "span_model_provider"];

const fn offer(
    view: View,
    metric: &'static str,
    aggregations: &'static [&'static str],
    dimensions: &'static [&'static str],
) -> Offer {
    Offer { view, metric, aggregations, dimensions }
}

static OFFERS: [Offer; 14] = [
    offer(View::Traces, "trace_count", COUNTED, &["trace_name", "trace_status"]),
    offer(View::Traces, "latency", MEASURED, BY_NAME),
    offer(View::Traces, "input_tokens", SUMMED, BY_NAME),
    offer(View::Traces, "output_tokens", SUMMED, BY_NAME),
    offer(View::Traces, "total_tokens", SUMMED, BY_NAME),
    offer(View::Traces, "cache_read_input_tokens", SUMMED, BY_NAME),
    offer(View::Traces, "cache_creation_input_tokens", SUMMED, BY_NAME),
    offer(
        View::Spans,
        "span_count",
        COUNTED,
        &["span_name", "span_type", "span_status", "span_model_name", "span_model_provider"],
    ),
    offer(View::Spans, "latency", MEASURED, &["span_name", "span_status"]),
    offer(View::Spans, "input_cost", SUMMED, BY_MODEL),
    offer(View::Spans, "output_cost", SUMMED, BY_MODEL),
    offer(View::Spans, "total_cost", SUMMED, BY_MODEL),
    offer(View::Assessments, "assessment_count", COUNTED, &["assessment_name", "assessment_value"]),
    offer(View::Assessments, "assessment_value", MEASURED, &["assessment_name"]),
];

impl MetricQuery {
    /// Only what is offered reaches the database.
    pub fn check(&self) -> Result<(), TraceError> {
        let found = OFFERS.iter().find(|offer| offer.view == self.view && offer.metric == self.metric);
        let Some(offer) = found else {
            let of_view = OFFERS.iter().filter(|offer| offer.view == self.view);
            let known: Vec<&str> = of_view.map(|offer| offer.metric).collect();
            let rule = format!("metric_name must be one of {}", known.join(", "));
            return Err(TraceError::invalid("metric_name", &self.metric, rule));
        };
        if self.aggregations.is_empty() {
            return Err(TraceError::Missing { field: "aggregations" });
        }
        let mut names = self.aggregations.iter().map(|aggregation| aggregation.name());
        if let Some(other) = names.find(|name| !offer.aggregations.contains(name)) {
            let supported = offer.aggregations.join(", ");
            let rule = format!("Found invalid aggregation_type(s). Supported aggregation types: {supported}");
            return Err(TraceError::invalid("aggregations", other, rule));
        }
        if let Some(other) = self.dimensions.iter().find(|name| !offer.dimensions.contains(&name.as_str())) {
            let supported = offer.dimensions.join(", ");
            let rule = format!("Found invalid dimension(s). Supported dimensions: {supported}");
            return Err(TraceError::invalid("dimensions", other, rule));
        }
        match self.interval_seconds {
            Some(seconds) if !(1..=1_000_000_000).contains(&seconds) => {
                let rule = "expected a positive number of seconds";
                Err(TraceError::invalid("time_interval_seconds", seconds.to_string(), rule))
            }
            Some(_) if self.start_ms.is_none() || self.end_ms.is_none() => {
                let rule = "start_time_ms and end_time_ms are required if time_interval_seconds is set";
                Err(TraceError::invalid("time_interval_seconds", "", rule))
            }
            _ => Ok(()),
        }
    }
}
