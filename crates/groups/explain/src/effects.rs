//! What a model does with a feature over the rows of a file: partial dependence with single rows, accumulated local effects, and what the
//! predictions lose without it.

use std::convert::Infallible;

use kernel_effects::{
    AccumulatedEffect, Grid, IndividualCurves, Metric, Model, PermutationImportance, PermutationOptions,
    Table, accumulated_effect, individual_curves, permutation_importance, quantile_edges, sample_rows,
};
use kernel_trees::Ensemble;
use platform_ui::explanation::{Bar, EffectCurves, ImportanceBars};

use crate::ExplainError;

/// Rows that partial dependence is averaged over, and values that it is asked at.
const AVERAGED: usize = 2_000;
const GRID: usize = 20;
/// Single rows that are drawn.
const CURVES: usize = 50;
/// Rows that local effects and permutations are taken of.
const MOST_ROWS: usize = 20_000;
/// A sample is the same for the same file.
pub(crate) const SEED: u64 = 1;

/// One of the numbers that a model answers for a row.
pub(crate) struct Answer<'m> {
    pub model: &'m Ensemble,
    pub output: usize,
}

impl Model for Answer<'_> {
    type Error = Infallible;

    fn columns(&self) -> usize {
        self.model.features()
    }

    fn predict(&mut self, rows: &[f64], outputs: &mut [f64]) -> Result<(), Infallible> {
        let width = self.model.outputs();
        let mut predictions = vec![0.0; outputs.len() * width];
        self.model.predict(rows, &mut predictions);
        for (output, row) in outputs.iter_mut().zip(predictions.chunks(width)) {
            *output = row[self.output];
        }
        Ok(())
    }
}

/// Whole rows of a table, a sample of at most so many.
fn some(rows: &[f64], width: usize, most: usize) -> Vec<f64> {
    let count = rows.len() / width;
    if count <= most {
        return rows.to_vec();
    }
    sample_rows(count, most, SEED)
        .into_iter()
        .flat_map(|row| &rows[row * width..][..width])
        .copied()
        .collect()
}

/// Partial dependence with single rows, and accumulated local effects. Nothing of a feature that has no two values.
pub(crate) fn curves(
    answer: &mut Answer<'_>,
    rows: &[f64],
    feature: usize,
    name: &str,
) -> Vec<(String, String)> {
    let mut charts = Vec::new();
    if let Some((rug, found)) = individual(answer, rows, feature) {
        charts.push((format!("Prediction by {name}"), partial(&found, rug, name).svg()));
    }
    if let Some((rug, found)) = local(answer, rows, feature) {
        charts.push((format!("Local effect of {name}"), accumulated(found, rug, name).svg()));
    }
    charts
}

/// Curves of a sample of the rows, and the feature's values in it. `None` where the kernel has nothing to go by: one value, none, or one
/// that is infinite.
pub(crate) fn individual(
    answer: &mut Answer<'_>,
    rows: &[f64],
    feature: usize,
) -> Option<(Vec<f64>, IndividualCurves)> {
    let averaged = some(rows, answer.columns(), AVERAGED);
    let table = Table::new(&averaged, answer.columns()).ok()?;
    let grid = Grid::Quantiles { points: GRID }.values(table, feature).ok().filter(|grid| grid.len() > 1)?;
    let every: Vec<usize> = (0..table.rows()).collect();
    let found = individual_curves(answer, table, feature, &grid, &every).ok()?;
    Some((table.column(feature).ok()?.collect(), found))
}

/// Local effects over a sample of the rows, and the feature's values in it. `None` as [`individual`].
pub(crate) fn local(
    answer: &mut Answer<'_>,
    rows: &[f64],
    feature: usize,
) -> Option<(Vec<f64>, AccumulatedEffect)> {
    let sample = some(rows, answer.columns(), MOST_ROWS);
    let table = Table::new(&sample, answer.columns()).ok()?;
    let edges = quantile_edges(table, feature, GRID).ok().filter(|edges| edges.len() > 1)?;
    let found = accumulated_effect(answer, table, feature, &edges).ok()?;
    Some((table.column(feature).ok()?.collect(), found))
}

