//! Against the definition, over all subsets of features, and against the frameworks' own values (`golden/`).

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

mod interactions;
mod interventional;

use kernel_shapley::{ExplainError, Interventional, PathDependent};
use kernel_trees::{Ensemble, Step, Tree};
use proptest::prelude::*;
use serde_json::Value;

fn bytes(path: &str) -> Vec<u8> {
    fs_err::read(format!("{}/tests/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn model(framework: &str, name: &str) -> Ensemble {
    let trees = "../../trees/tests/golden";
    match framework {
        "xgboost" => Ensemble::from_xgboost(&bytes(&format!("{trees}/xgboost/{name}.json"))).unwrap(),
        "sklearn" => {
            Ensemble::from_trees_json(&bytes(&format!("{trees}/sklearn/{name}.trees.json"))).unwrap()
        }
        _ => {
            let text = String::from_utf8(bytes(&format!("{trees}/{name}.txt"))).unwrap();
            Ensemble::from_lightgbm_text(&text).unwrap()
        }
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Null => f64::NAN,
        Value::String(text) => text.parse().unwrap(),
        other => other.as_f64().unwrap(),
    }
}

fn table(value: &Value) -> Vec<Vec<f64>> {
    let rows = value.as_array().unwrap().iter();
    rows.map(|row| row.as_array().unwrap().iter().map(number).collect()).collect()
}

/// What a tree expects of a row of which the features in `known` are known.
fn expected(model: &Ensemble, tree: &Tree, place: i32, row: &[f64], known: u32) -> f64 {
    let (feature, left, right) = match tree.at(place) {
        Step::Leaf(value) => return value,
        Step::Split { feature, left, right } => (feature, left, right),
    };
    if known >> feature & 1 == 1 {
        let child = if tree.goes_left(place, model.read(row[feature])) { left } else { right };
        return expected(model, tree, child, row, known);
    }
    let share = |child: i32| match tree.cover(place) {
        rows if rows > 0.0 => tree.cover(child) / rows,
        _ => 0.5,
    };
    [left, right].into_iter().map(|child| share(child) * expected(model, tree, child, row, known)).sum()
}

/// Shapley values by their definition: weights of all subsets.
fn by_definition(model: &Ensemble, row: &[f64]) -> Vec<f64> {
    let features = row.len();
    let factorial = |n: usize| (1..=n).map(|k| k as f64).product::<f64>();
    let mut values = vec![0.0; model.scores() * (features + 1)];
    for output in 0..model.scores() {
        let trees = model.trees().iter().filter(|tree| tree.output() == output);
        let trees: Vec<&Tree> = trees.collect();
        let worth = |known: u32| -> f64 {
            let sum: f64 = trees.iter().map(|tree| expected(model, tree, tree.root(), row, known)).sum();
            sum * model.leaf_scale()
        };
        let worths: Vec<f64> = (0..1u32 << features).map(worth).collect();
        let own = &mut values[output * (features + 1)..][..=features];
        for feature in 0..features {
            for known in (0..1usize << features).filter(|known| known >> feature & 1 == 0) {
                let size = known.count_ones() as usize;
                let weight = factorial(size) * factorial(features - size - 1) / factorial(features);
                own[feature] += weight * (worths[known | 1 << feature] - worths[known]);
            }
        }
        own[features] = model.base_score(output) + worths[0];
    }
    values
}

fn explained(model: &Ensemble, row: &[f64]) -> Vec<f64> {
    let explainer = PathDependent::new(model).unwrap();
    let mut values = vec![0.0; explainer.len()];
    explainer.explain(row, &mut values).unwrap();
    values
}

fn assert_close(found: &[f64], expected: &[f64], bound: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let gap = (found - expected).abs();
        assert!(gap <= bound * expected.abs().max(1.0), "{what}, value {place}: {found} != {expected}");
    }
}

const XGBOOST: [&str; 10] = [
    "regression",
    "binary",
    "binary_base_score",
    "softprob",
    "categorical",
    "onehot",
    "deep",
    "forest",
    "poisson",
    "targets",
];
const LIGHTGBM: [&str; 6] = [
    "binary",
    "multiclass",
    "regression_l1_categorical",
    "regression_no_missing",
    "regression_zero_as_missing",
    "poisson",
];

#[test]
fn values_equal_the_definition_and_the_frameworks() {
    // XGBoost calculates with 32-bit floats.
    let cases = XGBOOST
        .map(|name| ("xgboost", name, 1e-5))
        .into_iter()
        .chain(LIGHTGBM.map(|name| ("lightgbm", name, 1e-9)));
    for (framework, name, bound) in cases {
        let model = model(framework, name);
        let golden: Value =
            serde_json::from_slice(&bytes(&format!("golden/{framework}-{name}.json"))).unwrap();
        let (rows, theirs) = (table(&golden["rows"]), table(&golden["values"]));
        assert!(rows.len() >= 40, "{framework} {name}");
        let explainer = PathDependent::new(&model).unwrap();
        let mut together = vec![0.0; rows.len() * explainer.len()];
        explainer.explain_rows(&rows.concat(), &mut together).unwrap();
        for (index, (row, theirs)) in rows.iter().zip(&theirs).enumerate() {
            let found = explained(&model, row);
            let in_block = &together[index * explainer.len()..][..explainer.len()];
            assert_close(in_block, &found, bound, &format!("{framework} {name} row {index} in a block"));
            let what = format!("{framework} {name} row {index}");
            if row.len() <= 6 {
                let bound = if model.is_single() { 1e-6 } else { 1e-12 };
                assert_close(&found, &by_definition(&model, row), bound, &format!("{what}, definition"));
            }
            assert_close(&found, theirs, bound, &what);
        }
    }
}

/// shap is no measure for these: the definition is.
#[test]
fn values_of_scikit_learns_models_equal_the_definition() {
    let names =
        ["forest", "forest_classes", "forest_missing", "extra", "boosting_classes", "histogram_categories"];
    for name in names {
        let model = model("sklearn", name);
        let path = format!("../../trees/tests/golden/sklearn/{name}.rows.json");
        let golden: Value = serde_json::from_slice(&bytes(&path)).unwrap();
        let rows = table(&golden["rows"]);
        assert!(rows.len() >= 40, "{name}");
        let explainer = PathDependent::new(&model).unwrap();
        let mut together = vec![0.0; rows.len() * explainer.len()];
        explainer.explain_rows(&rows.concat(), &mut together).unwrap();
        for (index, row) in rows.iter().enumerate() {
            let found = explained(&model, row);
            let in_block = &together[index * explainer.len()..][..explainer.len()];
            assert_close(in_block, &found, 1e-9, &format!("{name} row {index} in a block"));
            assert_close(&found, &by_definition(&model, row), 1e-11, &format!("{name} row {index}"));
        }
    }
}

#[test]
fn linear_leaves_are_refused() {
    let model = model("lightgbm", "linear_tree");
    assert!(matches!(PathDependent::new(&model), Err(ExplainError::LinearLeaves { tree: 0 })));
    let row = vec![0.0; model.features()];
    assert!(matches!(Interventional::new(&model, &row), Err(ExplainError::LinearLeaves { tree: 0 })));
}

#[test]
fn a_model_without_counts_is_refused() {
    let text = String::from_utf8(bytes("../../trees/tests/golden/binary.txt")).unwrap();
    let bare: String = text
        .lines()
        .filter(|line| !line.starts_with("internal_count"))
        .map(|line| format!("{line}\n"))
        .collect();
    let model = Ensemble::from_lightgbm_text(&bare).unwrap();
    assert_eq!(PathDependent::new(&model).unwrap_err(), ExplainError::NoCovers { tree: 0 });
}

/// An XGBoost model with one tree: splits by feature and threshold in the order of a heap cut off at random, and covers.
fn tree_model(depth: usize, features: usize, bits: &[u32]) -> String {
    let mut next = bits.iter().cycle().copied();
    let mut draw = move || next.next().unwrap_or(0);
    let (mut left, mut right, mut split, mut value, mut cover, mut side) =
        (vec![-1], vec![-1], vec![0], vec![0.0], vec![64u32], vec![0]);
    let mut open = vec![(0usize, 0usize)];
    while let Some((node, level)) = open.pop() {
        if level == depth || (level > 0 && draw() % 5 == 0) {
            value[node] = f64::from(draw() % 2_000) / 100.0 - 10.0;
            continue;
        }
        let children = left.len();
        (left[node], right[node]) = (children as i64, children as i64 + 1);
        split[node] = draw() as usize % features;
        value[node] = f64::from(draw() % 9) - 4.0;
        side[node] = draw() % 2;
        // Now and then nobody went to a side.
        let first = if draw() % 6 == 0 { 0 } else { draw() % (cover[node] + 1) };
        for rows in [first, cover[node] - first] {
            left.push(-1);
            right.push(-1);
            split.push(0);
            value.push(0.0);
            cover.push(rows);
            side.push(0);
        }
        open.push((children, level + 1));
        open.push((children + 1, level + 1));
    }
    serde_json::json!({"learner": {
        "learner_model_param": {"base_score": "5E-1", "num_class": "0", "num_feature": features.to_string(), "num_target": "1"},
        "objective": {"name": "reg:squarederror"},
        "gradient_booster": {"name": "gbtree", "model": {"tree_info": [0], "trees": [{
            "left_children": left, "right_children": right, "split_indices": split, "split_conditions": value,
            "default_left": side, "sum_hessian": cover, "tree_param": {"size_leaf_vector": "1"},
        }]}},
    }})
    .to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any tree, also with features that come again, empty sides and one leaf.
    #[test]
    fn values_of_any_tree_equal_the_definition(
        depth in 0usize..9,
        features in 1usize..8,
        bits in prop::collection::vec(any::<u32>(), 200),
        row in prop::collection::vec(prop::option::weighted(0.85, -5i32..6), 8),
    ) {
        let model = Ensemble::from_xgboost(tree_model(depth, features, &bits).as_bytes()).unwrap();
        let row: Vec<f64> = row[..features].iter().map(|value| value.map_or(f64::NAN, f64::from)).collect();
        let expected = by_definition(&model, &row);
        assert_close(&explained(&model, &row), &expected, 1e-5, "values");
        let explainer = PathDependent::new(&model).unwrap();
        let mut together = vec![0.0; 3 * expected.len()];
        explainer.explain_rows(&[&row[..]; 3].concat(), &mut together).unwrap();
        together.chunks(expected.len()).for_each(|found| assert_close(found, &expected, 1e-5, "in a block"));
    }
}

/// A chain of splits by feature and threshold, with a leaf to the left of each and one at its end; one training row came to each leaf.
fn chain_model(features: usize, splits: &[(usize, f64)], leaves: &[f64]) -> Ensemble {
    let nodes = 2 * splits.len() + 1;
    let (mut left, mut right) = (vec![-1i64; nodes], vec![-1i64; nodes]);
    let (mut split, mut value, mut cover) = (vec![0; nodes], vec![0.0; nodes], vec![1.0; nodes]);
    for (level, (feature, threshold)) in splits.iter().enumerate() {
        let node = 2 * level;
        (left[node], right[node]) = (node as i64 + 1, node as i64 + 2);
        (split[node], value[node], cover[node]) = (*feature, *threshold, (splits.len() - level + 1) as f64);
        value[node + 1] = leaves[level];
    }
    value[nodes - 1] = leaves[splits.len()];
    let text = serde_json::json!({"learner": {
        "learner_model_param": {"base_score": "0E0", "num_class": "0", "num_feature": features.to_string()},
        "objective": {"name": "reg:squarederror"},
        "gradient_booster": {"name": "gbtree", "model": {"tree_info": [0], "trees": [{
            "left_children": left, "right_children": right, "split_indices": split, "split_conditions": value,
            "default_left": vec![0; nodes], "sum_hessian": cover, "tree_param": {"size_leaf_vector": "1"},
        }]}},
    }});
    Ensemble::from_xgboost(text.to_string().as_bytes()).unwrap()
}

#[test]
fn a_deep_tree_is_explained_to_its_last_split() {
    for depth in [17, 40, 60] {
        let splits: Vec<(usize, f64)> = (0..depth).map(|level| (level, 0.0)).collect();
        let leaves: Vec<f64> = (0..depth).map(|level| level as f64).chain([100.0]).collect();
        let model = chain_model(depth, &splits, &leaves);
        // The sum is checked within.
        let values = explained(&model, &vec![1.0; depth]);
        assert!(values.iter().all(|value| value.is_finite()), "depth {depth}: {values:?}");
    }
}

/// As deep as a model may be; a thread's stack must hold the way down.
#[test]
fn the_deepest_tree_does_not_overflow_the_stack() {
    let depth = 1_000;
    let splits: Vec<(usize, f64)> = (0..depth).map(|level| (level % 5, 1_000.0 - level as f64)).collect();
    let leaves: Vec<f64> = (0..=depth).map(|level| (level % 7) as f64).collect();
    let model = chain_model(5, &splits, &leaves);
    let rows: Vec<f64> = (0..40 * 5).map(|place| (place * 37 % 1_500) as f64).collect();
    let explainer = PathDependent::new(&model).unwrap();
    let mut values = vec![0.0; 40 * explainer.len()];
    explainer.explain_rows(&rows, &mut values).unwrap();
    let against = Interventional::new(&model, &rows).unwrap();
    against.explain_rows(&rows, &mut values).unwrap();
}
