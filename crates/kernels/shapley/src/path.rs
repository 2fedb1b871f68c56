//! Path-dependent Shapley values: what a model expects of an unknown feature is what its training rows did at each split.
//!
//! A feature that is unknown goes both ways, each in the share of the training rows (the cover) that went there. On the path to a
//! leaf, feature j contributes the factor (1−t)·r + t·c: r is the product of the shares at its splits, c is 1 when the row
//! itself takes all of them. The value of feature i is the sum over leaves of leaf·∫(cᵢ−rᵢ)·Π over the others. For u features on a path
//! the integrand has degree u−1, so ⌈u/2⌉ points are exact. One walk through a tree gives all features: O(nodes × points).

use std::borrow::Borrow;
use std::sync::OnceLock;

use kernel_trees::{Ensemble, Step, Tree};

use crate::background::MOST_FEATURES;
use crate::block::{BLOCKS, LANES, MOST_POINTS, Real};
use crate::quadrature::{Point, gauss_legendre};
use crate::sums::{close, columns, take};
use crate::{alone, block, interactions};

/// Trees are walked by recursion.
pub(crate) const MAX_DEPTH: usize = 1_024;
/// A level of a block takes kilobytes of the stack; deeper trees are walked row by row.
const MOST_LEVELS: usize = 64;
/// So many rows cost less one by one than as a block.
const FEW: usize = 4;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExplainError {
    #[error(
        "tree {tree} does not say how many training rows reached its nodes, which path-dependent values need"
    )]
    NoCovers { tree: usize },
    #[error("tree {tree} is deeper than {MAX_DEPTH} splits")]
    TooDeep { tree: usize },
    #[error("a path of tree {tree} asks for more than {MOST_FEATURES} features")]
    TooWide { tree: usize },
    #[error("the leaves of tree {tree} are linear functions of the row, which are not explained")]
    LinearLeaves { tree: usize },
    #[error("the background has no rows")]
    NoBackground,
    #[error("the values of output {output} and their base sum to {sum}, the model's score is {score}")]
    NotAdditive { output: usize, sum: f64, score: f64 },
}

/// What is calculated once for a model, which may be borrowed or shared.
#[derive(Debug)]
pub struct PathDependent<M> {
    model: M,
    /// By how many points.
    pub(crate) quadratures: Vec<Vec<Point>>,
    /// Points that a tree needs.
    pub(crate) points: Vec<usize>,
    /// What the model expects of a row of which nothing is known, by output.
    pub(crate) base: Vec<f64>,
    pub(crate) depth: usize,
    /// Unless a tree is too deep for them, or a path has too many different features.
    pub(crate) plans: Option<Plans>,
}

/// With the floats of the model's framework, each made when it is first asked for.
#[derive(Debug)]
pub(crate) enum Plans {
    Single(PlansOf<f32>),
    Double(PlansOf<f64>),
}

#[derive(Debug)]
pub(crate) struct PlansOf<T> {
    alone: OnceLock<alone::Plan<T>>,
    blocks: OnceLock<block::Plan<T>>,
    pub(crate) pairs: OnceLock<interactions::Plan<T>>,
}

impl<T> Default for PlansOf<T> {
    fn default() -> Self {
        Self { alone: OnceLock::new(), blocks: OnceLock::new(), pairs: OnceLock::new() }
    }
}

impl<M: Borrow<Ensemble>> PathDependent<M> {
    pub fn new(shared: M) -> Result<Self, ExplainError> {
        let model = shared.borrow();
        let mut base: Vec<f64> = (0..model.scores()).map(|output| model.base_score(output)).collect();
        let (mut points, mut deepest) = (Vec::with_capacity(model.trees().len()), 0);
        for (number, tree) in model.trees().iter().enumerate() {
            if tree.is_linear() {
                return Err(ExplainError::LinearLeaves { tree: number });
            }
            if !tree.has_covers() {
                return Err(ExplainError::NoCovers { tree: number });
            }
            let mut shape = Shape { tree, path: Vec::new(), distinct: 0, depth: 0, expected: 0.0 };
            shape.visit(tree.root(), 1.0).map_err(|()| ExplainError::TooDeep { tree: number })?;
            base[tree.output()] += shape.expected * model.leaf_scale();
            points.push(shape.distinct.div_ceil(2).max(1));
            deepest = deepest.max(shape.depth);
        }
        let most = points.iter().copied().max().unwrap_or(1);
        let quadratures: Vec<Vec<Point>> = (0..=most).map(gauss_legendre).collect();
        let plans = (most <= MOST_POINTS && deepest <= MOST_LEVELS).then(|| match model.is_single() {
            true => Plans::Single(PlansOf::default()),
            false => Plans::Double(PlansOf::default()),
        });
        Ok(Self { model: shared, quadratures, points, base, depth: deepest, plans })
    }

