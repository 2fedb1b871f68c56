//! Scores against scipy and Evidently (versions in `golden/README.md`), and the laws they obey.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

use kernel_drift::*;
use proptest::prelude::*;
use serde_json::Value;

fn golden() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/drift.json");
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[track_caller]
fn close(found: f64, case: &Value, key: &str) {
    let expected = case["expected"][key].as_f64().unwrap();
    let bound = 1e-9 * expected.abs().max(1e-3);
    assert!((found - expected).abs() <= bound, "{} {key}: {found} != {expected}", case["name"]);
}

#[test]
fn numeric_scores_equal_scipy() {
    let mut seen = 0;
    for case in golden().iter().filter(|case| case["kind"] == "numeric") {
        let (reference, current) = (sorted(numbers(&case["reference"])), sorted(numbers(&case["current"])));
        close(wasserstein(&reference, &current), case, "wasserstein");
        close(wasserstein_normed(&reference, &current), case, "wasserstein_normed");
        let (statistic, p_value) = kolmogorov_smirnov(&reference, &current);
        close(statistic, case, "ks_statistic");
        close(p_value, case, "ks_pvalue_limit");
        let bins = QuantileBins::new(&reference, 10);
        for (edge, expected) in
            bins.inner_edges().iter().zip(numbers(&case["expected"]["psi_quantile10_inner_edges"]))
        {
            assert!((edge - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{}", case["name"]);
        }
        close(bins.population_stability(&reference, &current), case, "psi_quantile10");
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} cases");
}

#[test]
fn categorical_scores_equal_scipy() {
    let mut seen = 0;
    for case in golden().iter().filter(|case| case["kind"] == "categorical") {
        let (reference, current) = counts(case);
        close(jensen_shannon(&reference, &current), case, "js_distance_base2");
        close(population_stability(&reference, &current), case, "psi");
        match chi_square(&reference, &current) {
            Some(test) => {
                close(test.statistic, case, "chi2_statistic");
                close(test.p_value, case, "chi2_pvalue");
                close(test.degrees_of_freedom as f64, case, "chi2_dof");
            }
            None => assert_eq!(case["name"], "one_level"),
        }
        seen += 1;
    }
    assert!(seen >= 6, "only {seen} cases");
}

fn counts(case: &Value) -> (Vec<u64>, Vec<u64>) {
    let levels_of = |key: &str| -> Vec<String> {
        case[key].as_array().unwrap().iter().map(|level| level.to_string()).collect()
    };
    let (reference, current) = (levels_of("reference"), levels_of("current"));
    let mut levels: Vec<&String> = reference.iter().chain(&current).collect();
    levels.sort();
    levels.dedup();
    let count = |side: &[String]| -> Vec<u64> {
        levels.iter().map(|level| side.iter().filter(|value| value == level).count() as u64).collect()
    };
    (count(&reference), count(&current))
}

#[test]
fn a_calibrated_threshold_holds_its_false_alarm_rate() {
    // Reference: 2,000 points of a skewed law; windows of 300 from the same law.
    let draw = |seed: u64, n: usize| -> Vec<f64> {
        let mut state = seed;
        let mut uniform = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        };
        sorted((0..n).map(|_| -uniform().ln()))
    };
    let reference = draw(1, 4_000);
    let threshold = calibrate_numeric(&reference, 300, 400, 0.05, 7);
    let alarms =
        (0..400).filter(|seed| wasserstein_normed(&reference, &draw(100 + seed, 300)) > threshold).count();
    // Nominal 20 of 400; five standard deviations to either side.
    assert!((2..=45).contains(&alarms), "{alarms} alarms of 400 at a stated rate of 5 %");
    assert_eq!(threshold, calibrate_numeric(&reference, 300, 400, 0.05, 7), "same seed, same bits");
}

#[test]
fn empty_sides_have_no_score() {
    assert!(wasserstein(&[], &[1.0]).is_nan());
    assert!(kolmogorov_smirnov(&[1.0], &[]).0.is_nan());
    assert!(jensen_shannon(&[0, 0], &[1, 2]).is_nan());
    assert_eq!(chi_square(&[5], &[5]), None);
}

proptest! {
    #[test]
    fn wasserstein_is_a_distance(
        a in prop::collection::vec(-1e3..1e3f64, 1..60),
        b in prop::collection::vec(-1e3..1e3f64, 1..60),
        shift in -50.0..50.0f64,
    ) {
        let (a, b) = (sorted(a), sorted(b));
        prop_assert_eq!(wasserstein(&a, &a), 0.0);
        prop_assert!((wasserstein(&a, &b) - wasserstein(&b, &a)).abs() < 1e-9);
        let moved = sorted(a.iter().map(|x| x + shift));
        prop_assert!((wasserstein(&a, &moved) - shift.abs()).abs() < 1e-9);
    }

    #[test]
    fn categorical_scores_are_bounded(pairs in prop::collection::vec((0u64..50, 0u64..50), 1..20)) {
        let (a, b): (Vec<u64>, Vec<u64>) = pairs.into_iter().unzip();
        let distance = jensen_shannon(&a, &b);
        prop_assert!(distance.is_nan() || (0.0..=1.0 + 1e-12).contains(&distance));
        if let Some(test) = chi_square(&a, &b) {
            prop_assert!(test.statistic >= 0.0 && (0.0..=1.0).contains(&test.p_value));
        }
    }
}
