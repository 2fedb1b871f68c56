//! Many rows and one split at a time: bytes of a column are compared, and what a row comes to is chosen from the leaves up.

#![allow(clippy::needless_range_loop, reason = "a closure would be compiled without the vectors")]

use super::{Comparison, Cuts, END, Heaps, Series};
use crate::layout::{ROWS, Real, Vectors, follow};

/// Columns that a place counts.
pub(super) const MOST: usize = 1 << 15;
/// Rows that a loop takes.
const LANES: usize = 32;
/// A heap has so many subtrees of three levels at most, and as many splits above them.
const FOUND: usize = 64;

/// A byte of each row; 128 less than the number of thresholds, for comparisons know signed bytes.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Column([i8; ROWS]);

/// Rows as bytes, made once for a run.
pub(crate) struct Bins {
    /// By place: what is missing is the least, or the largest.
    columns: Vec<Column>,
    found: [Column; FOUND],
    run: Option<u32>,
}

impl Bins {
    pub fn new(columns: usize) -> Self {
        let empty = Column([0; ROWS]);
        Self { columns: vec![empty; 2 * columns.max(1)], found: [empty; FOUND], run: None }
    }

    /// The rows are others.
    pub fn forget(&mut self) {
        self.run = None;
    }
}

impl<T: Real> Heaps<T> {
    /// Adds to the sums of `count` rows their leaves. `values` are by row and column, `sums` by row and score.
    pub fn add_columns(
        &self,
        series: Series,
        values: &[T],
        count: usize,
        bins: &mut Bins,
        sums: &mut [T],
        scores: usize,
    ) {
        let width = self.columns;
        if bins.run.replace(series.run) != Some(series.run) && width > 0 {
            let cuts = &self.cuts[series.run as usize * width..][..width];
            let values = &values[..count * width];
            bin(self.vectors, cuts, values, &mut bins.columns);
        }
        match series.levels {
            6 => self.add::<6, 64>(series, values, count, bins, sums, scores),
            7 => self.add::<7, 128>(series, values, count, bins, sums, scores),
            _ => self.add::<8, 256>(series, values, count, bins, sums, scores),
        }
    }

    fn add<const LEVELS: usize, const PLACES: usize>(
        &self,
        series: Series,
        values: &[T],
        count: usize,
        bins: &mut Bins,
        sums: &mut [T],
        scores: usize,
    ) {
        let (splits, _) = self.splits[series.place as usize..].as_chunks::<PLACES>();
        let (leaves, _) = self.leaves[series.place as usize..].as_chunks::<PLACES>();
        let (outputs, is_oblivious) = (&self.outputs[series.trees()], &self.is_oblivious[series.trees()]);
        let Bins { columns, found, .. } = bins;
        for (tree, ((output, splits), leaves)) in outputs.iter().zip(splits).zip(leaves).enumerate() {
            match is_oblivious[tree] {
                true => descend::<LEVELS, PLACES>(self.vectors, splits, columns, count, &mut found[1]),
                false => choose::<LEVELS, PLACES>(self.vectors, splits, columns, count, found),
            }
            let places = &found[1].0[..count];
            let sums = sums[*output as usize..].iter_mut().step_by(scores);
            let Some(below) = series.below else {
                for (sum, place) in sums.zip(places) {
                    *sum = sum.plus(leaves[usize::from(*place as u8) % PLACES]);
                }
                continue;
            };
            let below = &self.below[below as usize + tree * PLACES..][..PLACES];
            for (row, (sum, place)) in sums.zip(places).enumerate() {
                let place = usize::from(*place as u8) % PLACES;
                *sum = sum.plus(match below[place] {
                    END => leaves[place],
                    below => follow(&self.nodes, below, &values[row * self.columns..][..self.columns]),
                });
            }
        }
    }
}

/// A function compiled for several processors.
macro_rules! dispatch {
    ($vectors:expr, $call:ident $types:tt $arguments:tt) => {
        dispatch!(@ $vectors, $call, $types, $arguments)
    };
    (@ $vectors:expr, $call:ident, [$($types:tt)*], $arguments:tt) => {{
        #[cfg(target_arch = "x86_64")]
        {
            #[allow(unsafe_code, reason = "the processor has what the function is compiled for: asked just now")]
            unsafe {
                let has_avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt");
                if $vectors == Vectors::Best && has_avx2 && is_x86_feature_detected!("avx512vl") && is_x86_feature_detected!("avx512f") {
                    return wide::$call::<$($types)*> $arguments;
                }
                if $vectors != Vectors::Unused && has_avx2 {
                    return middle::$call::<$($types)*> $arguments;
                }
            }
        }
        plain::$call::<$($types)*> $arguments
    }};
}

