use std::collections::BTreeMap;

use group_explain::{
    Estimate, Fairness, Kind, Moments, Population, Share, Slicing, Summary, Values, benjamini_hochberg,
    fairness,
};
use serde_json::Value;

use crate::{drawn, explained, is_close};

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/fairness/fairness.json")).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(|number| number.as_f64().unwrap()).collect()
}

fn assert_estimate(found: Estimate, expected: &Value, what: &str) {
    let expected = numbers(expected);
    for (found, expected) in [found.value, found.low, found.high].into_iter().zip(expected) {
        assert!(is_close(found, expected), "{what}: {found}, expected {expected}");
    }
}

fn share(value: &Value) -> Share {
    Share { hits: value[0].as_u64().unwrap(), count: value[1].as_u64().unwrap() }
}

#[test]
fn rates_and_means_are_scipys() {
    let golden = golden();
    for case in list(&golden["rates"]) {
        let (one, two) = (share(&case["one"]), share(&case["two"]));
        let what = format!("{one:?} and {two:?}");
        assert_estimate(one.wilson(), &case["wilson"], &what);
        assert_estimate(one.difference(two), &case["difference"], &what);
        assert_estimate(one.ratio(two), &case["ratio"], &what);
        let p_value = one.p_value(two);
        assert!(is_close(p_value, case["p_value"].as_f64().unwrap()), "{what}: {p_value}");
    }
    for case in list(&golden["means"]) {
        let (one, two) = (Moments::of(numbers(&case["one"])), Moments::of(numbers(&case["two"])));
        let what = format!("{} and {} numbers", one.count(), two.count());
        assert_estimate(one.interval(), &case["interval"], &what);
        let (gap, p_value) = one.welch(&two);
        assert_estimate(gap, &case["welch"], &what);
        assert!(is_close(p_value, case["p_value"].as_f64().unwrap()), "{what}: {p_value}");
    }
    let adjusted = benjamini_hochberg(&numbers(&golden["adjusted"]["p_values"]));
    for (found, expected) in adjusted.into_iter().zip(numbers(&golden["adjusted"]["expected"])) {
        assert!(is_close(found, expected), "{found}, expected {expected}");
    }
}

/// Predictions, labels and a column of groups.
fn judged(predictions: Vec<f64>, labels: Option<Vec<f64>>, groups: Vec<Option<String>>) -> Population {
    let count = predictions.len();
    let explanations = explained(predictions.clone(), 1, Some(predictions));
    Population::new(explanations, labels, vec![("group".to_owned(), Values::Texts(groups))], count)
}

fn by_group() -> Slicing {
    Slicing::by(vec!["group".to_owned()])
}

fn summary(found: &Fairness, name: &str) -> Option<f64> {
    found.summaries.iter().find(|summary| summary.name == name).map(|summary| summary.value)
}

#[test]
fn figures_are_those_of_the_definitions() {
    let all = golden();
    let golden = &all["fairness"];
    let groups = list(&golden["names"]).iter().map(|name| name.as_str().map(str::to_owned)).collect();
    let (predictions, labels) = (numbers(&golden["predictions"]), numbers(&golden["labels"]));
    let population = judged(predictions, Some(labels), groups);
    let slicing = Slicing { threshold: golden["threshold"].as_f64().unwrap(), ..by_group() };
    let found = fairness(&population, &slicing).unwrap();
    assert_eq!((found.kind, found.reference.as_str()), (Kind::Classification, "group: a"));
    assert_eq!((found.slices.len(), found.small_slices), (3, 0));
    for slice in &found.slices {
        let expected = &golden["slices"][&slice.levels[0].level];
        assert_eq!(slice.figures.len(), expected.as_object().unwrap().len());
        for figure in &slice.figures {
            let name = serde_json::to_value(figure.measure).unwrap();
            let expected = expected[name.as_str().unwrap()].as_f64().unwrap();
            assert!(is_close(figure.estimate.value, expected), "{}, {name}: {expected}", slice.name);
            let Estimate { value, low, high } = figure.estimate;
            assert!(low <= value && value <= high, "{}, {name}", slice.name);
            assert_eq!(figure.p_value.is_none(), slice.is_reference, "{}, {name}", slice.name);
            let is_adjusted = figure.p_adjusted >= figure.p_value;
            assert!(is_adjusted, "{}, {name}", slice.name);
        }
    }
    let expected = golden["summaries"].as_object().unwrap();
    assert_eq!(found.summaries.len(), expected.len());
    for (name, expected) in expected {
        let value = summary(&found, name).unwrap();
        assert!(is_close(value, expected.as_f64().unwrap()), "{name}: {value}");
    }
    let rule = found.four_fifths.unwrap();
    assert!(rule.is_below && rule.smallest == "group: c" && rule.largest == "group: a");
}

