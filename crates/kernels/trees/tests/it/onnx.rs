//! Predictions against onnxruntime's (versions and generator in `golden/onnx`), and hostile files.

use kernel_trees::{Ensemble, ModelError, Step, Tree};
use proptest::prelude::*;
use serde_json::Value;

use crate::per_row;

fn file(name: &str) -> Vec<u8> {
    fs_err::read(format!("{}/tests/golden/onnx/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn model(name: &str) -> Ensemble {
    Ensemble::from_onnx(&file(&format!("{name}.onnx"))).unwrap()
}

fn answers(name: &str) -> Value {
    serde_json::from_slice(&file(&format!("{name}.rows.json"))).unwrap()
}

/// With the numbers that we answer: of two classes where one has weights only the second.
const MODELS: [(&str, usize); 12] = [
    ("boosting_binary", 1),
    ("forest", 1),
    ("forest_binary", 1),
    ("forest_classes", 3),
    ("lightgbm", 1),
    ("lightgbm_binary", 1),
    ("members", 2),
    ("modes", 2),
    ("tree_double", 1),
    ("xgboost", 1),
    ("xgboost_binary", 1),
    ("xgboost_softprob", 3),
];

/// The last of their numbers, as many as we answer.
fn last(value: &Value, count: usize) -> Vec<f64> {
    let numbers = per_row(value);
    numbers[numbers.len() - count..].to_vec()
}

#[test]
fn predictions_equal_onnxruntime() {
    for (name, outputs) in MODELS {
        let (model, expected) = (model(name), answers(name));
        let rows = expected["rows"].as_array().unwrap();
        assert!(rows.len() >= 50, "{name}");
        assert_eq!((model.features(), model.outputs()), (5, outputs), "{name}");
        let mut scores = vec![0.0; model.scores()];
        let mut prediction = vec![0.0; outputs];
        for (index, row) in rows.iter().enumerate() {
            let row = per_row(row);
            model.raw_scores(&row, &mut scores);
            if name == "tree_double" {
                // Its sums are doubles, its answers are not.
                scores.iter_mut().for_each(|score| *score = f64::from(*score as f32));
            }
            assert_eq!(
                scores,
                last(&expected["raw"][index], outputs),
                "{name} raw score of row {index} {row:?}"
            );
            model.predict(&row, &mut prediction);
            for (found, expected) in prediction.iter().zip(last(&expected["prediction"][index], outputs)) {
                // Their exp is the C library's.
                let bound = f64::from(f32::EPSILON) * expected.abs().max(1.0);
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
    for (name, _) in MODELS {
        let (model, expected) = (model(name), answers(name));
        assert!(!model.trees().iter().any(Tree::has_covers), "{name}");
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
}

fn varint(mut number: usize, bytes: &mut Vec<u8>) {
    while number > 0x7f {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A field with a length.
fn long(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![(number << 3) | 2];
    varint(content.len(), &mut bytes);
    bytes.extend(content);
    bytes
}

fn int(number: u8, value: usize) -> Vec<u8> {
    let mut bytes = vec![number << 3];
    varint(value, &mut bytes);
    bytes
}

fn ints(name: &str, values: &[usize]) -> Vec<u8> {
    let values = values.iter().flat_map(|value| int(8, *value));
    long(5, &[long(1, name.as_bytes()), values.collect()].concat())
}

fn texts(name: &str, values: &[&str]) -> Vec<u8> {
    let values = values.iter().flat_map(|value| long(9, value.as_bytes()));
    long(5, &[long(1, name.as_bytes()), values.collect()].concat())
}

fn floats(name: &str, values: &[f32]) -> Vec<u8> {
    let values = values.iter().flat_map(|value| [&[(7 << 3) | 5][..], &value.to_le_bytes()].concat());
    long(5, &[long(1, name.as_bytes()), values.collect()].concat())
}

fn text(name: &str, value: &str) -> Vec<u8> {
    long(5, &[long(1, name.as_bytes()), long(4, value.as_bytes())].concat())
}

fn one(name: &str, value: usize) -> Vec<u8> {
    long(5, &[long(1, name.as_bytes()), int(3, value)].concat())
}

fn operator(domain: &str, kind: &str, from: &[&str], to: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
    let inputs: Vec<u8> = from.iter().flat_map(|name| long(1, name.as_bytes())).collect();
    let outputs: Vec<u8> = to.iter().flat_map(|name| long(2, name.as_bytes())).collect();
    let name = format!("my {kind}");
    let parts = [
        inputs,
        outputs,
        long(3, name.as_bytes()),
        long(4, kind.as_bytes()),
        attributes.concat(),
        long(7, domain.as_bytes()),
    ];
    long(1, &parts.concat())
}

/// A model of these operators, from `X` of three columns to `Y`.
fn graph(operators: &[Vec<u8>]) -> Vec<u8> {
    let sizes = [long(1, &long(2, b"N")), long(1, &int(1, 3))].concat();
    let rows = long(2, &long(1, &[int(1, 1), long(2, &sizes)].concat()));
    let input = long(11, &[long(1, b"X"), rows].concat());
    let content = [operators.concat(), input, long(12, &long(1, b"Y"))].concat();
    [int(1, 8), long(7, &content)].concat()
}

/// One comparison, 0.5 and −1.5 or 2.5 by it, with other attributes in place of these or beside them.
fn stump(kind: &str, from: &str, to: &[&str], others: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let of = if kind == "TreeEnsembleRegressor" { "target" } else { "class" };
    let mut attributes = vec![
        ("nodes_treeids".to_owned(), ints("nodes_treeids", &[4, 4, 4])),
        ("nodes_nodeids".to_owned(), ints("nodes_nodeids", &[0, 1, 2])),
        ("nodes_featureids".to_owned(), ints("nodes_featureids", &[2, 0, 0])),
        ("nodes_truenodeids".to_owned(), ints("nodes_truenodeids", &[1, 0, 0])),
        ("nodes_falsenodeids".to_owned(), ints("nodes_falsenodeids", &[2, 0, 0])),
        ("nodes_modes".to_owned(), texts("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF"])),
        ("nodes_values".to_owned(), floats("nodes_values", &[0.5, 0.0, 0.0])),
        (format!("{of}_treeids"), ints(&format!("{of}_treeids"), &[4, 4])),
        (format!("{of}_nodeids"), ints(&format!("{of}_nodeids"), &[1, 2])),
        (format!("{of}_ids"), ints(&format!("{of}_ids"), &[0, 0])),
        (format!("{of}_weights"), floats(&format!("{of}_weights"), &[-1.5, 2.5])),
    ];
    attributes.push(match of {
        "target" => ("n_targets".to_owned(), one("n_targets", 1)),
        _ => ("classlabels_int64s".to_owned(), ints("classlabels_int64s", &[0, 1])),
    });
    for (name, attribute) in others {
        attributes.retain(|(old, _)| old != name);
        attributes.push(((*name).to_owned(), attribute.clone()));
    }
    let attributes: Vec<Vec<u8>> = attributes.into_iter().map(|(_, attribute)| attribute).collect();
    operator("ai.onnx.ml", kind, &[from], to, &attributes)
}

fn regressor(others: &[(&str, Vec<u8>)]) -> Vec<u8> {
    graph(&[stump("TreeEnsembleRegressor", "X", &["Y"], others)])
}

fn classifier(others: &[(&str, Vec<u8>)]) -> Vec<u8> {
    graph(&[stump("TreeEnsembleClassifier", "X", &["label", "Y"], others)])
}

fn predicted(bytes: &[u8], value: f64) -> Vec<f64> {
    let model = Ensemble::from_onnx(bytes).unwrap();
    let mut prediction = vec![0.0; model.outputs()];
    model.predict(&[0.0, 0.0, value], &mut prediction);
    prediction
}

/// What onnxruntime 1.23.2 answers for these, by `golden/onnx/quirks.py`; of two classes the second number.
#[test]
fn quirks_are_those_of_onnxruntime() {
    let logistic = || ("post_transform", text("post_transform", "LOGISTIC"));
    let positive = || ("class_weights", floats("class_weights", &[1.5, 2.0]));
    let second = || ("class_ids", ints("class_ids", &[1, 1]));
    let sigmoid = 0.182_425_52;
    let table = [
        (regressor(&[logistic()]), vec![-1.5]),
        (regressor(&[("base_values", floats("base_values", &[0.25]))]), vec![-1.25]),
        (classifier(&[]), vec![-1.5]),
        (classifier(&[logistic()]), vec![sigmoid]),
        (classifier(&[logistic(), positive()]), vec![1.5]),
        (classifier(&[logistic(), second()]), vec![sigmoid]),
        (classifier(&[("base_values", floats("base_values", &[0.25]))]), vec![-1.25]),
        (
            classifier(&[second(), ("post_transform", text("post_transform", "SOFTMAX"))]),
            vec![1.0 - sigmoid, sigmoid],
        ),
    ];
    for (case, (bytes, expected)) in table.into_iter().enumerate() {
        for (found, expected) in predicted(&bytes, 0.5).into_iter().zip(&expected) {
            assert!(
                (found - expected).abs() <= 2.0 * f64::from(f32::EPSILON),
                "case {case}: {found} != {expected}"
            );
        }
        assert_eq!(predicted(&bytes, 0.5).len(), expected.len(), "case {case}");
    }
    assert_eq!(predicted(&regressor(&[]), f64::NAN), [2.5]);
    let tracks = ints("nodes_missing_value_tracks_true", &[1, 0, 0]);
    let tracks = regressor(&[("nodes_missing_value_tracks_true", tracks)]);
    assert_eq!(predicted(&tracks, f64::NAN), [-1.5]);
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let trees = |from: &str, to: &str| stump("TreeEnsembleRegressor", from, &[to], &[]);
    let ml = "ai.onnx.ml";
    let cast = |to: usize, from: &str, into: &str| operator("", "Cast", &[from], &[into], &[one("to", to)]);
    let modes = |mode: &str| texts("nodes_modes", &[mode, "LEAF", "LEAF"]);
    let table = [
        (
            graph(&[operator(ml, "Scaler", &["X"], &["Z"], &[]), trees("Z", "Y")]),
            "operator \"Scaler\" (node \"my Scaler\")",
        ),
        (
            graph(&[trees("X", "Z"), operator(ml, "Normalizer", &["Z"], &["Y"], &[])]),
            "operator \"Normalizer\"",
        ),
        (graph(&[trees("X", "Z"), operator("", "Mul", &["Z", "Z"], &["Y"], &[])]), "operator \"Mul\""),
        (
            graph(&[trees("X", "Z"), operator("mine", "Identity", &["Z"], &["Y"], &[])]),
            "operator \"Identity\"",
        ),
        (graph(&[trees("X", "Z"), cast(7, "Z", "Y")]), "operator \"Cast\""),
        (graph(&[trees("X", "Z"), trees("X", "Y")]), "operator \"TreeEnsembleRegressor\""),
        (graph(&[trees("X", "Z"), trees("Z", "Y")]), "operator \"TreeEnsembleRegressor\""),
        (graph(&[trees("Z", "Y")]), "no operator gives \"Z\""),
        (graph(&[cast(1, "X", "Y")]), "the graph has no tree ensemble"),
        (graph(&[trees("X", "Z")]), "no operator gives \"Y\""),
        (graph(&[trees("X", "Z"), cast(1, "X", "Y")]), "the graph does not give what its trees answer"),
        (
            regressor(&[("aggregate_function", text("aggregate_function", "MIN"))]),
            "aggregate_function is \"MIN\", expected SUM or AVERAGE",
        ),
        (regressor(&[("post_transform", text("post_transform", "PROBIT"))]), "post_transform is \"PROBIT\""),
        (regressor(&[("n_targets", one("n_targets", 0))]), "n_targets is \"0\""),
        (regressor(&[("n_targets", one("n_targets", 70_000))]), "n_targets is \"70000\""),
        (regressor(&[("base_values", floats("base_values", &[1.0, 2.0]))]), "base_values is \"2 numbers\""),
        (
            regressor(&[("target_ids", ints("target_ids", &[0, 1]))]),
            "for target or class 1, expected less than 1",
        ),
        (
            regressor(&[("target_nodeids", ints("target_nodeids", &[1, 1]))]),
            "tree 0: leaf 1 has no weight, or two",
        ),
        (regressor(&[("nodes_modes", modes("BRANCH"))]), "nodes_modes is \"BRANCH\""),
        (
            regressor(&[("nodes_featureids", ints("nodes_featureids", &[3, 0, 0]))]),
            "feature is 3, expected 0 or more, less than 3",
        ),
        (
            regressor(&[("nodes_truenodeids", ints("nodes_truenodeids", &[0, 0, 0]))]),
            "tree 0: branch 0 has two parents",
        ),
        (
            regressor(&[("nodes_truenodeids", ints("nodes_truenodeids", &[9, 0, 0]))]),
            "node 9 of tree 4 does not exist",
        ),
        (
            regressor(&[("nodes_nodeids", ints("nodes_nodeids", &[0, 0, 0]))]),
            "node 0 of tree 4 is there twice",
        ),
        (
            regressor(&[("nodes_treeids", ints("nodes_treeids", &[4, 4]))]),
            "nodes_nodeids holds 3 values, expected 2",
        ),
        (
            regressor(&[("nodes_new", ints("nodes_new", &[4]))]),
            "TreeEnsembleRegressor has an attribute \"nodes_new\"",
        ),
        (
            classifier(&[("classlabels_int64s", ints("classlabels_int64s", &[0]))]),
            "classlabels is \"1 labels\"",
        ),
        (classifier(&[("base_values", floats("base_values", &[1.0, 2.0]))]), "base_values is \"2 numbers\""),
        (
            classifier(&[("class_ids", ints("class_ids", &[0, 1]))]),
            "rows may come to no weight for target or class 1",
        ),
    ];
    for (bytes, message) in table {
        let error = Ensemble::from_onnx(&bytes).unwrap_err().to_string();
        assert!(error.contains(message), "{error}, expected {message}");
    }
}

#[test]
fn what_leaves_numbers_as_they_are_may_stand_beside_the_trees() {
    let chain = graph(&[
        operator("", "Cast", &["X"], &["rows"], &[one("to", 11)]),
        operator("", "Constant", &[], &["shape"], &[]),
        stump("TreeEnsembleRegressor", "rows", &["Z"], &[]),
        operator("", "Reshape", &["Z", "shape"], &["flat"], &[]),
        operator("", "ArgMax", &["flat"], &["most"], &[]),
        operator("ai.onnx.ml", "ArrayFeatureExtractor", &["shape", "most"], &["label"], &[]),
        operator("", "Identity", &["flat"], &["Y"], &[]),
    ]);
    assert_eq!(predicted(&chain, 0.5), [-1.5]);
    // The columns of the graph are 32-bit floats, whatever comes after.
    assert_eq!(predicted(&chain, 0.5 + 1e-9), [-1.5]);
    assert_eq!(predicted(&chain, 0.5 + 1e-6), [2.5]);
}

#[test]
fn what_is_no_model_is_an_error() {
    for bytes in [
        &b""[..],
        b"\x08",
        b"\x08\x08",
        b"\x08\x08\x3a\x00",
        b"\x08\x08\x3a\x05",
        b"\x08\x08\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x0f\x00",
        b"\x00\x00",
    ] {
        let error = Ensemble::from_onnx(bytes).unwrap_err();
        assert!(matches!(error, ModelError::NotOnnx { .. }), "{error}");
    }
}

proptest! {
    /// A file with bytes changed, or cut off, is refused or predicts; it never panics or hangs.
    #[test]
    fn a_damaged_file_never_panics(
        name in prop::sample::select(vec!["modes", "members", "lightgbm_binary", "xgboost_softprob"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = file(&format!("{name}.onnx"));
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(model) = Ensemble::from_onnx(&bytes) {
            for value in [1.5, f64::NAN, f64::INFINITY, -0.5, 1e300] {
                let row = vec![value; model.features()];
                model.predict(&row, &mut vec![0.0; model.outputs()]);
            }
        }
    }
}
