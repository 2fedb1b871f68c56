//! The trees in memory and the walk through them.

use std::sync::OnceLock;

use crate::Objective;
use crate::layout::{Layouts, Vectors};

/// LightGBM's `kZeroThreshold`: 1e-35 as a 32-bit float, widened.
pub(crate) const ZERO: f64 = 1e-35f32 as f64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    None,
    Zero,
    Nan,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Split {
    Numeric {
        threshold: f64,
        missing: Missing,
        default_left: bool,
    },
    /// A bit set of category codes, which go left: `words` of the tree's table from `first`.
    Category {
        first: u32,
        words: u32,
        nan_left: bool,
        codes: Categories,
    },
    /// The numbers that go left: `count` of the tree's `listed` from `first`, ascending. Everything else goes right.
    Listed {
        first: u32,
        count: u32,
        nan_left: bool,
    },
}

/// Which values stand for categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Categories {
    /// LightGBM's cast: truncated toward zero, so −0.5 is category 0.
    Truncated,
    /// XGBoost's: what is below 0 or not below 2²⁴ is in no set.
    Whole,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub feature: u32,
    pub split: Split,
    /// ≥ 0 an inner node, < 0 the leaf `!child`.
    pub left: i32,
    pub right: i32,
}

/// A tree of a model. A place is a node, or, below 0, the leaf `!place`.
#[derive(Debug, Clone)]
pub struct Tree {
    pub(crate) nodes: Vec<Node>,
    pub(crate) leaves: Vec<f64>,
    pub(crate) category_words: Vec<u32>,
    pub(crate) listed: Vec<f64>,
    /// By leaf, of LightGBM's linear trees; empty when leaves are their values.
    pub(crate) lines: Vec<Line>,
    /// The score that its leaves are added to.
    pub(crate) output: usize,
    /// Training rows, or their weight, of each node and leaf; empty when the file does not say.
    pub(crate) node_covers: Vec<f64>,
    pub(crate) leaf_covers: Vec<f64>,
}

/// A leaf that is a linear function of a row, and its value in `leaves` where a value of it is missing.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub constant: f64,
    /// Feature and coefficient, in the order of the sum.
    pub terms: Vec<(u32, f64)>,
}

/// What stands at a place of a tree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    Split { feature: usize, left: i32, right: i32 },
    Leaf(f64),
}

impl Tree {
    /// The score that the tree's leaves are added to.
    pub fn output(&self) -> usize {
        self.output
    }

    pub fn root(&self) -> i32 {
        if self.nodes.is_empty() { !0 } else { 0 }
    }

    /// Panics for a place that the tree does not have.
    pub fn at(&self, place: i32) -> Step {
        match usize::try_from(place) {
            Ok(node) => {
                let node = &self.nodes[node];
                Step::Split { feature: node.feature as usize, left: node.left, right: node.right }
            }
            Err(_) => Step::Leaf(self.leaves[!place as usize]),
        }
    }

    /// Whether a value, as [`Ensemble::read`] gives it, goes left at a split. Panics at a leaf.
    pub fn goes_left(&self, place: i32, value: f64) -> bool {
        self.decide(&self.nodes[place as usize], value)
    }

    /// The threshold up to which numbers go left, and whether NaN does; `None` at a leaf and where the split asks for more.
    pub fn threshold(&self, place: i32) -> Option<(f64, bool)> {
        match self.nodes.get(usize::try_from(place).ok()?)?.split {
            Split::Numeric { threshold, missing: Missing::Nan, default_left } => {
                Some((threshold, default_left))
            }
            Split::Numeric { threshold, missing: Missing::None, .. } => Some((threshold, 0.0 <= threshold)),
            _ => None,
        }
    }

    /// Whether leaves are linear functions of the row, as in LightGBM's linear trees; [`Step::Leaf`] is then what they are where a value
    /// is missing.
    pub fn is_linear(&self) -> bool {
        !self.lines.is_empty()
    }

    pub fn has_covers(&self) -> bool {
        self.node_covers.len() == self.nodes.len() && self.leaf_covers.len() == self.leaves.len()
    }

