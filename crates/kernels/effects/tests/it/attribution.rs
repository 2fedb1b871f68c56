//! Shapley values of one prediction: against the definition, and their laws.

use kernel_effects::{
    Attribution, AttributionOptions, Background, EffectError, Formula, InputError, Kind, Method, attribute,
};
use proptest::prelude::*;

use super::{Draws, Terms, close, formula, golden, list, number, numbers, table};

/// Shapley values by their definition, over all sets of columns.
pub fn by_definition(output: impl Fn(&[f64]) -> f64, row: &[f64], background: &Background) -> Vec<f64> {
    let columns = row.len();
    let mut mixed = row.to_vec();
    let worths: Vec<f64> = (0..1usize << columns)
        .map(|set| {
            let mut worth = 0.0;
            for (place, weight) in background.weights().iter().enumerate() {
                for (column, value) in mixed.iter_mut().enumerate() {
                    let is_in = set >> column & 1 == 1;
                    *value = if is_in { row[column] } else { background.row(place)[column] };
                }
                worth += weight * output(&mixed);
            }
            worth
        })
        .collect();
    let factorial = |n: usize| (1..=n).map(|k| k as f64).product::<f64>();
    let weights: Vec<f64> = (0..columns)
        .map(|size| factorial(size) * factorial(columns - size - 1) / factorial(columns))
        .collect();
    let value = |column: usize| -> f64 {
        let without = (0..1usize << columns).filter(|set| set >> column & 1 == 0);
        without
            .map(|set| weights[set.count_ones() as usize] * (worths[set | 1 << column] - worths[set]))
            .sum()
    };
    (0..columns).map(value).collect()
}

/// A model of `columns` columns, a row and a background.
pub struct Case {
    pub terms: Terms,
    pub row: Vec<f64>,
    pub background: Background,
}

impl Case {
    /// Interactions of at most `most` columns.
    pub fn random(seed: u64, columns: usize, rows: usize, most: usize) -> Self {
        let mut draws = Draws(seed);
        let terms = Terms::random(&mut draws, columns, 2 * columns, most);
        let (row, values) = (draws.row(columns), draws.rows(rows, columns));
        Self { terms, row, background: Background::new(table(&values, columns)) }
    }

    pub fn attribute(&self, options: &AttributionOptions) -> Attribution {
        let mut model = Formula::new(self.row.len(), |row: &[f64]| self.terms.output(row));
        attribute(&mut model, &self.row, &self.background, options).unwrap()
    }

    pub fn truth(&self) -> Vec<f64> {
        by_definition(|row| self.terms.output(row), &self.row, &self.background)
    }
}

/// Budgets that lead to the three methods with fourteen columns and two background rows.
const PERMUTATIONS: AttributionOptions = AttributionOptions { budget_rows: 200, stable_top: None, seed: 1 };
const LEVERAGE: AttributionOptions = AttributionOptions { budget_rows: 1_000, stable_top: None, seed: 1 };

fn sum(found: &Attribution) -> f64 {
    found.base + found.values.iter().sum::<f64>()
}

#[test]
fn values_equal_the_definition() {
    let golden = golden("attribution");
    let rows = numbers(&golden["background"]);
    let background = Background::new(table(&rows, 5));
    for case in list(&golden["cases"]) {
        let row = numbers(&case["row"]);
        let mut model = Formula::new(5, formula);
        let found = attribute(&mut model, &row, &background, &AttributionOptions::default()).unwrap();
        close(&found.values, &numbers(&case["values"]), 1e-12, "values");
        let ends = [number(&case["base"]), number(&case["prediction"])];
        close(&[found.base, found.prediction], &ends, 1e-12, "base and prediction");
        assert_eq!((found.method, found.stopped_early), (Method::Exact, false));
        assert!(found.effort.rows <= 16 + 15 * 30 && found.effort.calls == 2, "{:?}", found.effort);
    }
}

#[test]
fn complete_samples_equal_the_definition() {
    // Thirteen columns are too many for the exact method, but all sets are affordable.
    let case = Case::random(2, 13, 1, 4);
    let found = case.attribute(&AttributionOptions { budget_rows: 10_000, ..AttributionOptions::default() });
    assert_eq!(found.method, Method::Leverage { pairs: 4_095 });
    close(&found.values, &case.truth(), 1e-9, "all sets");
    assert_eq!(found.standard_errors, vec![0.0; 13]);
    assert_eq!(found.effort.rows, 8_192);
    // An even number of columns, and rounds.
    let case = Case::random(3, 14, 1, 4);
    let found = case.attribute(&AttributionOptions { budget_rows: 20_000, stable_top: Some(14), seed: 1 });
    close(&found.values, &case.truth(), 1e-9, "all sets in rounds");
    assert_eq!(found.method, Method::Leverage { pairs: 8_191 });
}

