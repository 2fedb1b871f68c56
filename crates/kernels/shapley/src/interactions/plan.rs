//! What is calculated once for a model, beside the constants of its values, and the sums of its trees.

use std::collections::BTreeMap;

use kernel_trees::{Ensemble, Step, Tree};

use super::matrix::{cell, cells};
use super::walk::{Pass, walk};
use crate::block::{self, Compiled, LANES, Lanes, MOST_POINTS, Real};
use crate::path::{State, share};
use crate::quadrature::Point;

/// Sums of so many trees are taken with the floats of a block before they are added up with 64 bits.
const TREES: usize = 16;

#[derive(Debug)]
pub(crate) struct Plan<T> {
    groups: Vec<Group<T>>,
    /// The most splits of a tree, and on a path.
    splits: usize,
    levels: usize,
}

/// Trees of an output that are summed together.
#[derive(Debug)]
struct Group<T> {
    output: usize,
    /// That its trees add to: cells of a matrix, by their number here.
    cells: Vec<usize>,
    /// With their numbers in the model.
    trees: Vec<(usize, Pairs<T>)>,
}

#[derive(Debug)]
pub(super) struct Pairs<T> {
    pub splits: Vec<Split>,
    pub partners: Vec<Partner>,
    /// By edge, for each point: the pull of its feature on rows that take all of its splits; and on rows that have left.
    pub pulls: Vec<T>,
    pub lost: Vec<T>,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Split {
    /// The cell of its feature's own value.
    pub own: u32,
    /// Its partners are `count` from `first`.
    pub first: u32,
    pub count: u32,
}

/// Another feature above a split.
#[derive(Debug)]
pub(super) struct Partner {
    /// Of its last split.
    pub level: u32,
    pub cell: u32,
}

impl<T: Real> Plan<T> {
    pub fn new(model: &Ensemble, blocks: &block::Plan<T>, quadratures: &[Vec<Point>]) -> Self {
        let mut plan = Self { groups: Vec::new(), splits: 0, levels: 0 };
        for output in 0..model.scores() {
            let trees = blocks.trees.iter().enumerate();
            let trees = trees.filter(|(_, tree)| tree.output == output && !tree.splits.is_empty());
            let numbers: Vec<usize> = trees.map(|(number, _)| number).collect();
            for numbers in numbers.chunks(TREES) {
                let group = plan.group(model, blocks, quadratures, output, numbers);
                plan.groups.push(group);
            }
        }
        plan
    }

    fn group(
        &mut self,
        model: &Ensemble,
        blocks: &block::Plan<T>,
        quadratures: &[Vec<Point>],
        output: usize,
        numbers: &[usize],
    ) -> Group<T> {
        let mut met = Met { features: model.features(), numbers: BTreeMap::new(), cells: Vec::new() };
        let mut trees = Vec::with_capacity(numbers.len());
        for number in numbers {
            let (compiled, tree) = (&blocks.trees[*number], &model.trees()[*number]);
            let points = &quadratures[compiled.points];
            let splits = compiled.splits.len();
            let pairs = Pairs {
                splits: vec![Split::default(); splits],
                partners: Vec::new(),
                pulls: vec![T::default(); 2 * splits * points.len()],
                lost: points.iter().map(|point| T::of(-1.0 / (1.0 - point.at))).collect(),
            };
            let mut compiler =
                Compiler { tree, compiled, points, met: &mut met, path: Vec::new(), levels: 0, pairs };
            compiler.split(tree.root(), 0);
            self.splits = self.splits.max(splits);
            self.levels = self.levels.max(compiler.levels);
            trees.push((*number, compiler.pairs));
        }
        Group { output, cells: met.cells, trees }
    }

