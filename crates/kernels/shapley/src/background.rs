//! Interventional values: what a model expects of an unknown feature is what it is in the rows of a background.
//!
//! On the path to a leaf, a row takes all splits of some features, its set x; a row of the background has a set z. The leaf is reached when each
//! feature is known if only x has it, unknown if only z has it, and never when neither has one. With a features only in x and b only in
//! z, a leaf of value v adds v·(a−1)!·b!/(a+b)! to those in x and −v·a!·(b−1)!/(a+b)! to those in z. Rows of the background are counted by
//! their sets, and of a leaf with up to eight features there is a table of the values for each x: so a row costs the same
//! whatever the background. The factorials are integrals of tᵃ⁻¹(1−t)ᵇ, with which a table is a product over features, point by
//! point of a quadrature that is exact.

pub(crate) mod leaf;
#[cfg(target_arch = "x86_64")]
mod wide;

use std::borrow::Borrow;
use std::sync::OnceLock;

use kernel_trees::{Ensemble, Step, Tree};

use crate::ExplainError;
use crate::block::{BLOCKS, LANES, Lanes, Real, Test};
use crate::interactions::Tallies;
use crate::path::MAX_DEPTH;
use crate::quadrature::{Point, gauss_legendre};
use crate::sums::{close, columns, take};
use leaf::Leaf;

/// A set of features is the bits of a word.
pub(crate) const MOST_FEATURES: usize = 64;
/// Features of a leaf that gets a table: 2⁸ sets.
pub(crate) const MOST_IN_TABLE: usize = 8;
/// Numbers of all tables; leaves beyond are calculated from the counts of sets.
const MOST_NUMBERS: usize = 160 << 20;
/// Sums of so many trees are taken with the floats of the model before they are added up with 64 bits.
const TREES: usize = 16;

#[derive(Debug)]
pub(crate) struct Split<T> {
    pub feature: u32,
    /// The edge above that belongs to the same feature.
    pub above: Option<u32>,
    pub test: Test<T>,
}

/// A tree; edge number 2k leads to the left of split k, 2k + 1 to its right.
#[derive(Debug)]
pub(crate) struct Shape<T> {
    pub output: usize,
    /// What stands above a split is before it.
    pub splits: Vec<Split<T>>,
    pub leaves: Vec<Leaf>,
}

/// What a tree's look-up works on.
pub(crate) struct Rows<'r, T> {
    shape: &'r Shape<T>,
    tree: &'r Tree,
    tables: &'r [T],
    /// By block and feature.
    columns: &'r [Lanes<T>],
    /// By edge and block: the rows that take all splits of its feature down to it.
    marks: &'r mut [u32],
    /// By block, `stride` apart, and feature.
    sums: &'r mut [Lanes<T>],
    stride: usize,
    features: usize,
}

/// What is calculated once for a model, which may be borrowed or shared, and a background.
#[derive(Debug)]
pub struct Interventional<M> {
    model: M,
    pub(crate) base: Vec<f64>,
    pub(crate) form: Form,
    /// Its rows, of which interactions count more than values need.
    pub(crate) background: Vec<f64>,
    pub(crate) tallies: OnceLock<Tallies>,
    exact: OnceLock<Result<Tables<f64>, ExplainError>>,
}

/// With the floats of the model's framework.
#[derive(Debug)]
pub(crate) enum Form {
    Single(Tables<f32>),
    Double(Tables<f64>),
}

#[derive(Debug)]
pub(crate) struct Tables<T> {
    pub shapes: Vec<Shape<T>>,
    numbers: Vec<T>,
}

