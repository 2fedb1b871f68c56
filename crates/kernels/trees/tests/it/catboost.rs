//! Predictions against CatBoost's own (versions and generator in `golden/catboost`), and hostile files.

use kernel_trees::{Ensemble, ModelError, Step, Tree};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::per_row;

fn file(name: &str) -> Vec<u8> {
    fs_err::read(format!("{}/tests/golden/catboost/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

const MODELS: [&str; 42] = [
    "constant",
    "constant_lossguide",
    "cross_entropy",
    "deep",
    "depthwise",
    "dropped",
    "huber",
    "ignored",
    "logloss",
    "lossguide",
    "lossguide_multiclass",
    "mae",
    "multi_quantile",
    "multi_rmse",
    "multiclass",
    "multiclass_absent",
    "multiclass_names",
    "multiclass_ova",
    "multilabel",
    "names",
    "nan_forbidden",
    "nan_max",
    "nan_max_depthwise",
    "no_nan_max",
    "poisson",
    "quantile",
    "query_rmse",
    "rmse",
    "scale_and_bias",
    "scale_and_biases",
    "scale_odd",
    "stump",
    "sum",
    "survival_aft",
    "tweedie",
    "uncertainty",
    "unused_categories",
    "v0_26_lossguide",
    "v0_26_multiclass_absent",
    "v0_26_rmse",
    "weights",
    "yetirank",
];

/// Both forms of a model, with its rows and CatBoost's answers.
fn golden(name: &str) -> ([Ensemble; 2], Value) {
    let models =
        ["json", "cbm"].map(|form| Ensemble::from_catboost(&file(&format!("{name}.{form}"))).unwrap());
    (models, serde_json::from_slice(&file(&format!("{name}.rows.json"))).unwrap())
}

/// The columns that the file knows: what is dropped from its end has no place in a row.
fn row(model: &Ensemble, row: &Value) -> Vec<f64> {
    let mut row = per_row(row);
    row.truncate(model.features());
    row
}

#[test]
fn predictions_equal_catboost() {
    for name in MODELS {
        let (models, expected) = golden(name);
        let rows = expected["rows"].as_array().unwrap();
        assert!(rows.len() >= 26, "{name}");
        for model in models {
            let mut scores = vec![0.0; model.scores()];
            let mut prediction = vec![0.0; model.outputs()];
            for (index, values) in rows.iter().enumerate() {
                let row = row(&model, values);
                model.raw_scores(&row, &mut scores);
                let theirs = per_row(&expected["raw"][index]);
                if name == "scale_odd" {
                    // The scale is in the leaves, where each product is rounded.
                    let bound = 2.0 * f64::EPSILON * theirs[0].abs();
                    assert!(
                        (scores[0] - theirs[0]).abs() <= bound,
                        "{name} row {index}: {scores:?} {theirs:?}"
                    );
                } else {
                    assert_eq!(scores, theirs, "{name} raw score of row {index} {row:?}");
                }
                model.predict(&row, &mut prediction);
                let theirs = per_row(&expected["prediction"][index]);
                assert_eq!(prediction.len(), theirs.len(), "{name}");
                for (found, expected) in prediction.iter().zip(theirs) {
                    // Their exp is their own: of −∞ it is about the least normal number.
                    let bound = 4.0 * f64::EPSILON * expected.abs() + f64::MIN_POSITIVE;
                    assert!((found - expected).abs() <= bound, "{name} row {index}: {found} != {expected}");
                }
            }
        }
    }
}

#[test]
fn names_are_those_of_training() {
    for model in golden("names").0 {
        assert_eq!(model.feature_names().unwrap(), ["age", "name with space", "größe", "d", "e"]);
    }
    for model in golden("rmse").0 {
        assert_eq!((model.features(), model.feature_names()), (5, None));
    }
    // Columns 1 and 4 are dropped; the file still numbers those between.
    for model in golden("dropped").0 {
        assert_eq!(model.features(), 4);
    }
}

fn leaf(model: &Ensemble, tree: &Tree, row: &[f64]) -> f64 {
    let mut place = tree.root();
    loop {
        match tree.at(place) {
            Step::Leaf(value) => return value,
            Step::Split { feature, left, right } => {
                let is_left = tree.goes_left(place, model.read(row[feature]));
                place = if is_left { left } else { right };
            }
        }
    }
}

#[test]
fn base_and_leaves_sum_to_the_raw_score() {
    for name in
        ["rmse", "scale_odd", "scale_and_biases", "multiclass_names", "lossguide_multiclass", "nan_max"]
    {
        let (models, expected) = golden(name);
        for model in models {
            for (index, values) in expected["rows"].as_array().unwrap().iter().enumerate() {
                let row = row(&model, values);
                let mut sums: Vec<f64> = (0..model.scores()).map(|output| model.base_score(output)).collect();
                for tree in model.trees() {
                    sums[tree.output()] += leaf(&model, tree, &row);
                }
                for (sum, score) in sums.into_iter().zip(per_row(&expected["raw"][index])) {
                    let bound = 1e-12 * score.abs().max(1.0);
                    assert!((sum - score).abs() <= bound, "{name} row {index}: {sum} != {score}");
                }
            }
        }
    }
}

#[test]
fn covers_are_weights_of_training_rows() {
    let rows = 500.0;
    for name in ["rmse", "deep", "lossguide", "multiclass"] {
        for model in golden(name).0 {
            for tree in model.trees() {
                assert!(tree.has_covers(), "{name}");
                assert_eq!(tree.cover(tree.root()), rows, "{name}");
                if let Step::Split { left, right, .. } = tree.at(tree.root()) {
                    assert_eq!(tree.cover(left) + tree.cover(right), rows, "{name}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_a_number_is_refused_by_name() {
    for (name, feature, role) in [
        ("onehot.json", "2", "a category (one-hot)"),
        ("onehot.cbm", "2", "a category (one-hot)"),
        ("onehot_lossguide.json", "2", "a category (one-hot)"),
        ("onehot_lossguide.cbm", "2", "a category (one-hot)"),
        ("ctr.json", "2", "a category (CTR)"),
        ("ctr.cbm", "2", "a category (CTR)"),
        ("text.cbm", "1", "a text"),
        ("embedding.cbm", "1", "an embedding"),
    ] {
        let error = Ensemble::from_catboost(&file(name)).unwrap_err();
        assert_eq!(error, ModelError::Feature { feature: feature.to_owned(), role }, "{name}");
    }
}

#[test]
fn what_does_not_fit_is_refused_by_its_place() {
    let error_of = |name: &str, path: &str, value: Value| {
        let mut model: Value = serde_json::from_slice(&file(name)).unwrap();
        *model.pointer_mut(path).unwrap() = value;
        Ensemble::from_catboost(model.to_string().as_bytes()).unwrap_err().to_string()
    };
    let column = "/features_info/float_features/0/flat_feature_index";
    let rmse = [
        (column, json!(-1), "flat_feature_index is \"-1\""),
        (column, json!(1_048_576), "flat_feature_index is \"1048576\""),
        (column, json!(1), "another one for each feature"),
        ("/features_info/float_features/0/borders/0", json!(1e9), "borders is \"those of column 0\""),
        ("/features_info/float_features/0/nan_value_treatment", json!("AsMaybe"), "variant `AsMaybe`"),
        ("/features_info", json!(7), "not a CatBoost model"),
        ("/oblivious_trees", json!([]), "the model has no trees"),
        ("/oblivious_trees/0/splits/1", json!({"split_index": -1}), "tree 0: split -1 does not exist"),
        ("/oblivious_trees/2/splits/0", json!({"split_index": 999}), "tree 2: split 999 does not exist"),
        ("/oblivious_trees/1/leaf_values", json!([1, 2]), "tree 1: 2 leaf values do not fit 4 splits"),
        ("/oblivious_trees/0/leaf_values", json!([]), "the number of scores is \"0\""),
        ("/scale_and_bias/1", json!([1, 2]), "scale_and_bias is \"1, [1.0, 2.0]\""),
        ("/model_info/params/loss_function/type", json!("New"), "objective \"New\" is not supported"),
    ];
    for (path, value, message) in rmse {
        let error = error_of("rmse.json", path, value);
        assert!(error.contains(message), "{error}, expected {message}");
    }
    let classes = "/model_info/class_params";
    let (labels, count) = (format!("{classes}/class_to_label/0"), format!("{classes}/classes_count"));
    for (name, path, value, message) in [
        ("multiclass_absent.json", labels.as_str(), json!(5), "class_to_label is \"6 classes\""),
        ("multiclass_absent.json", count.as_str(), json!(131_072), "the number of classes is \"131072\""),
        ("lossguide.json", "/trees/0/split", json!(null), "tree 0: a node lacks value"),
        ("lossguide.json", "/trees/0/split", json!({"split_index": 999}), "tree 0: split 999 does not exist"),
        ("lossguide.json", "/trees/1", json!({"value": [1, 2]}), "tree 1: a leaf has 2 values, expected 1"),
    ] {
        let error = error_of(name, path, value);
        assert!(error.contains(message), "{error}, expected {message}");
    }
}

#[test]
fn what_is_not_a_model_is_refused() {
    for bytes in [
        &b""[..],
        b"{",
        b"{}",
        b"[]",
        b"CBM",
        b"CBM1",
        b"CBM1\xff\xff\xff\xff",
        b"CBM1\x04\0\0\0\xff\xff\xff\xff",
    ] {
        let error = Ensemble::from_catboost(bytes).unwrap_err();
        assert!(matches!(error, ModelError::NotCatBoost { .. }), "{error}");
    }
    let deep = br#"{"features_info":{},"trees":["#.to_vec();
    let deep = [deep, br#"{"left":"#.repeat(100_000)].concat();
    let error = Ensemble::from_catboost(&deep).unwrap_err().to_string();
    assert!(error.contains("recursion"), "{error}");
}

#[test]
fn a_binary_file_that_is_cut_or_of_another_version_is_refused() {
    let bytes = file("rmse.cbm");
    let version = b"FlabuffersModel_v1";
    let at = bytes.windows(version.len()).position(|window| window == version).unwrap();
    let mut other = bytes.clone();
    other[at + version.len() - 1] = b'2';
    let mut outside = bytes.clone();
    outside[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    let table = [
        (bytes[..bytes.len() / 2].to_vec(), "the file ends within its core"),
        (other, "FormatVersion is \"FlabuffersModel_v2\""),
        (outside, "TModelCore at byte 4294967295 does not lie within the file"),
    ];
    for (bytes, message) in table {
        let error = Ensemble::from_catboost(&bytes).unwrap_err().to_string();
        assert!(error.contains(message), "{error}, expected {message}");
    }
}

/// A core whose features are all one table, so that each of them has its borders.
fn core_of_shared_borders(features: u32, borders: u32) -> Vec<u8> {
    let pair = |low: u32, high: u32| low | (high << 16);
    // The model's fields, then its table at 16, which says how far back they are and how far on the version and the trees.
    let mut words = vec![16, pair(8, 12), pair(4, 8), 0, 12, 8, 44, 18];
    let version = b"FlabuffersModel_v1\0\0".chunks(4);
    words.extend(version.map(|word| u32::from_le_bytes(word.try_into().unwrap())));
    // The trees' fields, of which the first and the sixth are there, then their table at 68.
    words.extend([pair(16, 12), 4, 0, pair(0, 8), 16, 1, 4]);
    words.push(features);
    let shared = 84 + 4 * features + 12;
    words.extend((0..features).map(|feature| shared - (84 + 4 * feature)));
    // The fields of a feature, of which the fourth is there, then its table.
    words.extend([pair(12, 8), 0, pair(0, 4), 12, 4, borders]);
    words.extend((0..borders).map(|border| (border as f32).to_bits()));
    let core: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    let length = (core.len() as u32).to_le_bytes();
    [b"CBM1".as_slice(), length.as_slice(), core.as_slice()].concat()
}

#[test]
fn a_small_file_does_not_become_much_memory() {
    let one = Ensemble::from_catboost(&core_of_shared_borders(1, 100)).unwrap_err().to_string();
    assert!(one.contains("flat_feature_index is \"-1\""), "the file is read: {one}");
    let many = Ensemble::from_catboost(&core_of_shared_borders(100_000, 100_000)).unwrap_err().to_string();
    assert!(many.contains("TFloatFeature.Borders: the lists of the file overlap"), "{many}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A file with bytes changed, or cut off, is refused or predicts; it never panics or hangs.
    #[test]
    fn a_damaged_file_never_panics(
        kind in prop::sample::select(vec![
            "rmse.cbm", "lossguide_multiclass.cbm", "multiclass_absent.cbm", "ctr.cbm", "text.cbm", "constant_lossguide.cbm",
            "rmse.json", "lossguide_multiclass.json", "ctr.json",
        ]),
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
        predict_if_read(&bytes);
    }

    /// The same where the trees and their tables lie: most of a file tells of its training.
    #[test]
    fn a_damaged_head_or_tail_never_panics(
        kind in prop::sample::select(vec!["stump.cbm", "lossguide_multiclass.cbm", "constant_lossguide.cbm", "onehot.cbm"]),
        changes in prop::collection::vec((0usize..2_000, any::<bool>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = file(kind);
        for (at, is_head, byte) in changes {
            let at = at.min(bytes.len() - 1);
            let at = if is_head { at } else { bytes.len() - 1 - at };
            bytes[at] = byte;
        }
        predict_if_read(&bytes);
    }
}

fn predict_if_read(bytes: &[u8]) {
    if let Ok(model) = Ensemble::from_catboost(bytes) {
        for value in [1.5, f64::NAN, f64::INFINITY, -0.5, 1e300] {
            let row = vec![value; model.features()];
            model.predict(&row, &mut vec![0.0; model.outputs()]);
        }
    }
}