    /// Training rows, or their weight, that came to a place. Panics without [`Tree::has_covers`].
    pub fn cover(&self, place: i32) -> f64 {
        match usize::try_from(place) {
            Ok(node) => self.node_covers[node],
            Err(_) => self.leaf_covers[!place as usize],
        }
    }

    /// The leaf of a row whose values `read` gives.
    pub(crate) fn leaf(&self, row: &[f64], read: impl Fn(f64) -> f64) -> f64 {
        let mut at = self.root();
        while at >= 0 {
            let node = &self.nodes[at as usize];
            at = if self.decide(node, read(row[node.feature as usize])) { node.left } else { node.right };
        }
        let leaf = !at as usize;
        let Some(line) = self.lines.get(leaf) else { return self.leaves[leaf] };
        let mut sum = line.constant;
        for (feature, coefficient) in &line.terms {
            let value = row[*feature as usize];
            if value.is_nan() {
                return self.leaves[leaf];
            }
            sum += coefficient * value;
        }
        sum
    }

    fn decide(&self, node: &Node, value: f64) -> bool {
        match node.split {
            Split::Numeric { threshold, missing, default_left } => {
                let is_missing = match missing {
                    Missing::None => false,
                    Missing::Zero => value.is_nan() || value.abs() <= ZERO,
                    Missing::Nan => value.is_nan(),
                };
                if is_missing {
                    return default_left;
                }
                let value = if value.is_nan() { 0.0 } else { value };
                value <= threshold
            }
            Split::Category { first, words, nan_left, codes } => {
                if value.is_nan() {
                    return nan_left;
                }
                let in_range = match codes {
                    Categories::Truncated => value > -1.0 && value < 2_147_483_648.0,
                    Categories::Whole => (0.0..16_777_216.0).contains(&value),
                };
                if !in_range {
                    return false;
                }
                let code = value as u32;
                let word = code / 32;
                word < words && (self.category_words[(first + word) as usize] >> (code % 32)) & 1 == 1
            }
            Split::Listed { first, count, nan_left } => {
                if value.is_nan() {
                    return nan_left;
                }
                let list = &self.listed[first as usize..][..count as usize];
                let place = list.partition_point(|listed| *listed < value);
                list.get(place) == Some(&value)
            }
        }
    }
}

/// How a model's framework calculates.
#[derive(Debug, Clone)]
pub(crate) enum Numbers {
    /// LightGBM: 64-bit floats; values within its zero threshold are zero.
    Double,
    /// XGBoost: rows and sums are 32-bit floats; a sum begins with the margin of its output.
    Single { base: Vec<f32> },
    /// scikit-learn: 64-bit floats, of rows as they are or rounded to 32 bits; a sum begins with the base of its output and is
    /// divided in the end.
    Wide { single_input: bool, base: Vec<f64>, divide_by: Option<f64> },
    /// CatBoost: rows are 32-bit floats, sums 64-bit ones; the bias of an output is added last.
    Biased { bias: Vec<f64> },
    /// onnxruntime: rows, sums and predictions are 32-bit floats or 64-bit ones; a sum is divided in the end, then the base of its
    /// output is added.
    Late {
        single_input: bool,
        single_sums: bool,
        single_output: bool,
        base: Vec<f64>,
        divide_by: Option<f64>,
    },
}

/// Values within LightGBM's zero threshold count as zero before any comparison.
fn flushed(value: f64) -> f64 {
    if value.abs() <= ZERO { 0.0 } else { value }
}

/// Values rounded to 32 bits where the framework's rows hold such.
pub(crate) fn rounded(value: f64, to_single: bool) -> f64 {
    if to_single { f64::from(value as f32) } else { value }
}

/// A model ready to predict. Cloning copies the trees; share it behind an `Arc`.
#[derive(Debug, Clone)]
pub struct Ensemble {
    /// Values per row.
    pub(crate) features: usize,
    pub(crate) feature_names: Option<Vec<String>>,
    pub(crate) trees: Vec<Tree>,
    /// Scores per row: 1, or the number of classes or targets.
    pub(crate) scores: usize,
    pub(crate) objective: Objective,
    /// Random forests: the sum is divided by the iterations before the objective is applied.
    pub(crate) average: bool,
    pub(crate) numbers: Numbers,
    pub(crate) layout: OnceLock<Layouts>,
}

