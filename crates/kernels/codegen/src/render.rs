//! Programs: templates filled in with a model's tables.

use std::collections::BTreeMap;

use kernel_trees::{Ensemble, Reading, ZERO_THRESHOLD};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::names::{self, Case};
use crate::signature::{Kind, Probabilities, finite_rule};
use crate::tables::{Has, Tables, reals};
use crate::text::{Language, comment};
use crate::{CodegenError, File, Provenance, Signature, Vector, link};

/// A template, and the name of its file.
struct Template {
    name: &'static str,
    source: &'static str,
    path: String,
}

macro_rules! template {
    ($name:literal, $path:expr) => {
        Template { name: $name, source: include_str!(concat!("templates/", $name, ".jinja")), path: $path }
    };
}

/// What templates know.
#[derive(Serialize)]
struct View {
    comments: Vec<String>,
    /// Of the module, in snake case; then as a macro and as a type.
    name: String,
    upper: String,
    class: String,
    constants: Constants,
    inputs: Vec<InputView>,
    input_count: usize,
    scores: usize,
    outputs: usize,
    trees: usize,
    output_names: Vec<String>,
    class_names: Vec<String>,
    class_count: usize,
    /// `pair`, `each` or nothing.
    probabilities: &'static str,
    /// `plain`, `flushed` or `single`.
    rows: &'static str,
    finite_rule: &'static str,
    zero: String,
    single_sums: bool,
    /// Nothing where there is none.
    divide_by: String,
    average: String,
    round_output: bool,
    link: &'static str,
    negative_slope: String,
    uses_single: bool,
    uses_exp: bool,
    single_output: bool,
    has: Has,
    table: BTreeMap<&'static str, String>,
    size: BTreeMap<&'static str, usize>,
    vectors: VectorsView,
    relative: String,
    absolute: String,
}

#[derive(Serialize)]
struct Constants {
    model: String,
    version: String,
    file_sha256: String,
    signature_hash: String,
    run_id: String,
}

#[derive(Serialize)]
struct InputView {
    id: String,
    literal: String,
    comment: String,
}

#[derive(Serialize)]
struct VectorsView {
    count: usize,
    rows: String,
    row_count: usize,
    scores: String,
    score_count: usize,
    predictions: String,
    prediction_count: usize,
}

const REQUIRED: u8 = 1;
const FINITE: u8 = 2;
const WHOLE: u8 = 4;

pub(crate) fn files(
    model: &Ensemble,
    signature: &Signature,
    provenance: &Provenance,
    language: Language,
    vectors: &[Vector],
) -> Result<Vec<File>, CodegenError> {
    let name = match language {
        // Parts of a file's name may be taken for an operating system there.
        Language::Go => names::module(&provenance.model).replace('_', ""),
        _ => names::module(&provenance.model),
    };
    let class = names::class(&name);
    let (scorer, test) = templates(language, &name, &class);
    let view = View::of(model, signature, provenance, language, (name, class), vectors)?;
    let fail = |name| move |source| CodegenError::Template { name, source };
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    let mut environment = Environment::new();
    environment.set_syntax(syntax.build().map_err(fail("syntax"))?);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let view = Value::from(Serde(&view));
    // Without vectors a test would have nothing to fail on.
    let test = if vectors.is_empty() { None } else { Some(test) };
    let mut files = Vec::new();
    for Template { name, source, path } in scorer.into_iter().chain(test) {
        let content = environment.render_named_str(name, source, view.clone()).map_err(fail(name))?;
        files.push(File { path, content });
    }
    Ok(files)
}

fn templates(language: Language, name: &str, class: &str) -> (Vec<Template>, Template) {
    match language {
        Language::C => (
            vec![template!("scorer.h", format!("{name}.h")), template!("scorer.c", format!("{name}.c"))],
            template!("test.c", format!("{name}_test.c")),
        ),
        Language::Rust => (
            vec![template!("scorer.rs", format!("{name}.rs"))],
            template!("test.rs", format!("{name}_test.rs")),
        ),
        Language::Go => (
            vec![template!("scorer.go", format!("{name}.go"))],
            template!("test.go", format!("{name}_test.go")),
        ),
        Language::Java => (
            vec![template!("Scorer.java", format!("{class}.java"))],
            template!("Test.java", format!("{class}Test.java")),
        ),
        Language::TypeScript => (
            vec![template!("scorer.ts", format!("{name}.ts"))],
            template!("test.ts", format!("{name}.test.ts")),
        ),
        Language::Python => (
            vec![template!("scorer.py", format!("{name}.py"))],
            template!("test.py", format!("{name}_test.py")),
        ),
    }
}

