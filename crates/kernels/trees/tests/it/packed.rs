//! `lwtrees`: every golden model again, and damaged files.

use kernel_trees::{Ensemble, Format, ModelError};
use proptest::prelude::*;

/// The golden models of all frameworks.
fn models() -> Vec<(String, Ensemble)> {
    let root = format!("{}/tests/golden", env!("CARGO_MANIFEST_DIR"));
    let mut open = vec![std::path::PathBuf::from(root)];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            // Golden rows are JSON too, and some models are there to be refused.
            if let Ok((model, _)) = Ensemble::from_bytes(&fs_err::read(&path).unwrap()) {
                found.push((path.display().to_string(), model));
            }
        }
    }
    found
}

fn scores(model: &Ensemble) -> (Vec<u64>, Vec<u64>) {
    let values = [0.0, -0.0, 1.0, 2.5, -3.25, 7.0, 1e-36, 1e30, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let mut at = 0;
    let rows: Vec<f64> = std::iter::repeat_with(|| {
        at = (at * 5 + 3) % 7919;
        values[at % values.len()]
    })
    .take(50 * model.features())
    .collect();
    let (mut raw, mut predicted) = (vec![0.0; 50 * model.scores()], vec![0.0; 50 * model.outputs()]);
    model.raw_scores(&rows, &mut raw);
    model.predict(&rows, &mut predicted);
    let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect();
    (bits(raw), bits(predicted))
}

#[test]
fn every_golden_model_is_the_same_again() {
    let models = models();
    assert!(models.len() > 150, "{} models", models.len());
    for (name, model) in models {
        let bytes = model.to_packed();
        let (again, format) = Ensemble::from_bytes(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(format, Format::Packed);
        assert_eq!(scores(&again), scores(&model), "{name}");
        assert_eq!(again.feature_names(), model.feature_names(), "{name}");
        assert_eq!(again.to_packed(), bytes, "{name}");
    }
}

fn file() -> Vec<u8> {
    let path = format!("{}/tests/golden/regression_l1_categorical.txt", env!("CARGO_MANIFEST_DIR"));
    Ensemble::from_bytes(&fs_err::read(path).unwrap()).unwrap().0.to_packed()
}

/// With the sum of what is there now.
fn summed(mut content: Vec<u8>) -> Vec<u8> {
    let sum = u64::from(crc32fast::hash(&content));
    content.extend(sum.to_le_bytes());
    content
}

#[test]
fn what_is_damaged_is_refused_by_its_rule() {
    let bytes = file();
    let content = &bytes[..bytes.len() - 8];
    let refused = |bytes: &[u8], message: &str| {
        let error = Ensemble::from_packed(bytes).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    };
    refused(&bytes[..bytes.len() - 1], "damaged or not whole");
    let mut other = bytes.clone();
    other[200] ^= 1;
    refused(&other, "damaged or not whole");
    refused(b"lwtrees", "ends before its sum");
    let mut other = content.to_vec();
    other[7] = 2;
    refused(&summed(other), "begins otherwise than version 1");
    refused(&summed(content[..content.len() - 8].to_vec()), "ends before the end of an array");
    let mut other = content.to_vec();
    other.extend([0; 8]);
    refused(&summed(other), "8 bytes follow the last tree");
    let mut other = content.to_vec();
    other[16] = 77;
    refused(&summed(other), "objective 77 does not exist");
    // Fewer features than the splits ask for, in a model whose features have no names.
    let path = format!("{}/tests/golden/onnx/forest.onnx", env!("CARGO_MANIFEST_DIR"));
    let nameless = Ensemble::from_bytes(&fs_err::read(path).unwrap()).unwrap().0;
    assert!(nameless.feature_names().is_none());
    let mut other = nameless.to_packed();
    other.truncate(other.len() - 8);
    other[8] = 1;
    let error = Ensemble::from_packed(&summed(other)).unwrap_err();
    assert!(matches!(&error, ModelError::Structure { rule, .. } if rule.contains("of 1")), "{error}");
}

proptest! {
    /// A file with bytes changed, or cut off, and the sum made true, is refused or predicts; it never panics or hangs.
    #[test]
    fn a_damaged_file_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        static BYTES: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(file);
        let mut bytes = BYTES[..BYTES.len() - 8].to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(model) = Ensemble::from_packed(&summed(bytes)) {
            for value in [1.5, f64::NAN, f64::INFINITY, -0.5, 1e300] {
                let row = vec![value; model.features()];
                model.predict(&row, &mut vec![0.0; model.outputs()]);
            }
        }
    }
}