#[test]
fn the_largest_slice_is_compared_with_unless_one_is_named() {
    let population = drawn(400, 4);
    let slicing = Slicing::by(vec!["x0".to_owned()]);
    let found = fairness(&population, &slicing).unwrap();
    let largest = found.slices.iter().map(|slice| slice.rows).max().unwrap();
    let reference = found.slices.iter().find(|slice| slice.is_reference).unwrap();
    assert_eq!((reference.rows, &reference.name), (largest, &found.reference));
    let other = found.slices.iter().find(|slice| !slice.is_reference && !slice.is_small).unwrap();
    let other = other.name.clone();
    let named = fairness(&population, &Slicing { reference: Some(other.clone()), ..slicing }).unwrap();
    assert_eq!(named.reference, other);
}

#[test]
fn slices_are_crossed_and_hold_every_row_once() {
    let population = drawn(400, 6);
    let edges = BTreeMap::from([("age".to_owned(), vec![40.0])]);
    let slicing = Slicing { edges, ..Slicing::by(vec!["town".to_owned(), "age".to_owned()]) };
    let found = fairness(&population, &slicing).unwrap();
    assert_eq!(found.slices.len(), 8);
    assert_eq!(found.slices.iter().map(|slice| slice.rows).sum::<usize>(), 400);
    assert_eq!(found.slices[0].name, "town: Bonn, age: below 40");
    assert_eq!(found.slices[7].name, "town: missing, age: 40 or above");
    assert_eq!(found.kind, Kind::Regression);
    let root = |slice: usize| found.slices[slice].figures.last().unwrap();
    let absolute = |slice: usize| &found.slices[slice].figures[2];
    for slice in 0..8 {
        assert!(
            root(slice).estimate.value >= absolute(slice).estimate.value,
            "a root mean square is not less"
        );
        assert_eq!(root(slice).count, found.slices[slice].labelled as u64);
    }
    assert_eq!(found.slices.iter().map(|slice| slice.labelled).sum::<usize>(), 266);
}

#[test]
fn what_sets_a_slice_apart_is_what_it_is_cut_by() {
    let population = drawn(400, 8);
    let edges = BTreeMap::from([("x3".to_owned(), vec![0.0])]);
    let found = fairness(&population, &Slicing { edges, ..Slicing::by(vec!["x3".to_owned()]) }).unwrap();
    for slice in found.slices.iter().filter(|slice| !slice.is_small) {
        assert_eq!(slice.why[0].feature, "x3", "{}", slice.name);
        let is_above = slice.levels[0].level == "0 or above";
        assert_eq!(slice.why[0].difference.low > 0.0, is_above, "{}", slice.name);
    }
}

#[test]
fn small_slices_are_shown_and_count_for_nothing() {
    let group = |row: usize| Some(["a", "b", "tiny"][(row / 40).min(2)].to_owned());
    let predictions: Vec<f64> = (0..90).map(|row| if row < 80 { (row % 2) as f64 } else { 1.0 }).collect();
    let found = fairness(&judged(predictions, None, (0..90).map(group).collect()), &by_group()).unwrap();
    assert_eq!((found.kind, found.small_slices, found.small_rows), (Kind::Probabilities, 1, 10));
    assert_eq!(summary(&found, "demographic_parity_difference"), Some(0.0), "the small slice has rate 1");
    assert_eq!(summary(&found, "equal_opportunity_difference"), None, "there are no labels");
    let tiny = found.slices.iter().find(|slice| slice.is_small).unwrap();
    assert!(tiny.why.is_empty() && tiny.figures.iter().all(|figure| figure.p_value.is_none()));
    assert_eq!(tiny.figures[1].estimate.value, 1.0);
    assert_eq!(tiny.figures[1].difference.unwrap().value, 0.5);
}

