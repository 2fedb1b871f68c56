//! The trees in memory and the walk through them.

use crate::Objective;

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
    /// A bit set of category codes: `words` of the tree's table from `first`.
    Category {
        first: u32,
        words: u32,
    },
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub feature: u32,
    pub split: Split,
    /// ≥ 0 an inner node, < 0 the leaf `!child`.
    pub left: i32,
    pub right: i32,
}

#[derive(Debug, Clone)]
pub(crate) struct Tree {
    pub nodes: Vec<Node>,
    pub leaves: Vec<f64>,
    pub category_words: Vec<u32>,
}

impl Tree {
    fn leaf(&self, row: &[f64]) -> f64 {
        if self.nodes.is_empty() {
            return self.leaves[0];
        }
        let mut at = 0i32;
        while at >= 0 {
            let node = &self.nodes[at as usize];
            at = if self.goes_left(node, row[node.feature as usize]) { node.left } else { node.right };
        }
        self.leaves[!at as usize]
    }

    fn goes_left(&self, node: &Node, value: f64) -> bool {
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
            Split::Category { first, words } => {
                // Truncated toward zero as LightGBM's cast does: −0.5 is category 0. NaN fails both bounds.
                let in_range = value > -1.0 && value < 2_147_483_648.0;
                if !in_range {
                    return false;
                }
                let code = value as u32;
                let word = code / 32;
                word < words && (self.category_words[(first + word) as usize] >> (code % 32)) & 1 == 1
            }
        }
    }
}

/// A model ready to predict. Cloning copies the trees; share it behind an `Arc`.
#[derive(Debug, Clone)]
pub struct Ensemble {
    pub(crate) feature_names: Vec<String>,
    pub(crate) trees: Vec<Tree>,
    /// Scores per row: 1, or the number of classes.
    pub(crate) outputs: usize,
    pub(crate) objective: Objective,
    /// Random forests: the sum is divided by the iterations before the objective is applied.
    pub(crate) average: bool,
}

impl Ensemble {
    pub fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    /// Numbers per row that [`Ensemble::predict`] writes.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    pub fn tree_count(&self) -> usize {
        self.trees.len()
    }

    pub fn objective(&self) -> Objective {
        self.objective
    }

    /// Raw scores of one row: for output k, the sum of the leaves of trees k, k + outputs, …, in that order.
    ///
    /// `row` holds one value per feature, in the order of [`Ensemble::feature_names`]; NaN is missing.
    /// Panics when a slice has the wrong length. O(trees × depth), no allocation.
    pub fn raw_scores(&self, row: &[f64], scores: &mut [f64]) {
        assert_eq!(row.len(), self.feature_names.len(), "a row holds one value per feature");
        assert_eq!(scores.len(), self.outputs, "one score per output");
        scores.fill(0.0);
        // Values within LightGBM's zero threshold count as zero before any comparison.
        if row.iter().any(|value| *value != 0.0 && value.abs() <= ZERO) {
            let flushed: Vec<f64> = row.iter().map(|v| if v.abs() <= ZERO { 0.0 } else { *v }).collect();
            self.sum(&flushed, scores);
        } else {
            self.sum(row, scores);
        }
    }

    fn sum(&self, row: &[f64], scores: &mut [f64]) {
        if let [score] = scores {
            *score = self.trees.iter().fold(0.0, |sum, tree| sum + tree.leaf(row));
            return;
        }
        for (index, tree) in self.trees.iter().enumerate() {
            scores[index % self.outputs] += tree.leaf(row);
        }
    }

    /// Predictions of one row, as LightGBM's `predict` gives them: raw scores through the objective's
    /// inverse link. Same lengths and cost as [`Ensemble::raw_scores`].
    pub fn predict(&self, row: &[f64], predictions: &mut [f64]) {
        self.raw_scores(row, predictions);
        if self.average {
            let iterations = (self.trees.len() / self.outputs).max(1) as f64;
            predictions.iter_mut().for_each(|score| *score /= iterations);
        }
        self.objective.apply(predictions);
    }
}