impl<M: Borrow<Ensemble>> Interventional<M> {
    /// `background` holds whole rows. O(trees × leaves × (rows + 2ᵘ u²)) for u features on a path; memory of up to 8·2⁸ numbers per leaf, at
    /// most 640 MB of 32-bit or 1.3 GB of 64-bit floats; and a copy of the background.
    pub fn new(shared: M, background: &[f64]) -> Result<Self, ExplainError> {
        let model = shared.borrow();
        let count = background.len().checked_div(model.features()).unwrap_or(0);
        if count == 0 {
            return Err(ExplainError::NoBackground);
        }
        assert_eq!(background.len(), count * model.features(), "whole rows");
        let mut base: Vec<f64> = (0..model.scores()).map(|output| model.base_score(output)).collect();
        let form = match model.is_single() {
            true => Form::Single(Tables::new(model, background, &mut base)?),
            false => Form::Double(Tables::new(model, background, &mut base)?),
        };
        let background = background.to_vec();
        Ok(Self { model: shared, base, form, background, tallies: OnceLock::new(), exact: OnceLock::new() })
    }

    pub(crate) fn model(&self) -> &Ensemble {
        self.model.borrow()
    }

    /// Numbers per row: for each output a value per feature and the base.
    pub fn len(&self) -> usize {
        self.model().scores() * (self.model().features() + 1)
    }

    pub fn is_empty(&self) -> bool {
        false
    }

    /// Values of rows in the units of [`Ensemble::raw_scores`], row after row: output after output, features and then the base (the mean score of
    /// the background), which sum to the score. That they do is checked. Panics when a slice has the wrong length.
    pub fn explain_rows(&self, rows: &[f64], values: &mut [f64]) -> Result<(), ExplainError> {
        let (features, most) = (self.model().features(), BLOCKS * LANES);
        let count = rows.len() / features;
        assert_eq!(rows.len(), count * features, "whole rows");
        assert_eq!(values.len(), count * self.len(), "values for each row");
        for (rows, values) in rows.chunks(most * features).zip(values.chunks_mut(most * self.len())) {
            match &self.form {
                Form::Single(tables) => match self.blocks(tables, rows, values) {
                    // 32-bit floats were not enough for one of them.
                    Err(ExplainError::NotAdditive { .. }) => self.blocks(self.exact()?, rows, values)?,
                    done => done?,
                },
                Form::Double(tables) => self.blocks(tables, rows, values)?,
            }
        }
        Ok(())
    }

    /// The tables in 64 bits, made when they are first needed.
    fn exact(&self) -> Result<&Tables<f64>, ExplainError> {
        let made = self.exact.get_or_init(|| {
            // The bases are known, in 64 bits already.
            Tables::new(self.model(), &self.background, &mut self.base.clone())
        });
        made.as_ref().map_err(Clone::clone)
    }

    fn blocks<T: Real>(
        &self,
        tables: &Tables<T>,
        rows: &[f64],
        values: &mut [f64],
    ) -> Result<(), ExplainError> {
        let (features, scores) = (self.model().features(), self.model().scores());
        let columns = columns(self.model(), rows);
        let mut found = vec![[0.0; LANES]; columns.len() * scores];
        tables.add(self.model(), &columns, &mut found);
        let mut raw = vec![0.0; rows.len() / features * scores];
        self.model().raw_scores(rows, &mut raw);
        for (number, values) in values.chunks_mut(self.len()).enumerate() {
            take(self.model(), &found, number, values);
            close(self.model(), &self.base, values, &raw[number * scores..][..scores])?;
        }
        Ok(())
    }
}

impl<T: Real> Tables<T> {
    fn new(model: &Ensemble, background: &[f64], base: &mut [f64]) -> Result<Self, ExplainError> {
        let count = background.len() / model.features();
        let columns: Vec<Lanes<T>> = columns(model, background);
        let quadratures: Vec<Vec<Point>> = (0..=MOST_IN_TABLE.div_ceil(2)).map(gauss_legendre).collect();
        let (mut shapes, mut numbers) = (Vec::with_capacity(model.trees().len()), Vec::new());
        let mut marks = Vec::new();
        for (number, tree) in model.trees().iter().enumerate() {
            if tree.is_linear() {
                return Err(ExplainError::LinearLeaves { tree: number });
            }
            let mut walk = Walk {
                tree,
                path: Vec::new(),
                shape: Shape { output: tree.output(), splits: Vec::new(), leaves: Vec::new() },
                depth: 0,
            };
            walk.visit(tree.root()).map_err(|refusal| refusal(number))?;
            let mut shape = walk.shape;
            marks.clear();
            marks.resize(2 * shape.splits.len() * columns.len().div_ceil(model.features()), 0);
            shape.mark(tree, &columns, model.features(), &mut marks);
            for leaf in &mut shape.leaves {
                let sets = leaf.count(&marks, count);
                let full = sets.iter().find(|(set, _)| set.count_ones() as usize == leaf.features.len());
                base[shape.output] += leaf.value * model.leaf_scale() * full.map_or(0.0, |(_, share)| *share);
                leaf.value *= model.leaf_scale();
                let size = leaf.features.len() << leaf.features.len().min(16);
                if leaf.features.len() <= MOST_IN_TABLE && numbers.len() + size <= MOST_NUMBERS {
                    leaf.tabulate(&sets, &quadratures, &mut numbers);
                } else {
                    leaf.keep(sets);
                }
            }
            shapes.push(shape);
        }
        Ok(Self { shapes, numbers })
    }

