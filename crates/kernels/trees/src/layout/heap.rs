//! The first eight levels of trees as heaps of bytes.
//!
//! A row is the number of thresholds below each value, 0 or 255 where the value is missing, for the splits that then go left
//! or right. A heap's splits are numbered from 1 at the root, children of k are 2k and 2k+1; a leaf above the last level fills
//! all places below it, and what is deeper goes on as nodes. A byte does not count all thresholds of all trees: trees form runs
//! that it does for, and rows become bytes for each run.
//!
//! Many rows are compared with one split after the other (`columns`), one row with 64 splits at once (`words`).

pub(super) mod columns;
#[cfg(target_arch = "x86_64")]
pub(super) mod words;

use super::{Node, Real, Vectors, lay_out};
use crate::ensemble::{Ensemble, Missing, Split, Tree};

/// Levels of the largest heap.
const LEVELS: u32 = 8;
/// Thresholds of a feature in a run: a byte counts them, and 255 is what is missing.
const CUTS: usize = 255;
/// No node: it is a leaf.
const END: u32 = u32::MAX;
/// Runs shorter than this do not pay for making bytes of the rows.
const SHORTEST_RUN: usize = 8;

/// Heaps that follow each other, of trees that do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series {
    run: u32,
    tree: u32,
    trees: u32,
    /// 6, 7 or 8, of all of them.
    levels: u32,
    /// Of the first heap: its splits, and as many leaves.
    place: u32,
    /// Of the first heap, when one of the trees is deeper.
    below: Option<u32>,
    /// Of the first heap, where one row is compared with many splits: its word and its twigs.
    #[cfg(target_arch = "x86_64")]
    word: Option<(u32, u32)>,
}

impl Series {
    pub fn trees(&self) -> std::ops::Range<usize> {
        self.tree as usize..(self.tree + self.trees) as usize
    }

    /// Whether few rows go through heaps too.
    pub fn has_words(&self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.word.is_some();
        #[cfg(not(target_arch = "x86_64"))]
        false
    }
}

/// Smaller bytes than `bound` go left.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Comparison {
    /// Twice the column, and 1 where what is missing goes right.
    place: u16,
    /// Less 128, for most processors compare signed bytes.
    bound: i8,
}

/// Thresholds of a column, ascending, filled up with ∞.
#[derive(Debug, Clone)]
pub(crate) struct Cuts<T> {
    /// Every sixteenth.
    pivots: [T; 16],
    cuts: [T; 256],
}

#[derive(Debug, Clone)]
pub(super) struct Heaps<T> {
    columns: usize,
    /// By run and column.
    cuts: Vec<Cuts<T>>,
    splits: Vec<Comparison>,
    leaves: Vec<T>,
    /// By leaf of a heap: the node that goes on from there, or [`END`].
    below: Vec<u32>,
    nodes: Vec<Node<T>>,
    /// By tree: the score that it adds to.
    outputs: Vec<u32>,
    /// By tree: whether the splits of a level are one.
    is_oblivious: Vec<bool>,
    #[cfg(target_arch = "x86_64")]
    words: Vec<words::Word>,
    #[cfg(target_arch = "x86_64")]
    twigs: Vec<words::Twig<T>>,
    vectors: Vectors,
}

impl<T: Real> Heaps<T> {
    /// With the series that begins at a tree.
    pub fn new(
        model: &Ensemble,
        number_of: &[Option<u32>],
        is_plain: &[bool],
        vectors: Vectors,
    ) -> (Self, Vec<Option<Series>>) {
        let columns = number_of.iter().flatten().count();
        let mut heaps = Self {
            columns,
            cuts: Vec::new(),
            splits: Vec::new(),
            leaves: Vec::new(),
            below: Vec::new(),
            nodes: Vec::new(),
            outputs: model.trees.iter().map(|tree| tree.output as u32).collect(),
            is_oblivious: vec![false; model.trees.len()],
            #[cfg(target_arch = "x86_64")]
            words: Vec::new(),
            #[cfg(target_arch = "x86_64")]
            twigs: Vec::new(),
            vectors,
        };
        let mut found = vec![None; model.trees.len()];
        if columns > columns::MOST {
            return (heaps, found);
        }
        let mut run = Run::new(columns);
        for (number, tree) in model.trees.iter().enumerate() {
            let is_number = |node: &crate::ensemble::Node| match node.split {
                Split::Numeric { threshold, .. } => !threshold.is_nan(),
                Split::Category { .. } | Split::Listed { .. } => false,
            };
            if is_plain[number] || !tree.nodes.iter().all(is_number) {
                continue;
            }
            if !run.add(number, tree, number_of) {
                heaps.close(&run, model, number_of, &mut found);
                run = Run::new(columns);
                run.add(number, tree, number_of);
            }
        }
        heaps.close(&run, model, number_of, &mut found);
        (heaps, found)
    }

