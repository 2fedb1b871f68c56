//! The first eight levels of trees as heaps of bytes, compared 64 at a time by AVX-512 VBMI.
//!
//! A row is the number of thresholds below each value, 0 or 255 where the value is missing, for the splits that then go left
//! or right. A heap's splits are numbered from 1 at the root, children of k are 2k and 2k+1; a leaf above the last level fills
//! all places below it, and what is deeper goes on as nodes. A byte does not count all thresholds of all trees: trees form runs
//! that it does for, and rows become bytes for each run.

use std::arch::x86_64::*;

use super::{Node, Real, Vectors, follow, lay_out};
use crate::ensemble::{Ensemble, Missing, Split, Tree};

/// Levels of the largest heap.
const LEVELS: u32 = 8;
/// Thresholds of a feature in a run: a byte counts them, and 255 is what is missing.
const CUTS: usize = 255;
/// Columns of a row of bytes.
const COLUMNS: usize = 64;
/// Bit of the place where what is missing goes right.
const HIGH: u8 = 64;
/// No node: it is a leaf.
const END: u32 = u32::MAX;
/// Runs shorter than this do not pay for making bytes of the rows.
const SHORTEST_RUN: usize = 8;

/// Heaps that follow each other, of trees that do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series {
    run: u32,
    /// Of the first heap.
    tree: u32,
    word: u32,
    leaf: u32,
    trees: u32,
    /// 6, 7 or 8, of all of them.
    levels: u32,
    /// Of the first heap, when one of the trees is deeper.
    below: Option<u32>,
}

impl Series {
    pub fn trees(self) -> usize {
        self.trees as usize
    }
}

/// Up to 64 splits.
#[derive(Debug, Clone, Copy)]
struct Word {
    /// The place in the row's bytes.
    places: __m512i,
    /// Smaller bytes go left.
    bounds: __m512i,
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
    words: Vec<Word>,
    leaves: Vec<T>,
    /// By leaf of a heap: the node that goes on from there, or [`END`].
    below: Vec<u32>,
    nodes: Vec<Node<T>>,
    /// By tree: the score that it adds to.
    outputs: Vec<u32>,
}

/// Rows as bytes: twice 64, of which the second has 255 for what is missing.
pub(super) struct Bins {
    rows: Vec<[__m512i; 2]>,
    run: Option<u32>,
}

impl Bins {
    pub fn new(rows: usize) -> Self {
        Self { rows: vec![[vector(&[0; 64]); 2]; rows], run: None }
    }

    /// The rows are others.
    pub fn forget(&mut self) {
        self.run = None;
    }
}