    /// Adds the values of blocks to `values`: by block, output and feature.
    fn add(&self, model: &Ensemble, columns: &[Lanes<T>], values: &mut [Lanes<f64>]) {
        let (features, scores) = (model.features(), model.scores());
        let blocks = columns.len() / features;
        let edges = self.shapes.iter().map(|shape| 2 * shape.splits.len()).max().unwrap_or(0);
        let mut marks = vec![0; edges * blocks];
        let mut sums = vec![[T::default(); LANES]; values.len()];
        for (number, (shape, tree)) in self.shapes.iter().zip(model.trees()).enumerate() {
            if !shape.splits.is_empty() {
                let sums = &mut sums[shape.output * features..];
                T::look_up(&mut Rows {
                    shape,
                    tree,
                    tables: &self.numbers,
                    columns,
                    marks: &mut marks,
                    sums,
                    stride: scores * features,
                    features,
                });
            }
            if number % TREES == TREES - 1 || number == self.shapes.len() - 1 {
                for (value, sum) in values.iter_mut().zip(&mut sums) {
                    for (value, sum) in value.iter_mut().zip(sum) {
                        *value += std::mem::take(sum).wide();
                    }
                }
            }
        }
    }
}

impl<T: Real> Shape<T> {
    /// By edge and block, as [`Rows::marks`].
    pub fn mark(&self, tree: &Tree, columns: &[Lanes<T>], features: usize, marks: &mut [u32]) {
        let blocks = columns.len() / features;
        for (number, split) in self.splits.iter().enumerate() {
            for (block, columns) in columns.chunks(features).enumerate() {
                let column = &columns[split.feature as usize];
                let mut left = 0;
                for (lane, value) in column.iter().enumerate() {
                    let goes_left = match split.test {
                        Test::Numeric { threshold, nan_left } => {
                            (*value <= threshold) | (nan_left & value.is_nan())
                        }
                        Test::Other { place } => tree.goes_left(place, value.wide()),
                    };
                    left |= u32::from(goes_left) << lane;
                }
                let old = split.above.map_or(!0, |edge| marks[edge as usize * blocks + block]);
                marks[2 * number * blocks + block] = old & left;
                marks[(2 * number + 1) * blocks + block] = old & !left;
            }
        }
    }
}

struct Walk<'w, T> {
    tree: &'w Tree,
    /// Features above, each with its last edge.
    path: Vec<(u32, u32)>,
    shape: Shape<T>,
    depth: usize,
}

