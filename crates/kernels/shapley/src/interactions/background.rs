//! Interactions against a background, from the sets that its rows have at a leaf.
//!
//! With a features only in the row's set and b only in the background's (the names are those of `background`), a leaf of value v adds to the index
//! of two of the row's v·(a−2)!·b!/(a+b−1)!, of two of the background's v·a!·(b−2)!/(a+b−1)!, and of one of each
//! −v·(a−1)!·(b−1)!/(a+b−1)!. What it adds is the same for all rows that have a set, so it is calculated once for each set.

use std::borrow::Borrow;

use kernel_trees::Ensemble;

use super::matrix::{Matrices, cell, cells};
use crate::background::leaf::{Leaf, weight};
use crate::background::{Form, MOST_IN_TABLE, Shape, Tables};
use crate::block::{LANES, Lanes, Real};
use crate::sums::columns;
use crate::{ExplainError, Interventional};

impl<M: Borrow<Ensemble>> Interventional<M> {
    /// Numbers per row that [`Interventional::interactions`] writes: for each output (features + 1)².
    pub fn interactions_len(&self) -> usize {
        Matrices::of(self.model()).per_row()
    }

    /// Interactions of rows in the units of [`Ensemble::raw_scores`], row after row: output after output a symmetric matrix of features and base.
    /// A feature's row sums to its value as [`Interventional::explain_rows`] gives it, and the matrix to the score, which is checked: the
    /// error is [`ExplainError::NotAdditive`]. Panics when a slice has the wrong length.
    ///
    /// The first call counts the background's rows, O(trees × leaves × rows of the background), and keeps five bytes for each set of a leaf, of
    /// which there are up to 2ᵘ with u features on a path and as many as rows. Then, for up to 512 rows together, O(trees × leaves × (rows × u² +
    /// different sets of the rows × different sets of the background × u²)), with 64-bit floats.
    pub fn interactions(&self, rows: &[f64], values: &mut [f64]) -> Result<(), ExplainError> {
        match &self.form {
            Form::Single(tables) => self.interactions_from(tables, rows, values),
            Form::Double(tables) => self.interactions_from(tables, rows, values),
        }
    }

    fn interactions_from<T: Real>(
        &self,
        tables: &Tables<T>,
        rows: &[f64],
        values: &mut [f64],
    ) -> Result<(), ExplainError> {
        let model = self.model();
        let matrices = Matrices::of(model);
        matrices.count(rows, values);
        let tallies = self.tallies.get_or_init(|| Tallies::new(model, &tables.shapes, &self.background));
        let (features, scores, most) = (model.features(), model.scores(), matrices.rows_at_once());
        for (rows, values) in rows.chunks(most * features).zip(values.chunks_mut(most * matrices.per_row())) {
            matrices.fill::<T>(model, rows, values, |output, columns, totals| {
                tallies.add(model, &tables.shapes, output, columns, totals);
            });
            let mut raw = vec![0.0; rows.len() / features * scores];
            model.raw_scores(rows, &mut raw);
            for (raw, own) in raw.chunks(scores).zip(values.chunks_mut(matrices.per_row())) {
                matrices.close(model, &self.base, raw, own)?;
            }
        }
        Ok(())
    }
}

/// Rows of the background by their sets at the leaves, of which those with tables do not keep them.
#[derive(Debug)]
pub(crate) struct Tallies {
    rows: usize,
    trees: Vec<Tally>,
    weights: Weights,
}

/// Of the leaves of a tree, one after the other.
#[derive(Debug, Default)]
struct Tally {
    sets: Vec<u8>,
    rows: Vec<u32>,
    /// By leaf: the number of its sets.
    counts: Vec<u16>,
}

/// (a−1)!·b!/(a+b)! for 0 < a.
#[derive(Debug)]
struct Weights {
    stride: usize,
    numbers: Vec<f64>,
}

impl Weights {
    fn new(most: usize) -> Self {
        let all = || 0..=most as u32;
        let numbers = all().flat_map(|a| all().map(move |b| weight(a, b))).collect();
        Self { stride: most + 1, numbers }
    }

    fn at(&self, a: u32, b: u32) -> f64 {
        self.numbers[a as usize * self.stride + b as usize]
    }
}

impl Tallies {
    fn new<T: Real>(model: &Ensemble, shapes: &[Shape<T>], background: &[f64]) -> Self {
        let features = model.features();
        let rows = background.len() / features;
        let columns: Vec<Lanes<T>> = columns(model, background);
        let blocks = columns.len() / features;
        let mut marks = Vec::new();
        let mut trees = Vec::with_capacity(shapes.len());
        for (shape, tree) in shapes.iter().zip(model.trees()) {
            marks.clear();
            marks.resize(2 * shape.splits.len() * blocks, 0);
            shape.mark(tree, &columns, features, &mut marks);
            let mut tally = Tally::default();
            for leaf in &shape.leaves {
                let found = if leaf.table.is_some() { leaf.tally(&marks, rows) } else { Vec::new() };
                tally.counts.push(found.len() as u16);
                for (set, rows) in found {
                    tally.sets.push(set as u8);
                    tally.rows.push(rows as u32);
                }
            }
            trees.push(tally);
        }
        let leaves = shapes.iter().flat_map(|shape| &shape.leaves);
        let most = leaves.map(|leaf| leaf.features.len()).max().unwrap_or(0);
        Self { rows, trees, weights: Weights::new(most) }
    }

