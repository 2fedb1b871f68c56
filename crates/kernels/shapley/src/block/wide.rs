//! The walk for 32-bit floats and AVX-512, whose masks are registers of their own: the arithmetic of `walk`, by hand.

#![allow(clippy::needless_range_loop, reason = "a closure would be compiled without the vectors")]

use std::arch::x86_64::*;

use kernel_trees::Tree;

use super::{Block, LANES, Lanes, Test};

/// Vectors of a block.
pub(crate) const VECTORS: usize = LANES / 16;

type Vectors = [__m512; VECTORS];

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) fn walk(block: &mut Block<'_, f32>) {
    if block.compiled.splits.is_empty() {
        return;
    }
    match block.compiled.points {
        1 => start::<1>(block),
        2 => start::<2>(block),
        3 => start::<3>(block),
        4 => start::<4>(block),
        5 => start::<5>(block),
        6 => start::<6>(block),
        7 => start::<7>(block),
        _ => start::<8>(block),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn start<const Q: usize>(block: &mut Block<'_, f32>) {
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; Q];
    visit::<Q>(block, 0, &[[_mm512_set1_ps(1.0); VECTORS]; Q], &mut sums);
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn load(lanes: &Lanes<f32>, vector: usize) -> __m512 {
    let lanes = &lanes[vector * 16..][..16];
    #[allow(unsafe_code, reason = "the slice holds the sixteen floats that are read")]
    unsafe {
        _mm512_loadu_ps(lanes.as_ptr())
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn store(lanes: &mut Lanes<f32>, vector: usize, value: __m512) {
    let lanes = &mut lanes[vector * 16..][..16];
    #[allow(unsafe_code, reason = "the slice holds the sixteen floats that are written")]
    unsafe {
        _mm512_storeu_ps(lanes.as_mut_ptr(), value);
    }
}

/// The rows that go left.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(crate) fn left(tree: &Tree, column: &Lanes<f32>, test: Test<f32>) -> [__mmask16; VECTORS] {
    let mut mask = [0; VECTORS];
    match test {
        Test::Numeric { threshold, nan_left } => {
            let threshold = _mm512_set1_ps(threshold);
            for vector in 0..VECTORS {
                let values = load(column, vector);
                mask[vector] = match nan_left {
                    true => _mm512_cmp_ps_mask::<_CMP_NGT_UQ>(values, threshold),
                    false => _mm512_cmp_ps_mask::<_CMP_LE_OQ>(values, threshold),
                };
            }
        }
        Test::Other { place } => {
            for (lane, value) in column.iter().enumerate() {
                mask[lane / 16] |= u16::from(tree.goes_left(place, f64::from(*value))) << (lane % 16);
            }
        }
    }
    mask
}

/// Puts the sums of leaf times product below a split into `sums`, by point.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn visit<const Q: usize>(
    block: &mut Block<'_, f32>,
    number: u32,
    products: &[Vectors; Q],
    sums: &mut [Vectors; Q],
) {
    let compiled = block.compiled;
    let split = &compiled.splits[number as usize];
    let feature = split.feature as usize;
    let goes_left = left(block.tree, &block.columns[feature], split.test);
    let mut own = [[_mm512_setzero_ps(); VECTORS]; Q];
    for side in 0..2 {
        let child = split.children[side];
        let edge = 2 * number as usize + side;
        let old = match child.above {
            Some(above) => block.masks.of_bits[above as usize],
            None => [!0; VECTORS],
        };
        let mut new = [0; VECTORS];
        for vector in 0..VECTORS {
            new[vector] = old[vector] & if side == 0 { goes_left[vector] } else { !goes_left[vector] };
        }
        let constants = &compiled.constants[edge * 5 * Q..][..5 * Q];
        let Some(below) = child.split else {
            let value = &mut block.sums[feature];
            let mut values = [_mm512_setzero_ps(); VECTORS];
            for vector in 0..VECTORS {
                values[vector] = load(value, vector);
            }
            for q in 0..Q {
                let stays = _mm512_set1_ps(constants[q]);
                let leaves = _mm512_set1_ps(constants[Q + q]);
                let gone = _mm512_set1_ps(constants[2 * Q + q]);
                let gain = _mm512_set1_ps(constants[3 * Q + q]);
                let loss = _mm512_set1_ps(constants[4 * Q + q]);
                for vector in 0..VECTORS {
                    let (was, is) = (old[vector], new[vector]);
                    let change = _mm512_mask_blend_ps(is, _mm512_mask_blend_ps(was, gone, leaves), stays);
                    let weight = _mm512_mask_blend_ps(is, _mm512_maskz_mov_ps(was, loss), gain);
                    own[q][vector] = _mm512_fmadd_ps(products[q][vector], change, own[q][vector]);
                    values[vector] = _mm512_fmadd_ps(products[q][vector], weight, values[vector]);
                }
            }
            for vector in 0..VECTORS {
                store(value, vector, values[vector]);
            }
            continue;
        };
        block.masks.of_bits[edge] = new;
        let mut next = [[_mm512_setzero_ps(); VECTORS]; Q];
        for q in 0..Q {
            let stays = _mm512_set1_ps(constants[q]);
            let leaves = _mm512_set1_ps(constants[Q + q]);
            let gone = _mm512_set1_ps(constants[2 * Q + q]);
            for vector in 0..VECTORS {
                let (was, is) = (old[vector], new[vector]);
                let change = _mm512_mask_blend_ps(is, _mm512_mask_blend_ps(was, gone, leaves), stays);
                next[q][vector] = _mm512_mul_ps(products[q][vector], change);
            }
        }
        let mut found = [[_mm512_setzero_ps(); VECTORS]; Q];
        visit::<Q>(block, below, &next, &mut found);
        let value = &mut block.sums[feature];
        let mut values = [_mm512_setzero_ps(); VECTORS];
        for vector in 0..VECTORS {
            values[vector] = load(value, vector);
        }
        for q in 0..Q {
            let gain = _mm512_set1_ps(constants[3 * Q + q]);
            let loss = _mm512_set1_ps(constants[4 * Q + q]);
            for vector in 0..VECTORS {
                let weight = _mm512_mask_blend_ps(new[vector], _mm512_maskz_mov_ps(old[vector], loss), gain);
                values[vector] = _mm512_fmadd_ps(found[q][vector], weight, values[vector]);
                own[q][vector] = _mm512_add_ps(own[q][vector], found[q][vector]);
            }
        }
        for vector in 0..VECTORS {
            store(value, vector, values[vector]);
        }
    }
    *sums = own;
}
