//! Predictions against scikit-learn's own (version and generator in `golden/sklearn`), and hostile files.

use kernel_trees::{Ensemble, ModelError, Step, Tree};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::per_row;

fn file(name: &str) -> Vec<u8> {
    fs_err::read(format!("{}/tests/golden/sklearn/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn model(name: &str) -> Ensemble {
    Ensemble::from_trees_json(&file(&format!("{name}.trees.json"))).unwrap()
}

fn answers(name: &str) -> Value {
    serde_json::from_slice(&file(&format!("{name}.rows.json"))).unwrap()
}

const MODELS: [&str; 40] = [
    "boosting",
    "boosting_absolute_error",
    "boosting_binary",
    "boosting_classes",
    "boosting_dummy",
    "boosting_dummy_classes",
    "boosting_exponential",
    "boosting_huber",
    "boosting_quantile",
    "boosting_zero",
    "boosting_zero_classes",
    "extra",
    "extra_classes",
    "forest",
    "forest_absolute_error",
    "forest_binary",
    "forest_classes",
    "forest_deep",
    "forest_missing",
    "forest_targets",
    "histogram",
    "histogram_absolute_error",
    "histogram_binary",
    "histogram_categories",
    "histogram_categories_classes",
    "histogram_categories_no_missing",
    "histogram_classes",
    "histogram_gamma",
    "histogram_infinite",
    "histogram_no_missing",
    "histogram_poisson",
    "histogram_quantile",
    "tree",
    "tree_classes",
    "tree_constant",
    "tree_deep",
    "tree_poisson",
    "tree_pruned",
    "tree_random",
    "tree_random_binary",
];

#[test]
fn predictions_equal_scikit_learn() {
    for name in MODELS {
        let (model, expected) = (model(name), answers(name));
        let rows = expected["rows"].as_array().unwrap();
        assert!(rows.len() >= 50, "{name}");
        let mut scores = vec![0.0; model.scores()];
        let mut prediction = vec![0.0; model.outputs()];
        for (index, row) in rows.iter().enumerate() {
            let row = per_row(row);
            model.raw_scores(&row, &mut scores);
            assert_eq!(scores, per_row(&expected["raw"][index]), "{name} raw score of row {index} {row:?}");
            model.predict(&row, &mut prediction);
            let theirs = per_row(&expected["prediction"][index]);
            assert_eq!(prediction.len(), theirs.len(), "{name}");
            for (found, expected) in prediction.iter().zip(theirs) {
                // Their exp is numpy's.
                let bound = 4.0 * f64::EPSILON * expected.abs();
                assert!((found - expected).abs() <= bound, "{name} row {index}: {found} != {expected}");
            }
        }
    }
}

fn leaf(model: &Ensemble, tree: &Tree, row: &[f64]) -> f64 {
    let mut place = tree.root();
    loop {
        match tree.at(place) {
            Step::Leaf(value) => return value,
            Step::Split { feature, left, right } => {
                place = if tree.goes_left(place, model.read(row[feature])) { left } else { right };
            }
        }
    }
}

/// What attributions rest on.
#[test]
fn scaled_leaves_and_base_are_the_raw_score() {
    for name in MODELS {
        let (model, expected) = (model(name), answers(name));
        assert!(model.trees().iter().all(Tree::has_covers), "{name}");
        for row in expected["rows"].as_array().unwrap() {
            let row = per_row(row);
            let mut scores = vec![0.0; model.scores()];
            model.raw_scores(&row, &mut scores);
            for (output, score) in scores.into_iter().enumerate() {
                let own = model.trees().iter().filter(|tree| tree.output() == output);
                let leaves: f64 = own.map(|tree| leaf(&model, tree, &row)).sum();
                let sum = model.base_score(output) + model.leaf_scale() * leaves;
                assert!((sum - score).abs() <= model.precision() * score.abs().max(1.0), "{name} {row:?}");
            }
        }
    }
    assert_eq!(model("forest_targets").leaf_scale(), 1.0 / 3.0);
    assert_eq!(model("boosting").leaf_scale(), 1.0);
}

#[test]
fn names_are_those_of_the_columns() {
    let names = ["a", "b", "c", "d", "ü"].map(str::to_owned);
    assert_eq!(model("tree").feature_names(), Some(names.as_slice()));
    assert_eq!(model("forest").feature_names(), None);
}

/// The error of a file in which the value at a path is another one.
fn error_of(name: &str, path: &str, value: Value) -> String {
    let mut model: Value = serde_json::from_slice(&file(&format!("{name}.trees.json"))).unwrap();
    *model.pointer_mut(path).unwrap() = value;
    Ensemble::from_trees_json(model.to_string().as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_key_against_its_rule_is_named() {
    let nothing = json!([]);
    let table = [
        ("/format", json!("xgboost"), "format is \"xgboost\", expected \"loopwright-trees\""),
        ("/version", json!(2), "version is \"2\", expected 1"),
        ("/source", json!(1), "source is \"1\", expected a string"),
        ("/features", json!(0), "features is \"0\", expected a whole number from 1"),
        ("/features", json!("5"), "features is \"5\""),
        ("/features", json!(1u64 << 40), "features is"),
        ("/features", json!(3), "expected 0 or more, less than 3"),
        (
            "/feature_names",
            json!(["a"]),
            "feature_names is \"[\\\"a\\\"]\", expected null or a string for each",
        ),
        ("/classes", json!(["a", "b"]), "classes is"),
        ("/input", json!("float16"), "input is \"float16\", expected \"float32\" or \"float64\""),
        ("/scores", json!(0), "scores is \"0\""),
        ("/scores", json!(100_000), "scores is \"100000\""),
        ("/base", json!([0.0, 0.0]), "base is \"[0.0,0.0]\", expected a finite number for each score"),
        ("/base", json!(["NaN"]), "base is"),
        ("/divide_by", json!(0), "divide_by is \"0\""),
        ("/divide_by", json!(0.5), "divide_by is \"0.5\", expected null or a whole number from 1"),
        ("/link", json!("probit"), "link is \"probit\", expected \"identity\""),
        ("/trees", nothing.clone(), "trees is \"[]\", expected at least one tree"),
        ("/trees", json!(1), "trees: invalid type: integer `1`"),
        ("/trees/1", json!({}), "trees: missing field `score`"),
        ("/trees/1/score", json!(1), "tree 1: score is 1, expected null or less than 1"),
        ("/trees/1/score", json!(-1), "tree 1: score: invalid value: integer `-1`"),
        ("/trees/1/left", nothing.clone(), "tree 1: left holds 0 values"),
        ("/trees/1/left/0", json!(0), "tree 1: left of node 0 is 0, expected a later node"),
        ("/trees/1/left/0", json!(900), "left of node 0 is 900, expected a later node"),
        ("/trees/1/left/0", json!(-1), "left of node 0 is -1, expected a later node"),
        ("/trees/1/left/0", json!(-2), "left of node 0 is -2, expected a later node"),
        ("/trees/1/left/0", json!(2), "has a parent already"),
        ("/trees/1/right", nothing.clone(), "right holds 0 values, expected"),
        ("/trees/1/feature/0", json!(-1), "feature of node 0 is -1, expected 0 or more, less than 5"),
        ("/trees/1/feature", nothing.clone(), "feature holds 0 values"),
        (
            "/trees/1/threshold/0",
            json!("wide"),
            "threshold: invalid value: string \"wide\", expected a number",
        ),
        ("/trees/1/threshold", nothing.clone(), "threshold holds 0 values"),
        ("/trees/1/missing_left/0", json!(1), "missing_left: invalid type: integer `1`"),
        ("/trees/1/missing_left", nothing.clone(), "missing_left holds 0 values"),
        ("/trees/1/value", nothing.clone(), "value holds 0 values"),
        ("/trees/1/value/0", json!("Infinity"), "value 0 is inf, expected a finite number"),
        ("/trees/1/cover", nothing.clone(), "cover holds 0 values"),
        ("/trees/1/cover/0", json!(-1), "cover of node 0 is -1, expected a finite number from 0"),
        ("/trees/1/categories", json!([{"node": 900, "values": [1]}]), "categories has node 900"),
        (
            "/trees/1/categories",
            json!([{"node": 0, "values": [2, 1]}]),
            "are not finite numbers in ascending order",
        ),
        (
            "/trees/1/categories",
            json!([{"node": 0, "values": [1, 1]}]),
            "are not finite numbers in ascending order",
        ),
        (
            "/trees/1/categories",
            json!([{"node": 0, "values": ["NaN"]}]),
            "are not finite numbers in ascending",
        ),
        ("/trees/1/categories", json!([{"node": 0}]), "categories: missing field `values`"),
    ];
    for (path, value, message) in table {
        let error = error_of("histogram_categories", path, value);
        assert!(error.contains(message), "{path}: {error}, expected {message}");
    }
    let error = error_of("boosting_binary", "/base", json!(["1", 0]));
    assert!(error.contains("base is"), "{error}");
    let error = error_of("forest_classes", "/trees/0/categories", json!([{"node": 0, "values": [1]}]));
    assert!(error.contains("categories stand in a tree of several scores"), "{error}");
    let error = error_of("forest_classes", "/link", json!("logistic"));
    assert!(error.contains("scores is \"3\", expected 1 where the link is logistic"), "{error}");
}

#[test]
fn a_key_too_many_or_too_few_is_named() {
    let whole: Value = serde_json::from_slice(&file("histogram_categories.trees.json")).unwrap();
    let mut missing = whole.clone();
    missing.as_object_mut().unwrap().remove("link");
    let mut unknown = whole;
    unknown["divide"] = json!(3);
    // A leaf at the root leaves the rest without a parent.
    let mut orphans = model_of_one_split();
    orphans["trees"][0]["left"] = json!([-1, -1, -1]);
    orphans["trees"][0]["right"] = json!([-1, -1, -1]);
    let table = [
        (missing, "missing field `link`"),
        (unknown, "unknown field `divide`"),
        (orphans, "node 1 is no child of any node"),
    ];
    for (file, message) in table {
        let error = Ensemble::from_trees_json(file.to_string().as_bytes()).unwrap_err().to_string();
        assert!(error.contains(message), "{error}, expected {message}");
    }
}

/// The example of `docs/reference/trees-format.md`.
fn model_of_one_split() -> Value {
    let text = include_str!("../../../../../docs/reference/trees-format.md");
    let example = text.split("```json").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    serde_json::from_str(example).unwrap()
}

#[test]
fn the_example_of_the_documentation_is_read() {
    let model = Ensemble::from_trees_json(model_of_one_split().to_string().as_bytes()).unwrap();
    let table = [([0.0, 3.0], [1.0, 0.0]), ([0.0, 4.5], [0.25, 0.75]), ([0.0, f64::NAN], [0.25, 0.75])];
    for (row, expected) in table {
        let mut shares = [0.0; 2];
        model.predict(&row, &mut shares);
        assert_eq!(shares, expected, "{row:?}");
    }
}

#[test]
fn what_is_no_such_file_is_refused() {
    let open =
        [br#"{"format":"loopwright-trees","version":1,"trees":"#.as_slice(), &[b'['; 100_000]].concat();
    let files = [
        &b""[..],
        b"{",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"{\"format\":\"\xff\",\"version\":1}",
        open.as_slice(),
    ];
    for bytes in files {
        let error = Ensemble::from_trees_json(bytes).unwrap_err();
        assert!(matches!(error, ModelError::NotTrees { .. }), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A file with bytes changed, or cut off, is refused or predicts; it never panics or hangs.
    #[test]
    fn a_damaged_file_never_panics(
        name in prop::sample::select(vec!["boosting_binary", "forest_classes", "histogram_categories", "tree_constant"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = file(&format!("{name}.trees.json"));
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            // Half of them stay among the signs of the format: others are no JSON at all.
            bytes[at] = if byte < 128 { b"0123456789-,.e[]\"tn"[usize::from(byte) % 19] } else { byte };
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(model) = Ensemble::from_trees_json(&bytes) {
            for value in [1.5, f64::NAN, f64::INFINITY, -0.5, 1e300] {
                let row = vec![value; model.features()];
                model.predict(&row, &mut vec![0.0; model.outputs()]);
            }
        }
    }
}