impl Ensemble {
    /// Values that a row holds.
    pub fn features(&self) -> usize {
        self.features
    }

    /// `None` when the model was trained on columns without names.
    pub fn feature_names(&self) -> Option<&[String]> {
        self.feature_names.as_deref()
    }

    /// Numbers per row that [`Ensemble::predict`] writes.
    pub fn outputs(&self) -> usize {
        self.objective.outputs(self.scores)
    }

    /// Numbers per row that [`Ensemble::raw_scores`] writes.
    pub fn scores(&self) -> usize {
        self.scores
    }

    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// What the raw score of an output is without its leaves.
    pub fn base_score(&self, output: usize) -> f64 {
        match &self.numbers {
            Numbers::Double => 0.0,
            Numbers::Single { base } => f64::from(base[output]),
            Numbers::Wide { base, divide_by, .. } => base[output] / divide_by.unwrap_or(1.0),
            Numbers::Biased { bias } => bias[output],
            Numbers::Late { base, .. } => base[output],
        }
    }

    /// What the sum of an output begins with.
    pub(crate) fn start(&self, output: usize) -> f64 {
        match &self.numbers {
            Numbers::Wide { base, .. } => base[output],
            Numbers::Biased { .. } | Numbers::Late { .. } => 0.0,
            _ => self.base_score(output),
        }
    }

    /// The raw score of a sum.
    pub(crate) fn end(&self, output: usize, sum: f64) -> f64 {
        match &self.numbers {
            Numbers::Wide { divide_by: Some(divide_by), .. } => sum / divide_by,
            Numbers::Biased { bias } => sum + bias[output],
            Numbers::Late { single_sums: true, base, divide_by, .. } => {
                f64::from(sum as f32 / divide_by.unwrap_or(1.0) as f32 + base[output] as f32)
            }
            Numbers::Late { base, divide_by, .. } => sum / divide_by.unwrap_or(1.0) + base[output],
            _ => sum,
        }
    }

    /// The factor by which leaves count in a raw score: 1, or 1 / n where the sum is divided by n.
    pub fn leaf_scale(&self) -> f64 {
        match &self.numbers {
            Numbers::Wide { divide_by: Some(divide_by), .. }
            | Numbers::Late { divide_by: Some(divide_by), .. } => 1.0 / divide_by,
            _ => 1.0,
        }
    }

    /// A value of a row as the framework's comparisons see it.
    pub fn read(&self, value: f64) -> f64 {
        match &self.numbers {
            Numbers::Double => flushed(value),
            Numbers::Single { .. } | Numbers::Biased { .. } => f64::from(value as f32),
            Numbers::Wide { single_input, .. } | Numbers::Late { single_input, .. } => {
                rounded(value, *single_input)
            }
        }
    }

    /// Whether the framework calculates with 32-bit floats.
    pub fn is_single(&self) -> bool {
        matches!(self.numbers, Numbers::Single { .. } | Numbers::Late { single_sums: true, .. })
    }

    /// How far sums of leaves may lie from the framework's own, of scores up to 1: 1e-9, with 32-bit floats 1e-5.
    pub fn precision(&self) -> f64 {
        if self.is_single() { 1e-5 } else { 1e-9 }
    }

    pub fn tree_count(&self) -> usize {
        self.trees.len()
    }

    pub fn objective(&self) -> Objective {
        self.objective
    }

    /// Lays the trees out for speed, which the first call that asks for scores does otherwise.
    pub fn prepare(&self) {
        self.prepare_with(Vectors::Best);
    }

    /// [`Ensemble::prepare`] with no more than some of the processor's vectors, to compare them; the scores are the same. It does nothing to
    /// a model that is laid out already.
    pub fn prepare_with(&self, vectors: Vectors) {
        self.layout.get_or_init(|| Layouts::new(self, vectors));
    }