    /// Adds the indices of pairs and the values of features to `totals`: by block and cell, of one output. `columns` are by block and feature.
    fn add<T: Real>(
        &self,
        model: &Ensemble,
        shapes: &[Shape<T>],
        output: usize,
        columns: &[Lanes<T>],
        totals: &mut [Lanes<f64>],
    ) {
        let features = model.features();
        let blocks = columns.len() / features;
        let edges = shapes.iter().map(|shape| 2 * shape.splits.len()).max().unwrap_or(0);
        let mut marks = vec![0; edges * blocks];
        let mut background: Vec<(u64, f64)> = Vec::new();
        let trees = shapes.iter().zip(model.trees()).zip(&self.trees);
        for ((shape, tree), tally) in trees.filter(|((shape, _), _)| shape.output == output) {
            if shape.splits.is_empty() {
                continue;
            }
            shape.mark(tree, columns, features, &mut marks);
            let mut counted = tally.sets.iter().zip(&tally.rows);
            for (leaf, count) in shape.leaves.iter().zip(&tally.counts) {
                background.clear();
                background.extend_from_slice(&leaf.sets);
                let of_leaf = counted.by_ref().take(usize::from(*count));
                background.extend(
                    of_leaf.map(|(set, rows)| (u64::from(*set), f64::from(*rows) / self.rows as f64)),
                );
                self.add_leaf(leaf, &background, &marks, features, totals);
            }
        }
    }

    fn add_leaf(
        &self,
        leaf: &Leaf,
        background: &[(u64, f64)],
        marks: &[u32],
        features: usize,
        totals: &mut [Lanes<f64>],
    ) {
        let (all_cells, own_cells) = (cells(features), cells(leaf.features.len()));
        let rows = totals.len() / all_cells * LANES;
        let mut sets: Vec<u64> = Vec::with_capacity(rows);
        leaf.each_set(marks, rows, |block: &[u64]| sets.extend_from_slice(block));
        let (different, places) = different(&sets, leaf.features.len());
        let mut triangles = vec![0.0; different.len() * own_cells];
        for (own, triangle) in different.iter().zip(triangles.chunks_exact_mut(own_cells)) {
            self.fill(leaf, *own, background, triangle);
        }
        for (one, feature) in leaf.features.iter().enumerate() {
            for (other, partner) in leaf.features.iter().enumerate().skip(one) {
                let pair = cell(leaf.features.len(), one, other);
                let cell = cell(features, *feature as usize, *partner as usize);
                for (block, places) in places.chunks_exact(LANES).enumerate() {
                    for (total, place) in totals[block * all_cells + cell].iter_mut().zip(places) {
                        *total += triangles[*place as usize * own_cells + pair];
                    }
                }
            }
        }
    }

    /// What a leaf adds for a row with the set `own`, by cell of its own features.
    fn fill(&self, leaf: &Leaf, own: u64, background: &[(u64, f64)], triangle: &mut [f64]) {
        let count = leaf.features.len();
        let all = u64::MAX >> (64 - count);
        for (set, share) in background {
            if own | set != all {
                continue;
            }
            let (gains, losses) = (own & !set, set & !own);
            let (a, b) = (gains.count_ones(), losses.count_ones());
            let value = leaf.value * share;
            let is_gain = |bit: usize| gains >> bit & 1 == 1;
            let mut rest = gains | losses;
            while rest != 0 {
                let one = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                let alone = if is_gain(one) { self.weights.at(a, b) } else { -self.weights.at(b, a) };
                triangle[cell(count, one, one)] += value * alone;
                let mut others = rest;
                while others != 0 {
                    let other = others.trailing_zeros() as usize;
                    others &= others - 1;
                    let both = match (is_gain(one), is_gain(other)) {
                        (true, true) => self.weights.at(a - 1, b),
                        (false, false) => self.weights.at(b - 1, a),
                        _ => -self.weights.at(a, b - 1),
                    };
                    triangle[cell(count, one, other)] += value * both;
                }
            }
        }
    }
}

/// The different sets among those of rows, and the place of each row's among them.
fn different(sets: &[u64], features: usize) -> (Vec<u64>, Vec<u32>) {
    if features > MOST_IN_TABLE {
        let mut different = sets.to_vec();
        different.sort_unstable();
        different.dedup();
        let place = |set: &u64| different.partition_point(|other| other < set) as u32;
        let places = sets.iter().map(place).collect();
        return (different, places);
    }
    let mut known = [None; 1 << MOST_IN_TABLE];
    let mut different = Vec::new();
    let mut places = Vec::with_capacity(sets.len());
    for set in sets {
        places.push(*known[*set as usize].get_or_insert_with(|| {
            different.push(*set);
            different.len() as u32 - 1
        }));
    }
    (different, places)
}
