//! Path-dependent values of many rows at a time.
//!
//! A row's way through a tree only chooses between constants: on an edge the factors of a feature change from one of two values to one of
//! two, so every row of a block multiplies by a constant that a mask selects, and nothing divides. The same arithmetic, with the same
//! roundings, is compiled for the processor's vectors and without them: all forms give the same bits.

mod walk;
#[cfg(target_arch = "x86_64")]
pub(crate) mod wide;

use kernel_trees::{Ensemble, Step, Tree};

use crate::background;
use crate::path::{State, share};
use crate::quadrature::Point;

/// Rows of a block.
pub(crate) const LANES: usize = 32;
/// Blocks that pass a tree while its constants are in the nearest cache.
pub(crate) const BLOCKS: usize = 16;
/// Points that a block is compiled for: paths with up to twice as many different features.
pub(crate) const MOST_POINTS: usize = 8;
/// Sums of so many trees are taken with the floats of a block before they are added up with 64 bits.
const TREES: usize = 16;

/// A value for each row of a block.
pub(crate) type Lanes<T> = [T; LANES];

/// The floats that a block calculates with.
pub(crate) trait Real: Copy + Default + PartialOrd + Send + Sync + 'static {
    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
    fn is_nan(self) -> bool;
    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// `self · factor + term`, rounded once.
    fn fused(self, factor: Self, term: Self) -> Self;
    /// Adds to sums what tables hold for the rows of blocks, likewise.
    fn look_up(rows: &mut background::Rows<'_, Self>);
    /// Adds a tree's values of a block to `block.sums`, with the widest vectors that this processor has.
    fn walk(block: &mut Block<'_, Self>);
}

macro_rules! real {
    ($float:ty, $wide:path, $look_up:ident) => {
        impl Real for $float {
            fn of(value: f64) -> Self {
                value as Self
            }

            fn wide(self) -> f64 {
                f64::from(self)
            }

            fn is_nan(self) -> bool {
                <$float>::is_nan(self)
            }

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }

            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self * other
            }

            #[inline(always)]
            fn fused(self, factor: Self, term: Self) -> Self {
                self.mul_add(factor, term)
            }

            fn look_up(rows: &mut background::Rows<'_, Self>) {
                background::$look_up(rows);
            }

            fn walk(block: &mut Block<'_, Self>) {
                #[cfg(target_arch = "x86_64")]
                if is_x86_feature_detected!("fma") {
                    if has_wide() {
                        #[allow(
                            unsafe_code,
                            reason = "the processor has what the function is compiled for: asked just now"
                        )]
                        return unsafe { $wide(block) };
                    }
                    if is_x86_feature_detected!("avx2") {
                        #[allow(
                            unsafe_code,
                            reason = "the processor has what the function is compiled for: asked just now"
                        )]
                        return unsafe { walk::middle::walk(block) };
                    }
                }
                walk::plain::walk(block);
            }
        }
    };
}

real!(f32, wide::walk, look_up_single);
real!(f64, walk::wide::walk, look_up);

#[cfg(target_arch = "x86_64")]
pub(crate) fn has_wide() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
}

#[derive(Debug)]
pub(crate) struct Split<T> {
    pub feature: u32,
    pub test: Test<T>,
    pub children: [Child; 2],
}

/// An edge below a split; its number is twice the split's, plus its side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Child {
    /// The edge above that belongs to the same feature.
    pub above: Option<u32>,
    /// `None` when the edge ends at a leaf.
    pub split: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Test<T> {
    /// What is not larger goes left.
    Numeric { threshold: T, nan_left: bool },
    /// Asked row by row.
    Other { place: i32 },
}

#[derive(Debug)]
pub(crate) struct Plan<T> {
    pub trees: Vec<Compiled<T>>,
}

#[derive(Debug)]
pub(crate) struct Compiled<T> {
    pub points: usize,
    pub output: usize,
    /// In the order of a walk, the root first; empty when the tree is one leaf.
    pub splits: Vec<Split<T>>,
    /// By edge, for each point: what the products above are multiplied with while the row takes all splits of the feature, when it
    /// leaves, when it has left; then the weight in the feature's value in the first two cases. At a leaf its value is multiplied in,
    /// and the last two are weights of the products above.
    pub constants: Vec<T>,
}

