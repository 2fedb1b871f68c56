//! Predictions against XGBoost's own (versions and generator in `golden/xgboost`), and hostile files.

use kernel_trees::{Ensemble, ModelError};
use proptest::prelude::*;
use serde_json::Value;

use crate::per_row;

fn file(name: &str) -> Vec<u8> {
    fs_err::read(format!("{}/tests/golden/xgboost/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

const MODELS: [&str; 33] = [
    "absolute_error",
    "aft",
    "base_score",
    "binary",
    "binary_base_score",
    "categorical",
    "constant",
    "cox",
    "dart",
    "dart_softprob",
    "deep",
    "forest",
    "gamma",
    "hinge",
    "logitraw",
    "onehot",
    "poisson",
    "pseudo_huber",
    "quantiles",
    "ranking",
    "reg_logistic",
    "regression",
    "softmax",
    "softprob",
    "squared_log_error",
    "targets",
    "tweedie",
    "v2_binary",
    "v2_categorical",
    "v2_dart",
    "v2_poisson",
    "v2_softprob",
    "vector_leaves",
];

#[test]
fn predictions_equal_xgboost() {
    for name in MODELS {
        let expected: Value = serde_json::from_slice(&file(&format!("{name}.rows.json"))).unwrap();
        let rows = expected["rows"].as_array().unwrap();
        assert!(rows.len() >= 60, "{name}");
        for kind in ["json", "ubj"] {
            let model = Ensemble::from_xgboost(&file(&format!("{name}.{kind}"))).unwrap();
            let mut scores = vec![0.0; model.scores()];
            let mut prediction = vec![0.0; model.outputs()];
            for (index, row) in rows.iter().enumerate() {
                let row = per_row(row);
                model.raw_scores(&row, &mut scores);
                assert_eq!(
                    scores,
                    per_row(&expected["margin"][index]),
                    "{name}.{kind} margin of row {index} {row:?}"
                );
                model.predict(&row, &mut prediction);
                let theirs = per_row(&expected["prediction"][index]);
                assert_eq!(prediction.len(), theirs.len(), "{name}");
                for (found, expected) in prediction.iter().zip(theirs) {
                    // Their exp is the C library's.
                    let bound = 2.0 * f64::from(f32::EPSILON) * expected.abs();
                    assert!(
                        (found - expected).abs() <= bound,
                        "{name}.{kind} row {index}: {found} != {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let linear = Ensemble::from_xgboost(&file("linear.json")).unwrap_err();
    assert!(matches!(linear, ModelError::Booster { .. }), "{linear}");
    let model: Value = serde_json::from_slice(&file("categorical.json")).unwrap();
    let changed = |path: &str, value: Value| {
        let mut model = model.clone();
        *model.pointer_mut(path).unwrap() = value;
        Ensemble::from_xgboost(model.to_string().as_bytes()).unwrap_err().to_string()
    };
    let tree = "/learner/gradient_booster/model/trees/0";
    let table = [
        (changed("/learner/objective/name", "reg:new".into()), "objective \"reg:new\" is not supported"),
        (changed("/learner/learner_model_param/num_feature", "-1".into()), "num_feature is \"-1\""),
        (changed("/learner/learner_model_param/num_feature", "3".into()), "expected less than 3"),
        (changed("/learner/learner_model_param/base_score", "[1,2]".into()), "base_score is \"[1,2]\""),
        (changed("/learner/gradient_booster/name", "forest".into()), "booster \"forest\""),
        (changed("/learner/gradient_booster/model/tree_info/0", 7.into()), "tree 0: tree_info is 7"),
        (changed(&format!("{tree}/left_children/1"), 0.into()), "node 0 has two parents"),
        (changed(&format!("{tree}/left_children/1"), 900.into()), "child 900 does not exist"),
        (changed(&format!("{tree}/categories/0"), (-1).into()), "category -1"),
        (changed(&format!("{tree}/categories_segments/1"), 5_000.into()), "lie outside of categories"),
        (changed(&format!("{tree}/split_indices/0"), 5.into()), "expected less than 5"),
        (changed(&format!("{tree}/split_type/2"), 1.into()), "node 2 has no categories"),
        (changed(&format!("{tree}/default_left"), Value::Array(vec![])), "default_left holds 0 values"),
    ];
    for (error, message) in table {
        assert!(error.contains(message), "{error}, expected {message}");
    }
    for bytes in
        [&b""[..], b"{", b"{L", b"{}", b"{\"learner\":1}", b"[", b"{[#L\x7f\xff\xff\xff\xff\xff\xff\xff"]
    {
        let error = Ensemble::from_xgboost(bytes).unwrap_err();
        assert!(matches!(error, ModelError::NotXgBoost { .. }), "{error}");
    }
    let deep = [b"{L\0\0\0\0\0\0\0\x07learner".as_slice(), &[b'['; 100_000]].concat();
    let error = Ensemble::from_xgboost(&deep).unwrap_err().to_string();
    assert!(error.contains("deep") || error.contains("invalid type"), "{error}");
}

proptest! {
    /// A file with bytes changed, or cut off, is refused or predicts; it never panics or hangs.
    /// `PROPTEST_CASES=1000000 cargo test --release -p kernel-trees a_damaged` is the long form.
    #[test]
    fn a_damaged_file_never_panics(
        kind in prop::sample::select(vec!["categorical.ubj", "categorical.json", "vector_leaves.ubj", "v2_dart.ubj"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = file(kind);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(model) = Ensemble::from_xgboost(&bytes) {
            for value in [1.5, f64::NAN, f64::INFINITY, -0.5, 1e300] {
                let row = vec![value; model.features()];
                model.predict(&row, &mut vec![0.0; model.outputs()]);
            }
        }
    }
}