    fn close(
        &mut self,
        run: &Run,
        model: &Ensemble,
        number_of: &[Option<u32>],
        found: &mut [Option<Series>],
    ) {
        if run.trees.len() < SHORTEST_RUN.min(model.trees.len()) {
            return;
        }
        let number = self.cuts.len().checked_div(self.columns).unwrap_or(0) as u32;
        for cuts in &run.cuts {
            let cut = |place: usize| T::of(cuts.get(place).copied().unwrap_or(f64::INFINITY));
            self.cuts.push(Cuts {
                pivots: std::array::from_fn(|group| cut(group * 16 + 15)),
                cuts: std::array::from_fn(cut),
            });
        }
        #[cfg(target_arch = "x86_64")]
        let has_words = self.vectors == Vectors::Best && words::are_there() && self.columns <= words::COLUMNS;
        for trees in run.trees.chunk_by(|tree, next| tree + 1 == *next) {
            found[trees[0]] = Some(Series {
                run: number,
                tree: trees[0] as u32,
                trees: trees.len() as u32,
                levels: run.levels(),
                place: self.splits.len() as u32,
                below: (run.depth > LEVELS).then_some(self.below.len() as u32),
                #[cfg(target_arch = "x86_64")]
                word: has_words.then_some((self.words.len() as u32, self.twigs.len() as u32)),
            });
            for tree in trees {
                let first = self.splits.len();
                self.fill(&model.trees[*tree], run, number_of);
                self.is_oblivious[*tree] = (0..run.levels()).all(|level| {
                    let splits = &self.splits[first..][1 << level..2 << level];
                    splits.iter().all(|split| *split == splits[0])
                });
                #[cfg(target_arch = "x86_64")]
                if has_words {
                    self.words.push(words::Word::of(&self.splits[first..]));
                    self.twigs.extend(words::twigs(&self.splits[first..], &self.leaves[first..]));
                }
            }
        }
    }

    fn fill(&mut self, tree: &Tree, run: &Run, number_of: &[Option<u32>]) {
        let levels = run.levels();
        let mut filling = Filling {
            tree,
            number_of,
            cuts: &run.cuts,
            levels,
            splits: vec![Comparison::default(); 1 << levels],
            leaves: vec![T::default(); 1 << levels],
            below: vec![END; 1 << levels],
            nodes: &mut self.nodes,
        };
        filling.fill(tree.root(), 1);
        if run.depth > LEVELS {
            self.below.extend(filling.below);
        }
        self.splits.extend(filling.splits);
        self.leaves.extend(filling.leaves);
    }
}

/// Trees whose thresholds a byte counts.
struct Run {
    /// By column, ascending.
    cuts: Vec<Vec<f64>>,
    trees: Vec<usize>,
    /// Of the deepest one, up to [`LEVELS`] and one more.
    depth: u32,
}

impl Run {
    fn new(columns: usize) -> Self {
        Self { cuts: vec![Vec::new(); columns], trees: Vec::new(), depth: 0 }
    }

    /// Of the heaps.
    fn levels(&self) -> u32 {
        self.depth.clamp(6, LEVELS)
    }

    /// Whether the tree fits in.
    fn add(&mut self, number: usize, tree: &Tree, number_of: &[Option<u32>]) -> bool {
        let (splits, depth) = first_levels(tree, number_of);
        let mut added = Vec::new();
        let mut is_full = false;
        for (column, threshold) in splits {
            let cuts = &mut self.cuts[column];
            if let Err(place) = cuts.binary_search_by(|cut| cut.total_cmp(&threshold)) {
                cuts.insert(place, threshold);
                added.push((column, threshold));
                is_full |= cuts.len() > CUTS;
            }
        }
        if is_full {
            for (column, threshold) in added {
                self.cuts[column].retain(|cut| *cut != threshold);
            }
            return false;
        }
        self.trees.push(number);
        self.depth = self.depth.max(depth);
        true
    }
}

/// Column and threshold of the splits that a heap holds, and how deep the tree is, up to one level more.
fn first_levels(tree: &Tree, number_of: &[Option<u32>]) -> (Vec<(usize, f64)>, u32) {
    let mut splits = Vec::new();
    let mut open = vec![(tree.root(), 0)];
    let mut deepest = 0;
    while let Some((place, depth)) = open.pop() {
        deepest = deepest.max(depth);
        let Ok(node) = usize::try_from(place) else { continue };
        if depth >= LEVELS {
            deepest = LEVELS + 1;
            continue;
        }
        let node = &tree.nodes[node];
        if let (Split::Numeric { threshold, .. }, Some(column)) =
            (node.split, number_of[node.feature as usize])
        {
            // Zero has one sign here.
            splits.push((column as usize, threshold + 0.0));
        }
        open.extend([(node.left, depth + 1), (node.right, depth + 1)]);
    }
    (splits, deepest)
}

struct Filling<'f, T> {
    tree: &'f Tree,
    number_of: &'f [Option<u32>],
    cuts: &'f [Vec<f64>],
    levels: u32,
    splits: Vec<Comparison>,
    leaves: Vec<T>,
    below: Vec<u32>,
    nodes: &'f mut Vec<Node<T>>,
}

impl<T: Real> Filling<'_, T> {
    fn fill(&mut self, place: i32, number: usize) {
        let Ok(node) = usize::try_from(place) else {
            let below = self.levels - number.ilog2();
            let first = (number << below) - (1 << self.levels);
            return self.leaves[first..][..1 << below].fill(T::of(self.tree.leaves[!place as usize]));
        };
        if number >= self.splits.len() {
            self.below[number - self.splits.len()] = lay_out(self.nodes, self.tree, place, self.number_of).0;
            return;
        }
        let node = &self.tree.nodes[node];
        if let (Split::Numeric { threshold, default_left, missing }, Some(column)) =
            (node.split, self.number_of[node.feature as usize])
        {
            // What is not larger than cut number k has at most k cuts below it.
            let cut = self.cuts[column as usize].partition_point(|cut| *cut < threshold);
            let nan_left = default_left && missing != Missing::None;
            let place = 2 * column as u16 + u16::from(!nan_left);
            self.splits[number] = Comparison { place, bound: (cut as i16 - 127) as i8 };
        }
        self.fill(node.left, 2 * number);
        self.fill(node.right, 2 * number + 1);
    }
}
