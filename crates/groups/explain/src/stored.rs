//! Explanations of predictions as they were answered, where an endpoint's settings say so: rows in chunks, sums by day.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use platform_primitives::Timestamp;
use platform_tables::{Column, Table, read_parquet, write_parquet};
use serde::Serialize;

use crate::model::Explanations;
use crate::service::apart;
use crate::store::{self, Chunk, DaySums};
use crate::{Explain, ExplainError};

type Result<T> = std::result::Result<T, ExplainError>;

const DAY_MS: i64 = 86_400_000;
/// Chunks that are read at once.
const PAGE: i64 = 16;
/// Chunks that one request reads.
const MOST_CHUNKS: usize = 1_024;

/// A prediction that was answered and is in the log.
#[derive(Debug, Clone)]
pub struct LoggedRow {
    pub id: String,
    pub at: Timestamp,
    /// That answered.
    pub version: String,
    /// In the order of the inputs; NaN is missing.
    pub inputs: Vec<f64>,
}

/// An explanation as it was kept.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StoredExplanation {
    pub id: String,
    pub at: Timestamp,
    pub version: String,
    /// By input; `null` is missing.
    pub data: BTreeMap<String, Option<f64>>,
    pub outputs: Vec<StoredOutput>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct StoredOutput {
    pub score: f64,
    pub base_value: f64,
    pub values: BTreeMap<String, f64>,
}

/// Which explanations are wanted, newest chunks first.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub id: Option<String>,
    pub from: Timestamp,
    pub to: Timestamp,
    /// Chunks before this one.
    pub before: i64,
    pub most: usize,
}

impl Explain {
    /// Whether explanations of an endpoint's predictions are kept.
    pub async fn stores(&self, endpoint: &str) -> Result<bool> {
        Ok(self.find_settings(endpoint, None).await?.is_some_and(|found| found.settings.store))
    }

    /// Explains rows and keeps the explanations; returns once they are durable. Rows of a version that answers no longer, or that cannot be
    /// explained, are passed over and counted: only a database that fails is an error.
    pub async fn keep(&self, endpoint: &str, rows: Vec<LoggedRow>) -> Result<()> {
        let mut by_version: BTreeMap<String, Vec<LoggedRow>> = BTreeMap::new();
        for row in rows {
            by_version.entry(row.version.clone()).or_default().push(row);
        }
        for (version, rows) in by_version {
            let count = rows.len() as u64;
            let (chunk, days) = match self.chunk(endpoint, version, rows).await {
                Ok(made) => made,
                Err(error) => {
                    self.passed_over.fetch_add(count, Ordering::Relaxed);
                    tracing::warn!(%error, %endpoint, rows = count, "predictions are not explained");
                    continue;
                }
            };
            let endpoint = endpoint.to_owned();
            self.db.write(move |tx| store::append(tx, &endpoint, chunk, days)).await?;
        }
        Ok(())
    }

    async fn chunk(
        &self,
        endpoint: &str,
        version: String,
        rows: Vec<LoggedRow>,
    ) -> Result<(Chunk, Vec<DaySums>)> {
        let ready = self.ready(endpoint, Some(&version))?;
        let width = ready.explainer.features().len();
        if let Some((place, row)) = rows.iter().enumerate().find(|(_, row)| row.inputs.len() != width) {
            return Err(ExplainError::Width { row: place, found: row.inputs.len(), expected: width });
        }
        let explainer = Arc::clone(&ready.explainer);
        apart(move || {
            let inputs = rows.iter().flat_map(|row| &row.inputs).copied().collect();
            let explanations = explainer.explain(inputs)?;
            let times = || rows.iter().map(|row| row.at);
            let chunk = Chunk {
                version,
                from: times().min().unwrap_or_default(),
                to: times().max().unwrap_or_default(),
                rows: rows.len() as i64,
                parquet: encode(&rows, &explanations)?,
            };
            Ok((chunk, by_day(&rows, &explanations)))
        })
        .await
    }

    /// Explanations that fit, and the chunk to go on before, where there may be more.
    pub(crate) async fn stored(
        &self,
        endpoint: &str,
        wanted: &Wanted,
    ) -> Result<(Vec<StoredExplanation>, Option<i64>)> {
        let (mut found, mut before) = (Vec::new(), wanted.before);
        for _ in 0..MOST_CHUNKS / PAGE as usize {
            let chunks = store::chunks(&self.db, endpoint, before, (wanted.from, wanted.to), PAGE).await?;
            let is_last = chunks.len() < PAGE as usize;
            for (seq, version, parquet) in chunks {
                let own = decode(parquet, &version, wanted).map_err(|_| ExplainError::Stored {
                    endpoint: endpoint.to_owned(),
                    what: "explanations",
                })?;
                // A chunk is never parted: the next page begins with a whole one.
                if !found.is_empty() && found.len() + own.len() > wanted.most {
                    return Ok((found, Some(seq + 1)));
                }
                found.extend(own);
                before = seq;
                if wanted.id.is_some() && !found.is_empty() {
                    return Ok((found, None));
                }
            }
            if is_last {
                return Ok((found, None));
            }
            if found.len() >= wanted.most {
                break;
            }
        }
        Ok((found, Some(before)))
    }
}

