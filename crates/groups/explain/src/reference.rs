//! Reference data: rows that say what is usual for a model, put by somebody or those it was trained on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kernel_effects::Spacing;
use platform_events::NewEvent;
use platform_primitives::{Timestamp, new_id};
use platform_tables::{Column, parquet_shape, read_parquet, write_parquet};
use serde::Serialize;
use serde_json::json;

use crate::rows::{Table, check, is_named};
use crate::service::{Ready, apart};
use crate::store::{self, ReferenceRow};
use crate::{Explain, ExplainError, Input, Served, kinds};

type Result<T> = std::result::Result<T, ExplainError>;

/// Rows that are kept of a table.
const MOST_ROWS: usize = 20_000;
/// Numbers that are kept of a table; a wide one keeps fewer rows.
const MOST_NUMBERS: usize = 4 << 20;
/// Cells of a body, before it is thinned: a small Parquet file may say that it holds very many.
const MOST_CELLS: u64 = 32 << 20;
/// Rows that a usual one is sought among.
const USUAL_AMONG: usize = 1_000;
/// The least that neighbours can be found among.
const LEAST_ROWS: usize = 2;
/// References that stay decoded, and the numbers and texts of all of them.
const KEPT: usize = 64;
const MOST_KEPT: usize = 16 << 20;

/// Where reference data are from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ReferenceSource {
    /// Somebody put them.
    Put { at: Timestamp, by: String },
    /// The training table that the endpoint's monitor measures drift against.
    Training,
}

/// Rows that stand for the data that a model was trained on.
#[derive(Debug, Clone)]
pub struct Reference {
    /// Whole rows, in the order of the inputs; NaN is missing.
    pub rows: Vec<f64>,
    pub count: usize,
    /// The truth of each row, where the data has it; NaN is missing.
    pub labels: Option<Vec<f64>>,
    /// Columns that the model does not take, such as what a group is told by: texts by row.
    pub others: Vec<(String, Vec<Option<String>>)>,
    pub source: ReferenceSource,
}

impl Reference {
    /// Fails when a feature or the label is not there, or is no column of numbers.
    fn new(table: Table, features: &[String], label: Option<&str>, source: ReferenceSource) -> Result<Self> {
        let rows = table.rows(features)?;
        let labels = label.map(|label| table.rows(&[label.to_owned()])).transpose()?;
        let is_other =
            |name: &str| label != Some(name) && !features.iter().any(|feature| is_named(name, feature));
        let written = |value: &f64| (!value.is_nan()).then(|| value.to_string());
        let mut others: Vec<(String, Vec<Option<String>>)> = table
            .columns
            .iter()
            .filter(|(name, _)| is_other(name))
            .map(|(name, values)| (name.clone(), values.iter().map(written).collect()))
            .collect();
        others.extend(table.texts.into_iter().filter(|(name, _)| is_other(name)));
        Ok(Self { rows, count: table.count, labels, others, source })
    }

    /// The row whose values are, all in all, nearest to the middle of their columns, of a thousand.
    pub(crate) fn usual(&self) -> Vec<f64> {
        let width = (self.rows.len() / self.count.max(1)).max(1);
        let step = self.count.div_ceil(USUAL_AMONG).max(1);
        let rows: Vec<&[f64]> = self.rows.chunks_exact(width).step_by(step).collect();
        let mut distances = vec![0.0; rows.len()];
        for column in 0..width {
            let mut known: Vec<f64> =
                rows.iter().map(|row| row[column]).filter(|value| !value.is_nan()).collect();
            known.sort_by(f64::total_cmp);
            for (distance, row) in distances.iter_mut().zip(&rows) {
                let value = row[column];
                let below = known.partition_point(|other| *other < value);
                let up_to = known.partition_point(|other| *other <= value);
                let rank = (below + up_to) as f64 / (2.0 * known.len().max(1) as f64);
                *distance += if value.is_nan() { 0.5 } else { (rank - 0.5).abs() };
            }
        }
        let nearest = distances.iter().enumerate().min_by(|one, other| one.1.total_cmp(other.1));
        nearest.map_or_else(Vec::new, |(row, _)| rows[row].to_vec())
    }

