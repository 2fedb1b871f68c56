//! Whether the standard errors of sampled Shapley values are what they say, and the errors as small as the method's.

use kernel_effects::{AttributionOptions, Method};

use super::attribution::Case;

/// How values of random models stand to the true ones.
struct Coverage {
    all: usize,
    /// Within two standard errors.
    near: usize,
    /// Within the margins.
    within: usize,
    /// Root mean square of errors in standard errors.
    spread: f64,
}

/// Models with interactions of at most `most` columns, and their true values.
fn cases(most: usize) -> Vec<(Case, Vec<f64>)> {
    let cases = (0..12).map(|number| Case::random(100 + number, 14, 2, most));
    cases.map(|case| (case.truth(), case)).map(|(truth, case)| (case, truth)).collect()
}

fn coverage(budget_rows: u64, cases: &[(Case, Vec<f64>)]) -> Coverage {
    let mut found = Coverage { all: 0, near: 0, within: 0, spread: 0.0 };
    for (case, truth) in cases {
        for seed in 0..4 {
            let own = case.attribute(&AttributionOptions { budget_rows, stable_top: None, seed });
            let errors = own.standard_errors.iter().zip(own.margins());
            for ((value, truth), (error, margin)) in own.values.iter().zip(truth).zip(errors) {
                let gap = (value - truth).abs();
                found.near += usize::from(gap <= 2.0 * error + 1e-9);
                found.within += usize::from(gap <= margin + 1e-9);
                found.spread += (gap / (error + 1e-9)).powi(2);
                found.all += 1;
            }
        }
    }
    found.spread = (found.spread / found.all as f64).sqrt();
    found
}

#[test]
fn nine_values_of_ten_are_within_two_standard_errors_of_regression() {
    // 70, 150, 300 and 600 pairs of sets.
    for most in [3, 5] {
        let cases = cases(most);
        for budget_rows in [290, 603, 1_203, 2_403] {
            let Coverage { all, near, spread, .. } = coverage(budget_rows, &cases);
            println!("{budget_rows} rows, interactions of {most}: {near} of {all}, {spread:.2}");
            assert!(near as f64 >= 0.9 * all as f64, "{budget_rows} rows, {most}: {near} of {all}");
            // Nor are they so wide that they say nothing.
            assert!((0.8..1.2).contains(&spread), "{budget_rows} rows, {most}: {spread} standard errors");
        }
    }
}

#[test]
fn margins_hold_with_few_pairs_of_orders() {
    for most in [3, 5] {
        let cases = cases(most);
        for (budget_rows, pairs) in [(107, 2), (159, 3), (263, 5)] {
            let options = AttributionOptions { budget_rows, stable_top: None, seed: 1 };
            assert_eq!(cases[0].0.attribute(&options).method, Method::Permutations { pairs });
            let Coverage { all, within, near, .. } = coverage(budget_rows, &cases);
            println!("{pairs} pairs, interactions of {most}: {within} of {all}, {near} within two errors");
            assert!(within as f64 >= 0.9 * all as f64, "{pairs} pairs, {most}: {within} of {all}");
        }
    }
}

#[test]
fn regression_is_the_better_method_from_ten_sets_per_column() {
    let error = |budget_rows: u64, is_regression: bool| -> f64 {
        let mut squares = 0.0;
        for number in 0..12 {
            let case = Case::random(200 + number, 14, 2, 4);
            let truth = case.truth();
            for seed in 0..3 {
                let found = case.attribute(&AttributionOptions { budget_rows, stable_top: None, seed });
                assert_eq!(matches!(found.method, Method::Leverage { .. }), is_regression);
                squares += found.values.iter().zip(&truth).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            }
        }
        squares.sqrt()
    };
    // One row below and at the budget where the method changes: 140 sets with two background rows.
    let (below, at) = (error(282, false), error(283, true));
    println!("{below} by permutations, {at} by regression");
    assert!(at < below, "{below} by permutations, {at} by regression");
}
