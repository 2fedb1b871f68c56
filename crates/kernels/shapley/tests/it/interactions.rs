//! Interactions against their definition, in both games, and against XGBoost's own.

use kernel_shapley::{Interventional, PathDependent};
use kernel_trees::Ensemble;
use proptest::prelude::*;
use serde_json::Value;

use super::{
    LIGHTGBM, XGBOOST, assert_close, bytes, chain_model, expected, interventional, model, table, tree_model,
};

const SCIKIT_LEARN: [&str; 5] =
    ["forest", "forest_classes", "forest_missing", "boosting_classes", "histogram_categories"];

fn rows_of(framework: &str, name: &str) -> Vec<Vec<f64>> {
    let path = match framework {
        "sklearn" => format!("../../trees/tests/golden/sklearn/{name}.rows.json"),
        _ => format!("golden/{framework}-{name}.json"),
    };
    let golden: Value = serde_json::from_slice(&bytes(&path)).unwrap();
    table(&golden["rows"])
}

/// Matrices by their definition, from what every subset of features is worth, by output.
fn by_definition(worths: &[Vec<f64>], features: usize) -> Vec<f64> {
    let factorial = |n: usize| (1..=n).map(|k| k as f64).product::<f64>();
    // Of subsets of `size` features, when `others` are left out.
    let weights = |others: usize| -> Vec<f64> {
        let weight = |size: usize| {
            factorial(size) * factorial(features - size - others) / factorial(features - others + 1)
        };
        (0..(features + 1).saturating_sub(others)).map(weight).collect()
    };
    let (of_one, of_two) = (weights(1), weights(2));
    let stride = features + 1;
    let mut values = vec![0.0; worths[0].len() * stride * stride];
    for (output, matrix) in values.chunks_mut(stride * stride).enumerate() {
        let worth = |known: usize| worths[known][output];
        let size = |known: usize| known.count_ones() as usize;
        for one in 0..features {
            let i = 1usize << one;
            for known in (0..worths.len()).filter(|known| known & i == 0) {
                matrix[one * stride + one] += of_one[size(known)] * (worth(known | i) - worth(known));
            }
        }
        for one in 0..features {
            for other in one + 1..features {
                let (i, j) = (1usize << one, 1usize << other);
                let mut index = 0.0;
                for known in (0..worths.len()).filter(|known| known & (i | j) == 0) {
                    let together = worth(known | i | j) - worth(known | i) - worth(known | j) + worth(known);
                    index += of_two[size(known)] * together;
                }
                for (row, column) in [(one, other), (other, one)] {
                    matrix[row * stride + column] = index / 2.0;
                    matrix[row * stride + row] -= index / 2.0;
                }
            }
        }
        matrix[stride * stride - 1] = worth(0);
    }
    values
}

fn path_dependent_by_definition(model: &Ensemble, row: &[f64]) -> Vec<f64> {
    let worth = |known: u32| {
        let mut scores: Vec<f64> = (0..model.scores()).map(|output| model.base_score(output)).collect();
        for tree in model.trees() {
            scores[tree.output()] += model.leaf_scale() * expected(model, tree, tree.root(), row, known);
        }
        scores
    };
    let worths: Vec<Vec<f64>> = (0..1u32 << row.len()).map(worth).collect();
    by_definition(&worths, row.len())
}

fn interventional_by_definition(model: &Ensemble, row: &[f64], background: &[f64]) -> Vec<f64> {
    let worth = |known: u32| interventional::worth(model, row, background, known);
    let worths: Vec<Vec<f64>> = (0..1u32 << row.len()).map(worth).collect();
    by_definition(&worths, row.len())
}

/// Matrices, and the values that their rows should sum to.
fn path_dependent(model: &Ensemble, rows: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let explainer = PathDependent::new(model).unwrap();
    let count = rows.len() / model.features();
    let mut found = vec![f64::NAN; count * explainer.interactions_len()];
    explainer.interactions(rows, &mut found).unwrap();
    let mut values = vec![0.0; count * explainer.len()];
    explainer.explain_rows(rows, &mut values).unwrap();
    (found, values)
}