#[test]
fn a_rate_that_a_slice_does_not_have_is_left_out() {
    let group = |row: usize| Some(["a", "b", "none"][row / 40].to_owned());
    let labels = (0..120).map(|row| if row < 80 && row % 4 == 0 { 1.0 } else { 0.0 }).collect();
    let predictions = (0..120).map(|row| if row % 4 == 0 && row != 4 { 0.9 } else { 0.1 }).collect();
    let population = judged(predictions, Some(labels), (0..120).map(group).collect());
    let found = fairness(&population, &by_group()).unwrap();
    let opportunity = |summary: &&Summary| summary.name == "equal_opportunity_difference";
    let opportunity = found.summaries.iter().find(opportunity).unwrap();
    assert_eq!(opportunity.slices, 2);
    assert!(is_close(opportunity.value, 0.1), "{}", opportunity.value);
    let none = &found.slices[2];
    assert!(none.figures[2].estimate.value.is_nan() && none.figures[2].count == 0);
    assert!(serde_json::to_value(none).unwrap()["figures"][2]["estimate"]["value"].is_null());
}

#[test]
fn an_output_stands_against_the_rest() {
    let count = 90;
    let mut explanations = explained((0..count).map(|row| row as f64).collect(), 1, None);
    explanations.outputs.push(explanations.outputs[0].clone());
    let own = |row: usize| if row.is_multiple_of(3) { 0.25 } else { 0.5 };
    explanations.predictions = (0..count).flat_map(|row| [0.75, own(row)]).collect();
    let labels = Some((0..count).map(|row| f64::from(u8::from(row % 3 == 1))).collect());
    let groups = (0..count).map(|row| Some(["a", "b"][row % 2].to_owned())).collect();
    let others = vec![("group".to_owned(), Values::Texts(groups))];
    let population = Population::new(explanations.clone(), labels, others.clone(), count);
    let found = fairness(&population, &Slicing { output: 1, ..by_group() }).unwrap();
    let figure = |place: usize| found.slices[0].figures[place].estimate.value;
    assert_eq!(found.kind, Kind::Classification);
    assert!(is_close(figure(0), 0.25 / 3.0 + 1.0 / 3.0), "the mean of its own prediction: {}", figure(0));
    assert!(is_close(figure(6), 1.0 / 3.0), "the share of its own class: {}", figure(6));
    explanations.predictions.truncate(count);
    let named = Population::new(explanations, None, others, count);
    let error = fairness(&named, &by_group()).unwrap_err().to_string();
    assert!(error.contains("the model has 2 scores and names a class"), "{error}");
}

#[test]
fn what_is_wrong_is_named() {
    let population = drawn(400, 1);
    let by = |columns: &[&str]| Slicing::by(columns.iter().map(|column| (*column).to_owned()).collect());
    let edges = |column: &str| BTreeMap::from([(column.to_owned(), vec![1.0])]);
    let rome = Some("town: Rome".to_owned());
    let many = BTreeMap::from([("age".to_owned(), (18..80).map(f64::from).collect::<Vec<f64>>())]);
    for (slicing, message) in [
        (by(&[]), "by is empty"),
        (by(&["height"]), "no column \"height\"; it has x0"),
        (by(&["town", "town"]), "by names \"town\" twice"),
        (Slicing { edges: edges("age"), ..by(&["town"]) }, "edges names \"age\", which by does not"),
        (Slicing { edges: edges("town"), ..by(&["town"]) }, "edges names \"town\", a column of texts"),
        (Slicing { edges: many, ..by(&["age", "town"]) }, "slices, at most 50"),
        (Slicing { reference: rome, ..by(&["town"]) }, "there is no slice \"town: Rome\""),
        (Slicing { least: 1_000, ..by(&["town"]) }, "has 100 rows, fewer than the 1000"),
        (Slicing { threshold: f64::NAN, ..by(&["town"]) }, "threshold is NaN"),
        (Slicing { output: 2, ..by(&["town"]) }, "output is 2, the model has 1"),
    ] {
        let error = fairness(&population, &slicing).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}