    fn cells(&self) -> usize {
        self.rows.len() + self.others.len() * self.count
    }
}

/// What reference data are, without their rows.
#[derive(Debug, Clone, Serialize)]
pub struct ReferenceSummary {
    pub endpoint: String,
    pub version: String,
    /// Rows that are kept.
    pub count: usize,
    /// Rows that were put.
    pub rows_given: u64,
    pub columns: Vec<String>,
    pub label: Option<String>,
    pub others: Vec<String>,
    pub source: ReferenceSource,
}

/// A body of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TableFormat {
    Csv,
    Parquet,
}

#[derive(Debug)]
pub(crate) struct NewReference {
    pub endpoint: String,
    /// Of those that are served; the champion without it.
    pub version: Option<String>,
    /// The column with the truth.
    pub label: Option<String>,
    pub format: TableFormat,
    pub bytes: Vec<u8>,
}

/// Decoded references by endpoint and version, and how near their rows are to one another.
#[derive(Debug, Default)]
pub(crate) struct KeptReferences(Mutex<HashMap<(String, String), Kept>>);

#[derive(Debug, Clone)]
struct Kept {
    /// Of the put, or the training table.
    id: String,
    features: Vec<String>,
    label: Option<String>,
    rows_given: u64,
    reference: Arc<Reference>,
    spacing: Option<Arc<Spacing>>,
}

impl KeptReferences {
    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Kept>> {
        // What is kept is whole at any moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, served: &Served, id: &str) -> Option<Kept> {
        let found = self.lock().get(&key(served)).cloned()?;
        let names = served.inputs.iter().map(|input| &input.name);
        let is_same = found.id == id && found.features.iter().eq(names);
        is_same.then_some(found)
    }

    fn insert(&self, served: &Served, kept: Kept) {
        let mut all = self.lock();
        let cells: usize = all.values().map(|kept| kept.reference.cells()).sum();
        if all.len() >= KEPT || cells + kept.reference.cells() > MOST_KEPT {
            all.clear();
        }
        all.insert(key(served), kept);
    }

    pub(crate) fn spacing(&self, served: &Served, reference: &Arc<Reference>) -> Option<Arc<Spacing>> {
        let all = self.lock();
        let found = all.get(&key(served)).filter(|kept| Arc::ptr_eq(&kept.reference, reference))?;
        found.spacing.clone()
    }

    pub(crate) fn keep_spacing(&self, served: &Served, reference: &Arc<Reference>, spacing: &Arc<Spacing>) {
        let mut all = self.lock();
        if let Some(kept) = all.get_mut(&key(served)).filter(|kept| Arc::ptr_eq(&kept.reference, reference)) {
            kept.spacing = Some(Arc::clone(spacing));
        }
    }
}

fn key(served: &Served) -> (String, String) {
    (served.endpoint.clone(), served.version.clone())
}

impl Explain {
    /// The rows that were put beside a version, else those that it was trained on; `None` where there are neither.
    pub(crate) async fn reference(&self, ready: &Ready) -> Result<Option<Arc<Reference>>> {
        Ok(self.kept_reference(&ready.served).await?.map(|kept| kept.reference))
    }

    /// [`Explain::reference`], for what cannot do without.
    pub(crate) async fn needed_reference(&self, ready: &Ready, what: &'static str) -> Result<Arc<Reference>> {
        self.reference(ready).await?.ok_or_else(|| ExplainError::NoReference {
            what,
            endpoint: ready.served.endpoint.clone(),
            version: ready.served.version.clone(),
        })
    }