fn against(model: &Ensemble, rows: &[f64], background: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let explainer = Interventional::new(model, background).unwrap();
    let count = rows.len() / model.features();
    let mut found = vec![f64::NAN; count * explainer.interactions_len()];
    explainer.interactions(rows, &mut found).unwrap();
    let mut values = vec![0.0; count * explainer.len()];
    explainer.explain_rows(rows, &mut values).unwrap();
    (found, values)
}

/// Symmetric; rows sum to the values; the base stands alone.
fn assert_laws(stride: usize, found: &[f64], values: &[f64], bound: f64, what: &str) {
    for (matrix, values) in found.chunks(stride * stride).zip(values.chunks(stride)) {
        let sums: Vec<f64> = matrix.chunks(stride).map(|row| row.iter().sum()).collect();
        assert_close(&sums, values, bound, what);
        for one in 0..stride {
            for other in 0..one {
                assert_eq!(matrix[one * stride + other], matrix[other * stride + one], "{what}");
                assert!(one + 1 < stride || matrix[one * stride + other] == 0.0, "{what}");
            }
        }
    }
}

#[test]
fn path_dependent_interactions_equal_the_definition() {
    // With 32-bit floats as XGBoost has them.
    let cases = XGBOOST
        .map(|name| ("xgboost", name, 1e-6))
        .into_iter()
        .chain(LIGHTGBM.map(|name| ("lightgbm", name, 1e-11)))
        .chain(SCIKIT_LEARN.map(|name| ("sklearn", name, 1e-11)));
    for (framework, name, bound) in cases {
        let (model, rows) = (model(framework, name), rows_of(framework, name));
        assert!(rows.len() >= 40, "{framework} {name}");
        let stride = model.features() + 1;
        let (found, values) = path_dependent(&model, &rows.concat());
        assert_laws(stride, &found, &values, bound, &format!("{framework} {name}"));
        for (index, (row, found)) in rows.iter().zip(found.chunks(found.len() / rows.len())).enumerate() {
            let expected = path_dependent_by_definition(&model, row);
            assert_close(found, &expected, bound, &format!("{framework} {name} row {index}"));
        }
    }
}

#[test]
fn path_dependent_interactions_are_those_of_xgboost() {
    for name in ["regression", "softprob", "categorical"] {
        let model = model("xgboost", name);
        let golden: Value =
            serde_json::from_slice(&bytes(&format!("golden/xgboost-interactions-{name}.json"))).unwrap();
        let (rows, theirs) = (table(&golden["rows"]), table(&golden["interactions"]));
        assert_eq!(rows.len(), 20, "{name}");
        let (found, _) = path_dependent(&model, &rows.concat());
        assert_close(&found, &theirs.concat(), 1e-5, name);
    }
}

/// With missing values in rows and background.
#[test]
fn interventional_interactions_equal_the_definition() {
    let cases = [
        ("xgboost", "regression", 1e-5),
        ("xgboost", "softprob", 1e-5),
        ("xgboost", "categorical", 1e-5),
        ("xgboost", "deep", 1e-5),
        ("lightgbm", "binary", 1e-11),
        ("lightgbm", "multiclass", 1e-11),
        ("lightgbm", "regression_l1_categorical", 1e-11),
        ("lightgbm", "regression_zero_as_missing", 1e-11),
        ("sklearn", "forest", 1e-11),
        ("sklearn", "forest_missing", 1e-11),
        ("sklearn", "histogram_categories", 1e-11),
    ];
    for (framework, name, bound) in cases {
        let (model, rows) = (model(framework, name), rows_of(framework, name));
        let background = rows[..13].concat();
        let (found, values) = against(&model, &rows.concat(), &background);
        assert_laws(model.features() + 1, &found, &values, bound, &format!("{framework} {name}"));
        for (index, (row, found)) in rows.iter().zip(found.chunks(found.len() / rows.len())).enumerate() {
            let expected = interventional_by_definition(&model, row, &background);
            assert_close(found, &expected, bound, &format!("{framework} {name} row {index}"));
        }
    }
}

