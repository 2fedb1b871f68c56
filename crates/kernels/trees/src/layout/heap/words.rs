//! One row at a time, with AVX-512 VBMI: six levels of a tree are compared at once.
//!
//! What hangs below is 64 twigs, of which the row comes to one. A twig holds the three splits of two more levels and their leaves
//! side by side: to bring all splits of those levels to the processor takes longer. The twigs of many trees are sought before
//! the first is looked at, so that memory brings them meanwhile.

use std::arch::x86_64::*;

use super::{Comparison, Cuts, END, Heaps, Series};
use crate::layout::{Real, follow};

/// Columns of a row of bytes.
pub(super) const COLUMNS: usize = 64;
/// Bit of the place where what is missing goes right.
const HIGH: u8 = 64;
/// Trees whose twigs are sought together.
const TOGETHER: usize = 64;

/// The splits of six levels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    /// The place in the row's bytes.
    places: __m512i,
    /// Smaller bytes go left.
    bounds: __m512i,
}

/// Two levels: a split, those on its left and right, and the leaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Twig<T> {
    leaves: [T; 4],
    places: [u8; 3],
    bounds: [u8; 3],
}

/// The bytes of a row: twice 64, of which the second has 255 for what is missing.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Row([u8; 128]);

/// Whether the processor has what the functions here are compiled for.
pub(super) fn are_there() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
}

fn place_of(split: Comparison) -> u8 {
    (split.place / 2) as u8 | if split.place % 2 == 1 { HIGH } else { 0 }
}

fn bound_of(split: Comparison) -> u8 {
    split.bound as u8 ^ 128
}

impl Word {
    /// The first seven bits are the upper three levels; seven follow for each of the eight subtrees below.
    pub fn of(splits: &[Comparison]) -> Self {
        let split = |bit: usize| match bit {
            ..7 => splits[bit + 1],
            // A bit too many.
            63.. => Comparison::default(),
            _ => {
                let (root, number) = (8 + (bit - 7) / 7, (bit - 7) % 7 + 1);
                let level = number.ilog2();
                splits[(root << level) + number - (1 << level)]
            }
        };
        let places: [u8; 64] = std::array::from_fn(|bit| place_of(split(bit)));
        let bounds: [u8; 64] = std::array::from_fn(|bit| bound_of(split(bit)));
        Self { places: vector(&places), bounds: vector(&bounds) }
    }
}

/// The twigs of a heap of seven or eight levels; one of six has none.
pub(super) fn twigs<T: Real>(splits: &[Comparison], leaves: &[T]) -> Vec<Twig<T>> {
    let twig = |number: usize| {
        let split = |number: usize| splits.get(number).copied().unwrap_or_default();
        let own = [split(64 + number), split(128 + 2 * number), split(129 + 2 * number)];
        // Without an eighth level both leaves below a split are the same.
        let leaf = |leaf: usize| leaves[(4 * number + leaf) * splits.len() / 256];
        Twig { leaves: std::array::from_fn(leaf), places: own.map(place_of), bounds: own.map(bound_of) }
    };
    if splits.len() > 64 { (0..64).map(twig).collect() } else { Vec::new() }
}

/// By the bits of a split, the two below it and their four: which of the eight places below a row comes to.
const PLACES: [u8; 128] = {
    let mut places = [0; 128];
    let mut bits = 0;
    while bits < 128 {
        let first = bits & 1;
        let second = bits >> (1 + first) & 1;
        let third = bits >> (3 + 2 * first + second) & 1;
        places[bits] = (4 * first + 2 * second + third) as u8;
        bits += 1;
    }
    places
};

/// By the bits of the upper three levels: how far the bits of the subtree below lie, and, from bit 6 on, eight times its number.
const SUBTREES: [u16; 128] = {
    let mut subtrees = [0; 128];
    let mut bits = 0;
    while bits < 128 {
        let subtree = PLACES[bits] as u16;
        subtrees[bits] = (7 + 7 * subtree) | (8 * subtree) << 6;
        bits += 1;
    }
    subtrees
};

/// The last row that became bytes, and for which run.
pub(crate) struct Bins {
    of: Option<(u32, usize)>,
    row: Row,
}

impl Bins {
    pub fn new() -> Self {
        Self { of: None, row: Row([0; 128]) }
    }
}

