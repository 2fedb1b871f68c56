//! The walk, written once and compiled for several processors.

#![allow(clippy::needless_range_loop, reason = "a closure would be compiled without the vectors")]

use super::{Block, LANES, Lanes, Real, Test};

macro_rules! walks {
    ($name:ident $(, $features:literal)?) => {
        pub(super) mod $name {
            use super::*;

            $(#[target_feature(enable = $features)])?
            pub(in super::super) fn walk<T: Real>(block: &mut Block<'_, T>) {
                if block.compiled.splits.is_empty() {
                    return;
                }
                match block.compiled.points {
                    1 => drop(visit::<T, 1>(block, 0, &[[T::of(1.0); LANES]; 1])),
                    2 => drop(visit::<T, 2>(block, 0, &[[T::of(1.0); LANES]; 2])),
                    3 => drop(visit::<T, 3>(block, 0, &[[T::of(1.0); LANES]; 3])),
                    4 => drop(visit::<T, 4>(block, 0, &[[T::of(1.0); LANES]; 4])),
                    5 => drop(visit::<T, 5>(block, 0, &[[T::of(1.0); LANES]; 5])),
                    6 => drop(visit::<T, 6>(block, 0, &[[T::of(1.0); LANES]; 6])),
                    7 => drop(visit::<T, 7>(block, 0, &[[T::of(1.0); LANES]; 7])),
                    _ => drop(visit::<T, 8>(block, 0, &[[T::of(1.0); LANES]; 8])),
                }
            }

            /// The sum of leaf times product below a split, by point.
            // Plain loops: a closure would be compiled without the vectors.
            $(#[target_feature(enable = $features)])?
            fn visit<T: Real, const Q: usize>(
                block: &mut Block<'_, T>,
                number: u32,
                products: &[Lanes<T>; Q],
            ) -> [Lanes<T>; Q] {
                let compiled = block.compiled;
                let split = &compiled.splits[number as usize];
                let feature = split.feature as usize;
                let column = &block.columns[feature];
                let mut goes_left = [false; LANES];
                match split.test {
                    Test::Numeric { threshold, nan_left } => {
                        for lane in 0..LANES {
                            goes_left[lane] = (column[lane] <= threshold) | (nan_left & column[lane].is_nan());
                        }
                    }
                    Test::Other { place } => {
                        for lane in 0..LANES {
                            goes_left[lane] = block.tree.goes_left(place, column[lane].wide());
                        }
                    }
                }
                let mut sums = [[T::default(); LANES]; Q];
                for side in 0..2 {
                    let child = split.children[side];
                    let edge = 2 * number as usize + side;
                    let old = match child.above {
                        Some(above) => block.masks.of_lanes[above as usize],
                        None => [true; LANES],
                    };
                    let mut new = [false; LANES];
                    for lane in 0..LANES {
                        new[lane] = old[lane] & (goes_left[lane] == (side == 0));
                    }
                    let constants = &compiled.constants[edge * 5 * Q..][..5 * Q];
                    let Some(below) = child.split else {
                        let value = &mut block.sums[feature];
                        for q in 0..Q {
                            let (stays, leaves, left) = (constants[q], constants[Q + q], constants[2 * Q + q]);
                            let (gain, loss) = (constants[3 * Q + q], constants[4 * Q + q]);
                            for lane in 0..LANES {
                                let change = if old[lane] { leaves } else { left };
                                let change = if new[lane] { stays } else { change };
                                let weight = if old[lane] { loss } else { T::default() };
                                let weight = if new[lane] { gain } else { weight };
                                sums[q][lane] = products[q][lane].fused(change, sums[q][lane]);
                                value[lane] = products[q][lane].fused(weight, value[lane]);
                            }
                        }
                        continue;
                    };
                    block.masks.of_lanes[edge] = new;
                    let mut next = [[T::default(); LANES]; Q];
                    for q in 0..Q {
                        let (stays, leaves, left) = (constants[q], constants[Q + q], constants[2 * Q + q]);
                        for lane in 0..LANES {
                            let change = if old[lane] { leaves } else { left };
                            let change = if new[lane] { stays } else { change };
                            next[q][lane] = products[q][lane].times(change);
                        }
                    }
                    let found = visit::<T, Q>(block, below, &next);
                    let value = &mut block.sums[feature];
                    for q in 0..Q {
                        let (gain, loss) = (constants[3 * Q + q], constants[4 * Q + q]);
                        for lane in 0..LANES {
                            let weight = if old[lane] { loss } else { T::default() };
                            let weight = if new[lane] { gain } else { weight };
                            value[lane] = found[q][lane].fused(weight, value[lane]);
                            sums[q][lane] = sums[q][lane].plus(found[q][lane]);
                        }
                    }
                }
                sums
            }
        }
    };
}

walks!(plain);
#[cfg(target_arch = "x86_64")]
walks!(middle, "avx2,fma");
#[cfg(target_arch = "x86_64")]
walks!(wide, "avx512f,avx512bw,avx512vl,avx512dq,fma");