    async fn kept_reference(&self, served: &Served) -> Result<Option<Kept>> {
        let (endpoint, version) = (&served.endpoint, &served.version);
        if let Some(row) = store::reference(&self.db, endpoint, version).await? {
            if let Some(kept) = self.references.find(served, &row.id) {
                return Ok(Some(kept));
            }
            let bytes = store::reference_rows(&self.db, endpoint, version, &row.id).await?;
            let bytes = bytes.ok_or_else(|| ExplainError::ReferenceRaced {
                endpoint: endpoint.clone(),
                version: version.clone(),
            })?;
            let source = ReferenceSource::Put { at: row.at, by: row.actor };
            let given = u64::try_from(row.given).unwrap_or(0);
            let decode = move || -> Result<Table> { Ok(Table::from(&read_parquet(bytes.into())?)) };
            return self.decoded(served, row.id, row.label, Some(given), source, decode).await.map(Some);
        }
        let Some(training) = &self.training else { return Ok(None) };
        let Some(found) = training.find(endpoint, version).await? else { return Ok(None) };
        if let Some(kept) = self.references.find(served, &found.digest) {
            return Ok(Some(kept));
        }
        let table = training.read(&found.digest).await?;
        let decode = move || -> Result<Table> { Ok(Table::from(&table)) };
        let source = ReferenceSource::Training;
        self.decoded(served, found.digest, Some(found.label), None, source, decode).await.map(Some)
    }

    async fn decoded(
        &self,
        served: &Served,
        id: String,
        label: Option<String>,
        rows_given: Option<u64>,
        source: ReferenceSource,
        decode: impl FnOnce() -> Result<Table> + Send + 'static,
    ) -> Result<Kept> {
        let features: Vec<String> = served.inputs.iter().map(|input| input.name.clone()).collect();
        let (wanted, truth) = (features.clone(), label.clone());
        let decoded = apart(move || {
            let mut table = decode()?;
            let count = table.count;
            thin(&mut table, wanted.len());
            // A training table may lack the truth; what was put was checked.
            let truth = truth.filter(|truth| table.columns.iter().any(|(name, _)| name == truth));
            Ok((Reference::new(table, &wanted, truth.as_deref(), source)?, truth, count))
        });
        let (reference, label, count) = decoded.await.map_err(|cause| ExplainError::ReferenceUnfit {
            endpoint: served.endpoint.clone(),
            version: served.version.clone(),
            cause: Box::new(cause),
        })?;
        let kept = Kept {
            id,
            features,
            label,
            rows_given: rows_given.unwrap_or(count as u64),
            reference: Arc::new(reference),
            spacing: None,
        };
        self.references.insert(served, kept.clone());
        Ok(kept)
    }

    /// Takes the place of what was put before beside the same version.
    pub(crate) async fn put_reference(&self, actor: &str, new: NewReference) -> Result<ReferenceSummary> {
        let NewReference { endpoint, version, label, format, bytes } = new;
        let served = self.endpoints.served(&endpoint, version.as_deref())?;
        let (inputs, truth) = (served.inputs.clone(), label.clone());
        let permit = Arc::clone(&self.tables).acquire_owned().await;
        let (parquet, given, count) = apart(move || {
            let _permit = permit;
            stored(read(format, bytes)?, &inputs, truth.as_deref())
        })
        .await?;
        let row = ReferenceRow {
            id: new_id(),
            label,
            count: count as i64,
            given: given as i64,
            actor: actor.to_owned(),
            at: self.events.now(),
        };
        let (events, version) = (self.events.clone(), served.version.clone());
        let name = endpoint.clone();
        self.db
            .write(move |tx| {
                store::put_reference(tx, &name, &version, &row, parquet)?;
                let event =
                    NewEvent::new(kinds::REFERENCE_PUT, row.actor.clone(), format!("endpoint:{name}"));
                let payload = json!({
                    "version": version,
                    "rows": row.count,
                    "rows_given": row.given,
                    "label": row.label,
                });
                events.append(tx, event.payload(payload))?;
                Ok::<_, ExplainError>(())
            })
            .await?;
        self.describe_reference(&endpoint, Some(&served.version)).await
    }

    pub(crate) async fn describe_reference(
        &self,
        endpoint: &str,
        version: Option<&str>,
    ) -> Result<ReferenceSummary> {
        let served = self.endpoints.served(endpoint, version)?;
        let kept = self.kept_reference(&served).await?;
        let missing = || not_found(endpoint, &served.version);
        let kept = kept.ok_or_else(missing)?;
        Ok(ReferenceSummary {
            endpoint: endpoint.to_owned(),
            version: served.version,
            count: kept.reference.count,
            rows_given: kept.rows_given,
            columns: kept.features,
            label: kept.label,
            others: kept.reference.others.iter().map(|(name, _)| name.clone()).collect(),
            source: kept.reference.source.clone(),
        })
    }