fn partial(found: &IndividualCurves, rug: Vec<f64>, name: &str) -> EffectCurves {
    let points =
        |outputs: &[f64]| found.grid.iter().copied().zip(outputs.iter().copied()).collect::<Vec<_>>();
    let shown = sample_rows(rug.len(), CURVES.min(rug.len()), SEED);
    let curves: Vec<&[f64]> = found.curves().collect();
    EffectCurves {
        title: format!("Partial dependence of the prediction on {name}, and {} single rows", shown.len()),
        x_label: name.to_owned(),
        y_label: "prediction".to_owned(),
        curve: points(&found.average()),
        band: None,
        individual: shown.into_iter().map(|row| points(curves[row])).collect(),
        rug,
        steps: false,
        categories: None,
    }
}

fn accumulated(found: AccumulatedEffect, rug: Vec<f64>, name: &str) -> EffectCurves {
    EffectCurves {
        title: format!("Accumulated local effect of {name} on the prediction"),
        x_label: name.to_owned(),
        y_label: "change of the prediction".to_owned(),
        curve: found.edges.into_iter().zip(found.effects).collect(),
        band: None,
        individual: Vec::new(),
        rug,
        steps: false,
        categories: None,
    }
}

/// What the predictions lose when a feature's values are dealt out anew, against the truth.
#[derive(Debug, Clone)]
pub struct Permutation {
    pub metric: Metric,
    pub found: PermutationImportance,
    pub rows: usize,
}

impl Permutation {
    /// Of the first output. Rows whose label is missing are left out.
    pub fn new(model: &Ensemble, rows: &[f64], labels: &[f64], metric: Metric) -> Result<Self, ExplainError> {
        Self::of_some(model, rows, labels, metric, MOST_ROWS)
    }

    /// Of a sample of at most so many rows.
    pub(crate) fn of_some(
        model: &Ensemble,
        rows: &[f64],
        labels: &[f64],
        metric: Metric,
        most: usize,
    ) -> Result<Self, ExplainError> {
        let width = model.features();
        let refused =
            |error: &dyn std::fmt::Display| ExplainError::request(format!("permutation importance: {error}"));
        let known: Vec<usize> = (0..labels.len()).filter(|row| !labels[*row].is_nan()).collect();
        let known = match known.len() > most {
            true => sample_rows(known.len(), most, SEED).into_iter().map(|place| known[place]).collect(),
            false => known,
        };
        let kept: Vec<f64> = known.iter().flat_map(|row| &rows[row * width..][..width]).copied().collect();
        let labels: Vec<f64> = known.iter().map(|row| labels[*row]).collect();
        let table = Table::new(&kept, width).map_err(|error| refused(&error))?;
        let groups: Vec<Vec<usize>> = (0..width).map(|feature| vec![feature]).collect();
        let options = PermutationOptions::new(metric, SEED);
        let mut answer = Answer { model, output: 0 };
        let found = permutation_importance(&mut answer, table, &labels, &groups, &options);
        Ok(Self { metric, found: found.map_err(|error| refused(&error))?, rows: labels.len() })
    }

    pub(crate) fn chart(&self, features: &[String], most: usize) -> ImportanceBars {
        let bar = |(feature, importance): (usize, &kernel_effects::Importance)| Bar {
            name: features[feature].clone(),
            value: importance.mean,
            low: Some(importance.over_rows.low),
            high: Some(importance.over_rows.high),
        };
        ImportanceBars {
            title: format!("What {} loses without a feature, with intervals of 95 %", self.metric.name()),
            unit: self.metric.name().to_owned(),
            bars: self.found.groups.iter().enumerate().map(bar).collect(),
            most,
        }
    }
}