fn encode(rows: &[LoggedRow], explanations: &Explanations) -> Result<Vec<u8>> {
    let width = explanations.features.len();
    let column = |values: &[f64], feature: usize| {
        Column::Real(values.iter().skip(feature).step_by(width.max(1)).copied().collect())
    };
    let mut columns = vec![
        ("id".to_owned(), Column::Text(rows.iter().map(|row| Some(row.id.clone())).collect())),
        ("at".to_owned(), Column::Time(rows.iter().map(|row| Some(row.at)).collect())),
    ];
    for (feature, name) in explanations.features.iter().enumerate() {
        columns.push((format!("input.{name}"), column(&explanations.rows, feature)));
    }
    for (output, own) in explanations.outputs.iter().enumerate() {
        columns.push((format!("score.{output}"), Column::Real(own.scores.clone())));
        for (feature, name) in explanations.features.iter().enumerate() {
            columns.push((format!("value.{output}.{name}"), column(&own.values, feature)));
        }
    }
    Ok(write_parquet(&Table::new(columns)?)?)
}

fn decode(parquet: Vec<u8>, version: &str, wanted: &Wanted) -> Result<Vec<StoredExplanation>> {
    let table = read_parquet(parquet.into())?;
    let (ids, times) = (table.texts("id")?, table.times("at")?);
    let fits = |row: usize| {
        let at = times[row].unwrap_or_default();
        let is_asked = wanted.id.as_ref().is_none_or(|id| ids[row].as_ref() == Some(id));
        is_asked && at >= wanted.from && at <= wanted.to
    };
    let asked: Vec<usize> = (0..table.rows()).filter(|row| fits(*row)).collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let mut inputs = Vec::new();
    // By output: scores, and values by feature.
    type Columns = (Vec<f64>, Vec<(String, Vec<f64>)>);
    let mut outputs: BTreeMap<usize, Columns> = BTreeMap::new();
    for (name, _) in table.columns() {
        if let Some(input) = name.strip_prefix("input.") {
            inputs.push((input.to_owned(), table.reals(name)?));
        } else if let Some(output) = name.strip_prefix("score.") {
            outputs.entry(output.parse().unwrap_or_default()).or_default().0 = table.reals(name)?;
        } else if let Some((output, feature)) =
            name.strip_prefix("value.").and_then(|rest| rest.split_once('.'))
        {
            let own = &mut outputs.entry(output.parse().unwrap_or_default()).or_default().1;
            own.push((feature.to_owned(), table.reals(name)?));
        }
    }
    let stored = |row: usize| StoredExplanation {
        id: ids[row].clone().unwrap_or_default(),
        at: times[row].unwrap_or_default(),
        version: version.to_owned(),
        data: inputs
            .iter()
            .map(|(name, values)| (name.clone(), Some(values[row]).filter(|value| !value.is_nan())))
            .collect(),
        outputs: outputs
            .values()
            .map(|(scores, values)| StoredOutput {
                score: scores[row],
                base_value: scores[row] - values.iter().map(|(_, values)| values[row]).sum::<f64>(),
                values: values.iter().map(|(name, values)| (name.clone(), values[row])).collect(),
            })
            .collect(),
    };
    // The newest first.
    Ok(asked.into_iter().rev().map(stored).collect())
}

fn by_day(rows: &[LoggedRow], explanations: &Explanations) -> Vec<DaySums> {
    let width = explanations.features.len();
    let mut days: BTreeMap<i64, DaySums> = BTreeMap::new();
    for (row, logged) in rows.iter().enumerate() {
        let day = logged.at.as_millis().div_euclid(DAY_MS);
        let own = days.entry(day).or_insert_with(|| DaySums {
            day,
            rows: 0,
            sums: vec![0.0; explanations.outputs.len() * width],
        });
        own.rows += 1;
        for (output, sums) in own.sums.chunks_mut(width.max(1)).enumerate() {
            let values = explanations.values(output, row);
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value.abs());
        }
    }
    days.into_values().collect()
}