    /// Of a version that need not be served any more; the champion's without one.
    pub(crate) async fn delete_reference(
        &self,
        actor: &str,
        endpoint: &str,
        version: Option<&str>,
    ) -> Result<()> {
        let version = match version {
            Some(version) => version.to_owned(),
            None => self.endpoints.served(endpoint, None)?.version,
        };
        let (actor, endpoint, events) = (actor.to_owned(), endpoint.to_owned(), self.events.clone());
        self.db
            .write(move |tx| {
                if store::delete_reference(tx, &endpoint, &version)? == 0 {
                    return Err(not_found(&endpoint, &version));
                }
                let event = NewEvent::new(kinds::REFERENCE_DELETED, actor, format!("endpoint:{endpoint}"));
                events.append(tx, event.payload(json!({"version": version})))?;
                Ok(())
            })
            .await
    }
}

fn not_found(endpoint: &str, version: &str) -> ExplainError {
    ExplainError::ReferenceNotFound { endpoint: endpoint.to_owned(), version: version.to_owned() }
}

fn read(format: TableFormat, bytes: Vec<u8>) -> Result<Table> {
    let is_parquet = bytes.starts_with(b"PAR1");
    match format {
        TableFormat::Parquet if !is_parquet => {
            return Err(ExplainError::request("the body does not begin as a Parquet file does, with PAR1"));
        }
        TableFormat::Csv if is_parquet => {
            return Err(ExplainError::request("the body is Parquet, and its Content-Type says text/csv"));
        }
        TableFormat::Csv => return Table::read(bytes),
        TableFormat::Parquet => {}
    }
    let (rows, columns) = parquet_shape(bytes.clone().into())?;
    if rows.saturating_mul(columns as u64) > MOST_CELLS {
        let rule = format!("the body has {rows} rows of {columns} columns, at most {MOST_CELLS} cells");
        return Err(ExplainError::request(rule));
    }
    Table::read(bytes)
}

/// The rows that are kept of `count`: all of them, or `most`, evenly spaced; the i-th is row ⌊i · count / most⌋.
fn evenly(count: usize, most: usize) -> Vec<usize> {
    let kept = count.min(most);
    (0..kept).map(|place| (place as u128 * count as u128 / kept as u128) as usize).collect()
}

/// Leaves at most [`MOST_ROWS`] rows and [`MOST_NUMBERS`] numbers of a model's `width` features.
fn thin(table: &mut Table, width: usize) {
    let most = MOST_ROWS.min(MOST_NUMBERS / width.max(1));
    if table.count > most {
        table.keep(&evenly(table.count, most));
    }
}

/// The Parquet that is kept of a table, how many rows it had and how many are kept. Every row is checked, those too that are not kept.
fn stored(mut table: Table, inputs: &[Input], label: Option<&str>) -> Result<(Vec<u8>, usize, usize)> {
    let names: Vec<&String> =
        table.columns.iter().map(|(name, _)| name).chain(table.texts.iter().map(|(name, _)| name)).collect();
    let twice = names.iter().enumerate().find(|(place, name)| names[..*place].contains(*name));
    if let Some((_, name)) = twice {
        return Err(ExplainError::request(format!("column {name:?} is there twice")));
    }
    if let Some(label) = label {
        if inputs.iter().any(|input| is_named(label, &input.name)) {
            return Err(ExplainError::request(format!("label is {label:?}, which is an input of the model")));
        }
        if !table.columns.iter().any(|(name, _)| name == label) {
            let rule = format!("label is {label:?}, no column of numbers of the body");
            return Err(ExplainError::request(rule));
        }
    }
    if table.count < LEAST_ROWS {
        let rule = format!("the body has {} rows, at least {LEAST_ROWS} are needed", table.count);
        return Err(ExplainError::request(rule));
    }
    let features: Vec<String> = inputs.iter().map(|input| input.name.clone()).collect();
    let rows = table.rows(&features)?;
    for (row, values) in rows.chunks(inputs.len().max(1)).enumerate() {
        for (input, value) in inputs.iter().zip(values) {
            let finite = if value.is_infinite() {
                Err(format!("is {value}, expected a finite number or nothing"))
            } else {
                Ok(())
            };
            finite.and_then(|()| check(input, *value)).map_err(|rule| ExplainError::Value {
                row,
                name: input.name.clone(),
                rule,
            })?;
        }
    }
    let given = table.count;
    thin(&mut table, inputs.len());
    let count = table.count;
    let numbers = table.columns.into_iter().map(|(name, values)| (name, Column::Real(values)));
    let texts = table.texts.into_iter().map(|(name, values)| (name, Column::Text(values)));
    let kept = platform_tables::Table::new(numbers.chain(texts).collect())?;
    Ok((write_parquet(&kept)?, given, count))
}