#[test]
fn pairs_of_columns_are_explained_exactly_by_either_sampling() {
    let case = Case::random(4, 14, 2, 2);
    for (options, bound) in [(PERMUTATIONS, 1e-12), (LEVERAGE, 1e-9)] {
        let found = case.attribute(&options);
        assert_ne!(found.method, Method::Exact);
        close(&found.values, &case.truth(), bound, &format!("{:?}", found.method));
        assert!(found.standard_errors.iter().all(|error| *error < 1e-9), "{:?}", found.standard_errors);
    }
}

#[test]
fn a_budget_holds_and_one_that_is_too_small_is_refused() {
    let case = Case::random(5, 14, 2, 3);
    for budget_rows in [55, 56, 60, 107, 108, 283, 284, 1_000, 9_999] {
        let found = case.attribute(&AttributionOptions { budget_rows, ..AttributionOptions::default() });
        assert!(found.effort.rows <= budget_rows, "{budget_rows}: {:?}", found.effort);
        assert!((sum(&found) - found.prediction).abs() < 1e-12 * found.prediction.abs().max(1.0));
    }
    // The least: the row, the background, and 26 sets with two background rows each.
    let mut model = Formula::new(14, |row: &[f64]| case.terms.output(row));
    let options = AttributionOptions { budget_rows: 54, ..AttributionOptions::default() };
    let error = attribute(&mut model, &case.row, &case.background, &options).unwrap_err();
    assert!(matches!(error, EffectError::Budget { budget: 54, needed: 55 }), "{error:?}");
    let found = case.attribute(&AttributionOptions { budget_rows: 55, ..options });
    assert_eq!(found.method, Method::Permutations { pairs: 1 });
    assert!(found.standard_errors.iter().all(|error| error.is_infinite()));
    let error = attribute(&mut model, &[0.0; 3], &case.background, &options).unwrap_err();
    assert!(matches!(error, EffectError::Input(InputError::Count { found: 3, expected: 14, .. })));
}

#[test]
fn sampling_stops_when_the_largest_values_are_in_order() {
    let case = Case::random(6, 20, 3, 3);
    for budget_rows in [1_500, 20_000] {
        let whole = AttributionOptions { budget_rows, stable_top: None, seed: 1 };
        let found = case.attribute(&AttributionOptions { stable_top: Some(2), ..whole });
        let all = case.attribute(&whole);
        assert!(found.stopped_early && found.effort.rows < all.effort.rows, "{:?}", found.effort);
        let largest = |found: &Attribution| {
            let mut order: Vec<usize> = (0..20).collect();
            order.sort_by(|a, b| found.values[*b].abs().total_cmp(&found.values[*a].abs()));
            order[..2].to_vec()
        };
        assert_eq!(largest(&found), largest(&all));
    }
}

#[test]
fn rows_that_mix_to_the_same_are_scored_once() {
    // Twenty categories of two levels: each background row differs from the row in a few.
    let mut draws = Draws(7);
    let columns = 20;
    let level = |draws: &mut Draws| f64::from(u8::from(draws.unit() < 0.4));
    let values: Vec<f64> = (0..10 * columns).map(|_| level(&mut draws)).collect();
    let background = Background::new(table(&values, columns));
    let mut model = Formula::new(columns, |row: &[f64]| row.iter().product::<f64>() + row[0] - row[3]);
    let row = vec![0.0; columns];
    let found = attribute(&mut model, &row, &background, &AttributionOptions::default()).unwrap();
    // All mixtures with each background row, though all columns vary.
    assert_eq!(found.method, Method::Exact);
    assert!(found.values.iter().filter(|value| **value != 0.0).count() == 2, "{:?}", found.values);
    assert!(found.effort.rows < 10_000, "{:?}", found.effort);
    let options = AttributionOptions { budget_rows: 1_600, ..AttributionOptions::default() };
    let sampled = attribute(&mut model, &row, &background, &options).unwrap();
    assert!(matches!(sampled.method, Method::Permutations { pairs: 4 }));
    assert!(sampled.effort.rows < 1_200, "{:?}", sampled.effort);
    close(&sampled.values, &found.values, 1e-12, "an additive model in these rows");
}

