//! Interventional values against their definition, over all subsets of features and all rows of the background.

use kernel_shapley::{ExplainError, Interventional};
use kernel_trees::Ensemble;
use proptest::prelude::*;
use serde_json::Value;

use super::{assert_close, bytes, model, table, tree_model};

/// What the model scores on average when the features in `known` are the row's and the others the background's.
pub(super) fn worth(model: &Ensemble, row: &[f64], background: &[f64], known: u32) -> Vec<f64> {
    let rows: Vec<f64> = background
        .chunks(row.len())
        .flat_map(|other| {
            (0..row.len())
                .map(move |feature| if known >> feature & 1 == 1 { row[feature] } else { other[feature] })
        })
        .collect();
    let count = rows.len() / row.len();
    let mut scores = vec![0.0; count * model.scores()];
    model.raw_scores(&rows, &mut scores);
    (0..model.scores())
        .map(|output| scores.iter().skip(output).step_by(model.scores()).sum::<f64>() / count as f64)
        .collect()
}

fn by_definition(model: &Ensemble, row: &[f64], background: &[f64]) -> Vec<f64> {
    let features = row.len();
    let factorial = |n: usize| (1..=n).map(|k| k as f64).product::<f64>();
    let worths: Vec<Vec<f64>> =
        (0..1u32 << features).map(|known| worth(model, row, background, known)).collect();
    let mut values = vec![0.0; model.scores() * (features + 1)];
    for (output, own) in values.chunks_mut(features + 1).enumerate() {
        for feature in 0..features {
            for known in (0..1usize << features).filter(|known| known >> feature & 1 == 0) {
                let size = known.count_ones() as usize;
                let weight = factorial(size) * factorial(features - size - 1) / factorial(features);
                own[feature] += weight * (worths[known | 1 << feature][output] - worths[known][output]);
            }
        }
        own[features] = worths[0][output];
    }
    values
}

fn explained(model: &Ensemble, rows: &[f64], background: &[f64]) -> Vec<f64> {
    let explainer = Interventional::new(model, background).unwrap();
    let mut values = vec![0.0; rows.len() / model.features() * explainer.len()];
    explainer.explain_rows(rows, &mut values).unwrap();
    values
}

/// With missing values in rows and background, among them a model that was trained without any: shap is wrong there.
#[test]
fn values_equal_the_definition() {
    let cases = [
        ("xgboost", "regression", 1e-5),
        ("xgboost", "binary", 1e-5),
        ("xgboost", "softprob", 1e-5),
        ("xgboost", "categorical", 1e-5),
        ("xgboost", "deep", 1e-5),
        ("lightgbm", "binary", 1e-11),
        ("lightgbm", "multiclass", 1e-11),
        ("lightgbm", "regression_l1_categorical", 1e-11),
        ("lightgbm", "regression_no_missing", 1e-11),
        ("lightgbm", "regression_zero_as_missing", 1e-11),
        ("sklearn", "forest", 1e-11),
        ("sklearn", "forest_missing", 1e-11),
        ("sklearn", "histogram_categories", 1e-11),
    ];
    for (framework, name, bound) in cases {
        let model = model(framework, name);
        let path = match framework {
            "sklearn" => format!("../../trees/tests/golden/sklearn/{name}.rows.json"),
            _ => format!("golden/{framework}-{name}.json"),
        };
        let golden: Value = serde_json::from_slice(&bytes(&path)).unwrap();
        let rows = table(&golden["rows"]);
        let background = rows[..13].concat();
        let found = explained(&model, &rows.concat(), &background);
        for (index, (row, found)) in rows.iter().zip(found.chunks(found.len() / rows.len())).enumerate() {
            let expected = by_definition(&model, row, &background);
            assert_close(found, &expected, bound, &format!("{framework} {name} row {index}"));
        }
    }
}

/// More features on a path than a table holds.
#[test]
fn a_wide_tree_is_explained_from_counts() {
    let bits: Vec<u32> = (0..40_000u32).map(|k| k.wrapping_mul(2_654_435_761) ^ (k << 7)).collect();
    let model = Ensemble::from_xgboost(tree_model(11, 11, &bits).as_bytes()).unwrap();
    let value = |k: usize| (k * k % 13) as f64 - 6.0;
    let background: Vec<f64> = (0..5 * 11).map(value).collect();
    let rows: Vec<f64> = (100..100 + 3 * 11).map(value).collect();
    let found = explained(&model, &rows, &background);
    for (row, found) in rows.chunks(11).zip(found.chunks(12)) {
        assert_close(found, &by_definition(&model, row, &background), 1e-5, "from counts");
    }
}

#[test]
fn a_background_without_rows_is_refused() {
    let model = model("xgboost", "regression");
    assert!(matches!(Interventional::new(&model, &[]), Err(ExplainError::NoBackground)));
}

proptest! {
    #[test]
    fn values_of_any_tree_equal_the_definition(
        depth in 0usize..9,
        features in 1usize..9,
        bits in prop::collection::vec(any::<u32>(), 200),
        values in prop::collection::vec(prop::option::weighted(0.85, -5i32..6), 9 * 8),
    ) {
        let model = Ensemble::from_xgboost(tree_model(depth, features, &bits).as_bytes()).unwrap();
        let values: Vec<f64> = values.iter().map(|value| value.map_or(f64::NAN, f64::from)).collect();
        let (rows, background) = values[..9 * features].split_at(2 * features);
        let found = explained(&model, rows, background);
        for (row, found) in rows.chunks(features).zip(found.chunks(features + 1)) {
            assert_close(found, &by_definition(&model, row, background), 1e-5, "any tree");
        }
    }
}

/// Values of a hundred million that all but cancel: 32 bits hold them to eight units, 64 bits hold their sum.
#[test]
fn a_row_that_32_bits_do_not_hold_is_explained_with_64() {
    let model = super::chain_model(2, &[(0, 0.0), (1, 0.0)], &[1e8, -1e8, 3.0]);
    let background = [-1.0, 1.0, 1.0, -1.0, 1.0, 1.0];
    for rows in [vec![1.0, 1.0], [1.0, 1.0, -1.0, -1.0, 1.0, -1.0].repeat(30)] {
        let found = explained(&model, &rows, &background);
        for (row, found) in rows.chunks(2).zip(found.chunks(3)) {
            let expected = by_definition(&model, row, &background);
            let score = found.iter().sum::<f64>();
            assert!(
                found.iter().zip(&expected).all(|(one, other)| (one - other).abs() < 1e-6),
                "{found:?} {expected:?}"
            );
            assert!(row != [1.0, 1.0] || (score - 3.0).abs() < 1e-6, "{score}");
        }
    }
}