#[cfg(test)]
mod tests {
    use platform_primitives::Fault;
    use platform_tables::Table as Parquet;

    use super::*;
    use crate::bench::{Bench, ENDPOINT, Trained, benches};

    const CSV: &str = "Column_1,Column_0,Column_2,Column_3,truth,town\n\
                       1,0.5,,2,0,Ulm\n2,1.5,3,,1,\n3,2.5,4,5,,Bonn\n";

    fn new(csv: &str) -> NewReference {
        NewReference {
            endpoint: ENDPOINT.to_owned(),
            version: None,
            label: Some("truth".to_owned()),
            format: TableFormat::Csv,
            bytes: csv.as_bytes().to_vec(),
        }
    }

    async fn reference(bench: &Bench) -> Option<Arc<Reference>> {
        let ready = bench.explain.ready(ENDPOINT, None).unwrap();
        bench.explain.reference(&ready).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_put_is_found_until_it_is_deleted() {
        for bench in benches().await {
            let engine = bench.engine();
            assert!(reference(&bench).await.is_none(), "{engine:?}");
            let summary = bench.explain.put_reference("ann", new(CSV)).await.unwrap();
            let source = ReferenceSource::Put { at: bench.now(), by: "ann".to_owned() };
            assert_eq!((summary.count, summary.rows_given), (3, 3), "{engine:?}");
            assert_eq!(summary.label.as_deref(), Some("truth"), "{engine:?}");
            assert_eq!((summary.others, summary.source), (vec!["town".to_owned()], source), "{engine:?}");

            let found = reference(&bench).await.unwrap();
            assert_eq!(found.rows[..2], [0.5, 1.0], "{engine:?}: in the order of the inputs");
            assert!(found.rows[2].is_nan() && found.rows[7].is_nan(), "{engine:?}");
            let labels = found.labels.clone().unwrap();
            assert!(labels[..2] == [0.0, 1.0] && labels[2].is_nan(), "{engine:?}");
            let towns = vec![Some("Ulm".to_owned()), None, Some("Bonn".to_owned())];
            assert_eq!(found.others, [("town".to_owned(), towns)], "{engine:?}");
            assert!(Arc::ptr_eq(&found, &reference(&bench).await.unwrap()), "{engine:?}: decoded once");

            let newer = "truth,Column_0,Column_1,Column_2,Column_3\n1,9,9,9,9\n1,8,8,8,8\n";
            bench.explain.put_reference("bob", new(newer)).await.unwrap();
            assert_eq!(reference(&bench).await.unwrap().rows[0], 9.0, "{engine:?}: the newer one");
            bench.explain.delete_reference("ann", ENDPOINT, Some("1")).await.unwrap();
            assert!(reference(&bench).await.is_none(), "{engine:?}");
            let gone = bench.explain.delete_reference("ann", ENDPOINT, Some("1")).await.unwrap_err();
            assert_eq!(gone.code(), "explain/reference-not-found", "{engine:?}");
            let kinds = bench.event_kinds().await;
            let expected = ["explain.reference_put", "explain.reference_put", "explain.reference_deleted"];
            assert_eq!(kinds, expected, "{engine:?}");
        }
    }

    #[tokio::test]
    async fn a_training_table_serves_where_nothing_was_put() {
        let table = |column_3: &str| {
            let names = ["Column_0", "Column_1", "Column_2", column_3, "truth"];
            let real = |place: usize| Column::Real(vec![place as f64, 1.0 + place as f64]);
            let columns = names.iter().enumerate().map(|(place, name)| ((*name).to_owned(), real(place)));
            Parquet::new(columns.collect()).unwrap()
        };
        for bench in benches().await {
            let engine = bench.engine();
            let explain = bench.explain.clone().with_training(Arc::new(Trained(table("Column_3"))));
            let ready = explain.ready(ENDPOINT, None).unwrap();
            let found = explain.reference(&ready).await.unwrap().unwrap();
            assert_eq!(found.source, ReferenceSource::Training, "{engine:?}");
            assert_eq!(found.rows[..4], [0.0, 1.0, 2.0, 3.0], "{engine:?}");
            assert_eq!(found.labels, Some(vec![4.0, 5.0]), "{engine:?}");
            explain.put_reference("ann", new(CSV)).await.unwrap();
            let found = explain.reference(&ready).await.unwrap().unwrap();
            assert!(matches!(found.source, ReferenceSource::Put { .. }), "{engine:?}");

            let unfit = bench.explain.clone().with_training(Arc::new(Trained(table("height"))));
            unfit.delete_reference("ann", ENDPOINT, None).await.unwrap();
            let error = unfit.reference(&ready).await.unwrap_err();
            assert_eq!(error.code(), "explain/reference-unfit", "{engine:?}");
            assert!(error.to_string().contains("\"Column_3\" is missing"), "{engine:?}: {error}");
        }
    }

    #[test]
    fn what_cannot_be_a_reference_is_refused_by_name() {
        let inputs = crate::bench::inputs();
        let head = "Column_0,Column_1,Column_2,Column_3";
        let cases = [
            (format!("{head},truth\n1,1,1,1,1\n"), Some("truth"), "has 1 rows, at least 2"),
            (format!("{head}\n1,1,1,1\n1,inf,1,1\n"), None, "row 1: input \"Column_1\" is inf, expected"),
            (format!("{head}\n1,1,1,1\n1,a,1,1\n"), None, "column \"Column_1\" holds texts"),
            (format!("{head},Column_0\n1,1,1,1,1\n2,2,2,2,2\n"), None, "column \"Column_0\" is there twice"),
            (format!("{head}\n1,1,1,1\n2,2,2,2\n"), Some("truth"), "label is \"truth\", no column"),
            (format!("{head}\n1,1,1,1\n2,2,2,2\n"), Some("Column_0"), "which is an input of the model"),
            ("Column_0\n1\n2\n".to_owned(), None, "input \"Column_1\" is missing"),
        ];
        for (csv, label, message) in cases {
            let read = read(TableFormat::Csv, csv.clone().into_bytes()).unwrap();
            let error = stored(read, &inputs, label).unwrap_err().to_string();
            assert!(error.contains(message), "{csv:?}: {error}");
        }
        for (format, bytes, message) in [
            (TableFormat::Parquet, &b"a,b\n1,2\n"[..], "does not begin as a Parquet file"),
            (TableFormat::Csv, &b"PAR1"[..], "its Content-Type says text/csv"),
            (TableFormat::Csv, &b"\xff\xfe"[..], "neither Parquet nor text"),
        ] {
            let error = read(format, bytes.to_vec()).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn a_large_table_is_thinned_evenly() {
        assert_eq!(evenly(10, 4), [0, 2, 5, 7]);
        assert_eq!(evenly(3, 4), [0, 1, 2]);
        let rows: String = (0..50_000).map(|row| format!("{row},1,2,3\n")).collect();
        let csv = format!("Column_0,Column_1,Column_2,Column_3\n{rows}");
        let table = read(TableFormat::Csv, csv.into_bytes()).unwrap();
        let (parquet, given, count) = stored(table, &crate::bench::inputs(), None).unwrap();
        assert_eq!((given, count), (50_000, MOST_ROWS));
        let kept = Table::from(&read_parquet(parquet.into()).unwrap());
        assert_eq!(kept.columns[0].1[..4], [0.0, 2.0, 5.0, 7.0]);
        let columns = vec![("a".to_owned(), vec![1.0; 10])];
        let mut wide = Table { count: 10, columns, ..Table::default() };
        thin(&mut wide, MOST_NUMBERS / 5);
        assert_eq!(wide.count, 5);
    }
}