impl<T: Real> Heaps<T> {
    /// With the series that begins at a tree. Without the processor's vectors there is none.
    pub fn new(
        model: &Ensemble,
        number_of: &[Option<u32>],
        is_plain: &[bool],
        vectors: Vectors,
    ) -> (Self, Vec<Option<Series>>) {
        let columns = number_of.iter().flatten().count();
        let outputs = model.trees.iter().map(|tree| tree.output as u32).collect();
        let mut heaps = Self {
            columns,
            cuts: Vec::new(),
            words: Vec::new(),
            leaves: Vec::new(),
            below: Vec::new(),
            nodes: Vec::new(),
            outputs,
        };
        let mut found = vec![None; model.trees.len()];
        let has_all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2");
        if vectors != Vectors::IfThere || !has_all || columns > COLUMNS {
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
        for trees in run.trees.chunk_by(|tree, next| tree + 1 == *next) {
            found[trees[0]] = Some(Series {
                run: number,
                tree: trees[0] as u32,
                word: self.words.len() as u32,
                leaf: self.leaves.len() as u32,
                trees: trees.len() as u32,
                levels: run.depth.clamp(6, LEVELS),
                below: (run.depth > LEVELS).then_some(self.below.len() as u32),
            });
            for tree in trees {
                self.fill(&model.trees[*tree], run, number_of);
            }
        }
    }

    fn fill(&mut self, tree: &Tree, run: &Run, number_of: &[Option<u32>]) {
        let levels = run.depth.clamp(6, LEVELS);
        let mut filling = Filling {
            tree,
            number_of,
            cuts: &run.cuts,
            levels,
            splits: vec![(0, 0); 1 << levels],
            leaves: vec![T::default(); 1 << levels],
            below: vec![END; 1 << levels],
            nodes: &mut self.nodes,
        };
        filling.fill(tree.root(), 1);
        if run.depth > LEVELS {
            self.below.extend(filling.below);
        }
        for splits in filling.splits.chunks(64) {
            let places: [u8; 64] = std::array::from_fn(|split| splits[split].0);
            let bounds: [u8; 64] = std::array::from_fn(|split| splits[split].1);
            self.words.push(Word { places: vector(&places), bounds: vector(&bounds) });
        }
        self.leaves.extend(filling.leaves);
    }

    /// Adds to the sums of every row its leaves. `values` are by row and column, `sums` by row and score; `bins` are made once for a run.
    pub fn add(
        &self,
        series: Series,
        values: &[T],
        count: usize,
        bins: &mut Bins,
        sums: &mut [T],
        scores: usize,
    ) {
        let is_binned = bins.run.replace(series.run) == Some(series.run);
        #[allow(unsafe_code, reason = "there are no heaps without the processor's vectors")]
        unsafe {
            if !is_binned {
                self.bin(series.run, values, &mut bins.rows[..count]);
            }
            let bins = &bins.rows[..count];
            match (series.levels, series.below) {
                (6, _) => self.add_leaves::<6, 1, 64, false>(series, bins, values, sums, scores),
                (7, _) => self.add_leaves::<7, 2, 128, false>(series, bins, values, sums, scores),
                (_, None) => self.add_leaves::<8, 4, 256, false>(series, bins, values, sums, scores),
                (_, Some(_)) => self.add_leaves::<8, 4, 256, true>(series, bins, values, sums, scores),
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,popcnt,bmi1,bmi2")]
    fn bin(&self, run: u32, values: &[T], bins: &mut [[__m512i; 2]]) {
        let width = self.columns;
        let cuts = &self.cuts[run as usize * width..][..width];
        for (row, bins) in bins.iter_mut().enumerate() {
            let (mut low, mut high) = ([0u8; 64], [0u8; 64]);
            let values = &values[row * width..][..width];
            for (column, (value, cuts)) in values.iter().zip(cuts).enumerate() {
                let below = T::below(cuts, *value);
                let missing = u8::from(value.is_nan()).wrapping_neg();
                low[column & 63] = below & !missing;
                high[column & 63] = below | missing;
            }
            *bins = [vector(&low), vector(&high)];
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,bmi2")]
    fn add_leaves<const LEVELS: usize, const WORDS: usize, const LEAVES: usize, const IS_DEEP: bool>(
        &self,
        series: Series,
        bins: &[[__m512i; 2]],
        values: &[T],
        sums: &mut [T],
        scores: usize,
    ) {
        let (words, _) = self.words[series.word as usize..].as_chunks::<WORDS>();
        let (leaves, _) = self.leaves[series.leaf as usize..].as_chunks::<LEAVES>();
        let outputs = &self.outputs[series.tree as usize..][..series.trees()];
        for (tree, ((output, words), leaves)) in outputs.iter().zip(words).zip(leaves).enumerate() {
            let sums = sums[*output as usize..].iter_mut().step_by(scores);
            for (row, (bins, sum)) in bins.iter().zip(sums).enumerate() {
                let mut goes_right = [0u64; WORDS];
                for (mask, word) in goes_right.iter_mut().zip(words) {
                    let bytes = _mm512_permutex2var_epi8(bins[0], word.places, bins[1]);
                    *mask = _mm512_cmpge_epu8_mask(bytes, word.bounds);
                }
                let mut place = six_levels(goes_right[0]);
                if LEVELS > 6 {
                    place = one_level(goes_right[1 % WORDS], place);
                }
                if LEVELS > 7 {
                    place = last_level(goes_right[2 % WORDS], goes_right[3 % WORDS], place);
                }
                let leaf = place as usize % LEAVES;
                if IS_DEEP {
                    let below = self.below[series.below.unwrap_or_default() as usize + tree * LEAVES + leaf];
                    if below != END {
                        let row = &values[row * self.columns..][..self.columns];
                        *sum = sum.plus(follow(&self.nodes, below, row));
                        continue;
                    }
                }
                *sum = sum.plus(leaves[leaf]);
            }
        }
    }
}

/// The place below the root after six splits: a bit of `goes_right` for each. Two instructions take a step: `bt` puts the bit of
/// the place, modulo 64, into the carry, with which `adc` doubles the place.
#[inline(always)]
fn six_levels(goes_right: u64) -> u64 {
    let mut place = 1;
    for _ in 0..6 {
        place = one_level(goes_right, place);
    }
    place
}

#[inline(always)]
fn one_level(goes_right: u64, place: u64) -> u64 {
    let mut below = place;
    #[allow(
        unsafe_code,
        reason = "two instructions on registers; the compiler's own take a third one, or a branch that nobody predicts"
    )]
    unsafe {
        std::arch::asm!(
            "bt {bits}, {place}",
            "adc {place}, {place}",
            bits = in(reg) goes_right,
            place = inout(reg) below,
            options(pure, nomem, nostack)
        );
    }
    below
}

/// Of 128 splits.
#[inline(always)]
fn last_level(first: u64, second: u64, place: u64) -> u64 {
    let mut below = place;
    #[allow(
        unsafe_code,
        reason = "four instructions on registers, without the branch that the compiler makes of the choice"
    )]
    unsafe {
        std::arch::asm!(
            "test {place:l}, 64",
            "cmovnz {first}, {second}",
            "bt {first}, {place}",
            "adc {place}, {place}",
            first = inout(reg) first => _,
            second = in(reg) second,
            place = inout(reg) below,
            options(pure, nomem, nostack)
        );
    }
    below
}

#[inline]
#[target_feature(enable = "avx512f,popcnt")]
pub(super) fn below_single(cuts: &Cuts<f32>, value: f32) -> u8 {
    let value = _mm512_set1_ps(value);
    let count = |cuts: &[f32; 16]| {
        #[allow(unsafe_code, reason = "sixteen floats are a vector")]
        let cuts = unsafe { _mm512_loadu_ps(cuts.as_ptr()) };
        _mm512_cmp_ps_mask::<_CMP_LT_OQ>(cuts, value).count_ones() as usize
    };
    let (groups, _) = cuts.cuts.as_chunks();
    // The last pivot is ∞, which is below nothing.
    let group = count(&cuts.pivots) & 15;
    (group * 16 + count(&groups[group])) as u8
}

#[inline]
#[target_feature(enable = "avx512f,popcnt")]
pub(super) fn below_double(cuts: &Cuts<f64>, value: f64) -> u8 {
    let value = _mm512_set1_pd(value);
    let count = |cuts: &[f64; 16]| {
        #[allow(unsafe_code, reason = "sixteen floats are two vectors")]
        let (first, second) =
            unsafe { (_mm512_loadu_pd(cuts.as_ptr()), _mm512_loadu_pd(cuts.as_ptr().add(8))) };
        let below = |cuts| _mm512_cmp_pd_mask::<_CMP_LT_OQ>(cuts, value).count_ones() as usize;
        below(first) + below(second)
    };
    let (groups, _) = cuts.cuts.as_chunks();
    let group = count(&cuts.pivots) & 15;
    (group * 16 + count(&groups[group])) as u8
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
    /// Place and bound.
    splits: Vec<(u8, u8)>,
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
            let place = column as u8 | if nan_left { 0 } else { HIGH };
            self.splits[number] = (place, cut as u8 + 1);
        }
        self.fill(node.left, 2 * number);
        self.fill(node.right, 2 * number + 1);
    }
}

fn vector(bytes: &[u8; 64]) -> __m512i {
    #[allow(unsafe_code, reason = "64 bytes are a vector of 64 bytes")]
    unsafe {
        std::mem::transmute(*bytes)
    }
}