/// More features on a path than a table holds: their sets are kept from the beginning.
#[test]
fn interactions_of_a_wide_tree_equal_the_definition() {
    let bits: Vec<u32> = (0..40_000u32).map(|k| k.wrapping_mul(2_654_435_761) ^ (k << 7)).collect();
    let model = Ensemble::from_xgboost(tree_model(11, 11, &bits).as_bytes()).unwrap();
    let value = |k: usize| (k * k % 13) as f64 - 6.0;
    let background: Vec<f64> = (0..5 * 11).map(value).collect();
    let rows: Vec<f64> = (100..100 + 3 * 11).map(value).collect();
    let (by_paths, values_by_paths) = path_dependent(&model, &rows);
    assert_laws(12, &by_paths, &values_by_paths, 1e-5, "path-dependent");
    let (by_background, values_by_background) = against(&model, &rows, &background);
    assert_laws(12, &by_background, &values_by_background, 1e-5, "interventional");
    for (number, row) in rows.chunks(11).enumerate() {
        let own = number * 144..(number + 1) * 144;
        let expected = path_dependent_by_definition(&model, row);
        assert_close(&by_paths[own.clone()], &expected, 1e-5, "path-dependent");
        let expected = interventional_by_definition(&model, row, &background);
        assert_close(&by_background[own], &expected, 1e-5, "interventional");
    }
}

/// More features than a block is compiled for, more splits than it descends, and a feature that comes again and again.
#[test]
fn interactions_of_a_chain_equal_the_definition() {
    for (depth, features) in [(40, 5), (100, 5), (40, 17), (60, 60)] {
        let splits: Vec<(usize, f64)> =
            (0..depth).map(|level| (level * 7 % features, (level * 37 % 41) as f64 / 4.0 - 9.0)).collect();
        let leaves: Vec<f64> = (0..=depth).map(|level| (level * level % 23) as f64 / 10.0).collect();
        let model = chain_model(features, &splits, &leaves);
        let row: Vec<f64> = (0..features).map(|feature| (feature * 5 % 9) as f64 - 4.5).collect();
        let (found, values) = path_dependent(&model, &row);
        let what = format!("{depth} splits, {features} features");
        assert_laws(features + 1, &found, &values, 1e-5, &what);
        if features <= 17 {
            assert_close(&found, &path_dependent_by_definition(&model, &row), 1e-5, &what);
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_neighbours() {
    let (model, rows) = (model("xgboost", "softprob"), rows_of("xgboost", "softprob"));
    // Beyond what is calculated at once, and a part of a block.
    let many = [&rows.concat()[..]; 10].concat();
    let background = rows[..13].concat();
    for found in [path_dependent(&model, &many).0, against(&model, &many, &background).0] {
        let (first, others) = found.split_at(found.len() / 10);
        others.chunks(first.len()).for_each(|other| assert_eq!(other, first));
    }
}

proptest! {
    #[test]
    fn interactions_of_any_tree_equal_the_definition(
        depth in 0usize..9,
        features in 1usize..8,
        bits in prop::collection::vec(any::<u32>(), 200),
        values in prop::collection::vec(prop::option::weighted(0.85, -5i32..6), 9 * 8),
    ) {
        let model = Ensemble::from_xgboost(tree_model(depth, features, &bits).as_bytes()).unwrap();
        let values: Vec<f64> = values.iter().map(|value| value.map_or(f64::NAN, f64::from)).collect();
        let (rows, background) = values[..9 * features].split_at(2 * features);
        let stride = features + 1;
        let (by_paths, values_by_paths) = path_dependent(&model, rows);
        assert_laws(stride, &by_paths, &values_by_paths, 1e-5, "path-dependent");
        let (by_background, values_by_background) = against(&model, rows, background);
        assert_laws(stride, &by_background, &values_by_background, 1e-5, "interventional");
        for (number, row) in rows.chunks(features).enumerate() {
            let own = number * stride * stride..(number + 1) * stride * stride;
            let expected = path_dependent_by_definition(&model, row);
            assert_close(&by_paths[own.clone()], &expected, 1e-5, "path-dependent");
            let expected = interventional_by_definition(&model, row, background);
            assert_close(&by_background[own], &expected, 1e-5, "interventional");
        }
    }
}