impl View {
    fn of(
        model: &Ensemble,
        signature: &Signature,
        provenance: &Provenance,
        language: Language,
        (name, class): (String, String),
        vectors: &[Vector],
    ) -> Result<Self, CodegenError> {
        let arithmetic = model.arithmetic();
        let tables = Tables::of(model)?;
        let (link, slope) = link::of(model.objective(), arithmetic.link);
        let probabilities = signature.probabilities(model);
        let rows = match arithmetic.reading {
            Reading::AsTheyAre => "plain",
            Reading::ZeroFlushed => "flushed",
            Reading::Single => "single",
        };
        let round_output = arithmetic.link == kernel_trees::LinkFloats::LateSingle;
        let literals = |texts: &[String]| texts.iter().map(|text| language.string(text)).collect();
        let scalar = |value: Option<f64>| value.map_or_else(String::new, |value| language.scalar(value));
        let (relative, absolute) = link::tolerance(link);
        let (mut table, mut size) = (BTreeMap::new(), BTreeMap::new());
        for (key, (text, length)) in tables.written(language) {
            table.insert(key, text);
            size.insert(key, length);
        }
        table.insert("rule", rules(signature, language));
        size.insert("rule", signature.inputs.len());
        table.insert("start", reals(language, &arithmetic.start));
        let late = arithmetic.late.as_ref().map_or_else(String::new, |late| reals(language, late));
        table.insert("late", late);
        Ok(Self {
            comments: provenance.lines(&link::exactness(link)),
            upper: name.to_ascii_uppercase(),
            name,
            class,
            constants: Constants {
                model: language.string(&provenance.model),
                version: language.string(&provenance.version),
                file_sha256: language.string(&provenance.file_sha256),
                signature_hash: language.string(&provenance.signature_hash),
                run_id: language.string(&provenance.run_id),
            },
            inputs: inputs(signature, language),
            input_count: model.features(),
            scores: model.scores(),
            outputs: model.outputs(),
            trees: model.tree_count(),
            output_names: literals(&signature.outputs),
            class_names: literals(&signature.classes),
            class_count: match probabilities {
                Some(Probabilities::Pair) => 2,
                _ => model.outputs(),
            },
            probabilities: match probabilities {
                Some(Probabilities::Pair) => "pair",
                Some(Probabilities::Each) => "each",
                None => "",
            },
            rows,
            finite_rule: finite_rule(arithmetic.reading),
            zero: language.scalar(ZERO_THRESHOLD),
            single_sums: arithmetic.single_sums,
            divide_by: scalar(arithmetic.divide_by),
            average: scalar(arithmetic.average_of),
            round_output,
            link,
            negative_slope: language.scalar(-slope),
            uses_single: rows == "single" || arithmetic.single_sums || round_output || link::is_single(link),
            uses_exp: link::has_exp(link),
            single_output: link::is_single(link),
            has: tables.has(),
            table,
            size,
            vectors: VectorsView::of(language, vectors),
            relative: language.scalar(relative),
            absolute: language.scalar(absolute),
        })
    }
}

/// Of each input, its rules as bits.
fn rules(signature: &Signature, language: Language) -> String {
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    language.table(signature.inputs.iter().map(|input| {
        let whole = flag(input.kind == Kind::Whole, WHOLE);
        (flag(input.is_required, REQUIRED) | flag(input.is_finite, FINITE) | whole).to_string()
    }))
}

fn inputs(signature: &Signature, language: Language) -> Vec<InputView> {
    let (case, reserved) = match language {
        Language::C => (Case::Snake, names::C),
        Language::Rust => (Case::Snake, names::RUST),
        Language::Python => (Case::Snake, names::PYTHON),
        Language::Java => (Case::Camel, names::JAVA),
        Language::TypeScript => (Case::Camel, names::NONE),
        Language::Go => (Case::Pascal, names::NONE),
    };
    let names = signature.inputs.iter().map(|input| input.name.as_str());
    let ids = names::identifiers(names, case, &reserved);
    let view = |(input, id): (&crate::Input, String)| InputView {
        id,
        literal: language.string(&input.name),
        comment: comment(&format!("{:?}: {}.", input.name, input.rule())),
    };
    signature.inputs.iter().zip(ids).map(view).collect()
}

impl VectorsView {
    fn of(language: Language, vectors: &[Vector]) -> Self {
        let all = |part: fn(&Vector) -> &[f64]| {
            let values: Vec<f64> = vectors.iter().flat_map(part).copied().collect();
            (reals(language, &values), values.len())
        };
        let (rows, row_count) = all(|vector| vector.row.as_slice());
        let (scores, score_count) = all(|vector| vector.scores.as_slice());
        let (predictions, prediction_count) = all(|vector| vector.predictions.as_slice());
        Self { count: vectors.len(), rows, row_count, scores, score_count, predictions, prediction_count }
    }
}
