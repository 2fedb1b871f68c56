//! Tables in registers: a row's number in a table of up to 256 is looked up by AVX-512 permutations, sixteen rows at a time.

#![allow(clippy::needless_range_loop, reason = "a closure would be compiled without the vectors")]

use std::arch::x86_64::*;

use super::Rows;
use super::leaf::Leaf;
use crate::block::wide::{VECTORS, left, load, store};

/// Numbers of a vector.
const WIDTH: usize = 16;

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) fn look_up(rows: &mut Rows<'_, f32>) {
    let blocks = rows.columns.len() / rows.features;
    mark(rows, blocks);
    let mut sets = vec![[_mm512_setzero_si512(); VECTORS]; blocks];
    for leaf in &rows.shape.leaves {
        let Some(table) = leaf.table else {
            for block in 0..blocks {
                leaf.add_by_counts(rows.marks, blocks, block, &mut rows.sums[block * rows.stride..]);
            }
            continue;
        };
        for (block, set) in sets.iter_mut().enumerate() {
            *set = [_mm512_setzero_si512(); VECTORS];
            for (bit, edge) in leaf.edges.iter().enumerate() {
                let mark = rows.marks[*edge as usize * blocks + block];
                for vector in 0..VECTORS {
                    let own = _mm512_maskz_set1_epi32((mark >> (WIDTH * vector)) as u16, 1 << bit);
                    set[vector] = _mm512_or_si512(set[vector], own);
                }
            }
        }
        match leaf.features.len() {
            0..=4 => add::<1>(rows, leaf, table, &sets),
            5 => add::<2>(rows, leaf, table, &sets),
            6 => add::<4>(rows, leaf, table, &sets),
            7 => add::<8>(rows, leaf, table, &sets),
            _ => add::<16>(rows, leaf, table, &sets),
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn mark(rows: &mut Rows<'_, f32>, blocks: usize) {
    for (number, split) in rows.shape.splits.iter().enumerate() {
        for block in 0..blocks {
            let column = &rows.columns[block * rows.features + split.feature as usize];
            let mut goes_left = 0;
            for (vector, mask) in left(rows.tree, column, split.test).into_iter().enumerate() {
                goes_left |= u32::from(mask) << (WIDTH * vector);
            }
            let old = match split.above {
                Some(edge) => rows.marks[edge as usize * blocks + block],
                None => !0,
            };
            rows.marks[2 * number * blocks + block] = old & goes_left;
            rows.marks[(2 * number + 1) * blocks + block] = old & !goes_left;
        }
    }
}

/// A leaf whose tables are `N` vectors.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn add<const N: usize>(rows: &mut Rows<'_, f32>, leaf: &Leaf, table: usize, sets: &[[__m512i; VECTORS]]) {
    let size = 1 << leaf.features.len();
    for (place, feature) in leaf.features.iter().enumerate() {
        let numbers = &rows.tables[table + place * size..][..size];
        let mut table = [_mm512_setzero_ps(); N];
        for (vector, numbers) in table.iter_mut().zip(numbers.chunks(WIDTH)) {
            let mut filled = [0.0; WIDTH];
            filled[..numbers.len()].copy_from_slice(numbers);
            #[allow(unsafe_code, reason = "the array holds the sixteen floats that are read")]
            unsafe {
                *vector = _mm512_loadu_ps(filled.as_ptr());
            }
        }
        for (block, sets) in sets.iter().enumerate() {
            let sum = &mut rows.sums[block * rows.stride + *feature as usize];
            for vector in 0..VECTORS {
                let found = find(&table, sets[vector]);
                store(sum, vector, _mm512_add_ps(load(sum, vector), found));
            }
        }
    }
}

/// The numbers of a table at `places`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn find<const N: usize>(table: &[__m512; N], places: __m512i) -> __m512 {
    if N == 1 {
        return _mm512_permutexvar_ps(places, table[0]);
    }
    // Pairs of vectors by the five lowest bits, then halves by the others.
    let mut found = *table;
    for pair in 0..N / 2 {
        found[pair] = _mm512_permutex2var_ps(table[2 * pair], places, table[2 * pair + 1]);
    }
    let mut left = N / 2;
    let mut bit = 32;
    while left > 1 {
        let is_upper = _mm512_test_epi32_mask(places, _mm512_set1_epi32(bit));
        for pair in 0..left / 2 {
            found[pair] = _mm512_mask_blend_ps(is_upper, found[2 * pair], found[2 * pair + 1]);
        }
        left /= 2;
        bit *= 2;
    }
    found[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    fn found<const N: usize>(places: &[u32; 16]) -> [f32; 16] {
        let mut table = [_mm512_setzero_ps(); N];
        for (number, vector) in table.iter_mut().enumerate() {
            let numbers: [f32; 16] = std::array::from_fn(|place| (16 * number + place) as f32);
            #[allow(unsafe_code, reason = "the array holds the sixteen floats that are read")]
            unsafe {
                *vector = _mm512_loadu_ps(numbers.as_ptr());
            }
        }
        let mut lanes = [0.0; 16];
        #[allow(unsafe_code, reason = "the arrays hold the sixteen numbers that are read and written")]
        unsafe {
            let places = _mm512_loadu_si512(places.as_ptr().cast());
            _mm512_storeu_ps(lanes.as_mut_ptr(), find(&table, places));
        }
        lanes
    }

    fn check<const N: usize>() {
        for first in 0..16 * N as u32 {
            let places: [u32; 16] = std::array::from_fn(|lane| (first + 37 * lane as u32) % (16 * N as u32));
            #[allow(unsafe_code, reason = "asked before")]
            let found = unsafe { found::<N>(&places) };
            assert_eq!(found.map(|number| number as u32), places, "{N} vectors");
        }
    }

    #[test]
    fn every_number_of_a_table_is_found() {
        if crate::block::has_wide() {
            check::<1>();
            check::<2>();
            check::<4>();
            check::<8>();
            check::<16>();
        }
    }
}