    pub(crate) fn model(&self) -> &Ensemble {
        self.model.borrow()
    }

    /// Numbers that [`PathDependent::explain`] writes: for each output a value per feature and the base.
    pub fn len(&self) -> usize {
        self.model().scores() * (self.model().features() + 1)
    }

    pub fn is_empty(&self) -> bool {
        false
    }

    /// The values of one row in the units of [`Ensemble::raw_scores`]: output after output, features and then the base, which sum to
    /// the score. That they do is checked. Panics when a slice has the wrong length.
    pub fn explain(&self, row: &[f64], values: &mut [f64]) -> Result<(), ExplainError> {
        assert_eq!(row.len(), self.model().features(), "a row holds one value per feature");
        assert_eq!(values.len(), self.len(), "a value per output and feature, and a base per output");
        let mut raw = vec![0.0; self.model().scores()];
        self.model().raw_scores(row, &mut raw);
        match &self.plans {
            Some(Plans::Single(plans)) => self.alone(plans, row, values),
            Some(Plans::Double(plans)) => self.alone(plans, row, values),
            None => return self.walk(row, &raw, values),
        }
        match close(self.model(), &self.base, values, &raw) {
            Ok(()) => Ok(()),
            // 32-bit floats were not enough for it.
            Err(_) => self.walk(row, &raw, values),
        }
    }

    fn alone<T: Real>(&self, plans: &PlansOf<T>, row: &[f64], values: &mut [f64]) {
        let plan =
            plans.alone.get_or_init(|| alone::Plan::new(self.model(), &self.quadratures, &self.points));
        let row: Vec<T> = row.iter().map(|value| T::of(self.model().read(*value))).collect();
        values.fill(0.0);
        plan.add(self.model(), &row, values);
    }

    /// With 64-bit floats, whatever the shape of the trees.
    fn walk(&self, row: &[f64], raw: &[f64], values: &mut [f64]) -> Result<(), ExplainError> {
        let features = self.model().features();
        values.fill(0.0);
        let levels = (self.depth + 1) * self.quadratures.len();
        let (mut products, mut sums) = (vec![0.0; levels], vec![0.0; levels]);
        let mut path = vec![None; features];
        for (tree, count) in self.model().trees().iter().zip(&self.points) {
            let first = tree.output() * (features + 1);
            products[..*count].fill(1.0);
            let mut walk = Walk {
                row,
                tree,
                model: self.model(),
                points: &self.quadratures[*count],
                products: &mut products,
                sums: &mut sums,
                path: &mut path,
                values: &mut values[first..first + features],
            };
            walk.visit(tree.root(), 0);
        }
        close(self.model(), &self.base, values, raw)
    }

