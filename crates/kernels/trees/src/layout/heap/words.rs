//! One row and 64 splits at once, with AVX-512 VBMI.

use std::arch::x86_64::*;

use super::{Comparison, Cuts, END, Heaps, Series};
use crate::layout::{Real, follow};

/// Columns of a row of bytes.
pub(super) const COLUMNS: usize = 64;
/// Bit of the place where what is missing goes right.
const HIGH: u8 = 64;

/// Up to 64 splits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    /// The place in the row's bytes.
    places: __m512i,
    /// Smaller bytes go left.
    bounds: __m512i,
}

/// The bytes of a row: twice 64, of which the second has 255 for what is missing.
type Row = [__m512i; 2];

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

/// The words of a heap.
pub(super) fn of(splits: &[Comparison]) -> impl Iterator<Item = Word> {
    let (words, _) = splits.as_chunks::<64>();
    words.iter().map(|splits| {
        let place =
            |split: &Comparison| (split.place / 2) as u8 | if split.place % 2 == 1 { HIGH } else { 0 };
        let places: [u8; 64] = std::array::from_fn(|split| place(&splits[split]));
        let bounds: [u8; 64] = std::array::from_fn(|split| splits[split].bound as u8 ^ 128);
        Word { places: vector(&places), bounds: vector(&bounds) }
    })
}

/// Rows as bytes, made once for a run.
pub(crate) struct Bins {
    rows: Vec<Row>,
    run: Option<u32>,
}

impl Bins {
    pub fn new(rows: usize) -> Self {
        Self { rows: vec![[vector(&[0; 64]); 2]; rows], run: None }
    }
}

impl<T: Real> Heaps<T> {
    /// Adds to the sums of every row its leaves. `values` are by row and column, `sums` by row and score. Only for a series that has words.
    pub fn add_rows(&self, series: Series, values: &[T], bins: &mut Bins, sums: &mut [T], scores: usize) {
        let Some(word) = series.word else { return };
        let is_binned = bins.run.replace(series.run) == Some(series.run);
        let word = word as usize;
        #[allow(unsafe_code, reason = "there are no words without the processor's vectors")]
        unsafe {
            if !is_binned {
                self.bin(series.run, values, &mut bins.rows);
            }
            match (series.levels, series.below) {
                (6, _) => self.add_leaves::<6, 1, 64, false>(series, word, &bins.rows, values, sums, scores),
                (7, _) => self.add_leaves::<7, 2, 128, false>(series, word, &bins.rows, values, sums, scores),
                (_, None) => {
                    self.add_leaves::<8, 4, 256, false>(series, word, &bins.rows, values, sums, scores)
                }
                (_, Some(_)) => {
                    self.add_leaves::<8, 4, 256, true>(series, word, &bins.rows, values, sums, scores)
                }
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,popcnt,bmi1,bmi2")]
    fn bin(&self, run: u32, values: &[T], bins: &mut [Row]) {
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
        word: usize,
        bins: &[Row],
        values: &[T],
        sums: &mut [T],
        scores: usize,
    ) {
        let (words, _) = self.words[word..].as_chunks::<WORDS>();
        let (leaves, _) = self.leaves[series.place as usize..].as_chunks::<LEAVES>();
        let outputs = &self.outputs[series.trees()];
        let below =
            series.below.map_or(&[][..], |first| self.below[first as usize..].as_chunks::<LEAVES>().0);
        if let ([row], [sum]) = (bins, &mut *sums) {
            // A sum in a register does not wait for memory.
            let mut own = *sum;
            for (tree, (words, leaves)) in words.iter().zip(leaves).take(outputs.len()).enumerate() {
                let leaf = leaf_of::<LEVELS, WORDS, LEAVES>(words, row);
                let deeper = if IS_DEEP { below[tree][leaf] } else { END };
                own = own.plus(match deeper {
                    END => leaves[leaf],
                    deeper => follow(&self.nodes, deeper, values),
                });
            }
            *sum = own;
            return;
        }
        for (tree, ((output, words), leaves)) in outputs.iter().zip(words).zip(leaves).enumerate() {
            for (number, row) in bins.iter().enumerate() {
                let leaf = leaf_of::<LEVELS, WORDS, LEAVES>(words, row);
                let deeper = if IS_DEEP { below[tree][leaf] } else { END };
                let sum = &mut sums[number * scores + *output as usize];
                *sum = sum.plus(match deeper {
                    END => leaves[leaf],
                    deeper => follow(&self.nodes, deeper, &values[number * self.columns..][..self.columns]),
                });
            }
        }
    }
}

/// The leaf of a heap that a row comes to.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,bmi2")]
fn leaf_of<const LEVELS: usize, const WORDS: usize, const LEAVES: usize>(
    words: &[Word; WORDS],
    row: &Row,
) -> usize {
    let mut goes_right = [0u64; WORDS];
    for (mask, word) in goes_right.iter_mut().zip(words) {
        let bytes = _mm512_permutex2var_epi8(row[0], word.places, row[1]);
        *mask = _mm512_cmpge_epu8_mask(bytes, word.bounds);
    }
    let mut place = six_levels(goes_right[0]);
    if LEVELS > 6 {
        place = one_level(goes_right[1 % WORDS], place);
    }
    if LEVELS > 7 {
        place = last_level(goes_right[2 % WORDS], goes_right[3 % WORDS], place);
    }
    place as usize % LEAVES
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