/// What a walk through a tree works on.
pub(crate) struct Block<'b, T> {
    compiled: &'b Compiled<T>,
    tree: &'b Tree,
    /// The rows, by feature.
    columns: &'b [Lanes<T>],
    masks: &'b mut Masks,
    sums: &'b mut [Lanes<T>],
}

/// By edge: the rows that take all splits of its feature so far.
#[derive(Debug)]
pub(crate) struct Masks {
    of_lanes: Vec<Lanes<bool>>,
    /// The same for the form that has registers for masks.
    of_bits: Vec<[u16; LANES / 16]>,
}

impl Masks {
    fn new(edges: usize) -> Self {
        Self { of_lanes: vec![[false; LANES]; edges], of_bits: vec![[0; LANES / 16]; edges] }
    }
}

impl<T: Real> Plan<T> {
    pub fn new(model: &Ensemble, quadratures: &[Vec<Point>], points: &[usize]) -> Self {
        let compile = |(tree, count): (&Tree, &usize)| {
            let compiled =
                Compiled { points: *count, output: tree.output(), splits: Vec::new(), constants: Vec::new() };
            let (points, leaf_scale) = (&quadratures[*count], model.leaf_scale());
            let mut compiler = Compiler { tree, points, leaf_scale, path: Vec::new(), compiled };
            if matches!(tree.at(tree.root()), Step::Split { .. }) {
                compiler.split(tree.root());
            }
            compiler.compiled
        };
        Self { trees: model.trees().iter().zip(points).map(compile).collect() }
    }

    /// Adds the values of blocks to `values`: by block, output and feature, a number for each row. `columns` are by block and feature.
    pub fn add(&self, model: &Ensemble, columns: &[Lanes<T>], values: &mut [Lanes<f64>]) {
        let (features, outputs) = (model.features(), model.scores());
        let edges = self.trees.iter().map(|tree| 2 * tree.splits.len()).max().unwrap_or(0);
        let mut masks = Masks::new(edges);
        let mut sums = vec![[T::default(); LANES]; values.len()];
        let trees: Vec<(&Compiled<T>, &Tree)> = self.trees.iter().zip(model.trees()).collect();
        for trees in trees.chunks(TREES) {
            for (compiled, tree) in trees {
                for (columns, sums) in columns.chunks(features).zip(sums.chunks_mut(outputs * features)) {
                    let sums = &mut sums[compiled.output * features..][..features];
                    T::walk(&mut Block { compiled, tree, columns, masks: &mut masks, sums });
                }
            }
            for (value, sum) in values.iter_mut().zip(&mut sums) {
                for lane in 0..LANES {
                    value[lane] += sum[lane].wide();
                }
                *sum = [T::default(); LANES];
            }
        }
    }
}

struct Compiler<'t, T> {
    tree: &'t Tree,
    points: &'t [Point],
    leaf_scale: f64,
    /// Features of the edges above, with the edge and the shares so far.
    path: Vec<(usize, u32, f64)>,
    compiled: Compiled<T>,
}