#[test]
fn medoids_stand_for_the_data() {
    let mut draws = Draws(8);
    let values = draws.rows(400, 6);
    let data = table(&values, 6);
    let terms = Terms::random(&mut draws, 6, 6, 2);
    let mut model = Formula::new(6, |row: &[f64]| terms.output(row));
    let row = draws.row(6);
    let options = AttributionOptions { budget_rows: 100_000, ..AttributionOptions::default() };
    let whole = attribute(&mut model, &row, &Background::new(data), &options).unwrap();
    let few = Background::medoids(data, &[Kind::Number; 6], 50, 1).unwrap();
    let found = attribute(&mut model, &row, &few, &options).unwrap();
    assert_eq!((found.method, whole.method), (Method::Exact, Method::Exact));
    let norm = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
    let gaps: Vec<f64> = found.values.iter().zip(&whole.values).map(|(a, b)| a - b).collect();
    assert!(norm(&gaps) < 0.2 * norm(&whole.values), "{:?} {:?}", found.values, whole.values);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Any model on rows that agree here and there, and are missing here and there.
    #[test]
    fn exact_values_equal_the_definition(seed in any::<u64>(), columns in 1usize..8, rows in 1usize..5) {
        let mut draws = Draws(seed);
        let level = |draws: &mut Draws| if draws.unit() < 0.1 { f64::NAN } else { draws.below(3) as f64 };
        let row: Vec<f64> = (0..columns).map(|_| level(&mut draws)).collect();
        let values: Vec<f64> = (0..rows * columns).map(|_| level(&mut draws)).collect();
        let terms = Terms::random(&mut draws, columns, 6, 4);
        let output = |row: &[f64]| {
            let known: Vec<f64> = row.iter().map(|value| if value.is_nan() { -1.5 } else { *value }).collect();
            terms.output(&known)
        };
        let background = Background::new(table(&values, columns));
        let mut model = Formula::new(columns, output);
        let found = attribute(&mut model, &row, &background, &AttributionOptions::default()).unwrap();
        prop_assert_eq!(found.method, Method::Exact);
        close(&found.values, &by_definition(output, &row, &background), 1e-10, "values");
        prop_assert!((sum(&found) - found.prediction).abs() < 1e-10 * found.prediction.abs().max(1.0));
    }

    /// Efficiency, dummy, symmetry (to the standard errors) and additivity (with the same seed) of both samplings.
    #[test]
    fn sampled_values_obey_the_laws(seed in any::<u64>(), leverage in 0u64..2) {
        let options = if leverage == 1 { LEVERAGE } else { PERMUTATIONS };
        let options = AttributionOptions { seed, ..options };
        let mut case = Case::random(seed, 14, 2, 3);
        let other = Case::random(seed.wrapping_add(1), 14, 2, 3);
        // Column 3 is used by neither, column 5 agrees with the background.
        let is_free = |(_, columns): &(f64, Vec<usize>)| !columns.contains(&3);
        case.terms.0.retain(is_free);
        case.row[5] = 0.5;
        let mut values: Vec<f64> = (0..2).flat_map(|place| case.background.row(place).to_vec()).collect();
        (values[5], values[14 + 5]) = (0.5, 0.5);
        case.background = Background::new(table(&values, 14));
        let found = case.attribute(&options);
        let is_regression = matches!(found.method, Method::Leverage { .. });
        prop_assert_eq!(is_regression, leverage == 1);
        prop_assert!((sum(&found) - found.prediction).abs() < 1e-12 * found.prediction.abs().max(1.0));
        prop_assert_eq!((found.values[5], found.standard_errors[5]), (0.0, 0.0));
        let bound = 6.0 * found.standard_errors[3] + 1e-9;
        prop_assert!(found.values[3].abs() < bound, "{} of a column without effect", found.values[3]);
        prop_assert!(leverage == 1 || found.values[3].abs() < 1e-12, "no contribution in any order");
        prop_assert_eq!(&case.attribute(&options), &found, "same seed, same bits");

        let mut both = Case { terms: case.terms.clone(), row: case.row.clone(), background: case.background.clone() };
        both.terms.0.extend(other.terms.0.clone());
        let others = Case { terms: other.terms, row: case.row.clone(), background: case.background.clone() };
        let (sum_of_models, others) = (both.attribute(&options), others.attribute(&options));
        let sums: Vec<f64> = found.values.iter().zip(&others.values).map(|(a, b)| a + b).collect();
        close(&sum_of_models.values, &sums, 1e-8, "additivity");
    }

    /// Columns that the model cannot tell apart have the same value.
    #[test]
    fn exact_values_are_symmetric(seed in any::<u64>(), rows in 1usize..4) {
        let mut draws = Draws(seed);
        let mut values = draws.rows(rows, 5);
        values.chunks_mut(5).for_each(|row| row[4] = row[1]);
        let mut row = draws.row(5);
        row[4] = row[1];
        let mut model = Formula::new(5, |row: &[f64]| row[0] * row[1] * row[4] + (row[1] + row[4]).powi(2) * row[2] - row[3]);
        let background = Background::new(table(&values, 5));
        let found = attribute(&mut model, &row, &background, &AttributionOptions::default()).unwrap();
        prop_assert!((found.values[1] - found.values[4]).abs() < 1e-9, "{:?}", found.values);
    }
}