    /// Adds the indices of pairs and the values of features to `totals`: by block and cell, of one output. `columns` are by block and feature.
    pub fn add(
        &self,
        model: &Ensemble,
        blocks: &block::Plan<T>,
        output: usize,
        columns: &[Lanes<T>],
        totals: &mut [Lanes<f64>],
    ) {
        let features = model.features();
        let mut marks = vec![[false; LANES]; 2 * self.splits];
        let mut pulls = vec![[T::default(); LANES]; self.levels * MOST_POINTS];
        let mut sums = Vec::new();
        for group in self.groups.iter().filter(|group| group.output == output) {
            for (columns, totals) in columns.chunks(features).zip(totals.chunks_mut(cells(features))) {
                sums.clear();
                sums.resize(group.cells.len(), [T::default(); LANES]);
                for (number, pairs) in &group.trees {
                    walk(&mut Pass {
                        compiled: &blocks.trees[*number],
                        pairs,
                        tree: &model.trees()[*number],
                        columns,
                        marks: &mut marks,
                        pulls: &mut pulls,
                        sums: &mut sums,
                    });
                }
                for (cell, sum) in group.cells.iter().zip(&sums) {
                    for (total, sum) in totals[*cell].iter_mut().zip(sum) {
                        *total += sum.wide();
                    }
                }
            }
        }
    }
}

/// Cells in the order in which they are met.
struct Met {
    features: usize,
    numbers: BTreeMap<usize, u32>,
    cells: Vec<usize>,
}

impl Met {
    fn number(&mut self, one: usize, other: usize) -> u32 {
        let cell = cell(self.features, one, other);
        *self.numbers.entry(cell).or_insert_with(|| {
            self.cells.push(cell);
            self.cells.len() as u32 - 1
        })
    }
}

struct Compiler<'t, T> {
    tree: &'t Tree,
    compiled: &'t Compiled<T>,
    points: &'t [Point],
    met: &'t mut Met,
    /// By level: the feature of the edge, and its shares so far.
    path: Vec<(usize, f64)>,
    levels: usize,
    pairs: Pairs<T>,
}

impl<T: Real> Compiler<'_, T> {
    fn split(&mut self, place: i32, number: u32) {
        let Step::Split { feature, left, right } = self.tree.at(place) else {
            unreachable!("asked for splits only")
        };
        self.levels = self.levels.max(self.path.len() + 1);
        let own = self.met.number(feature, feature);
        let first = self.pairs.partners.len();
        for (level, (other, _)) in self.path.iter().enumerate() {
            let is_last = self.path[level + 1..].iter().all(|(later, _)| later != other);
            if is_last && *other != feature {
                let cell = self.met.number(feature, *other);
                self.pairs.partners.push(Partner { level: level as u32, cell });
            }
        }
        let count = (self.pairs.partners.len() - first) as u32;
        self.pairs.splits[number as usize] = Split { own, first: first as u32, count };
        let before = self.path.iter().rev().find(|(other, _)| *other == feature).map_or(1.0, |edge| edge.1);
        let children = self.compiled.splits[number as usize].children;
        for (side, (child, place_below)) in children.into_iter().zip([left, right]).enumerate() {
            let Some(below) = child.split else { continue };
            let shares = before * share(self.tree, place, place_below);
            let state = State { taken: true, shares };
            let (edge, count) = (2 * number as usize + side, self.points.len());
            let pulls = &mut self.pairs.pulls[edge * count..][..count];
            for (pull, point) in pulls.iter_mut().zip(self.points) {
                *pull = T::of(state.pull(point.at));
            }
            self.path.push((feature, shares));
            self.split(place_below, below);
            self.path.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::array::from_fn;

    use super::*;
    use crate::interactions::walk::forms;
    use crate::quadrature::gauss_legendre;

    fn bits<T: Real>(model: &Ensemble) {
        let quadratures: Vec<_> = (0..=MOST_POINTS).map(gauss_legendre).collect();
        let value = |feature, lane| match (feature * 7 + lane * 3) % 11 {
            10 => f64::NAN,
            number => number as f64 / 3.0 - 1.5,
        };
        let columns: Vec<Lanes<T>> =
            (0..model.features()).map(|feature| from_fn(|lane| T::of(value(feature, lane)))).collect();
        for points in 3..=MOST_POINTS {
            let blocks = block::Plan::<T>::new(model, &quadratures, &vec![points; model.trees().len()]);
            let plan = Plan::new(model, &blocks, &quadratures);
            assert!(!plan.groups.is_empty(), "the model has splits");
            for group in &plan.groups {
                for (number, pairs) in &group.trees {
                    let of = |form: fn(&mut Pass<'_, T>)| {
                        let mut sums = vec![[T::default(); LANES]; group.cells.len()];
                        form(&mut Pass {
                            compiled: &blocks.trees[*number],
                            pairs,
                            tree: &model.trees()[*number],
                            columns: &columns,
                            marks: &mut vec![[false; LANES]; 2 * plan.splits],
                            pulls: &mut vec![[T::default(); LANES]; plan.levels * MOST_POINTS],
                            sums: &mut sums,
                        });
                        sums.iter().flatten().map(|sum| sum.wide().to_bits()).collect::<Vec<_>>()
                    };
                    let forms = forms();
                    let first = of(forms[0]);
                    assert!(first.iter().any(|bits| *bits != 0), "the tree uses its features");
                    forms.into_iter().for_each(|form| assert_eq!(of(form), first));
                }
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
