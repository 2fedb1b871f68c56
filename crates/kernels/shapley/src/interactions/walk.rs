//! The walk through a tree for the rows of a block, written once and compiled for several processors.

#![allow(clippy::needless_range_loop, reason = "a closure would be compiled without the vectors")]

use kernel_trees::Tree;

use super::plan::Pairs;
use crate::block::{Compiled, LANES, Lanes, Real, Test};

pub(super) struct Pass<'p, T> {
    pub compiled: &'p Compiled<T>,
    pub pairs: &'p Pairs<T>,
    pub tree: &'p Tree,
    /// The rows, by feature.
    pub columns: &'p [Lanes<T>],
    /// By edge: the rows that take all splits of its feature so far.
    pub marks: &'p mut [Lanes<bool>],
    /// By level and point: the pull of the feature that is split there.
    pub pulls: &'p mut [Lanes<T>],
    /// By cell of the tree's group.
    pub sums: &'p mut [Lanes<T>],
}

/// Adds a tree's indices of pairs and values of features to the sums, with the widest vectors that this processor has.
pub(super) fn walk<T: Real>(pass: &mut Pass<'_, T>) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("fma") {
        if crate::block::has_wide() {
            #[allow(
                unsafe_code,
                reason = "the processor has what the function is compiled for: asked just now"
            )]
            return unsafe { wide::walk(pass) };
        }
        if is_x86_feature_detected!("avx2") {
            #[allow(
                unsafe_code,
                reason = "the processor has what the function is compiled for: asked just now"
            )]
            return unsafe { middle::walk(pass) };
        }
    }
    plain::walk(pass);
}

