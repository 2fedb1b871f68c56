//! Columns of the table of runs: how the URL names them and what a run has in them.

use kernel_series::Summary;
use platform_primitives::Timestamp;
use platform_ui::short_time;
use serde::Serialize;

use super::format::precise;
use crate::ExperimentError;
use crate::index::window::{Aggregate, Attribute, ColumnKey};
use crate::model::RunRecord;

/// Columns shown at a time: more are not read by anybody.
const COLUMNS_MAX: usize = 60;

/// A column as a head of the table.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Column {
    /// As the URL and an order write it.
    pub term: String,
    pub label: String,
    /// `metrics`, `params`, `tags` or `attributes`.
    pub kind: &'static str,
    pub numeric: bool,
    #[serde(skip)]
    pub key: ColumnKey,
}

/// A value that charts place and tables sort.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum Raw {
    Number(f64),
    Text(String),
    Missing,
}

impl Column {
    pub fn parse(term: &str) -> Result<Self, ExperimentError> {
        Ok(Self::new(ColumnKey::parse(term)?))
    }

    pub fn new(key: ColumnKey) -> Self {
        let (kind, label) = match &key {
            ColumnKey::Metric(name, aggregate) => (
                "metrics",
                match aggregate {
                    Aggregate::Latest => name.clone(),
                    Aggregate::Min => format!("min {name}"),
                    Aggregate::Max => format!("max {name}"),
                },
            ),
            ColumnKey::Param(name) => ("params", name.clone()),
            ColumnKey::Tag(name) => ("tags", name.clone()),
            ColumnKey::Attribute(attribute) => ("attributes", attribute_name(*attribute).to_owned()),
            ColumnKey::Dataset(_) => ("datasets", "dataset".to_owned()),
        };
        let term = match &key {
            ColumnKey::Metric(name, Aggregate::Min) => format!("min({})", spelled("metrics", name)),
            ColumnKey::Metric(name, Aggregate::Max) => format!("max({})", spelled("metrics", name)),
            ColumnKey::Metric(name, Aggregate::Latest) => spelled("metrics", name),
            ColumnKey::Param(name) => spelled("params", name),
            ColumnKey::Tag(name) => spelled("tags", name),
            ColumnKey::Attribute(_) | ColumnKey::Dataset(_) => format!("{kind}.{label}"),
        };
        Self { term, label, kind, numeric: key.is_number(), key }
    }

    /// As the table shows it; `None` when the run has nothing there.
    pub fn text(&self, record: &RunRecord) -> Option<String> {
        self.shown(&self.raw(record))
    }

    /// A value of this column as the table shows it.
    pub fn shown(&self, value: &Raw) -> Option<String> {
        match (&self.key, value) {
            (ColumnKey::Attribute(Attribute::Start | Attribute::End), Raw::Number(millis)) => {
                Some(short_time(Timestamp::from_millis(*millis as i64)))
            }
            (_, Raw::Number(number)) => Some(precise(*number)),
            (_, Raw::Text(text)) => Some(text.clone()),
            (_, Raw::Missing) => None,
        }
    }

    /// In full, for exports and charts.
    pub fn raw(&self, record: &RunRecord) -> Raw {
        let text = |text: &str| Raw::Text(text.to_owned());
        match &self.key {
            ColumnKey::Metric(..) => self.number(record).map_or(Raw::Missing, Raw::Number),
            ColumnKey::Param(name) => record.params.get(name).map_or(Raw::Missing, |value| text(value)),
            ColumnKey::Tag(name) => record.tags.get(name).map_or(Raw::Missing, |value| text(value)),
            ColumnKey::Attribute(attribute) => match attribute {
                Attribute::RunId => text(&record.run.id),
                Attribute::Name => text(&record.run.name),
                Attribute::Status => text(record.run.status.name()),
                Attribute::User => text(&record.run.user),
                Attribute::ArtifactUri => Raw::Text(record.run.artifact_uri()),
                Attribute::Start => Raw::Number(record.run.start.as_millis() as f64),
                Attribute::End => {
                    record.run.end.map_or(Raw::Missing, |end| Raw::Number(end.as_millis() as f64))
                }
            },
            ColumnKey::Dataset(_) => Raw::Missing,
        }
    }