    /// [`PathDependent::explain`] of many rows, one after the other in `rows` and in `values`; in blocks, which is several times faster.
    pub fn explain_rows(&self, rows: &[f64], values: &mut [f64]) -> Result<(), ExplainError> {
        let features = self.model().features();
        assert_eq!(rows.len() % features.max(1), 0, "whole rows");
        let count = rows.len().checked_div(features).unwrap_or(0);
        assert_eq!(values.len(), count * self.len(), "values for each row");
        let most = BLOCKS * LANES;
        for (rows, values) in rows.chunks(most * features).zip(values.chunks_mut(most * self.len())) {
            match &self.plans {
                Some(Plans::Single(plans)) if rows.len() > FEW * features => {
                    self.blocks(plans, rows, values)?
                }
                Some(Plans::Double(plans)) if rows.len() > FEW * features => {
                    self.blocks(plans, rows, values)?
                }
                _ => {
                    for (row, values) in rows.chunks(features).zip(values.chunks_mut(self.len())) {
                        self.explain(row, values)?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(crate) fn block_plan<'p, T: Real>(&self, plans: &'p PlansOf<T>) -> &'p block::Plan<T> {
        plans.blocks.get_or_init(|| block::Plan::new(self.model(), &self.quadratures, &self.points))
    }

    /// At most [`BLOCKS`] times [`LANES`] rows.
    fn blocks<T: Real>(
        &self,
        plans: &PlansOf<T>,
        rows: &[f64],
        values: &mut [f64],
    ) -> Result<(), ExplainError> {
        let plan = self.block_plan(plans);
        let (features, scores) = (self.model().features(), self.model().scores());
        let columns = columns::<T>(self.model(), rows);
        let mut found = vec![[0.0; LANES]; columns.len() * scores];
        plan.add(self.model(), &columns, &mut found);
        let mut raw = vec![0.0; rows.len() / features * scores];
        self.model().raw_scores(rows, &mut raw);
        for (number, (row, own)) in rows.chunks(features).zip(values.chunks_mut(self.len())).enumerate() {
            take(self.model(), &found, number, own);
            let raw = &raw[number * scores..][..scores];
            if close(self.model(), &self.base, own, raw).is_err() {
                // 32-bit floats were not enough for it.
                self.walk(row, raw, own)?;
            }
        }
        Ok(())
    }
}

/// The share of a node's training rows that went to a child.
pub(crate) fn share(tree: &Tree, place: i32, child: i32) -> f64 {
    let rows = tree.cover(place);
    // Nobody came here: neither side is likelier.
    if rows > 0.0 { tree.cover(child) / rows } else { 0.5 }
}

/// What a tree asks of the walk through it.
struct Shape<'t> {
    tree: &'t Tree,
    path: Vec<usize>,
    /// The most different features on a path.
    distinct: usize,
    depth: usize,
    expected: f64,
}

impl Shape<'_> {
    fn visit(&mut self, place: i32, share_of_all: f64) -> Result<(), ()> {
        match self.tree.at(place) {
            Step::Leaf(value) => self.expected += value * share_of_all,
            Step::Split { feature, left, right } => {
                if self.path.len() == MAX_DEPTH {
                    return Err(());
                }
                self.path.push(feature);
                self.depth = self.depth.max(self.path.len());
                let mut features = self.path.clone();
                features.sort_unstable();
                features.dedup();
                self.distinct = self.distinct.max(features.len());
                for child in [left, right] {
                    self.visit(child, share_of_all * share(self.tree, place, child))?;
                }
                self.path.pop();
            }
        }
        Ok(())
    }
}

/// How a feature stands on the path so far: whether the row takes all of its splits, and the product of their shares.
#[derive(Clone, Copy)]
pub(crate) struct State {
    pub taken: bool,
    pub shares: f64,
}

impl State {
    const ABSENT: Self = Self { taken: true, shares: 1.0 };

    pub fn factor(self, t: f64) -> f64 {
        (1.0 - t) * self.shares + if self.taken { t } else { 0.0 }
    }

    /// (c − r) / factor; a path without shares that the row leaves carries nothing.
    pub fn pull(self, t: f64) -> f64 {
        let factor = self.factor(t);
        let one = if self.taken { 1.0 } else { 0.0 };
        if factor > 0.0 { (one - self.shares) / factor } else { 0.0 }
    }
}

struct Walk<'w> {
    row: &'w [f64],
    tree: &'w Tree,
    model: &'w Ensemble,
    points: &'w [Point],
    /// By level, a number per point: the product of the factors above, and the sum of leaf times product below.
    products: &'w mut [f64],
    sums: &'w mut [f64],
    path: &'w mut [Option<State>],
    values: &'w mut [f64],
}

impl Walk<'_> {
    fn visit(&mut self, place: i32, level: usize) {
        let count = self.points.len();
        let own = level * count..(level + 1) * count;
        let (feature, children) = match self.tree.at(place) {
            Step::Leaf(value) => {
                let value = value * self.model.leaf_scale();
                for (sum, product) in self.sums[own.clone()].iter_mut().zip(&self.products[own]) {
                    *sum = value * product;
                }
                return;
            }
            Step::Split { feature, left, right } => (feature, [left, right]),
        };
        self.sums[own.clone()].fill(0.0);
        let goes_left = self.tree.goes_left(place, self.model.read(self.row[feature]));
        let before = self.path[feature];
        let old = before.unwrap_or(State::ABSENT);
        for (child, is_taken) in children.into_iter().zip([goes_left, !goes_left]) {
            let new =
                State { taken: old.taken && is_taken, shares: old.shares * share(self.tree, place, child) };
            for (k, point) in self.points.iter().enumerate() {
                let above = if before.is_some() { old.factor(point.at) } else { 1.0 };
                let product = self.products[own.start + k];
                self.products[own.end + k] =
                    if above > 0.0 { product / above * new.factor(point.at) } else { 0.0 };
            }
            self.path[feature] = Some(new);
            self.visit(child, level + 1);
            for (k, point) in self.points.iter().enumerate() {
                let sum = self.sums[own.end + k];
                let pull = new.pull(point.at) - before.map_or(0.0, |old| old.pull(point.at));
                self.values[feature] += point.weight * pull * sum;
                self.sums[own.start + k] += sum;
            }
        }
        self.path[feature] = before;
    }
}