fn bin<T: Real>(vectors: Vectors, cuts: &[Cuts<T>], values: &[T], columns: &mut [Column]) {
    dispatch!(vectors, bin[T](cuts, values, columns))
}

/// Where rows come to among the places below a heap: `found[1]`.
fn choose<const LEVELS: usize, const PLACES: usize>(
    vectors: Vectors,
    splits: &[Comparison; PLACES],
    columns: &[Column],
    count: usize,
    found: &mut [Column; FOUND],
) {
    dispatch!(vectors, choose[LEVELS, PLACES](splits, columns, count, found))
}

/// The same, of a heap whose splits of a level are one.
fn descend<const LEVELS: usize, const PLACES: usize>(
    vectors: Vectors,
    splits: &[Comparison; PLACES],
    columns: &[Column],
    count: usize,
    places: &mut Column,
) {
    dispatch!(vectors, descend[LEVELS, PLACES](splits, columns, count, places))
}

type Lanes = [i8; LANES];

#[inline(always)]
fn lanes(bytes: &[i8; ROWS], block: usize) -> &Lanes {
    &bytes.as_chunks().0[block % (ROWS / LANES)]
}

#[inline(always)]
fn lanes_mut(bytes: &mut [i8; ROWS], block: usize) -> &mut Lanes {
    &mut bytes.as_chunks_mut().0[block % (ROWS / LANES)]
}

/// On any processor.
mod portable {
    use super::{Cuts, LANES, Lanes, Real};

    /// How many cuts lie below a value.
    #[inline(always)]
    pub(super) fn below<T: Real>(cuts: &Cuts<T>, value: T) -> u8 {
        let mut group = 0;
        for pivot in &cuts.pivots {
            group += usize::from(*pivot < value);
        }
        // The last pivot is ∞, which is below nothing.
        let group = group % 16;
        let mut below = 16 * group;
        for cut in &cuts.cuts.as_chunks::<16>().0[group] {
            below += usize::from(*cut < value);
        }
        below as u8
    }

    /// All bits where a byte goes left.
    #[inline(always)]
    fn left(byte: i8, bound: i8) -> i8 {
        -i8::from(bound > byte)
    }

    #[inline(always)]
    fn chosen(mask: i8, yes: i8, no: i8) -> i8 {
        (mask & yes) | (!mask & no)
    }

    /// Where rows come to among the eight places below a split, the two below it and their four.
    #[inline(always)]
    pub(super) fn three_levels(bytes: [&Lanes; 7], bounds: [i8; 7], base: i8, places: &mut Lanes) {
        for lane in 0..LANES {
            let first = left(bytes[0][lane], bounds[0]);
            let (low, high) = (left(bytes[1][lane], bounds[1]), left(bytes[2][lane], bounds[2]));
            let of_low = chosen(low, left(bytes[3][lane], bounds[3]), left(bytes[4][lane], bounds[4]));
            let of_high = chosen(high, left(bytes[5][lane], bounds[5]), left(bytes[6][lane], bounds[6]));
            let (second, third) = (chosen(first, low, high), chosen(first, of_low, of_high));
            places[lane] = base + 7 - ((first & 4) | (second & 2) | (third & 1));
        }
    }

    #[inline(always)]
    pub(super) fn one_split(bytes: &Lanes, bound: i8, bit: i8, places: &mut Lanes) {
        for lane in 0..LANES {
            places[lane] |= !left(bytes[lane], bound) & bit;
        }
    }

    #[inline(always)]
    pub(super) fn one_level(bytes: &Lanes, bound: i8, left_places: &Lanes, right_places: &Lanes) -> Lanes {
        let mut places = [0; LANES];
        for lane in 0..LANES {
            places[lane] = chosen(left(bytes[lane], bound), left_places[lane], right_places[lane]);
        }
        places
    }
}

