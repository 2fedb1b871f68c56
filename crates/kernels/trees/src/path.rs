//! The way of a row through a tree, and how far its values may move before it leads elsewhere.

use crate::ensemble::{Ensemble, Missing, Split, Step, Tree, ZERO};

impl Tree {
    /// Whether a split asks for a category, not for the size of a number. `false` at a leaf.
    pub fn asks_for_category(&self, place: i32) -> bool {
        let node = usize::try_from(place).ok().and_then(|node| self.nodes.get(node));
        node.is_some_and(|node| !matches!(node.split, Split::Numeric { .. }))
    }

    /// The run of numbers around `value`, as [`Ensemble::read`] gives them, that a split sends the same way: those above the first, up
    /// to the second; infinite where there is no end. NaN is in no run. `None` for NaN, at a leaf, and where the split asks for a
    /// category.
    pub fn run(&self, place: i32, value: f64) -> Option<(f64, f64)> {
        let node = self.nodes.get(usize::try_from(place).ok()?)?;
        let Split::Numeric { threshold, missing, .. } = node.split else { return None };
        if value.is_nan() {
            return None;
        }
        let mut edges = vec![f64::NEG_INFINITY, threshold, f64::INFINITY];
        if missing == Missing::Zero {
            // Zeros, which are missing values there, go a way of their own.
            edges.extend([(-ZERO).next_down(), ZERO]);
        }
        // Nothing is at most a threshold that is NaN.
        edges.retain(|edge| !edge.is_nan());
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        let way = self.goes_left(place, value);
        let own = edges.partition_point(|edge| *edge < value).saturating_sub(1);
        let is_along = |piece: &usize| self.goes_left(place, edges[piece + 1]) == way;
        let first = (0..=own).rev().take_while(is_along).last().unwrap_or(own);
        let last = (own..edges.len() - 1).take_while(is_along).last().unwrap_or(own);
        Some((edges[first], edges[last + 1]))
    }
}

impl Ensemble {
    /// The places that a row passes in a tree, the root first and the leaf last. Panics for a tree that the model does not have, and
    /// for a row that is too short. O(depth).
    pub fn path(&self, tree: usize, row: &[f64]) -> Vec<i32> {
        let tree = &self.trees[tree];
        let mut place = tree.root();
        let mut places = vec![place];
        while let Step::Split { feature, left, right } = tree.at(place) {
            place = if tree.goes_left(place, self.read(row[feature])) { left } else { right };
            places.push(place);
        }
        places
    }

    /// The largest number of a row that [`Ensemble::read`] gives as `bound` or less: `bound` itself, or, where rows are rounded, the
    /// last one that is rounded down to it. Infinite bounds and NaN are answered as they are.
    pub fn largest_read_up_to(&self, bound: f64) -> f64 {
        if !bound.is_finite() {
            return bound;
        }
        // Reading keeps the order of numbers, so bisection finds the place.
        let (mut low, mut high) = (rank(f64::NEG_INFINITY), rank(f64::INFINITY));
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.read(ranked(middle)) <= bound {
                low = middle;
            } else {
                high = middle;
            }
        }
        ranked(low)
    }
}

const SIGN: u64 = 1 << 63;

/// The place of a number among all numbers, from the least.
fn rank(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

fn ranked(rank: u64) -> f64 {
    f64::from_bits(if rank & SIGN == 0 { !rank } else { rank & !SIGN })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ensemble::Node;

    fn split(threshold: f64, missing: Missing, default_left: bool) -> Tree {
        let split = Split::Numeric { threshold, missing, default_left };
        Tree {
            nodes: vec![Node { feature: 0, split, left: !0, right: !1 }],
            leaves: vec![1.0, 2.0],
            category_words: Vec::new(),
            listed: Vec::new(),
            lines: Vec::new(),
            output: 0,
            node_covers: Vec::new(),
            leaf_covers: Vec::new(),
        }
    }

    #[test]
    fn a_run_ends_where_the_split_decides_otherwise() {
        let (below_zero, zero) = ((-ZERO).next_down(), ZERO);
        let (least, most) = (f64::NEG_INFINITY, f64::INFINITY);
        let cases = [
            (2.0, Missing::Nan, true, 1.5, (least, 2.0)),
            (2.0, Missing::Nan, true, 2.0, (least, 2.0)),
            (2.0, Missing::None, false, 2.5, (2.0, most)),
            (f64::NAN, Missing::Nan, true, 7.0, (least, most)),
            (most, Missing::Nan, true, 7.0, (least, most)),
            // Zeros go where missing values go.
            (2.0, Missing::Zero, true, 1.0, (least, 2.0)),
            (2.0, Missing::Zero, false, 1.0, (zero, 2.0)),
            (2.0, Missing::Zero, false, -1.0, (least, below_zero)),
            (2.0, Missing::Zero, false, 0.0, (below_zero, zero)),
            (-2.0, Missing::Zero, true, 0.0, (below_zero, zero)),
            (-2.0, Missing::Zero, false, 3.0, (-2.0, most)),
        ];
        for (threshold, missing, default_left, value, run) in cases {
            let found = split(threshold, missing, default_left).run(0, value);
            assert_eq!(found, Some(run), "{threshold} {missing:?} {default_left} {value}");
        }
        assert_eq!(split(2.0, Missing::Nan, true).run(0, f64::NAN), None);
        assert_eq!(split(2.0, Missing::Nan, true).run(!0, 1.0), None);
    }

    #[test]
    fn a_rank_keeps_order_and_number() {
        let numbers = [f64::NEG_INFINITY, -2.5, -1e-300, 0.0, 1e-300, 2.5, f64::INFINITY];
        assert!(numbers.is_sorted_by_key(|number| rank(*number)));
        assert!(numbers.iter().all(|number| ranked(rank(*number)) == *number));
    }
}