    fn number(&self, record: &RunRecord) -> Option<f64> {
        let ColumnKey::Metric(name, aggregate) = &self.key else { return None };
        record.metrics.get(name).map(|summary| chosen(summary, *aggregate))
    }
}

fn chosen(summary: &Summary, aggregate: Aggregate) -> f64 {
    match aggregate {
        Aggregate::Latest => summary.latest.value,
        Aggregate::Min => summary.min,
        Aggregate::Max => summary.max,
    }
}

fn attribute_name(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::RunId => "run_id",
        Attribute::Name => "run_name",
        Attribute::Status => "status",
        Attribute::User => "user_id",
        Attribute::ArtifactUri => "artifact_uri",
        Attribute::Start => "start_time",
        Attribute::End => "end_time",
    }
}

/// `metrics.mae`, with quotes where the key needs them.
pub(super) fn spelled(kind: &str, key: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:".contains(c);
    match key {
        key if !key.is_empty() && key.chars().all(plain) => format!("{kind}.{key}"),
        key if key.contains('`') => format!("{kind}.\"{key}\""),
        key => format!("{kind}.`{key}`"),
    }
}

/// Terms between commas; a comma inside quotes belongs to its key.
pub(super) fn split_terms(text: &str) -> Vec<String> {
    let (mut terms, mut term, mut quote) = (Vec::new(), String::new(), None);
    for c in text.chars() {
        match (quote, c) {
            (None, ',') => terms.push(std::mem::take(&mut term)),
            (None, '`' | '"') => {
                quote = Some(c);
                term.push(c);
            }
            (Some(open), c) if c == open => {
                quote = None;
                term.push(c);
            }
            _ => term.push(c),
        }
    }
    terms.push(term);
    terms.iter().map(|term| term.trim().to_owned()).filter(|term| !term.is_empty()).collect()
}

/// The columns that the URL names.
pub(super) fn parse_columns(text: &str) -> Result<Vec<Column>, ExperimentError> {
    let terms = split_terms(text);
    if terms.len() > COLUMNS_MAX {
        let rule = format!("{} columns are named, at most {COLUMNS_MAX} are shown", terms.len());
        return Err(ExperimentError::invalid("columns", "", rule));
    }
    let mut columns: Vec<Column> = Vec::new();
    for term in terms {
        let column = Column::parse(&term)?;
        if !columns.iter().any(|own| own.key == column.key) {
            columns.push(column);
        }
    }
    Ok(columns)
}

/// Without a choice: the first metrics, and the first params that differ between these runs.
pub(super) fn default_columns(records: &[std::sync::Arc<RunRecord>]) -> Vec<Column> {
    const METRICS: usize = 4;
    const PARAMS: usize = 3;
    let mut metrics = std::collections::BTreeSet::new();
    let mut params: std::collections::BTreeMap<&str, (Option<&str>, bool)> = Default::default();
    for record in records.iter().take(50) {
        metrics.extend(
            record.metrics.iter().map(|(key, _)| key).filter(|key| !super::format::is_system(key)).take(64),
        );
        for (key, value) in record.params.iter().take(64) {
            let seen = params.entry(key).or_insert((Some(value.as_str()), false));
            seen.1 |= seen.0 != Some(value.as_str());
        }
    }
    let few = records.len() < 2;
    let metrics = metrics.into_iter().take(METRICS);
    let params = params.into_iter().filter(|(_, (_, differs))| *differs || few).take(PARAMS);
    metrics
        .map(|key| ColumnKey::Metric(key.to_owned(), Aggregate::Latest))
        .chain(params.map(|(key, _)| ColumnKey::Param(key.to_owned())))
        .map(Column::new)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_spelled_as_they_are_read() {
        for term in ["metrics.mae", "max(metrics.auc)", "params.`a b`", "tags.team", "attributes.status"] {
            assert_eq!(Column::parse(term).map(|column| column.term).ok().as_deref(), Some(term));
        }
        let columns = parse_columns("metrics.mae, metrics.mae,params.`a,b`").expect("a list of columns");
        let labels: Vec<&str> = columns.iter().map(|column| column.label.as_str()).collect();
        assert_eq!(labels, ["mae", "a,b"]);
        assert!(parse_columns("wheels.x").is_err());
    }
}
