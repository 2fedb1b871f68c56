//! The walk through a tree for one row, with 64-bit floats, whatever its shape.

use kernel_trees::{Ensemble, Step, Tree};

use crate::path::{State, share};
use crate::quadrature::Point;

/// What a walk works on; kept from tree to tree.
pub(super) struct Stack {
    /// By level, a number per point: the product of the factors above, the sum of leaf times product below, what a split adds with its
    /// feature's pull, and the pull of the feature that is split.
    products: Vec<f64>,
    sums: Vec<f64>,
    gained: Vec<f64>,
    pulls: Vec<f64>,
    /// By feature: how it stands, and the level of its last split.
    path: Vec<Option<(State, usize)>>,
    /// The features above, each once.
    above: Vec<usize>,
}

impl Stack {
    pub fn new(features: usize, numbers: usize) -> Self {
        let [products, sums, gained, pulls] = [(); 4].map(|()| vec![0.0; numbers]);
        Self { products, sums, gained, pulls, path: vec![None; features], above: Vec::new() }
    }
}

/// Adds a tree's indices of pairs and values of features to the upper triangle of `matrix`.
pub(super) fn add(
    model: &Ensemble,
    tree: &Tree,
    row: &[f64],
    points: &[Point],
    stack: &mut Stack,
    matrix: &mut [f64],
) {
    stack.products[..points.len()].fill(1.0);
    Walk { row, tree, model, points, stack, matrix }.visit(tree.root(), 0);
}

struct Walk<'w> {
    row: &'w [f64],
    tree: &'w Tree,
    model: &'w Ensemble,
    points: &'w [Point],
    stack: &'w mut Stack,
    matrix: &'w mut [f64],
}

impl Walk<'_> {
    fn visit(&mut self, place: i32, level: usize) {
        let count = self.points.len();
        let (own, next) = (level * count, (level + 1) * count);
        let (feature, children) = match self.tree.at(place) {
            Step::Leaf(value) => {
                let value = value * self.model.leaf_scale();
                for k in own..next {
                    self.stack.sums[k] = value * self.stack.products[k];
                }
                return;
            }
            Step::Split { feature, left, right } => (feature, [left, right]),
        };
        self.stack.sums[own..next].fill(0.0);
        self.stack.gained[own..next].fill(0.0);
        let goes_left = self.tree.goes_left(place, self.model.read(self.row[feature]));
        let before = self.stack.path[feature];
        if before.is_none() {
            self.stack.above.push(feature);
        }
        let old = before.map(|(state, _)| state);
        for (child, is_taken) in children.into_iter().zip([goes_left, !goes_left]) {
            let new = State {
                taken: old.is_none_or(|old| old.taken) && is_taken,
                shares: old.map_or(1.0, |old| old.shares) * share(self.tree, place, child),
            };
            for (k, point) in self.points.iter().enumerate() {
                let above = old.map_or(1.0, |old| old.factor(point.at));
                let change = if above > 0.0 { new.factor(point.at) / above } else { 0.0 };
                self.stack.products[next + k] = self.stack.products[own + k] * change;
                self.stack.pulls[own + k] = new.pull(point.at);
            }
            self.stack.path[feature] = Some((new, level));
            self.visit(child, level + 1);
            for (k, point) in self.points.iter().enumerate() {
                let sum = self.stack.sums[next + k];
                let pull_before = before.map_or(0.0, |(_, level)| self.stack.pulls[level * count + k]);
                let pull = self.stack.pulls[own + k] - pull_before;
                self.stack.gained[own + k] += point.weight * pull * sum;
                self.stack.sums[own + k] += sum;
            }
        }
        self.stack.path[feature] = before;
        if before.is_none() {
            self.stack.above.pop();
        }
        self.add_pairs(feature, own..next);
    }

    /// What a split of a feature adds to its value and to its pairs with the features above.
    fn add_pairs(&mut self, feature: usize, own: std::ops::Range<usize>) {
        let (count, stride) = (self.points.len(), self.row.len() + 1);
        let gained = &self.stack.gained[own];
        self.matrix[feature * stride + feature] += gained.iter().sum::<f64>();
        for other in self.stack.above.iter().copied().filter(|other| *other != feature) {
            let Some((_, level)) = self.stack.path[other] else { continue };
            let pulls = &self.stack.pulls[level * count..][..count];
            let sum: f64 = gained.iter().zip(pulls).map(|(gained, pull)| gained * pull).sum();
            self.matrix[feature.min(other) * stride + feature.max(other)] += sum;
        }
    }
}