/// The same with vectors of 32 bytes; `$select` chooses by a mask.
#[cfg(target_arch = "x86_64")]
macro_rules! vectors {
    ($name:ident, $features:literal, $below:ident, $select:ident) => {
        mod $name {
            use std::arch::x86_64::*;

            use super::{Cuts, Lanes, Real};

            #[inline]
            #[target_feature(enable = $features)]
            pub(super) fn below<T: Real>(cuts: &Cuts<T>, value: T) -> u8 {
                T::$below(cuts, value)
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn load(bytes: &Lanes) -> __m256i {
                #[allow(unsafe_code, reason = "32 bytes are a vector")]
                unsafe {
                    _mm256_loadu_si256(bytes.as_ptr().cast())
                }
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn store(bytes: &mut Lanes, vector: __m256i) {
                #[allow(unsafe_code, reason = "a vector is 32 bytes")]
                unsafe {
                    _mm256_storeu_si256(bytes.as_mut_ptr().cast(), vector);
                }
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn left(bytes: &Lanes, bound: i8) -> __m256i {
                _mm256_cmpgt_epi8(_mm256_set1_epi8(bound), load(bytes))
            }

            #[inline]
            #[target_feature(enable = $features)]
            pub(super) fn three_levels(bytes: [&Lanes; 7], bounds: [i8; 7], base: i8, places: &mut Lanes) {
                let first = left(bytes[0], bounds[0]);
                let (low, high) = (left(bytes[1], bounds[1]), left(bytes[2], bounds[2]));
                let of_low = super::$select(low, left(bytes[3], bounds[3]), left(bytes[4], bounds[4]));
                let of_high = super::$select(high, left(bytes[5], bounds[5]), left(bytes[6], bounds[6]));
                let (second, third) =
                    (super::$select(first, low, high), super::$select(first, of_low, of_high));
                // Bits of what goes right.
                let four = _mm256_andnot_si256(first, _mm256_set1_epi8(4));
                let two = _mm256_andnot_si256(second, _mm256_set1_epi8(2));
                let one = _mm256_andnot_si256(third, _mm256_set1_epi8(1));
                let bits =
                    _mm256_or_si256(_mm256_or_si256(four, two), _mm256_or_si256(one, _mm256_set1_epi8(base)));
                store(places, bits);
            }

            #[inline]
            #[target_feature(enable = $features)]
            pub(super) fn one_split(bytes: &Lanes, bound: i8, bit: i8, places: &mut Lanes) {
                let bits = _mm256_andnot_si256(left(bytes, bound), _mm256_set1_epi8(bit));
                store(places, _mm256_or_si256(load(places), bits));
            }

            #[inline]
            #[target_feature(enable = $features)]
            pub(super) fn one_level(
                bytes: &Lanes,
                bound: i8,
                left_places: &Lanes,
                right_places: &Lanes,
            ) -> Lanes {
                let mut places = [0; super::LANES];
                store(&mut places, super::$select(left(bytes, bound), load(left_places), load(right_places)));
                places
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn blend(
    mask: std::arch::x86_64::__m256i,
    yes: std::arch::x86_64::__m256i,
    no: std::arch::x86_64::__m256i,
) -> std::arch::x86_64::__m256i {
    std::arch::x86_64::_mm256_blendv_epi8(no, yes, mask)
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512vl")]
fn ternary(
    mask: std::arch::x86_64::__m256i,
    yes: std::arch::x86_64::__m256i,
    no: std::arch::x86_64::__m256i,
) -> std::arch::x86_64::__m256i {
    std::arch::x86_64::_mm256_ternarylogic_epi64::<0xca>(mask, yes, no)
}

#[cfg(target_arch = "x86_64")]
vectors!(of_avx2, "avx2,popcnt", below_avx2, blend);
#[cfg(target_arch = "x86_64")]
vectors!(of_avx512, "avx2,popcnt,avx512f,avx512vl", below, ternary);

/// `$from` has `below`, `three_levels`, `one_level` and `one_split`.
macro_rules! compiled {
    ($name:ident, $from:ident $(, $features:literal)?) => {
        mod $name {
            use super::*;
            use super::$from::{below, one_level, one_split, three_levels};

            $(#[target_feature(enable = $features)])?
            pub(super) fn bin<T: Real>(cuts: &[Cuts<T>], values: &[T], columns: &mut [Column]) {
                let width = cuts.len();
                for (column, (cuts, columns)) in cuts.iter().zip(columns.as_chunks_mut::<2>().0).enumerate() {
                    let [low, high] = columns;
                    for (row, values) in values.chunks_exact(width).enumerate() {
                        let value = values[column];
                        let below = (below(cuts, value) ^ 128) as i8;
                        low.0[row % ROWS] = if value.is_nan() { i8::MIN } else { below };
                        high.0[row % ROWS] = if value.is_nan() { i8::MAX } else { below };
                    }
                }
            }

            $(#[target_feature(enable = $features)])?
            pub(super) fn descend<const LEVELS: usize, const PLACES: usize>(
                splits: &[Comparison; PLACES],
                columns: &[Column],
                count: usize,
                places: &mut Column,
            ) {
                for block in 0..count.div_ceil(LANES).min(ROWS / LANES) {
                    let mut own = [0; LANES];
                    for level in 0..LEVELS {
                        let split = splits[(1 << level) % PLACES];
                        let bytes = lanes(&columns[usize::from(split.place)].0, block);
                        one_split(bytes, split.bound, (1u8 << (LEVELS - 1 - level)) as i8, &mut own);
                    }
                    *lanes_mut(&mut places.0, block) = own;
                }
            }

            $(#[target_feature(enable = $features)])?
            pub(super) fn choose<const LEVELS: usize, const PLACES: usize>(
                splits: &[Comparison; PLACES],
                columns: &[Column],
                count: usize,
                found: &mut [Column; FOUND],
            ) {
                let blocks = count.div_ceil(LANES).min(ROWS / LANES);
                let first = 1 << (LEVELS - 3);
                for root in first..2 * first {
                    let nodes = [root, 2 * root, 2 * root + 1, 4 * root, 4 * root + 1, 4 * root + 2, 4 * root + 3];
                    let (mut bytes, mut bounds) = ([&columns[0].0; 7], [0; 7]);
                    for place in 0..7 {
                        let split = splits[nodes[place] % PLACES];
                        (bytes[place], bounds[place]) = (&columns[usize::from(split.place)].0, split.bound);
                    }
                    let base = (8 * (root - first)) as u8 as i8;
                    let out = &mut found[root % FOUND].0;
                    for block in 0..blocks {
                        let mut own = [lanes(bytes[0], block); 7];
                        for place in 1..7 {
                            own[place] = lanes(bytes[place], block);
                        }
                        three_levels(own, bounds, base, lanes_mut(out, block));
                    }
                }
                for node in (1..first).rev() {
                    let split = splits[node % PLACES];
                    let bytes = &columns[usize::from(split.place)].0;
                    let (above, below) = found.split_at_mut(2 * node);
                    for block in 0..blocks {
                        let (left, right) = (lanes(&below[0].0, block), lanes(&below[1].0, block));
                        *lanes_mut(&mut above[node].0, block) =
                            one_level(lanes(bytes, block), split.bound, left, right);
                    }
                }
            }
        }
    };
}

compiled!(plain, portable);
#[cfg(target_arch = "x86_64")]
compiled!(middle, of_avx2, "avx2,popcnt");
#[cfg(target_arch = "x86_64")]
compiled!(wide, of_avx512, "avx2,popcnt,avx512f,avx512vl");

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2,popcnt")]
pub(crate) fn below_single(cuts: &Cuts<f32>, value: f32) -> u8 {
    use std::arch::x86_64::*;
    let value = _mm256_set1_ps(value);
    let count = |cuts: &[f32; 16]| {
        #[allow(unsafe_code, reason = "sixteen floats are two vectors")]
        let (first, second) =
            unsafe { (_mm256_loadu_ps(cuts.as_ptr()), _mm256_loadu_ps(cuts.as_ptr().add(8))) };
        let below = |cuts| _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(cuts, value));
        ((below(first) << 8) | below(second)).count_ones() as usize
    };
    // The last pivot is ∞, which is below nothing.
    let group = count(&cuts.pivots) & 15;
    (group * 16 + count(&cuts.cuts.as_chunks().0[group])) as u8
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2,popcnt")]
pub(crate) fn below_double(cuts: &Cuts<f64>, value: f64) -> u8 {
    use std::arch::x86_64::*;
    let value = _mm256_set1_pd(value);
    let count = |cuts: &[f64; 16]| {
        let mut bits = 0;
        for (place, cuts) in cuts.as_chunks::<4>().0.iter().enumerate() {
            #[allow(unsafe_code, reason = "four floats are a vector")]
            let cuts = unsafe { _mm256_loadu_pd(cuts.as_ptr()) };
            bits |= _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_LT_OQ>(cuts, value)) << (4 * place);
        }
        bits.count_ones() as usize
    };
    let group = count(&cuts.pivots) & 15;
    (group * 16 + count(&cuts.cuts.as_chunks().0[group])) as u8
}