/// Every compiled form that this processor can run.
#[cfg(test)]
pub(super) fn forms<T: Real>() -> Vec<fn(&mut Pass<'_, T>)> {
    let mut forms: Vec<fn(&mut Pass<'_, T>)> = vec![plain::walk::<T>, walk::<T>];
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("fma") {
        if is_x86_feature_detected!("avx2") {
            #[allow(unsafe_code, reason = "asked just now")]
            forms.push(|pass| unsafe { middle::walk(pass) });
        }
        if crate::block::has_wide() {
            #[allow(unsafe_code, reason = "asked just now")]
            forms.push(|pass| unsafe { wide::walk(pass) });
        }
    }
    forms
}

macro_rules! walks {
    ($name:ident $(, $features:literal)?) => {
        mod $name {
            use super::*;

            $(#[target_feature(enable = $features)])?
            pub(super) fn walk<T: Real>(pass: &mut Pass<'_, T>) {
                match pass.compiled.points {
                    1 => drop(visit::<T, 1>(pass, 0, 0, &[[T::of(1.0); LANES]; 1])),
                    2 => drop(visit::<T, 2>(pass, 0, 0, &[[T::of(1.0); LANES]; 2])),
                    3 => drop(visit::<T, 3>(pass, 0, 0, &[[T::of(1.0); LANES]; 3])),
                    4 => drop(visit::<T, 4>(pass, 0, 0, &[[T::of(1.0); LANES]; 4])),
                    5 => drop(visit::<T, 5>(pass, 0, 0, &[[T::of(1.0); LANES]; 5])),
                    6 => drop(visit::<T, 6>(pass, 0, 0, &[[T::of(1.0); LANES]; 6])),
                    7 => drop(visit::<T, 7>(pass, 0, 0, &[[T::of(1.0); LANES]; 7])),
                    _ => drop(visit::<T, 8>(pass, 0, 0, &[[T::of(1.0); LANES]; 8])),
                }
            }

            /// The sum of leaf times product below a split, by point.
            // Plain loops: a closure would be compiled without the vectors. Sums in memory are copied out and back, for the
            // compiler cannot know that they do not overlap with the pulls.
            $(#[target_feature(enable = $features)])?
            fn visit<T: Real, const Q: usize>(
                pass: &mut Pass<'_, T>,
                number: u32,
                level: usize,
                products: &[Lanes<T>; Q],
            ) -> [Lanes<T>; Q] {
                let (compiled, pairs) = (pass.compiled, pass.pairs);
                let split = &compiled.splits[number as usize];
                let column = &pass.columns[split.feature as usize];
                let mut goes_left = [false; LANES];
                match split.test {
                    Test::Numeric { threshold, nan_left } => {
                        for lane in 0..LANES {
                            goes_left[lane] = (column[lane] <= threshold) | (nan_left & column[lane].is_nan());
                        }
                    }
                    Test::Other { place } => {
                        for lane in 0..LANES {
                            goes_left[lane] = pass.tree.goes_left(place, column[lane].wide());
                        }
                    }
                }
                let mut sums = [[T::default(); LANES]; Q];
                // What both sides change of the feature's pull, times what is below them.
                let mut gained = [[T::default(); LANES]; Q];
                for side in 0..2 {
                    let child = split.children[side];
                    let edge = 2 * number as usize + side;
                    let old = match child.above {
                        Some(above) => pass.marks[above as usize],
                        None => [true; LANES],
                    };
                    let mut new = [false; LANES];
                    for lane in 0..LANES {
                        new[lane] = old[lane] & (goes_left[lane] == (side == 0));
                    }
                    let constants = &compiled.constants[edge * 5 * Q..][..5 * Q];
                    let Some(below) = child.split else {
                        for q in 0..Q {
                            let (stays, leaves, left) = (constants[q], constants[Q + q], constants[2 * Q + q]);
                            let (gain, loss) = (constants[3 * Q + q], constants[4 * Q + q]);
                            for lane in 0..LANES {
                                let change = if old[lane] { leaves } else { left };
                                let change = if new[lane] { stays } else { change };
                                let weight = if old[lane] { loss } else { T::default() };
                                let weight = if new[lane] { gain } else { weight };
                                sums[q][lane] = products[q][lane].fused(change, sums[q][lane]);
                                gained[q][lane] = products[q][lane].fused(weight, gained[q][lane]);
                            }
                        }
                        continue;
                    };
                    pass.marks[edge] = new;
                    let mut next = [[T::default(); LANES]; Q];
                    for q in 0..Q {
                        let (stays, leaves, left) = (constants[q], constants[Q + q], constants[2 * Q + q]);
                        for lane in 0..LANES {
                            let change = if old[lane] { leaves } else { left };
                            let change = if new[lane] { stays } else { change };
                            next[q][lane] = products[q][lane].times(change);
                        }
                    }
                    for q in 0..Q {
                        let (pull, lost) = (pairs.pulls[edge * Q + q], pairs.lost[q]);
                        let mut pulls = [T::default(); LANES];
                        for lane in 0..LANES {
                            pulls[lane] = if new[lane] { pull } else { lost };
                        }
                        pass.pulls[level * Q + q] = pulls;
                    }
                    let found = visit::<T, Q>(pass, below, level + 1, &next);
                    for q in 0..Q {
                        let (gain, loss) = (constants[3 * Q + q], constants[4 * Q + q]);
                        for lane in 0..LANES {
                            let weight = if old[lane] { loss } else { T::default() };
                            let weight = if new[lane] { gain } else { weight };
                            gained[q][lane] = found[q][lane].fused(weight, gained[q][lane]);
                            sums[q][lane] = sums[q][lane].plus(found[q][lane]);
                        }
                    }
                }
                let pairing = pairs.splits[number as usize];
                let mut own = pass.sums[pairing.own as usize];
                for q in 0..Q {
                    for lane in 0..LANES {
                        own[lane] = own[lane].plus(gained[q][lane]);
                    }
                }
                pass.sums[pairing.own as usize] = own;
                for partner in &pairs.partners[pairing.first as usize..][..pairing.count as usize] {
                    let pulls = &pass.pulls[partner.level as usize * Q..][..Q];
                    let mut sum = pass.sums[partner.cell as usize];
                    for q in 0..Q {
                        for lane in 0..LANES {
                            sum[lane] = gained[q][lane].fused(pulls[q][lane], sum[lane]);
                        }
                    }
                    pass.sums[partner.cell as usize] = sum;
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