impl<T: Real> Walk<'_, T> {
    fn visit(&mut self, place: i32) -> Result<(), fn(usize) -> ExplainError> {
        let (feature, children) = match self.tree.at(place) {
            Step::Leaf(value) => {
                self.shape.leaves.push(Leaf::new(value, &self.path));
                return Ok(());
            }
            Step::Split { feature, left, right } => (feature as u32, [left, right]),
        };
        if self.depth == MAX_DEPTH {
            return Err(|tree| ExplainError::TooDeep { tree });
        }
        let known = self.path.iter().position(|(other, _)| *other == feature);
        if known.is_none() && self.path.len() == MOST_FEATURES {
            return Err(|tree| ExplainError::TooWide { tree });
        }
        let number = self.shape.splits.len() as u32;
        let test = match self.tree.threshold(place) {
            Some((threshold, nan_left)) => Test::Numeric { threshold: T::of(threshold), nan_left },
            None => Test::Other { place },
        };
        let above = known.map(|known| self.path[known].1);
        self.shape.splits.push(Split { feature, above, test });
        for (edge, child) in (2 * number..).zip(children) {
            match known {
                Some(known) => self.path[known].1 = edge,
                None => self.path.push((feature, edge)),
            }
            self.depth += 1;
            self.visit(child)?;
            self.depth -= 1;
            match (known, above) {
                (Some(known), Some(above)) => self.path[known].1 = above,
                _ => drop(self.path.pop()),
            }
        }
        Ok(())
    }
}

/// The tables of every leaf, row by row.
pub(crate) fn look_up<T: Real>(rows: &mut Rows<'_, T>) {
    rows.shape.mark(rows.tree, rows.columns, rows.features, rows.marks);
    let blocks = rows.columns.len() / rows.features;
    for leaf in &rows.shape.leaves {
        for block in 0..blocks {
            let sums = &mut rows.sums[block * rows.stride..];
            let Some(table) = leaf.table else {
                leaf.add_by_counts(rows.marks, blocks, block, sums);
                continue;
            };
            let mut sets = [0u8; LANES];
            for (bit, edge) in leaf.edges.iter().enumerate() {
                let mark = rows.marks[*edge as usize * blocks + block];
                for (lane, set) in sets.iter_mut().enumerate() {
                    *set |= ((mark >> lane & 1) as u8) << bit;
                }
            }
            let size = 1 << leaf.features.len();
            for (place, feature) in leaf.features.iter().enumerate() {
                let table = &rows.tables[table + place * size..][..size];
                for (sum, set) in sums[*feature as usize].iter_mut().zip(sets) {
                    *sum = sum.plus(table[usize::from(set) & (size - 1)]);
                }
            }
        }
    }
}

/// [`look_up`] with tables in registers where the processor has them.
pub(crate) fn look_up_single(rows: &mut Rows<'_, f32>) {
    #[cfg(target_arch = "x86_64")]
    if crate::block::has_wide() {
        #[allow(
            unsafe_code,
            reason = "the processor has what the function is compiled for: asked just now"
        )]
        return unsafe { wide::look_up(rows) };
    }
    look_up(rows);
}

#[cfg(test)]
mod tests {
    use std::array::from_fn;

    use super::*;

    #[test]
    fn all_forms_give_the_same_bits() {
        let golden = format!("{}/../trees/tests/golden/xgboost", env!("CARGO_MANIFEST_DIR"));
        for name in ["regression", "categorical", "deep"] {
            let file = fs_err::read(format!("{golden}/{name}.json")).expect("the model is in the repository");
            let model = Ensemble::from_xgboost(&file).expect("it is read");
            let rows: Vec<f64> =
                (0..100 * model.features()).map(|k| (k * k % 17) as f64 / 4.0 - 2.0).collect();
            let mut base = vec![0.0];
            let tables = Tables::<f32>::new(&model, &rows, &mut base).expect("there are rows");
            let columns = columns(&model, &rows);
            let (features, blocks) = (model.features(), columns.len() / model.features());
            for (shape, tree) in tables.shapes.iter().zip(model.trees()) {
                let sums = |look_up: fn(&mut Rows<'_, f32>)| {
                    let mut sums = vec![[0.0f32; LANES]; blocks * features];
                    look_up(&mut Rows {
                        shape,
                        tree,
                        tables: &tables.numbers,
                        columns: &columns,
                        marks: &mut vec![0; 2 * shape.splits.len() * blocks],
                        sums: &mut sums,
                        stride: features,
                        features,
                    });
                    sums.iter()
                        .map(|lanes| from_fn::<u32, LANES, _>(|lane| lanes[lane].to_bits()))
                        .collect::<Vec<_>>()
                };
                assert_eq!(sums(look_up), sums(look_up_single), "{name}");
            }
        }
    }
}
