use group_explain::{Cohort, Comparison, ExplainError, Population, compare};
use serde_json::{Value, json};

use crate::{drawn, is_close};

fn cohort(conditions: Value) -> Cohort {
    serde_json::from_value(json!({"conditions": conditions})).unwrap()
}

fn against_rest(population: &Population, conditions: Value) -> Result<Comparison, ExplainError> {
    compare(population, &cohort(conditions), None, 0)
}

#[test]
fn differences_of_all_features_sum_to_that_of_the_scores() {
    for seed in 1..40 {
        let population = drawn(60 + 7 * seed as usize, seed);
        for conditions in [
            json!([{"column": "town", "is": "Ulm"}]),
            json!([{"column": "x1", "below": 0.5}, {"column": "age", "at_least": 30}]),
            json!([{"column": "x0", "missing": true}]),
        ] {
            let found = against_rest(&population, conditions.clone()).unwrap();
            let sum: f64 = found.features.iter().map(|gap| gap.difference.value).sum();
            let gap = found.one.mean_score - found.two.mean_score;
            assert!(is_close(sum, gap), "{seed}, {conditions}: {sum} and {gap}");
            assert!(is_close(found.score_difference.value, gap));
            let shares: [f64; 2] = [
                found.features.iter().map(|gap| gap.share_one).sum(),
                found.features.iter().map(|gap| gap.share_two).sum(),
            ];
            assert!(is_close(shares[0], 1.0) && is_close(shares[1], 1.0), "{shares:?}");
            assert_eq!(found.one.rows + found.two.rows, population.count());
            assert!((0.0..=1.0).contains(&found.ndcg));
            let sizes: Vec<f64> = found.features.iter().map(|gap| -gap.difference.value.abs()).collect();
            assert!(sizes.is_sorted(), "{sizes:?}");
        }
    }
}

#[test]
fn a_cohort_and_its_rest_turn_signs_around() {
    let population = drawn(200, 3);
    let ulm = json!([{"column": "town", "is": "Ulm"}]);
    let other = json!([{"column": "town", "one_of": ["Bonn", "Kiel"]}]);
    let one = compare(&population, &cohort(ulm.clone()), Some(&cohort(other.clone())), 0).unwrap();
    let two = compare(&population, &cohort(other), Some(&cohort(ulm)), 0).unwrap();
    for gap in &one.features {
        let turned = two.features.iter().find(|other| other.feature == gap.feature).unwrap();
        assert!(is_close(gap.difference.value, -turned.difference.value), "{}", gap.feature);
        assert!(is_close(gap.difference.low, -turned.difference.high), "{}", gap.feature);
        assert!(gap.difference.low < gap.difference.value && gap.difference.value < gap.difference.high);
        assert_eq!((gap.rank_one, gap.rank_two), (turned.rank_two, turned.rank_one));
    }
    assert_eq!((one.one.rows, one.two.rows), (50, 100));
    assert_eq!((one.one.name.as_str(), one.two.name.as_str()), ("town is Ulm", "town is one of Bonn, Kiel"));
}

#[test]
fn conditions_choose_their_rows() {
    let population = drawn(80, 5);
    let explanations = population.explanations();
    let inputs: Vec<f64> = (0..80).map(|row| explanations.row(row)[0]).collect();
    let known = inputs.iter().filter(|value| !value.is_nan());
    let (missing, above) = (80 - known.clone().count(), known.filter(|value| **value >= 0.5).count());
    for (conditions, rows) in [
        (json!([{"column": "town", "is": "Kiel"}]), 20),
        (json!([{"column": "town", "missing": true}]), 20),
        (json!([{"column": "town", "missing": false}]), 60),
        (json!([{"column": "town", "one_of": ["Ulm", "Bonn"]}]), 40),
        (json!([{"column": "x0", "missing": true}]), missing),
        (json!([{"column": "x0", "at_least": 0.5}]), above),
        (json!([{"column": "x0", "is": inputs[1]}]), 1),
        (json!([{"column": "x0", "is": inputs[1].to_string()}]), 1),
    ] {
        let found = against_rest(&population, conditions.clone()).unwrap();
        assert_eq!(found.one.rows, rows, "{conditions}");
    }
}

#[test]
fn labels_tell_the_error_where_they_are_known() {
    let population = drawn(90, 9);
    let found = against_rest(&population, json!([{"column": "town", "is": "Ulm"}])).unwrap();
    let (labels, mut errors, mut truths) = (population.labels().unwrap(), Vec::new(), Vec::new());
    for row in (0..90).step_by(4).filter(|row| !labels[*row].is_nan()) {
        errors.push(population.explanations().predicted(row)[0] - labels[row]);
        truths.push(labels[row]);
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    assert_eq!(found.one.labelled, errors.len() as u64);
    assert!(is_close(found.one.mean_label, mean(&truths)));
    assert!(is_close(found.one.mean_error, mean(&errors)));
    let absolute: Vec<f64> = errors.iter().map(|error| error.abs()).collect();
    assert!(is_close(found.one.mean_absolute_error, mean(&absolute)));
}

#[test]
fn what_is_wrong_is_named() {
    let population = drawn(40, 1);
    for (conditions, message) in [
        (json!([{"column": "height", "is": 1}]), "no column \"height\"; it has x0, x1, x2, x3, town, age"),
        (json!([{"column": "town", "below": 3}]), "the condition on \"town\" compares numbers"),
        (json!([{"column": "age", "is": "old"}]), "the condition on \"age\" asks for \"old\""),
        (json!([{"column": "town", "is": [1]}]), "the condition on \"town\" asks for [1]"),
        (json!([{"column": "age"}]), "the condition on \"age\" asks for nothing"),
        (json!([]), "has no condition"),
        (json!([{"column": "age", "at_least": 1000}]), "no row is in cohort \"age is at least 1,000\""),
        (json!([{"column": "age", "below": 1000}]), "no row is in cohort \"everyone else\""),
    ] {
        let error = against_rest(&population, conditions).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let ulm = cohort(json!([{"column": "town", "is": "Ulm"}]));
    let known = cohort(json!([{"column": "town", "missing": false}]));
    let error = compare(&population, &ulm, Some(&known), 0).unwrap_err().to_string();
    assert!(error.contains("10 rows are in \"town is Ulm\" and in"), "{error}");
    let error = compare(&population, &ulm, None, 1).unwrap_err().to_string();
    assert!(error.contains("output is 1, the model has 1"), "{error}");
}

#[test]
fn one_row_has_no_interval() {
    let population = drawn(20, 2);
    let value = population.explanations().row(1)[0];
    let found = against_rest(&population, json!([{"column": "x0", "is": value}])).unwrap();
    assert_eq!(found.one.rows, 1);
    assert!(found.features.iter().all(|gap| gap.difference.low.is_nan() && !gap.difference.value.is_nan()));
    let json = serde_json::to_value(&found).unwrap();
    assert!(json["features"][0]["difference"]["low"].is_null());
}
