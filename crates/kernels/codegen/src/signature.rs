//! What a scorer takes and gives, and where it comes from.

use std::collections::HashSet;
use std::fmt::Write;

use kernel_trees::{Arithmetic, Ensemble, Objective, Reading};

use crate::{CodegenError, MOST_INPUTS, MOST_SCORES, MOST_VECTORS};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Whole,
    Real,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub name: String,
    pub kind: Kind,
    /// A required input takes no missing value.
    pub is_required: bool,
    /// Infinite values are refused, and, where the model's rows hold 32-bit floats, those that are infinite when rounded.
    pub is_finite: bool,
}

/// Inputs in the order of the model's features; names of what it predicts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    pub inputs: Vec<Input>,
    /// One for each prediction of a row, or none when they are not known.
    pub outputs: Vec<String>,
    /// Of a classifier, in the order of its scores; two where it predicts the probability of the second. None when they are not known.
    pub classes: Vec<String>,
}

/// Where a scorer comes from; it stands in every file. What is empty is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Files, modules and types are called after it.
    pub model: String,
    pub version: String,
    /// Of the model's file, in hexadecimal digits.
    pub file_sha256: String,
    /// Of [`Signature::text`], in hexadecimal digits.
    pub signature_hash: String,
    pub run_id: String,
}

/// A row with the model's own answer, for a test program.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector {
    /// A value for each input; NaN is missing.
    pub row: Vec<f64>,
    /// [`Ensemble::raw_scores`].
    pub scores: Vec<f64>,
    /// [`Ensemble::predict`].
    pub predictions: Vec<f64>,
}

/// How a classifier gives the probabilities of its classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probabilities {
    /// The prediction is that of the second of two.
    Pair,
    /// The predictions are they.
    Each,
}

impl Input {
    /// `Err` holds the rule that a value breaks.
    pub(crate) fn check(&self, value: f64, model: &Ensemble) -> Result<(), &'static str> {
        if value.is_nan() {
            return if self.is_required { Err("a number") } else { Ok(()) };
        }
        if self.is_finite && model.read(value).is_infinite() {
            return Err(finite_rule(model.arithmetic().reading));
        }
        // Of an infinite number the fraction is NaN.
        if self.kind == Kind::Whole && value.fract() != 0.0 {
            return Err("a whole number");
        }
        Ok(())
    }

    /// In words: what it takes.
    pub(crate) fn rule(&self) -> String {
        let kind = match self.kind {
            Kind::Whole => "a whole number",
            Kind::Real => "a number",
        };
        let finite = if self.is_finite { ", finite" } else { "" };
        let missing = if self.is_required { ", required" } else { ", may be missing" };
        format!("{kind}{finite}{missing}")
    }
}

pub(crate) fn finite_rule(reading: Reading) -> &'static str {
    match reading {
        Reading::Single => "a number that is finite in 32 bits",
        _ => "a finite number",
    }
}

impl Signature {
    /// What the model itself says: its names, or `f0`, `f1` …; every input takes any number and may be missing.
    pub fn of(model: &Ensemble) -> Self {
        let numbered = |feature| format!("f{feature}");
        let names = match model.feature_names() {
            Some(names) => names.to_vec(),
            None => (0..model.features()).map(numbered).collect(),
        };
        let input = |name| Input { name, kind: Kind::Real, is_required: false, is_finite: false };
        Self { inputs: names.into_iter().map(input).collect(), ..Self::default() }
    }