    /// Raw scores of rows: for each output the sum of the leaves of its trees, in the order of the file, with the floats of the
    /// model's framework; of scikit-learn's forests the mean.
    ///
    /// `rows` holds whole rows, of one value per feature in the order of training; NaN is missing. `scores` are written row after row.
    /// Panics when a slice has the wrong length. O(rows × trees × depth).
    pub fn raw_scores(&self, rows: &[f64], scores: &mut [f64]) {
        let count = scores.len() / self.scores;
        assert_eq!(scores.len(), count * self.scores, "one score per row and output");
        assert_eq!(rows.len(), count * self.features, "a row holds one value per feature");
        self.layout.get_or_init(|| Layouts::new(self, Vectors::Best)).sums(self, rows, scores);
    }

    /// The scores of one row by the plain walk, which the layouts are compared with.
    pub(crate) fn walk(&self, row: &[f64], scores: &mut [f64]) {
        match &self.numbers {
            Numbers::Double => {
                scores.fill(0.0);
                for tree in &self.trees {
                    scores[tree.output] += tree.leaf(row, flushed);
                }
            }
            Numbers::Single { base } => {
                scores.iter_mut().zip(base).for_each(|(score, base)| *score = f64::from(*base));
                for tree in &self.trees {
                    let leaf = tree.leaf(row, |value| f64::from(value as f32));
                    // Both are 32-bit floats: their sum, rounded once, is theirs in 32 bits.
                    scores[tree.output] = f64::from((scores[tree.output] + leaf) as f32);
                }
            }
            Numbers::Wide { single_input, base, divide_by } => {
                scores.copy_from_slice(base);
                for tree in &self.trees {
                    scores[tree.output] += tree.leaf(row, |value| rounded(value, *single_input));
                }
                if let Some(divide_by) = divide_by {
                    scores.iter_mut().for_each(|score| *score /= divide_by);
                }
            }
            Numbers::Biased { bias } => {
                scores.fill(0.0);
                for tree in &self.trees {
                    scores[tree.output] += tree.leaf(row, |value| f64::from(value as f32));
                }
                scores.iter_mut().zip(bias).for_each(|(score, bias)| *score += bias);
            }
            Numbers::Late { single_input, single_sums, .. } => {
                scores.fill(0.0);
                for tree in &self.trees {
                    let leaf = tree.leaf(row, |value| rounded(value, *single_input));
                    scores[tree.output] = rounded(scores[tree.output] + leaf, *single_sums);
                }
                for (output, score) in scores.iter_mut().enumerate() {
                    *score = self.end(output, *score);
                }
            }
        }
    }

    /// Predictions of rows, as the framework's `predict` gives them: raw scores through the objective's inverse link.
    /// [`Ensemble::outputs`] numbers for each row; cost as [`Ensemble::raw_scores`].
    pub fn predict(&self, rows: &[f64], predictions: &mut [f64]) {
        let outputs = self.outputs();
        if outputs == self.scores {
            return self.finish(rows, predictions);
        }
        let count = predictions.len() / outputs;
        assert_eq!(predictions.len(), count * outputs, "one prediction per row and output");
        let mut scores = vec![0.0; count * self.scores];
        self.finish(rows, &mut scores);
        for (prediction, scores) in predictions.chunks_mut(outputs).zip(scores.chunks(self.scores)) {
            prediction.copy_from_slice(&scores[..outputs]);
        }
    }

    fn finish(&self, rows: &[f64], scores: &mut [f64]) {
        self.raw_scores(rows, scores);
        for scores in scores.chunks_mut(self.scores) {
            match &self.numbers {
                Numbers::Double => {
                    if self.average {
                        let iterations = (self.trees.len() / self.scores).max(1) as f64;
                        scores.iter_mut().for_each(|score| *score /= iterations);
                    }
                    self.objective.apply(scores);
                }
                Numbers::Single { .. } => self.objective.apply_single(scores),
                Numbers::Wide { .. } | Numbers::Biased { .. } => self.objective.apply(scores),
                Numbers::Late { single_output, .. } => {
                    scores.iter_mut().for_each(|score| *score = rounded(*score, *single_output));
                    self.objective.apply_late(scores);
                }
            }
        }
    }
}
