//! Names that may be anything stay names.

use kernel_codegen::{Dialect, Input, Kind, Provenance, Signature, Target, generate};
use kernel_trees::Ensemble;

use super::{PROGRAMS, golden, stumps};

/// What would be code if it left its text or comment.
const HOSTILE: [&str; 5] = [
    "a\"; evil(); //",
    "b */ evil(); /*",
    "c\nevil();",
    "d\\u000a evil(); ??/\n evil();",
    "e'); DROP TABLE rows; --\nevil();",
];

fn hostile(model: &Ensemble) -> Signature {
    let name = |place: usize| match HOSTILE.get(place) {
        Some(name) => (*name).to_owned(),
        None => format!("größe {place}"),
    };
    let input = |place| Input { name: name(place), kind: Kind::Real, is_required: false, is_finite: false };
    Signature {
        inputs: (0..model.features()).map(input).collect(),
        outputs: vec![HOSTILE[2].to_owned()],
        classes: vec![HOSTILE[3].to_owned(), HOSTILE[4].to_owned()],
    }
}

/// A line without its comment and its texts.
fn code(line: &str, comment: &str) -> String {
    let mut code = String::new();
    let (mut in_text, mut is_escaped) = (false, false);
    for (place, letter) in line.char_indices() {
        if !in_text && line[place..].starts_with(comment) {
            break;
        }
        if letter == '"' && !is_escaped {
            in_text = !in_text;
        } else if !in_text {
            code.push(letter);
        }
        is_escaped = in_text && letter == '\\' && !is_escaped;
    }
    assert!(!in_text, "a text without end: {line}");
    code
}

#[test]
fn a_hostile_name_is_no_code() {
    let model = stumps(2, 6);
    let provenance = Provenance {
        model: "price\n*/ evil();".to_owned(),
        version: HOSTILE[1].to_owned(),
        run_id: HOSTILE[3].to_owned(),
        ..Provenance::default()
    };
    for target in PROGRAMS {
        for file in generate(&model, &hostile(&model), &provenance, target, &[]).unwrap() {
            let mut named = 0;
            for line in file.content.lines() {
                let comment = if target == Target::Python { "#" } else { "//" };
                let line = line.trim_start();
                named += line.matches("evil").count();
                // Comments of documentation stand on lines of their own, and end where they should.
                if let Some(inside) = line.strip_prefix("/**") {
                    assert!(inside.strip_suffix("*/").is_some_and(|inside| !inside.contains("*/")), "{line}");
                    continue;
                }
                let own = code(line, comment).replace("price_evil", "").replace("priceevil", "");
                let is_identifier = own.matches("evil").count() == own.matches("_evil").count();
                assert!(!own.contains("evil(") && is_identifier, "{} {line}", file.path);
            }
            assert!(named >= 5, "{}", file.path);
        }
    }
}

/// A statement without its comments, texts and names. A doubled quote ends one and begins the next.
fn outside(statement: &str) -> String {
    let mut code = String::new();
    let mut quote = None;
    let mut in_comment = false;
    for (place, letter) in statement.char_indices() {
        in_comment =
            letter != '\n' && (in_comment || quote.is_none() && statement[place..].starts_with("--"));
        match quote {
            _ if in_comment => {}
            Some(end) if letter == end => quote = None,
            Some(_) => {}
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            None => code.push(letter),
        }
    }
    assert_eq!(quote, None, "a text without end");
    code
}

#[test]
fn columns_of_a_statement_are_quoted() {
    let model = stumps(2, 6);
    for dialect in [Dialect::Sqlite, Dialect::Postgresql] {
        let signature = Signature { outputs: Vec::new(), classes: Vec::new(), ..hostile(&model) };
        let files = generate(&model, &signature, &Provenance::default(), Target::Sql(dialect), &[]).unwrap();
        let statement = &files[0].content;
        assert!(statement.contains("\"a\"\"; evil(); //\""));
        assert!(statement.contains("e''); DROP TABLE"));
        let code = outside(statement);
        assert!(code.contains("MATERIALIZED") && !code.contains("evil") && !code.contains("DROP"), "{code}");
    }
}

#[test]
fn own_columns_of_a_statement_give_way_to_inputs() {
    let model = golden("binary.txt");
    let mut signature = Signature::of(&model);
    for (input, name) in signature.inputs.iter_mut().zip(["Score", "prediction", "problem"]) {
        input.name = name.to_owned();
    }
    let target = Target::Sql(Dialect::Sqlite);
    let files = generate(&model, &signature, &Provenance::default(), target, &[]).unwrap();
    for own in ["AS \"score_\"", "AS \"prediction_\"", "AS \"problem_\""] {
        assert!(files[0].content.contains(own), "{own}");
    }
}

#[test]
fn inputs_become_fields_with_their_rules() {
    let model = golden("binary.txt");
    let mut signature = Signature::of(&model);
    signature.inputs[0] =
        Input { name: "Trip distance".to_owned(), kind: Kind::Whole, is_required: true, is_finite: true };
    signature.inputs[1].name = "class".to_owned();
    let cases = [
        (
            Target::C,
            "double trip_distance; // \"Trip distance\": a whole number, finite, required.",
            "double class_;",
        ),
        (Target::Rust, "pub trip_distance: f64,", "pub class: f64,"),
        (Target::Go, "TripDistance float64", "Class float64"),
        (Target::Java, "public double tripDistance = Double.NaN;", "public double class_ = Double.NaN;"),
        (Target::TypeScript, "tripDistance: number | null;", "class: number | null;"),
        (Target::Python, "\"trip_distance\",  # \"Trip distance\": a whole", "self.class_ = class_"),
    ];
    for (target, first, second) in cases {
        let files = generate(&model, &signature, &Provenance::default(), target, &[]).unwrap();
        for part in [first, second] {
            assert!(files[0].content.contains(part), "{} lacks {part}", files[0].path);
        }
    }
    // All rules as bits, those of the first input first.
    let python = generate(&model, &signature, &Provenance::default(), Target::Python, &[]).unwrap();
    assert!(python[0].content.contains("_RULE = (\n    7, 0,"));
}
