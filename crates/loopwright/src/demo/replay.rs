//! Recorded requests, sent again in their order.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use platform_primitives::Timestamp;
use platform_tables::{Column, Table, read_parquet};
use serde_json::{Value, json};

use super::client::Client;
use crate::cli::CommandError;

/// Requests under way at the same time.
const CONNECTIONS: usize = 16;
const DAY_MS: i64 = 86_400_000;

/// The table in memory: one request per row.
pub struct Stream {
    bodies: Arc<Vec<String>>,
    times: Vec<Timestamp>,
    /// Rows by the time their truth is known, with id and truth.
    labels: Vec<(Timestamp, String, f64)>,
    every_ms: i64,
}

/// What happens between two looks of the loop.
pub struct Day {
    pub rows: Range<usize>,
    pub rows_end: usize,
    pub start: Timestamp,
    pub end: Timestamp,
}

impl Stream {
    /// Downloads the table that the first pipeline run wrote.
    pub async fn open(
        client: &Client,
        project: &str,
        path: &str,
        file: &Value,
        pipeline_run: &str,
    ) -> Result<Self, CommandError> {
        let url = format!("/api/v1/projects/{project}/pipeline-runs/{pipeline_run}/files/{path}");
        let table = read_parquet(client.download(&url).await?)?;
        let name = |key: &str| file["data"][key].as_str().unwrap_or_default().to_owned();
        let ids = table.texts(&name("id"))?;
        let times = table.times(&name("time"))?;
        let truths = table.reals(&name("label"))?;
        let known = table.times(&name("label_time"))?;
        let features: Vec<&str> = file["data"]["features"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|f| f["name"].as_str())
            .collect();
        let columns = features
            .iter()
            .map(|name| Ok((*name, column(&table, name)?)))
            .collect::<Result<Vec<_>, CommandError>>()?;
        let mut bodies = Vec::with_capacity(table.rows());
        let mut labels = Vec::with_capacity(table.rows());
        let mut at = Vec::with_capacity(table.rows());
        for row in 0..table.rows() {
            let id = ids[row].clone().ok_or("the stream has a row without an id")?;
            let time = times[row].ok_or("the stream has a row without a time")?;
            bodies.push(body(&id, time, &columns, row));
            at.push(time);
            if let Some(known) = known[row].filter(|_| truths[row].is_finite()) {
                labels.push((known, id, truths[row]));
            }
        }
        if at.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err("the stream is not in time order".into());
        }
        labels.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let every = file["watch"]["every"].as_str().and_then(platform_loopfile::Span::parse);
        let every_ms = every.map_or(DAY_MS, |span| span.as_millis().max(1_000));
        Ok(Self { bodies: Arc::new(bodies), times: at, labels, every_ms })
    }

    pub fn rows(&self) -> usize {
        self.bodies.len()
    }

    /// The looks after `from`, one per watch interval, each with the rows before it.
    pub fn days(&self, from: i64) -> impl Iterator<Item = Day> + '_ {
        let first = self.times.first().map_or(0, |time| time.as_millis());
        let last = self.times.last().map_or(0, |time| time.as_millis());
        let aligned = from.max(first - first.rem_euclid(self.every_ms));
        let looks = (last - aligned).max(0) / self.every_ms + 1;
        (0..looks).filter(move |_| aligned <= last).map(move |look| {
            let start = Timestamp::from_millis(aligned + look * self.every_ms);
            let end = start.plus_millis(self.every_ms);
            let row = |time: Timestamp| self.times.partition_point(|at| *at < time);
            Day { rows: row(start)..row(end), rows_end: row(end), start, end }
        })
    }

    /// Sends the day's requests over a few connections; a refusal ends the replay.
    pub async fn send_requests(
        &self,
        client: &Client,
        model: &str,
        day: &Day,
        rate: u64,
    ) -> Result<(), CommandError> {
        let started = Instant::now();
        let path = Arc::new(format!("/v2/models/{model}/infer"));
        let mut lanes = tokio::task::JoinSet::new();
        for lane in 0..CONNECTIONS.min(day.rows.len()) {
            let (client, bodies, path) = (client.clone(), Arc::clone(&self.bodies), Arc::clone(&path));
            let rows = day.rows.clone().skip(lane).step_by(CONNECTIONS);
            lanes.spawn(async move {
                for row in rows {
                    let (status, answer) = client.post_text(&path, bodies[row].clone()).await?;
                    if status != StatusCode::OK {
                        let text = String::from_utf8_lossy(&answer).into_owned();
                        return Err(CommandError::from(format!(
                            "request {row} was refused: {status} {text}"
                        )));
                    }
                }
                Ok(())
            });
        }
        while let Some(outcome) = lanes.join_next().await {
            outcome??;
        }
        if rate > 0 {
            let least = Duration::from_secs_f64(day.rows.len() as f64 / rate as f64);
            tokio::time::sleep(least.saturating_sub(started.elapsed())).await;
        }
        Ok(())
    }

    /// Sends the truths that became known during the day.
    pub async fn send_labels(&self, client: &Client, model: &str, day: &Day) -> Result<(), CommandError> {
        let index = |time: Timestamp| self.labels.partition_point(|(known, _, _)| *known < time);
        let labels: Vec<Value> = self.labels[index(day.start)..index(day.end)]
            .iter()
            .map(|(known, id, value)| json!({"id": id, "value": value, "observed_at": known.to_string()}))
            .collect();
        client.post(&format!("/api/v1/endpoints/{model}/labels"), &json!({"labels": labels})).await?;
        Ok(())
    }
}

/// A feature's values and its tensor type.
enum Values {
    Whole(Vec<i64>),
    Real(Vec<f64>),
}

fn column(table: &Table, name: &str) -> Result<Values, CommandError> {
    match table.column(name)? {
        Column::Int(values) => Ok(Values::Whole(values.clone())),
        _ => Ok(Values::Real(table.reals(name)?)),
    }
}

/// One request of the Open Inference Protocol, one tensor per column.
fn body(id: &str, at: Timestamp, columns: &[(&str, Values)], row: usize) -> String {
    let mut text = format!(
        "{{\"id\":{},\"parameters\":{{\"event_time\":{}}},\"inputs\":[",
        Value::from(id),
        at.as_millis()
    );
    for (index, (name, values)) in columns.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let (datatype, value) = match values {
            Values::Whole(values) => ("INT64", values[row].to_string()),
            Values::Real(values) if values[row].is_nan() => ("FP64", "null".to_owned()),
            Values::Real(values) => ("FP64", Value::from(values[row]).to_string()),
        };
        write!(
            text,
            "{comma}{{\"name\":{},\"shape\":[1,1],\"datatype\":\"{datatype}\",\"data\":[{value}]}}",
            Value::from(*name)
        )
        .expect("writing to a String cannot fail");
    }
    text.push_str("]}");
    text
}
