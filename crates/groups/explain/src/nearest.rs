//! The rows of the reference data that are nearest to a row, and how far it is from all of them.

use std::sync::Arc;

use kernel_effects::{InputError, Kind, Neighbour, Scaling, Spacing, Table};
use kernel_trees::{Ensemble, Step};
use serde::Serialize;

use crate::reference::Reference;
use crate::service::{Ready, apart};
use crate::{Explain, ExplainError};

type Result<T> = std::result::Result<T, ExplainError>;

const MOST_NEAREST: usize = 20;
/// Rows of a request, each of which is compared with the whole reference.
const MOST_ROWS: usize = 256;
/// Rows of the reference whose own nearest neighbour is measured, and the seed that chooses them.
const MEASURED: usize = 1_000;
const SEED: u64 = 1;
/// Farther out than this share of the reference's own rows is far.
const FAR: f64 = 0.99;

/// What is near a row.
#[derive(Debug, Clone)]
pub(crate) struct Nearby {
    /// Nearest first.
    pub rows: Vec<NearRow>,
    pub distance: Distance,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct NearRow {
    /// Its number in the reference, from 0.
    pub row: usize,
    /// Gower's, 0 to 1.
    pub distance: f64,
    pub values: Vec<Option<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Distance {
    pub nearest: f64,
    /// The share of reference rows whose own nearest neighbour is nearer, those at the same distance by half.
    pub outlyingness: f64,
    pub is_far: bool,
}

/// How the values of each feature compare: one that any split asks for its category is a category.
pub(crate) fn kinds(model: &Ensemble) -> Vec<Kind> {
    let mut kinds = vec![Kind::Number; model.features()];
    for tree in model.trees() {
        let mut open = vec![tree.root()];
        while let Some(place) = open.pop() {
            if let Step::Split { feature, left, right } = tree.at(place) {
                if tree.asks_for_category(place) {
                    kinds[feature] = Kind::Category;
                }
                open.extend([left, right]);
            }
        }
    }
    kinds
}

impl Explain {
    /// Of each row the `count` nearest of the reference data. O(columns · rows · reference); the first time for a reference
    /// O(columns · reference · 1,000) more.
    pub(crate) async fn nearby(&self, ready: &Ready, rows: &[f64], count: usize) -> Result<Vec<Nearby>> {
        if !(1..=MOST_NEAREST).contains(&count) {
            let rule = format!("nearest is {count}, expected 1 to {MOST_NEAREST}");
            return Err(ExplainError::request(rule));
        }
        let width = ready.served.inputs.len().max(1);
        if rows.len() > MOST_ROWS * width {
            let found = rows.len() / width;
            return Err(ExplainError::request(format!(
                "nearest is asked for {found} rows, at most {MOST_ROWS} in a request"
            )));
        }
        let reference = self.needed_reference(ready, "nearest").await?;
        let known = self.references.spacing(&ready.served, &reference);
        let (references, served, rows) = (Arc::clone(&self.references), ready.served.clone(), rows.to_vec());
        apart(move || {
            let spacing = match known {
                Some(spacing) => spacing,
                None => {
                    let spacing = Arc::new(measured(&served.ensemble, &reference).map_err(refused)?);
                    references.keep_spacing(&served, &reference, &spacing);
                    spacing
                }
            };
            rows.chunks(width).map(|row| near(&reference, &spacing, row, count).map_err(refused)).collect()
        })
        .await
    }
}

fn refused(error: InputError) -> ExplainError {
    ExplainError::request(format!("nearest: {error}"))
}

fn measured(model: &Ensemble, reference: &Reference) -> std::result::Result<Spacing, InputError> {
    let table = Table::new(&reference.rows, model.features())?;
    Spacing::new(table, &kinds(model), Scaling::Range, MEASURED, SEED)
}

fn near(
    reference: &Reference,
    spacing: &Spacing,
    row: &[f64],
    count: usize,
) -> std::result::Result<Nearby, InputError> {
    let table = Table::new(&reference.rows, row.len())?;
    let found = spacing.gower().nearest(table, row, count)?;
    let nearest = found.first().ok_or(InputError::NoRows)?.distance;
    let outlyingness = spacing.percentile(nearest) / 100.0;
    let known = |value: f64| Some(value).filter(|value| !value.is_nan());
    let told = |neighbour: Neighbour| NearRow {
        row: neighbour.row,
        distance: neighbour.distance,
        values: table.row(neighbour.row).iter().copied().map(known).collect(),
        label: reference.labels.as_ref().and_then(|labels| known(labels[neighbour.row])),
    };
    Ok(Nearby {
        rows: found.into_iter().map(told).collect(),
        distance: Distance { nearest, outlyingness, is_far: outlyingness > FAR },
    })
}

#[cfg(test)]
mod tests {
    use platform_primitives::Fault;

    use super::*;
    use crate::bench::{ENDPOINT, benches};
    use crate::reference::{NewReference, TableFormat};

    #[tokio::test]
    async fn the_nearest_rows_are_found_and_a_far_row_is_told() {
        for bench in benches().await {
            let engine = bench.engine();
            let ready = bench.explain.ready(ENDPOINT, None).unwrap();
            let none = bench.explain.nearby(&ready, &[0.0; 4], 2).await.unwrap_err();
            assert_eq!(none.code(), "explain/no-reference", "{engine:?}");
            assert!(none.to_string().contains("nearest needs reference data"), "{engine:?}: {none}");
            // A line of rows, one apart, and one row far from the others.
            let rows: String = (0..10).map(|x| format!("{x},0,0,0,{}\n", x * 2)).collect();
            let csv = format!("Column_0,Column_1,Column_2,Column_3,truth\n{rows}50,0,0,0,7\n");
            let new = NewReference {
                endpoint: ENDPOINT.to_owned(),
                version: None,
                label: Some("truth".to_owned()),
                format: TableFormat::Csv,
                bytes: csv.into_bytes(),
            };
            bench.explain.put_reference("ann", new).await.unwrap();
            let asked = [3.25, 0.0, 0.0, 0.0, 30.0, f64::NAN, 0.0, 0.0];
            for _ in ["measured", "kept"] {
                let found = bench.explain.nearby(&ready, &asked, 3).await.unwrap();
                let rows: Vec<usize> = found[0].rows.iter().map(|near| near.row).collect();
                assert_eq!(rows, [3, 4, 2], "{engine:?}");
                let first = &found[0].rows[0];
                assert_eq!((first.distance, first.label), (0.25 / 50.0 / 4.0, Some(6.0)), "{engine:?}");
                assert_eq!(first.values, [Some(3.0), Some(0.0), Some(0.0), Some(0.0)], "{engine:?}");
                // Each of the eleven rows is a whole step or more from its nearest.
                let near = Distance { nearest: first.distance, outlyingness: 0.0, is_far: false };
                assert_eq!(found[0].distance, near, "{engine:?}");
                // A missing value is one step of its column; 30 is 20 or more from anybody.
                assert_eq!(found[1].distance.nearest, (20.0 / 50.0 + 1.0) / 4.0, "{engine:?}");
                assert!(found[1].distance.is_far, "{engine:?}: {:?}", found[1].distance);
            }
            for (rows, count, message) in [
                (&asked[..], 0, "nearest is 0, expected 1 to 20"),
                (&[0.0; 4 * 257][..], 1, "nearest is asked for 257 rows, at most 256"),
                (&[f64::INFINITY, 0.0, 0.0, 0.0][..], 1, "is infinite"),
            ] {
                let error = bench.explain.nearby(&ready, rows, count).await.unwrap_err().to_string();
                assert!(error.contains(message), "{engine:?}: {error}");
            }
        }
    }
}
