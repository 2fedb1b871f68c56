//! The trees of a model as flat tables.

use std::collections::BTreeMap;

use kernel_trees::{Ensemble, Question, Step, Tree};

use crate::text::Language;
use crate::{CodegenError, MOST_ENTRIES};

/// Added to the kind of a split whose missing values go left.
const MISSING_LEFT: u8 = 8;
const ZERO_IS_MISSING: u8 = 1;
const TRUNCATED: u8 = 2;
const CODE: u8 = 3;
const LISTED: u8 = 4;

/// Splits and leaves of all trees, each numbered through. A place is a split, or, below 0, the leaf `!place`.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    kind: Vec<u8>,
    feature: Vec<usize>,
    /// Of a split that asks for members, the number of its set.
    threshold: Vec<f64>,
    left: Vec<i32>,
    right: Vec<i32>,
    leaf: Vec<f64>,
    line_constant: Vec<f64>,
    line_end: Vec<usize>,
    term_feature: Vec<u32>,
    term_coefficient: Vec<f64>,
    set_first: Vec<usize>,
    set_count: Vec<usize>,
    word: Vec<u32>,
    member: Vec<f64>,
    root: Vec<i32>,
    output: Vec<usize>,
}

/// What a scorer needs code for.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Has {
    pub zero: bool,
    pub truncated: bool,
    pub whole: bool,
    pub words: bool,
    pub listed: bool,
    pub sets: bool,
    pub lines: bool,
}

/// Leaves of a tree, from the left.
pub(crate) fn leaves(tree: &Tree) -> impl Iterator<Item = f64> {
    let mut open = vec![tree.root()];
    std::iter::from_fn(move || {
        loop {
            let place = open.pop()?;
            match tree.at(place) {
                Step::Leaf(leaf) => return Some(leaf),
                Step::Split { left, right, .. } => open.extend([right, left]),
            }
        }
    })
}

impl Tables {
    pub fn of(model: &Ensemble) -> Result<Self, CodegenError> {
        let mut tables = Self::default();
        let has_lines = model.trees().iter().any(Tree::is_linear);
        for tree in model.trees() {
            tables.add(tree, has_lines)?;
        }
        Ok(tables)
    }

    fn add(&mut self, tree: &Tree, has_lines: bool) -> Result<(), CodegenError> {
        // Places to visit, with the split above and whether on its left.
        let mut open: Vec<(i32, Option<(usize, bool)>)> = vec![(tree.root(), None)];
        while let Some((place, parent)) = open.pop() {
            let entries = self.kind.len() + self.leaf.len() + self.word.len() + self.member.len();
            let found = entries + self.term_feature.len();
            if found > MOST_ENTRIES {
                let most = MOST_ENTRIES;
                return Err(CodegenError::TooLarge { what: "entries of its trees and more", found, most });
            }
            let own = match tree.at(place) {
                Step::Leaf(leaf) => {
                    self.leaf.push(leaf);
                    if has_lines {
                        self.add_line(tree, place, leaf);
                    }
                    !(self.leaf.len() as i32 - 1)
                }
                Step::Split { feature, left, right } => {
                    let split = self.kind.len();
                    self.feature.push(feature);
                    self.add_question(tree.question(place));
                    self.left.push(0);
                    self.right.push(0);
                    open.extend([(right, Some((split, false))), (left, Some((split, true)))]);
                    split as i32
                }
            };
            match parent {
                None => self.root.push(own),
                Some((split, true)) => self.left[split] = own,
                Some((split, false)) => self.right[split] = own,
            }
        }
        self.output.push(tree.output());
        Ok(())
    }

    fn add_question(&mut self, question: Option<Question<'_>>) {
        let set = self.set_first.len() as f64;
        let (kind, missing_left, threshold) = match question {
            Some(Question::Number { threshold, missing_left, zero_is_missing }) => {
                (if zero_is_missing { ZERO_IS_MISSING } else { 0 }, missing_left, threshold)
            }
            Some(Question::Category { words, missing_left, is_truncated }) => {
                self.set_first.push(self.word.len());
                self.set_count.push(words.len());
                self.word.extend(words);
                (if is_truncated { TRUNCATED } else { CODE }, missing_left, set)
            }
            Some(Question::Listed { values, missing_left }) => {
                self.set_first.push(self.member.len());
                self.set_count.push(values.len());
                self.member.extend(values);
                (LISTED, missing_left, set)
            }
            None => unreachable!("a split asks something"),
        };
        self.kind.push(kind | if missing_left { MISSING_LEFT } else { 0 });
        self.threshold.push(threshold);
    }

    /// A leaf of a tree whose leaves are their values is a constant without terms.
    fn add_line(&mut self, tree: &Tree, place: i32, leaf: f64) {
        const NO_TERMS: &[(u32, f64)] = &[];
        let (constant, terms) = tree.line(place).unwrap_or((leaf, NO_TERMS));
        self.line_constant.push(constant);
        self.term_feature.extend(terms.iter().map(|(feature, _)| *feature));
        self.term_coefficient.extend(terms.iter().map(|(_, coefficient)| *coefficient));
        self.line_end.push(self.term_feature.len());
    }

    pub fn has(&self) -> Has {
        let asks = |kind: u8| self.kind.iter().any(|own| own & !MISSING_LEFT == kind);
        let (truncated, whole, listed) = (asks(TRUNCATED), asks(CODE), asks(LISTED));
        Has {
            zero: asks(ZERO_IS_MISSING),
            truncated,
            whole,
            words: truncated || whole,
            listed,
            sets: truncated || whole || listed,
            lines: !self.line_constant.is_empty(),
        }
    }

    /// The entries of each table as a language writes them, and how many there are.
    pub fn written(&self, language: Language) -> BTreeMap<&'static str, (String, usize)> {
        let reals = |values: &[f64]| (reals(language, values), values.len().max(1));
        BTreeMap::from([
            ("kind", wholes(language, &self.kind)),
            ("feature", wholes(language, &self.feature)),
            ("threshold", reals(&self.threshold)),
            ("left", wholes(language, &self.left)),
            ("right", wholes(language, &self.right)),
            ("leaf", reals(&self.leaf)),
            ("line_constant", reals(&self.line_constant)),
            ("line_end", wholes(language, &self.line_end)),
            ("term_feature", wholes(language, &self.term_feature)),
            ("term_coefficient", reals(&self.term_coefficient)),
            ("set_first", wholes(language, &self.set_first)),
            ("set_count", wholes(language, &self.set_count)),
            ("word", wholes(language, &self.word)),
            ("member", reals(&self.member)),
            ("root", wholes(language, &self.root)),
            ("output", wholes(language, &self.output)),
        ])
    }
}

fn wholes<T: ToString>(language: Language, values: &[T]) -> (String, usize) {
    (language.table(values.iter().map(T::to_string)), values.len().max(1))
}

/// A table of numbers; where there are none, of a zero.
pub(crate) fn reals(language: Language, values: &[f64]) -> String {
    let values = if values.is_empty() { &[0.0] } else { values };
    language.table(values.iter().map(|value| language.real(*value)))
}
