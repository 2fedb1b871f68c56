//! What is refused, and in which words.

use kernel_codegen::{Dialect, Kind, Provenance, Signature, Target, generate};
use kernel_trees::Ensemble;

use super::{SQL, golden, stumps, vectors};

fn refusal(model: &Ensemble, signature: &Signature, target: Target) -> String {
    generate(model, signature, &Provenance::default(), target, &[]).unwrap_err().to_string()
}

#[test]
fn a_signature_fits_its_model() {
    let model = golden("multiclass.txt");
    let own = Signature::of(&model);
    let (features, classes) = (model.features(), model.outputs());
    let mut short = own.clone();
    short.inputs.pop();
    let found = features - 1;
    let expected = format!("the signature has {found} inputs, the model {features} features");
    assert_eq!(refusal(&model, &short, Target::C), expected);
    let mut twice = own.clone();
    twice.inputs[1].name = twice.inputs[0].name.clone();
    let name = &twice.inputs[0].name;
    assert_eq!(refusal(&model, &twice, Target::Go), format!("two inputs are called {name:?}"));
    let named = Signature { classes: vec!["one".to_owned()], ..own.clone() };
    let expected = format!("1 names of classes, expected {classes}");
    assert_eq!(refusal(&model, &named, Target::Python), expected);
    let named = Signature { outputs: vec!["one".to_owned()], ..own };
    let expected = format!("1 names of predictions, expected {classes}");
    assert_eq!(refusal(&model, &named, Target::Java), expected);
}

#[test]
fn vectors_keep_the_rules_of_inputs() {
    let model = golden("binary.txt");
    let mut signature = Signature::of(&model);
    signature.inputs[1].name = "hour".to_owned();
    signature.inputs[1].is_required = true;
    signature.inputs[1].kind = Kind::Whole;
    signature.inputs[1].is_finite = true;
    let refused = |value: f64| {
        let mut rows = vectors(&model, 3);
        rows.iter_mut().for_each(|vector| vector.row[1] = 5.0);
        rows[2].row[1] = value;
        generate(&model, &signature, &Provenance::default(), Target::C, &rows)
            .map_err(|error| error.to_string())
    };
    assert!(refused(7.0).is_ok());
    assert_eq!(refused(f64::NAN), Err("vector 2: input \"hour\" is NaN, expected a number".to_owned()));
    assert_eq!(refused(2.5), Err("vector 2: input \"hour\" is 2.5, expected a whole number".to_owned()));
    let infinite = "vector 2: input \"hour\" is -inf, expected a finite number".to_owned();
    assert_eq!(refused(f64::NEG_INFINITY), Err(infinite));
    let mut rows = vectors(&model, 2);
    rows.iter_mut().for_each(|vector| vector.row[1] = 5.0);
    rows[1].scores.clear();
    let error = generate(&model, &signature, &Provenance::default(), Target::C, &rows).unwrap_err();
    assert_eq!(error.to_string(), "vector 1 has 0 raw scores, expected 1");
}

#[test]
fn what_is_too_large_is_refused() {
    let wide = stumps(1, 2_001);
    let error = refusal(&wide, &Signature::of(&wide), Target::Java);
    assert_eq!(error, "the model has 2001 features, generated code at most 2000");
    let many = stumps(801, 1);
    let signature = Signature::of(&many);
    assert!(generate(&many, &signature, &Provenance::default(), Target::C, &[]).is_ok());
    for target in SQL {
        let error = refusal(&many, &signature, target);
        assert!(
            error.contains("too large for a SQL statement: 801 trees of one score, at most 800"),
            "{error}"
        );
    }
    let most = stumps(800, 1);
    assert!(generate(&most, &signature, &Provenance::default(), SQL[0], &[]).is_ok());
    let columns = stumps(1, 1_500);
    let error = refusal(&columns, &Signature::of(&columns), SQL[1]);
    assert!(error.contains("1504 columns, at most 1500"), "{error}");
}

#[test]
fn names_that_are_no_columns_are_refused() {
    let model = stumps(1, 2);
    let long = "n".repeat(64);
    let cases = [
        (Dialect::Sqlite, "hour", "HOUR", Some("no difference between capitals and small letters")),
        (Dialect::Postgresql, "hour", "HOUR", None),
        (Dialect::Postgresql, "hour", long.as_str(), Some("at most 63 bytes")),
        (Dialect::Sqlite, "hour", long.as_str(), None),
        (Dialect::Sqlite, "hour", "a\0b", Some("no zero byte")),
        (Dialect::Postgresql, "", "hour", Some("a column has a name")),
    ];
    for (dialect, first, second, rule) in cases {
        let mut signature = Signature::of(&model);
        signature.inputs[0].name = first.to_owned();
        signature.inputs[1].name = second.to_owned();
        let found = generate(&model, &signature, &Provenance::default(), Target::Sql(dialect), &[]);
        let error = found.err().map(|error| error.to_string());
        assert_eq!(error.is_some(), rule.is_some(), "{dialect:?} {second:?}");
        assert!(error.unwrap_or_default().contains(rule.unwrap_or_default()), "{dialect:?} {second:?}");
    }
}