    /// A line for each input, output and class, to be hashed: another signature has another text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for input in &self.inputs {
            // Writing to a string does not fail.
            let _ = writeln!(text, "input {:?} {}", input.name, input.rule());
        }
        for output in &self.outputs {
            let _ = writeln!(text, "output {output:?}");
        }
        for class in &self.classes {
            let _ = writeln!(text, "class {class:?}");
        }
        text
    }

    pub(crate) fn check(&self, model: &Ensemble) -> Result<(), CodegenError> {
        let (found, expected) = (self.inputs.len(), model.features());
        if expected == 0 {
            return Err(CodegenError::NoFeatures);
        }
        if found != expected {
            return Err(CodegenError::InputCount { found, expected });
        }
        for (what, found, most) in
            [("features", expected, MOST_INPUTS), ("scores", model.scores(), MOST_SCORES)]
        {
            if found > most {
                return Err(CodegenError::TooLarge { what, found, most });
            }
        }
        let mut names = HashSet::new();
        if let Some(input) = self.inputs.iter().find(|input| !names.insert(input.name.as_str())) {
            return Err(CodegenError::SameName { name: input.name.clone() });
        }
        let outputs = model.outputs();
        let classes = match (model.objective(), outputs) {
            (Objective::LargestClass, _) => model.scores(),
            (_, 1) => 2,
            _ => outputs,
        };
        for (what, found, expected) in [
            ("names of predictions", self.outputs.len(), outputs),
            ("names of classes", self.classes.len(), classes),
        ] {
            if found != 0 && found != expected {
                return Err(CodegenError::NameCount { what, found, expected });
            }
        }
        Ok(())
    }

    pub(crate) fn probabilities(&self, model: &Ensemble) -> Option<Probabilities> {
        match model.objective() {
            Objective::Sigmoid { .. } | Objective::SigmoidPerClass { .. } if model.scores() == 1 => {
                Some(Probabilities::Pair)
            }
            Objective::Softmax | Objective::SigmoidPerClass { .. } => Some(Probabilities::Each),
            // A forest's scores are shares of its trees.
            Objective::Identity if model.outputs() > 1 && !self.classes.is_empty() => {
                Some(Probabilities::Each)
            }
            _ => None,
        }
    }
}

impl Provenance {
    /// Comments at the head of a file, lines without the mark of a comment.
    pub(crate) fn lines(&self, exactness: &[String]) -> Vec<String> {
        let known = |value: &str| if value.is_empty() { "unknown".to_owned() } else { format!("{value:?}") };
        let mut lines = vec![
            "Code generated by loopwright generate. DO NOT EDIT.".to_owned(),
            String::new(),
            format!(
                "Model {}, version {}, run {}.",
                known(&self.model),
                known(&self.version),
                known(&self.run_id)
            ),
            format!("SHA-256 of its file: {}.", known(&self.file_sha256)),
            format!("SHA-256 of its signature: {}.", known(&self.signature_hash)),
            String::new(),
        ];
        lines.extend(exactness.iter().cloned());
        lines.iter().map(|line| crate::text::comment(line)).collect()
    }
}

pub(crate) fn check_vectors(
    model: &Ensemble,
    signature: &Signature,
    vectors: &[Vector],
) -> Result<(), CodegenError> {
    let (found, most) = (vectors.len(), MOST_VECTORS);
    if found > most {
        return Err(CodegenError::TooLarge { what: "vectors", found, most });
    }
    for (vector, own) in vectors.iter().enumerate() {
        for (what, found, expected) in [
            ("values", own.row.len(), model.features()),
            ("raw scores", own.scores.len(), model.scores()),
            ("predictions", own.predictions.len(), model.outputs()),
        ] {
            if found != expected {
                return Err(CodegenError::VectorLength { vector, what, found, expected });
            }
        }
        for (input, value) in signature.inputs.iter().zip(&own.row) {
            input.check(*value, model).map_err(|rule| CodegenError::VectorValue {
                vector,
                input: input.name.clone(),
                value: *value,
                rule,
            })?;
        }
    }
    Ok(())
}

/// What the largest leaves of the trees of each score come to, without their signs: no score is larger.
pub(crate) fn magnitudes(model: &Ensemble, arithmetic: &Arithmetic) -> Vec<f64> {
    let mut sums: Vec<f64> = arithmetic.start.iter().map(|start| start.abs()).collect();
    for tree in model.trees() {
        let largest = crate::tables::leaves(tree).map(f64::abs).fold(0.0, f64::max);
        if let Some(sum) = sums.get_mut(tree.output()) {
            *sum += largest;
        }
    }
    let late = |score: usize| {
        arithmetic.late.as_ref().and_then(|late| late.get(score)).map_or(0.0, |late| late.abs())
    };
    let divided = |sum: f64| sum / arithmetic.divide_by.unwrap_or(1.0).abs();
    sums.into_iter().enumerate().map(|(score, sum)| divided(sum) + late(score)).collect()
}
