//! Shapley values of what a model answers, found out by asking it: for models whose trees do not say, such as those with linear leaves.

use std::sync::Arc;

use kernel_effects::{AttributionOptions, Background, EffectError, Kind, Table, attribute, sample_rows};
use serde::Serialize;

use crate::effects::{Answer, SEED};
use crate::model::{Attributions, Explanations, Method};
use crate::service::{Ready, apart};
use crate::{Explain, ExplainError};

type Result<T> = std::result::Result<T, ExplainError>;

/// Rows of a request: each may take the whole budget for each output.
const MOST_ROWS: usize = 16;
const MOST_BUDGET: u64 = 1_000_000;
/// Rows that stand for the reference data, and those they are chosen from.
const MEDOIDS: usize = 100;
const CHOSEN_FROM: usize = 2_000;

/// How sure the values of an output are, by row.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Sampling {
    /// By row and feature: the true value is within so much in 95 of 100 cases.
    pub margins: Vec<Vec<f64>>,
    /// Whether all sets of features were asked for.
    pub is_exact: Vec<bool>,
    /// Rows that the model scored.
    pub rows_scored: Vec<u64>,
}

impl Explain {
    /// Explains predictions, not raw scores, against the rows of a background, or those that stand for the reference data.
    pub(crate) async fn sample(
        &self,
        ready: &Ready,
        rows: Vec<f64>,
        background: Option<Vec<f64>>,
        budget_rows: Option<u64>,
    ) -> Result<(Explanations, Vec<Sampling>)> {
        let width = ready.explainer.features().len().max(1);
        let count = rows.len() / width;
        let budget = budget_rows.unwrap_or(AttributionOptions::default().budget_rows);
        if count > MOST_ROWS {
            let rule = format!("the request has {count} rows, of sampled values at most {MOST_ROWS}");
            return Err(ExplainError::request(rule));
        }
        if !(1..=MOST_BUDGET).contains(&budget) {
            let rule = format!("budget_rows is {budget}, expected 1 to {MOST_BUDGET}");
            return Err(ExplainError::request(rule));
        }
        let reference = match &background {
            Some(_) => None,
            None => Some(self.needed_reference(ready, "sampled values without a background").await?),
        };
        let (model, features) = (Arc::clone(&ready.served.ensemble), ready.explainer.features().to_vec());
        let permit = Arc::clone(&self.tables).acquire_owned().await;
        apart(move || {
            let _permit = permit;
            let refused = |error: EffectError<_>| ExplainError::request(error.to_string());
            let background = match (&background, &reference) {
                (Some(rows), _) => {
                    Background::new(Table::new(rows, width).map_err(|error| refused(error.into()))?)
                }
                (None, reference) => {
                    let rows = reference.as_ref().map_or(&[][..], |reference| &reference.rows);
                    let chosen: Vec<f64> =
                        sample_rows(rows.len() / width, CHOSEN_FROM.min(rows.len() / width), SEED)
                            .into_iter()
                            .flat_map(|row| &rows[row * width..][..width])
                            .copied()
                            .collect();
                    let kinds = vec![Kind::Number; width];
                    let data = Table::new(&chosen, width).map_err(|error| refused(error.into()))?;
                    let medoids = Background::medoids(data, &kinds, MEDOIDS, SEED);
                    medoids.map_err(|error| refused(error.into()))?
                }
            };
            let options =
                AttributionOptions { budget_rows: budget, seed: SEED, ..AttributionOptions::default() };
            let mut outputs = Vec::new();
            let mut samplings = Vec::new();
            for output in 0..model.outputs() {
                let mut own = Attributions { base: 0.0, values: Vec::new(), scores: Vec::new() };
                let mut sampling = Sampling::default();
                for row in rows.chunks_exact(width) {
                    let mut answer = Answer { model: &model, output };
                    let found = attribute(&mut answer, row, &background, &options).map_err(refused)?;
                    sampling.margins.push(found.margins());
                    sampling.is_exact.push(found.method == kernel_effects::Method::Exact);
                    sampling.rows_scored.push(found.effort.rows);
                    own.base = found.base;
                    own.values.extend(found.values);
                    own.scores.push(found.prediction);
                }
                outputs.push(own);
                samplings.push(sampling);
            }
            let mut predictions = vec![0.0; count * model.outputs()];
            model.predict(&rows, &mut predictions);
            Ok((Explanations { method: Method::Sampled, features, rows, outputs, predictions }, samplings))
        })
        .await
    }
}
