//! Against scikit-learn, PyALE and the definitions (`golden/`), and the laws that the results obey.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

mod attribution;
mod counterfactual;
mod effects;
mod importance;
mod nearness;
mod ranking;
mod sampling;

use kernel_effects::{Formula, Table};
use serde_json::Value;

fn golden(name: &str) -> Value {
    let path = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

/// Numbers, null being NaN; of nested lists one after the other.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Null => vec![f64::NAN],
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn place(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn places(value: &Value) -> Vec<usize> {
    list(value).iter().map(place).collect()
}

fn close(found: &[f64], expected: &[f64], bound: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let gap = (found - expected).abs();
        assert!(gap <= bound * expected.abs().max(1.0), "{what}, number {place}: {found} != {expected}");
    }
}

/// The model of `golden/generate.py`. Column 1 may be missing.
fn formula(row: &[f64]) -> f64 {
    let [a, b, c, d, e] = [row[0], if row[1].is_nan() { 0.25 } else { row[1] }, row[2], row[3], row[4]];
    let table = [0.5, -1.0, 2.0, 0.25];
    1.5 * a + a * b + 0.5 * c * c - 0.3 * c.sin() * d + table[e as usize] + 0.1 * b * c * d
}

fn probability(row: &[f64]) -> f64 {
    1.0 / (1.0 + (-0.4 * formula(row)).exp())
}

fn golden_model() -> Formula<fn(&[f64]) -> f64> {
    Formula::new(5, formula)
}

fn table(values: &[f64], columns: usize) -> Table<'_> {
    Table::new(values, columns).unwrap()
}

/// Numbers from a seed, for models and rows.
struct Draws(u64);

impl Draws {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    fn below(&mut self, bound: usize) -> usize {
        ((self.unit() * bound as f64) as usize).min(bound - 1)
    }

    fn row(&mut self, columns: usize) -> Vec<f64> {
        (0..columns).map(|_| self.between(-2.0, 2.0)).collect()
    }

    fn rows(&mut self, rows: usize, columns: usize) -> Vec<f64> {
        self.row(rows * columns)
    }
}

/// A sum of products of up to `most` columns, each bent a little.
#[derive(Clone)]
struct Terms(Vec<(f64, Vec<usize>)>);

impl Terms {
    fn random(draws: &mut Draws, columns: usize, count: usize, most: usize) -> Self {
        let single = (0..columns).map(|column| (draws.between(-2.0, 2.0), vec![column]));
        let mut terms: Vec<(f64, Vec<usize>)> = single.collect();
        for _ in 0..count {
            let size = 1 + draws.below(most);
            let mut own: Vec<usize> = (0..size).map(|_| draws.below(columns)).collect();
            own.sort_unstable();
            own.dedup();
            terms.push((draws.between(-1.0, 1.0), own));
        }
        Self(terms)
    }

    fn output(&self, row: &[f64]) -> f64 {
        let bent = |column: &usize| row[*column] + 0.2 * row[*column] * row[*column];
        self.0.iter().map(|(weight, columns)| weight * columns.iter().map(bent).product::<f64>()).sum()
    }
}
