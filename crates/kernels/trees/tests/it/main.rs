//! Predictions against LightGBM's own (version and generator in `golden/`), and hostile files.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

mod catboost;
mod interchange;
mod onnx;
mod packed;
mod xgboost;

use kernel_trees::{Ensemble, Format, ModelError};
use proptest::prelude::*;
use serde_json::Value;

fn golden(name: &str) -> String {
    fs_err::read_to_string(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Null => f64::NAN,
        Value::String(text) if text == "inf" => f64::INFINITY,
        Value::String(text) if text == "-inf" => f64::NEG_INFINITY,
        other => other.as_f64().unwrap(),
    }
}

fn per_row(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().map(number).collect(),
        single => vec![number(single)],
    }
}

const MODELS: [&str; 18] = [
    "binary",
    "binary_sigmoid",
    "constant",
    "cross_entropy_lambda",
    "custom_objective",
    "dart",
    "lambdarank",
    "linear_tree",
    "multiclass",
    "multiclassova",
    "poisson",
    "regression_categorical_no_missing",
    "regression_l1_categorical",
    "regression_no_missing",
    "regression_sqrt",
    "regression_zero_as_missing",
    "rf",
    "rf_binary",
];

#[test]
fn predictions_equal_lightgbm() {
    for name in MODELS {
        let model = Ensemble::from_lightgbm_text(&golden(&format!("{name}.txt"))).unwrap();
        let expected: Value = serde_json::from_str(&golden(&format!("{name}.json"))).unwrap();
        let rows = expected["rows"].as_array().unwrap();
        assert!(rows.len() >= 40, "{name}");
        for (index, row) in rows.iter().enumerate() {
            let row = per_row(row);
            let mut found = vec![0.0; model.scores()];
            model.raw_scores(&row, &mut found);
            assert_eq!(found, per_row(&expected["raw"][index]), "{name} raw score of row {index} {row:?}");
            model.predict(&row, &mut found);
            for (found, expected) in found.iter().zip(per_row(&expected["prediction"][index])) {
                let bound = 4.0 * f64::EPSILON * expected.abs();
                let is_close = *found == expected || (found - expected).abs() <= bound;
                assert!(is_close, "{name} row {index}: {found} != {expected}");
            }
        }
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let linear = golden("linear_tree.txt");
    for (old, new, message) in [
        ("num_features=3 2", "num_features=3 3", "do not hold as many values"),
        ("leaf_features=0 1 3", "leaf_features=0 1 9", "leaf_features 9 is not below"),
        ("leaf_const=", "leaf_const=1 ", "leaf_const holds"),
    ] {
        let error = Ensemble::from_lightgbm_text(&linear.replacen(old, new, 1)).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let text = golden("binary.txt");
    let table = [
        (text.replace("objective=binary", "objective=survival"), "objective \"survival\" is not supported"),
        (text.replace("tree\n", "xgboost\n"), "not a LightGBM text model"),
        (text.replace("max_feature_idx=", "max_feature_idx=x"), "max_feature_idx"),
        (text.replace("end of trees", ""), "ends before"),
        (text.replace("pandas_categorical:null", "pandas_categorical:[[\"a\"]]"), "pandas categories"),
        (text.replacen("left_child=", "left_child=0 ", 1), "left_child holds"),
    ];
    for (text, message) in table {
        let error = Ensemble::from_lightgbm_text(&text).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_format_is_told_by_its_first_bytes() {
    let folder = format!("{}/tests/golden", env!("CARGO_MANIFEST_DIR"));
    let cases = [
        ("binary.txt", Format::LightGbm),
        ("xgboost/binary.json", Format::XgBoost),
        ("xgboost/binary.ubj", Format::XgBoost),
        ("catboost/logloss.json", Format::CatBoost),
        ("catboost/logloss.cbm", Format::CatBoost),
        ("onnx/forest.onnx", Format::Onnx),
        ("onnx/lightgbm_binary.onnx", Format::Onnx),
        ("sklearn/forest.trees.json", Format::Trees),
    ];
    for (name, format) in cases {
        let bytes = fs_err::read(format!("{folder}/{name}")).unwrap();
        assert_eq!(Ensemble::from_bytes(&bytes).unwrap().1, format, "{name}");
    }
    for bytes in [&b""[..], b"PK\x03\x04", b"\x80\x04\x95", b"[1]"] {
        assert_eq!(Ensemble::from_bytes(bytes).unwrap_err(), ModelError::Unknown);
    }
}

proptest! {
    /// A file with any one byte changed is refused or predicts; it never panics or hangs.
    #[test]
    fn a_damaged_file_never_panics(at in 0usize..8_000, byte in 0u8..128) {
        let mut bytes = golden("regression_l1_categorical.txt").into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(model) = Ensemble::from_lightgbm_text(&String::from_utf8(bytes).unwrap()) {
            let row = vec![1.5; model.features()];
            model.predict(&row, &mut vec![0.0; model.outputs()]);
        }
    }
}
