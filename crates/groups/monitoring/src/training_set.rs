//! A training set from the joined log: only rows whose truth was known, only sound ones, in the user's own columns.

use platform_primitives::Timestamp;
use platform_tables::{Column, Table, write_parquet};

use crate::MonitoringError;
use crate::outcomes::{Outcome, Outcomes};

/// Which rows make a training set.
#[derive(Debug, Clone)]
pub struct TrainingWindow {
    /// Requests made at this time or later.
    pub from: Timestamp,
    /// Newest share kept for the gate.
    pub holdout: f64,
    /// Fewer labelled rows are an error.
    pub min_rows: usize,
    /// Names of the user's columns.
    pub id: String,
    pub time: String,
    pub label_time: String,
}

/// Two Parquet files and what is in them.
#[derive(Debug, Clone)]
pub struct TrainingSet {
    pub training: Vec<u8>,
    pub holdout: Vec<u8>,
    pub training_rows: usize,
    pub holdout_rows: usize,
    pub excluded: usize,
    pub first: Timestamp,
    /// Rows made at this time or later are in the hold-out.
    pub split: Timestamp,
    pub last: Timestamp,
}

pub(crate) fn build(
    outcomes: &Outcomes,
    template: &Table,
    window: &TrainingWindow,
) -> Result<TrainingSet, MonitoringError> {
    // Every outcome was observed by `now`; a row from the future cannot be among them.
    let inside = || outcomes.labelled.iter().filter(|outcome| outcome.row.at >= window.from);
    let mut rows: Vec<&Outcome> = inside().filter(|outcome| outcome.sound).collect();
    let excluded = inside().count() - rows.len();
    // One row to learn from and one to judge by, at the very least.
    let least = window.min_rows.max(2);
    if rows.len() < least {
        return Err(MonitoringError::TooFewRows { found: rows.len(), least });
    }
    rows.sort_by(|a, b| (a.row.at, &a.row.id).cmp(&(b.row.at, &b.row.id)));
    let keep = rows.len() - (rows.len() as f64 * window.holdout).round() as usize;
    let (training, holdout) = rows.split_at(keep.clamp(1, rows.len() - 1));
    let table = |rows: &[&Outcome]| table(outcomes, template, window, rows);
    Ok(TrainingSet {
        training_rows: training.len(),
        holdout_rows: holdout.len(),
        excluded,
        first: rows[0].row.at,
        split: holdout[0].row.at,
        last: rows[rows.len() - 1].row.at,
        training: write_parquet(&table(training)?)?,
        holdout: write_parquet(&table(holdout)?)?,
    })
}

/// The rows in the columns, types and order of the user's first training set.
fn table(
    outcomes: &Outcomes,
    template: &Table,
    window: &TrainingWindow,
    rows: &[&Outcome],
) -> Result<Table, MonitoringError> {
    let spec = outcomes.spec();
    let mut columns = Vec::new();
    for (name, kind) in template.columns() {
        let feature = spec.features.iter().position(|feature| feature.name == *name);
        let column = if *name == window.id {
            Column::Text(rows.iter().map(|outcome| Some(outcome.row.id.clone())).collect())
        } else if *name == window.time {
            Column::Time(rows.iter().map(|outcome| Some(outcome.row.at)).collect())
        } else if *name == window.label_time {
            Column::Time(rows.iter().map(|outcome| Some(outcome.observed)).collect())
        } else if *name == spec.label {
            Column::Real(rows.iter().map(|outcome| outcome.label).collect())
        } else if let Some(index) = feature {
            let values = rows.iter().map(|outcome| outcome.row.inputs[index]);
            match kind {
                Column::Int(_) => Column::Int(values.map(|value| value as i64).collect()),
                _ => Column::Real(values.collect()),
            }
        } else {
            // A column the log does not know cannot be made up.
            let present =
                spec.features.iter().map(|feature| feature.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(platform_tables::TableError::ColumnMissing { name: name.clone(), present }.into());
        };
        columns.push((name.clone(), column));
    }
    Ok(Table::new(columns)?)
}