impl<T: Real> Compiler<'_, T> {
    fn split(&mut self, place: i32) -> u32 {
        let Step::Split { feature, left, right } = self.tree.at(place) else {
            unreachable!("asked for splits only")
        };
        let number = self.compiled.splits.len() as u32;
        let test = match self.tree.threshold(place) {
            Some((threshold, nan_left)) => Test::Numeric { threshold: T::of(threshold), nan_left },
            None => Test::Other { place },
        };
        let before = self.path.iter().rev().find(|edge| edge.0 == feature).copied();
        let child = Child { above: before.map(|edge| edge.1), split: None };
        self.compiled.splits.push(Split { feature: feature as u32, test, children: [child; 2] });
        for child in [left, right] {
            let shares = before.map_or(1.0, |edge| edge.2) * share(self.tree, place, child);
            let leaf = match self.tree.at(child) {
                Step::Leaf(value) => Some(value * self.leaf_scale),
                Step::Split { .. } => None,
            };
            self.constants(before.map(|edge| edge.2), shares, leaf);
        }
        for (side, child) in [left, right].into_iter().enumerate() {
            if let Step::Split { .. } = self.tree.at(child) {
                let shares = before.map_or(1.0, |edge| edge.2) * share(self.tree, place, child);
                self.path.push((feature, 2 * number + side as u32, shares));
                let split = self.split(child);
                self.compiled.splits[number as usize].children[side].split = Some(split);
                self.path.pop();
            }
        }
        number
    }

    /// `before`: the shares of the feature's edges above, if it has any.
    fn constants(&mut self, before: Option<f64>, shares: f64, leaf: Option<f64>) {
        let value = leaf.unwrap_or(1.0);
        let old = |taken| before.map(|shares| State { taken, shares });
        let step = |old: Option<State>, taken: bool, at: f64| {
            let above = old.map_or(1.0, |old| old.factor(at));
            if above > 0.0 { State { taken, shares }.factor(at) / above } else { 0.0 }
        };
        for (was_taken, taken) in [(true, true), (true, false), (false, false)] {
            let steps = self.points.iter().map(|point| T::of(value * step(old(was_taken), taken, point.at)));
            self.compiled.constants.extend(steps);
        }
        for taken in [true, false] {
            let gains = self.points.iter().map(|point| {
                let pull = old(true).map_or(0.0, |old| old.pull(point.at));
                let gain = point.weight * (State { taken, shares }.pull(point.at) - pull);
                T::of(if leaf.is_some() { gain * value * step(old(true), taken, point.at) } else { gain })
            });
            self.compiled.constants.extend(gains);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::array::from_fn;

    use super::*;
    use crate::quadrature::gauss_legendre;

    /// Every compiled form that this processor can run.
    fn walkers<T: Real>() -> Vec<fn(&mut Block<'_, T>)> {
        let mut walkers: Vec<fn(&mut Block<'_, T>)> = vec![walk::plain::walk, T::walk];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("fma") {
            if is_x86_feature_detected!("avx2") {
                #[allow(unsafe_code, reason = "asked just now")]
                walkers.push(|block| unsafe { walk::middle::walk(block) });
            }
            if has_wide() {
                #[allow(unsafe_code, reason = "asked just now")]
                walkers.push(|block| unsafe { walk::wide::walk(block) });
            }
        }
        walkers
    }

    fn bits<T: Real>(model: &Ensemble) {
        let quadratures: Vec<_> = (0..=MOST_POINTS).map(gauss_legendre).collect();
        let value = |feature, lane| match (feature * 7 + lane * 3) % 11 {
            10 => f64::NAN,
            number => number as f64 / 3.0 - 1.5,
        };
        let columns: Vec<Lanes<T>> =
            (0..model.features()).map(|feature| from_fn(|lane| T::of(value(feature, lane)))).collect();
        for points in 4..=MOST_POINTS {
            let plan = Plan::<T>::new(model, &quadratures, &vec![points; model.trees().len()]);
            for (compiled, tree) in plan.trees.iter().zip(model.trees()) {
                let of = |walker: fn(&mut Block<'_, T>)| {
                    let mut sums = vec![[T::default(); LANES]; model.features()];
                    let mut masks = Masks::new(2 * compiled.splits.len());
                    walker(&mut Block {
                        compiled,
                        tree,
                        columns: &columns,
                        masks: &mut masks,
                        sums: &mut sums,
                    });
                    sums.iter().flatten().map(|sum| sum.wide().to_bits()).collect::<Vec<_>>()
                };
                let walkers = walkers();
                let first = of(walkers[0]);
                assert!(first.iter().any(|bits| *bits != 0), "the tree uses its features");
                walkers.into_iter().for_each(|walker| assert_eq!(of(walker), first));
            }
        }
    }

    #[test]
    fn all_forms_give_the_same_bits() {
        let golden = format!("{}/../trees/tests/golden/xgboost", env!("CARGO_MANIFEST_DIR"));
        for name in ["regression", "categorical"] {
            let file = fs_err::read(format!("{golden}/{name}.json")).expect("the model is in the repository");
            let model = Ensemble::from_xgboost(&file).expect("it is read");
            bits::<f32>(&model);
            bits::<f64>(&model);
        }
    }
}