impl<T: Real> Heaps<T> {
    /// Adds to the sums of every row its leaves. `values` are by row and column, `sums` by row and score. Only for a series that has words.
    pub fn add_rows(&self, series: Series, values: &[T], bins: &mut Bins, sums: &mut [T], scores: usize) {
        let Some((word, twig)) = series.word else { return };
        let words = &self.words[word as usize..][..series.trees as usize];
        let (twigs, _) = self.twigs[twig as usize..].as_chunks::<64>();
        let (leaves, _) = self.leaves[series.place as usize..].as_chunks::<64>();
        for (number, sums) in sums.chunks_exact_mut(scores).enumerate() {
            let values = &values[number * self.columns..][..self.columns];
            #[allow(unsafe_code, reason = "there are no words without the processor's vectors")]
            unsafe {
                if bins.of.replace((series.run, number)) != Some((series.run, number)) {
                    bins.row = self.bin(series.run, values);
                }
                let row = &bins.row;
                let Some(below) = series.below.filter(|_| series.levels > 7) else {
                    match series.levels {
                        6 => self.add_row(series, words, row, leaves, sums, |_, leaves, place| leaves[place]),
                        _ => self.add_row(
                            series,
                            words,
                            row,
                            twigs,
                            sums,
                            |_, twigs: &[Twig<T>; 64], place| {
                                let twig = &twigs[place];
                                twig.leaves[twig.follow(row)]
                            },
                        ),
                    }
                    continue;
                };
                let (below, _) = self.below[below as usize..].as_chunks::<256>();
                self.add_row(series, words, row, twigs, sums, |tree, twigs: &[Twig<T>; 64], place| {
                    let twig = &twigs[place];
                    let leaf = twig.follow(row);
                    match below[tree][4 * place + leaf] {
                        END => twig.leaves[leaf],
                        below => follow(&self.nodes, below, values),
                    }
                });
            }
        }
    }

    /// `leaf` takes the number of a tree in the series, what hangs below its six levels, and the place there.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,bmi2")]
    fn add_row<B>(
        &self,
        series: Series,
        words: &[Word],
        row: &Row,
        below: &[[B; 64]],
        sums: &mut [T],
        leaf: impl Fn(usize, &[B; 64], usize) -> T,
    ) {
        let outputs = &self.outputs[series.trees()];
        for (batch, (words, below)) in words.chunks(TOGETHER).zip(below.chunks(TOGETHER)).enumerate() {
            let mut places = [0u8; TOGETHER];
            for ((place, word), below) in places.iter_mut().zip(words).zip(below) {
                *place = word.place(row);
                _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(&below[usize::from(*place) % 64]).cast());
            }
            let trees = batch * TOGETHER..batch * TOGETHER + words.len();
            let found = trees.clone().zip(below).zip(&places);
            let leaves = found.map(|((tree, below), place)| leaf(tree, below, usize::from(*place) % 64));
            if let [sum] = sums {
                // A sum in a register does not wait for memory.
                let mut own = *sum;
                leaves.for_each(|leaf| own = own.plus(leaf));
                *sum = own;
                continue;
            }
            for (leaf, output) in leaves.zip(&outputs[trees]) {
                let sum = &mut sums[*output as usize];
                *sum = sum.plus(leaf);
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,popcnt,bmi1,bmi2")]
    fn bin(&self, run: u32, values: &[T]) -> Row {
        let width = self.columns;
        let cuts = &self.cuts[run as usize * width..][..width];
        let mut row = Row([0; 128]);
        let (low, high) = row.0.split_at_mut(64);
        for (((value, cuts), low), high) in values.iter().zip(cuts).zip(low).zip(high) {
            let below = T::below(cuts, *value);
            let missing = u8::from(value.is_nan()).wrapping_neg();
            (*low, *high) = (below & !missing, below | missing);
        }
        row
    }
}

impl Word {
    /// Of the 64 places below six levels, where a row comes to: three levels at a time are looked up, for a step per level would
    /// leave no room in the processor for the trees that follow.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,bmi2")]
    fn place(&self, row: &Row) -> u8 {
        #[allow(unsafe_code, reason = "128 bytes, at a multiple of 64, are two vectors")]
        let [low, high]: [__m512i; 2] = unsafe { std::mem::transmute(*row) };
        let bytes = _mm512_permutex2var_epi8(low, self.places, high);
        let goes_right = _mm512_cmpge_epu8_mask(bytes, self.bounds);
        let subtree = SUBTREES[goes_right as usize % 128];
        // A shift takes the last six bits of its distance.
        let place = PLACES[goes_right.wrapping_shr(u32::from(subtree)) as usize % 128];
        (subtree >> 6) as u8 + place
    }
}

impl<T> Twig<T> {
    /// Which of its leaves a row comes to.
    #[inline(always)]
    fn follow(&self, row: &Row) -> usize {
        let goes_right =
            |split: usize| usize::from(row.0[usize::from(self.places[split]) % 128] >= self.bounds[split]);
        let first = goes_right(0);
        2 * first + goes_right(1 + first)
    }
}

#[inline]
#[target_feature(enable = "avx512f,popcnt")]
pub(crate) fn below_single(cuts: &Cuts<f32>, value: f32) -> u8 {
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
pub(crate) fn below_double(cuts: &Cuts<f64>, value: f64) -> u8 {
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

fn vector(bytes: &[u8; 64]) -> __m512i {
    #[allow(unsafe_code, reason = "64 bytes are a vector of 64 bytes")]
    unsafe {
        std::mem::transmute(*bytes)
    }
}
