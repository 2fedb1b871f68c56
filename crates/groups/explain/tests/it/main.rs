//! What is said of whole models: against scipy and the definitions (`golden/`), and the laws that the numbers obey.

#![allow(clippy::unwrap_used)] // a failed test says where

mod cohorts;
mod slices;

use group_explain::{Attributions, Explanations, Method, Population, Values};

/// Numbers from a seed.
struct Draws(u64);

impl Draws {
    /// Between 0 and 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }
}

/// Explained rows of inputs `x0`, `x1`, …: a row's attributions are its values times 1, 2, …, a missing value has none.
fn explained(rows: Vec<f64>, width: usize, predictions: Option<Vec<f64>>) -> Explanations {
    let base = 0.25;
    let weight = |place: usize| (place % width + 1) as f64;
    let values: Vec<f64> = rows
        .iter()
        .enumerate()
        .map(|(place, value)| if value.is_nan() { 0.0 } else { weight(place) * value })
        .collect();
    let scores: Vec<f64> = values.chunks(width).map(|row| base + row.iter().sum::<f64>()).collect();
    Explanations {
        method: Method::PathDependent,
        features: (0..width).map(|feature| format!("x{feature}")).collect(),
        predictions: predictions.unwrap_or_else(|| scores.clone()),
        outputs: vec![Attributions { base, values, scores }],
        rows,
    }
}

/// Four inputs drawn from a seed, a column of texts and one of numbers that the model does not take, labels for two rows of three.
fn drawn(count: usize, seed: u64) -> Population {
    let mut draws = Draws(seed);
    let mut rows: Vec<f64> = (0..4 * count).map(|_| draws.unit() * 4.0 - 2.0).collect();
    rows.iter_mut().step_by(20).for_each(|value| *value = f64::NAN);
    let towns: Vec<Option<String>> =
        (0..count).map(|row| ["Ulm", "Bonn", "Kiel"].get(row % 4).map(|town| (*town).to_owned())).collect();
    let ages = (0..count).map(|_| (18.0 + draws.unit() * 60.0).floor()).collect();
    let mut label = |row: usize| if row.is_multiple_of(3) { f64::NAN } else { draws.unit() * 6.0 - 3.0 };
    let labels = (0..count).map(&mut label).collect();
    let others = vec![("town".to_owned(), Values::Texts(towns)), ("age".to_owned(), Values::Numbers(ages))];
    Population::new(explained(rows, 4, None), Some(labels), others, count)
}

fn is_close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-9 * expected.abs().max(1.0)
}
