//! Trees laid out for speed; the sums are those of the plain walk, bit for bit.
//!
//! A value is compared with all splits of its feature once, when a row comes: what is left of it is the number of thresholds
//! below it, a byte. The first eight levels of a tree are a heap of such bytes (`heap`). Few rows without AVX-512, and trees
//! that fit into no heap, take nodes whose children lie side by side; eight rows go through them in turn, without a branch.
//! What has linear leaves or sets of categories, or treats missing values of one feature in two ways, is walked as it was read.

mod heap;

use crate::ensemble::{Ensemble, Missing, Split, Tree, ZERO};

/// Rows that pass a tree before the next one.
const ROWS: usize = 256;
/// Rows that go through a tree of nodes in turn.
const TOGETHER: usize = 8;
/// From so many rows on columns are compared.
const FEWEST: usize = 24;
const LEAF: u32 = 1 << 31;
const NAN_LEFT: u32 = 1 << 30;
const COLUMN: u32 = NAN_LEFT - 1;

/// The floats of a model's rows and sums.
pub(crate) trait Real: Copy + Default + PartialOrd + std::fmt::Debug + Send + Sync + 'static {
    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
    fn is_nan(self) -> bool;
    fn plus(self, other: Self) -> Self;
    /// How many of 256 ascending cuts lie below a value.
    #[cfg(target_arch = "x86_64")]
    fn below(cuts: &heap::Cuts<Self>, value: Self) -> u8;
    #[cfg(target_arch = "x86_64")]
    fn below_avx2(cuts: &heap::Cuts<Self>, value: Self) -> u8;
}

macro_rules! real {
    ($float:ty, $below:ident) => {
        impl Real for $float {
            #[inline(always)]
            fn of(value: f64) -> Self {
                value as Self
            }

            #[inline(always)]
            fn wide(self) -> f64 {
                f64::from(self)
            }

            #[inline(always)]
            fn is_nan(self) -> bool {
                <$float>::is_nan(self)
            }

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }

            #[cfg(target_arch = "x86_64")]
            #[inline(always)]
            fn below(cuts: &heap::Cuts<Self>, value: Self) -> u8 {
                #[allow(unsafe_code, reason = "there are no cuts without the processor's vectors")]
                unsafe {
                    heap::words::$below(cuts, value)
                }
            }

            #[cfg(target_arch = "x86_64")]
            #[inline(always)]
            fn below_avx2(cuts: &heap::Cuts<Self>, value: Self) -> u8 {
                #[allow(unsafe_code, reason = "asked only by what is compiled for the processor's vectors")]
                unsafe {
                    heap::columns::$below(cuts, value)
                }
            }
        }
    };
}

real!(f32, below_single);
real!(f64, below_double);

/// Which of the processor's vectors are used, as far as it has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vectors {
    Best,
    /// AVX2 at most.
    Avx2,
    Unused,
}

/// A feature that splits ask for.
#[derive(Debug, Clone)]
struct Column {
    feature: usize,
    missing: Missing,
}

/// Children of a split are at `left` and after it; a leaf has its value in place of a threshold.
#[derive(Debug, Clone, Copy)]
struct Node<T> {
    threshold: T,
    /// The column, [`NAN_LEFT`], [`LEAF`].
    word: u32,
    left: u32,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Plain,
    Nodes {
        root: u32,
        depth: u32,
    },
    /// Of several trees.
    Heaps(heap::Series),
}

#[derive(Debug, Clone)]
pub(crate) struct Layout<T> {
    columns: Vec<Column>,
    /// In the order of the trees.
    forms: Vec<Form>,
    nodes: Vec<Node<T>>,
    heaps: heap::Heaps<T>,
    /// By tree whose heap takes many rows only: where its nodes begin, and its depth.
    roots: Vec<Option<(u32, u32)>>,
}

/// With the floats of the framework.
#[derive(Debug, Clone)]
pub(crate) enum Layouts {
    Single(Layout<f32>),
    Double(Layout<f64>),
}

impl Layouts {
    pub fn new(model: &Ensemble, vectors: Vectors) -> Self {
        match model.is_single() {
            true => Self::Single(Layout::new(model, vectors)),
            false => Self::Double(Layout::new(model, vectors)),
        }
    }

    /// Raw scores, row after row.
    pub fn sums(&self, model: &Ensemble, rows: &[f64], sums: &mut [f64]) {
        match self {
            Self::Single(layout) => layout.sums(model, rows, sums),
            Self::Double(layout) => layout.sums(model, rows, sums),
        }
    }
}

/// How splits treat what is missing of a feature.
fn missing_of(split: Split) -> Option<Missing> {
    match split {
        Split::Numeric { missing, .. } => Some(missing),
        Split::Category { .. } | Split::Listed { .. } => None,
    }
}

impl<T: Real> Node<T> {
    fn is_leaf(&self) -> bool {
        self.word & LEAF != 0
    }

    /// The child that a row goes to; a leaf itself.
    #[inline(always)]
    fn next(&self, row: &[T]) -> u32 {
        let value = row[(self.word & COLUMN) as usize];
        let goes_left = (value <= self.threshold) | (value.is_nan() & (self.word & NAN_LEFT != 0));
        self.left + u32::from(!goes_left & !self.is_leaf())
    }
}

/// Adds the part of a tree below `place`: where it begins, and its depth.
fn lay_out<T: Real>(
    nodes: &mut Vec<Node<T>>,
    tree: &Tree,
    place: i32,
    number_of: &[Option<u32>],
) -> (u32, u32) {
    let root = nodes.len() as u32;
    let mut open = std::collections::VecDeque::from([(place, 0u32)]);
    let (mut end, mut deepest) = (root + 1, 0);
    // Breadth first: when a split is met, the place of its children is the end of what is known.
    while let Some((place, depth)) = open.pop_front() {
        deepest = deepest.max(depth);
        let own = nodes.len() as u32;
        let node = match usize::try_from(place) {
            Err(_) => Node { threshold: T::of(tree.leaves[!place as usize]), word: LEAF, left: own },
            Ok(number) => {
                let node = &tree.nodes[number];
                let Split::Numeric { threshold, default_left, missing } = node.split else {
                    unreachable!("trees with categories are plain")
                };
                open.extend([(node.left, depth + 1), (node.right, depth + 1)]);
                end += 2;
                let nan_left = default_left && missing != Missing::None;
                let column = number_of[node.feature as usize].unwrap_or_default();
                let word = column | if nan_left { NAN_LEFT } else { 0 };
                Node { threshold: T::of(threshold), word, left: end - 2 }
            }
        };
        nodes.push(node);
    }
    (root, deepest)
}

/// The leaf of a row.
fn follow<T: Real>(nodes: &[Node<T>], root: u32, row: &[T]) -> T {
    let mut node = &nodes[root as usize];
    while !node.is_leaf() {
        node = &nodes[node.next(row) as usize];
    }
    node.threshold
}

/// So many numbers need no memory of their own.
const FEW: usize = 64;

/// A row alone is scored in less time than some memory is asked for.
fn room<'r, T: Real>(few: &'r mut [T; FEW], many: &'r mut Vec<T>, length: usize) -> &'r mut [T] {
    if length <= FEW {
        return &mut few[..length];
    }
    many.resize(length, T::default());
    many
}

impl<T: Real> Layout<T> {
    fn new(model: &Ensemble, vectors: Vectors) -> Self {
        // What the first split says of missing values holds for the feature.
        let mut number_of: Vec<Option<u32>> = vec![None; model.features];
        let mut columns: Vec<Column> = Vec::new();
        for node in model.trees.iter().flat_map(|tree| &tree.nodes) {
            let number = &mut number_of[node.feature as usize];
            if let (None, Some(missing)) = (*number, missing_of(node.split)) {
                *number = Some(columns.len() as u32);
                columns.push(Column { feature: node.feature as usize, missing });
            }
        }
        let is_plain = |tree: &Tree| {
            tree.is_linear()
                || tree.nodes.iter().any(|node| {
                    let column =
                        number_of[node.feature as usize].map(|number| columns[number as usize].missing);
                    missing_of(node.split).is_none() || column != missing_of(node.split)
                })
        };
        let is_plain: Vec<bool> = model.trees.iter().map(is_plain).collect();
        let (heaps, series) = heap::Heaps::new(model, &number_of, &is_plain, vectors);
        let mut layout = Self {
            columns,
            forms: Vec::new(),
            nodes: Vec::new(),
            heaps,
            roots: vec![None; model.trees.len()],
        };
        let mut next = 0;
        while let Some(tree) = model.trees.get(next) {
            if let Some(series) = series[next] {
                layout.forms.push(Form::Heaps(series));
                if !series.has_words() {
                    for number in series.trees() {
                        let tree = &model.trees[number];
                        layout.roots[number] =
                            Some(lay_out(&mut layout.nodes, tree, tree.root(), &number_of));
                    }
                }
                next = series.trees().end;
                continue;
            }
            layout.forms.push(match is_plain[next] {
                true => Form::Plain,
                false => {
                    let (root, depth) = lay_out(&mut layout.nodes, tree, tree.root(), &number_of);
                    Form::Nodes { root, depth }
                }
            });
            next += 1;
        }
        layout
    }

    fn sums(&self, model: &Ensemble, rows: &[f64], sums: &mut [f64]) {
        let (features, scores) = (model.features, model.scores);
        if features == 0 {
            // Rows without values: every tree is a leaf.
            return sums.chunks_mut(scores).for_each(|sums| model.walk(&[], sums));
        }
        let most = ROWS.min(rows.len() / features);
        let (mut few_values, mut many_values) = ([T::default(); FEW], Vec::new());
        let values = room(&mut few_values, &mut many_values, most * self.columns.len());
        let (mut few_sums, mut many_sums) = ([T::default(); FEW], Vec::new());
        let own = room(&mut few_sums, &mut many_sums, most * scores);
        let mut bins = None;
        for (rows, sums) in rows.chunks(ROWS * features).zip(sums.chunks_mut(ROWS * scores)) {
            for (row, values) in rows.chunks(features).zip(values.chunks_mut(self.columns.len().max(1))) {
                self.read(model, row, values);
            }
            for (place, own) in own.iter_mut().enumerate() {
                *own = T::of(model.start(place % scores));
            }
            if rows.len() / features < FEWEST {
                self.add_few(model, rows, values, own);
            } else {
                let bins = bins.get_or_insert_with(|| heap::columns::Bins::new(self.columns.len()));
                bins.forget();
                self.add_many(model, rows, values, bins, own);
            }
            for (place, (sum, own)) in sums.iter_mut().zip(&*own).enumerate() {
                *sum = model.end(place % scores, own.wide());
            }
        }
    }

    fn add_few(&self, model: &Ensemble, rows: &[f64], values: &[T], sums: &mut [T]) {
        let count = rows.len() / model.features;
        #[cfg(target_arch = "x86_64")]
        let mut bins = heap::words::Bins::new();
        let mut trees = model.trees.iter();
        for form in &self.forms {
            let Form::Heaps(series) = *form else {
                let Some(tree) = trees.next() else { break };
                self.add_tree(model, *form, tree, rows, values, sums);
                continue;
            };
            #[cfg(target_arch = "x86_64")]
            if series.has_words() {
                self.heaps.add_rows(series, values, &mut bins, sums, model.scores);
                trees.nth(series.trees().len() - 1);
                continue;
            }
            let together = count / TOGETHER * TOGETHER;
            if together > 0 {
                for number in series.trees() {
                    let Some((root, depth)) = self.roots[number] else { continue };
                    self.walk(
                        root,
                        depth,
                        values,
                        together,
                        &mut sums[model.trees[number].output..],
                        model.scores,
                    );
                }
            }
            let width = self.columns.len();
            for row in together..count {
                let sums = &mut sums[row * model.scores..][..model.scores];
                self.walk_row(series.trees(), model, &values[row * width..][..width], sums);
            }
            trees.nth(series.trees().len() - 1);
        }
    }

    /// One row through several trees in turn.
    fn walk_row(&self, trees: std::ops::Range<usize>, model: &Ensemble, row: &[T], sums: &mut [T]) {
        let (roots, trees) = (&self.roots[trees.clone()], &model.trees[trees]);
        for (roots, trees) in roots.chunks(TOGETHER).zip(trees.chunks(TOGETHER)) {
            let (mut at, mut deepest) = ([0; TOGETHER], 0);
            for (at, root) in at.iter_mut().zip(roots) {
                let (root, depth) = root.unwrap_or_default();
                *at = root;
                deepest = deepest.max(depth);
            }
            for _ in 0..deepest {
                for at in &mut at[..roots.len()] {
                    *at = self.nodes[*at as usize].next(row);
                }
            }
            for (at, tree) in at.into_iter().zip(trees) {
                let sum = &mut sums[tree.output];
                *sum = sum.plus(self.nodes[at as usize].threshold);
            }
        }
    }

    fn add_many(
        &self,
        model: &Ensemble,
        rows: &[f64],
        values: &[T],
        bins: &mut heap::columns::Bins,
        sums: &mut [T],
    ) {
        let count = rows.len() / model.features;
        let mut trees = model.trees.iter();
        for form in &self.forms {
            if let Form::Heaps(series) = *form {
                self.heaps.add_columns(series, values, count, bins, sums, model.scores);
                trees.nth(series.trees().len() - 1);
                continue;
            }
            let Some(tree) = trees.next() else { break };
            self.add_tree(model, *form, tree, rows, values, sums);
        }
    }

    /// A tree of nodes, or as it was read.
    fn add_tree(
        &self,
        model: &Ensemble,
        form: Form,
        tree: &Tree,
        rows: &[f64],
        values: &[T],
        sums: &mut [T],
    ) {
        let sums = &mut sums[tree.output..];
        if let Form::Nodes { root, depth } = form {
            return self.walk(root, depth, values, rows.len() / model.features, sums, model.scores);
        }
        for (row, sum) in rows.chunks(model.features).zip(sums.iter_mut().step_by(model.scores)) {
            *sum = sum.plus(T::of(tree.leaf(row, |value| model.read(value))));
        }
    }

    /// The values that splits ask for; what is missing is NaN.
    fn read(&self, model: &Ensemble, row: &[f64], values: &mut [T]) {
        for (value, column) in values.iter_mut().zip(&self.columns) {
            let given = model.read(row[column.feature]);
            let given = match column.missing {
                Missing::Nan => given,
                Missing::None if given.is_nan() => 0.0,
                Missing::None => given,
                Missing::Zero if given.abs() <= ZERO => f64::NAN,
                Missing::Zero => given,
            };
            *value = T::of(given);
        }
    }

    fn walk(&self, root: u32, depth: u32, values: &[T], count: usize, sums: &mut [T], scores: usize) {
        let width = self.columns.len();
        let mut first = 0;
        while first + TOGETHER <= count && width > 0 {
            let rows = &values[first * width..][..TOGETHER * width];
            let mut at = [root; TOGETHER];
            for _ in 0..depth {
                for (at, row) in at.iter_mut().zip(rows.chunks_exact(width)) {
                    *at = self.nodes[*at as usize].next(row);
                }
            }
            for (together, at) in at.into_iter().enumerate() {
                let sum = &mut sums[(first + together) * scores];
                *sum = sum.plus(self.nodes[at as usize].threshold);
            }
            first += TOGETHER;
        }
        for row in first..count {
            let sum = &mut sums[row * scores];
            *sum = sum.plus(follow(&self.nodes, root, &values[row * width..][..width]));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use proptest::prelude::*;

    use super::*;
    use crate::Objective;
    use crate::ensemble::Node as Written;
    use crate::ensemble::{Categories, Numbers};

    /// Numbers from a seed.
    struct Draw(u64);

    impl Draw {
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % bound.max(1)
        }

        fn value(&mut self, range: usize) -> f64 {
            match self.below(24) {
                0 => f64::NAN,
                1 => f64::INFINITY,
                2 => f64::NEG_INFINITY,
                3 => -0.0,
                4 => 1e-36,
                5 => 1e300,
                6 => -f64::MIN_POSITIVE,
                _ => self.below(range) as f64 / 16.0 - 4.0,
            }
        }
    }

    fn tree(
        draw: &mut Draw,
        features: usize,
        depth: usize,
        range: usize,
        missing: &[Missing],
        odd: bool,
    ) -> Tree {
        let mut tree = Tree {
            nodes: Vec::new(),
            leaves: Vec::new(),
            category_words: vec![0x5a5a_1234],
            listed: vec![-1.0, 0.5],
            lines: Vec::new(),
            output: 0,
            node_covers: Vec::new(),
            leaf_covers: Vec::new(),
        };
        grow(draw, &mut tree, features, depth, range, missing, odd);
        tree
    }

    fn grow(
        draw: &mut Draw,
        tree: &mut Tree,
        features: usize,
        depth: usize,
        range: usize,
        missing: &[Missing],
        odd: bool,
    ) -> i32 {
        if depth == 0 || draw.below(8) == 0 {
            tree.leaves.push(f64::from((draw.below(2_000) as f32 - 1_000.0) / 7.0));
            return !(tree.leaves.len() as i32 - 1);
        }
        let feature = draw.below(features);
        let split = match odd && draw.below(12) == 0 {
            true if draw.below(2) == 0 => Split::Listed { first: 0, count: 2, nan_left: draw.below(2) == 0 },
            true => {
                Split::Category { first: 0, words: 1, nan_left: draw.below(2) == 0, codes: Categories::Whole }
            }
            false => Split::Numeric {
                threshold: match draw.below(40) {
                    0 if odd => f64::NAN,
                    _ => f64::from(draw.value(range) as f32),
                },
                missing: if odd && draw.below(12) == 0 { Missing::Zero } else { missing[feature] },
                default_left: draw.below(2) == 0,
            },
        };
        let split = match split {
            Split::Numeric { threshold, missing, default_left } if threshold.is_nan() && !odd => {
                Split::Numeric { threshold: 0.5, missing, default_left }
            }
            split => split,
        };
        let own = tree.nodes.len();
        tree.nodes.push(Written { feature: feature as u32, split, left: 0, right: 0 });
        let left = grow(draw, tree, features, depth - 1, range, missing, odd);
        let right = grow(draw, tree, features, depth - 1, range, missing, odd);
        (tree.nodes[own].left, tree.nodes[own].right) = (left, right);
        own as i32
    }

    /// Makes a tree whole to a depth, with the comparison of its root on the first level, and so on down the left side.
    fn make_oblivious(tree: &mut Tree, depth: usize) {
        let mut splits = Vec::new();
        let mut place = tree.root();
        while let Some(node) = usize::try_from(place).ok().filter(|_| splits.len() < depth) {
            splits.push((tree.nodes[node].feature, tree.nodes[node].split));
            place = tree.nodes[node].left;
        }
        let inner = (1 << splits.len()) - 1;
        let child = |child: i32| if child < inner { child } else { !(child - inner) };
        let node = |node: i32| {
            let (feature, split) = splits[(node + 1).ilog2() as usize];
            Written { feature, split, left: child(2 * node + 1), right: child(2 * node + 2) }
        };
        tree.nodes = (0..inner).map(node).collect();
        let leaves: Vec<f64> = tree.leaves.iter().copied().cycle().take(inner as usize + 1).collect();
        tree.leaves = leaves;
    }

    fn model(draw: &mut Draw, features: usize, depth: usize, range: usize, odd: bool) -> Ensemble {
        let missing: Vec<Missing> =
            (0..features).map(|_| [Missing::None, Missing::Zero, Missing::Nan][draw.below(3)]).collect();
        let scores = 1 + draw.below(3);
        let trees = (0..20)
            .map(|number| {
                let mut tree = tree(draw, features, depth, range, &missing, odd);
                if draw.below(3) == 0 {
                    make_oblivious(&mut tree, depth.min(9));
                }
                tree.output = number % scores;
                tree
            })
            .collect();
        let numbers = match draw.below(6) {
            0 => Numbers::Double,
            2 => Numbers::Biased { bias: vec![0.3; scores] },
            1 => Numbers::Wide {
                single_input: draw.below(2) == 0,
                base: vec![0.1; scores],
                divide_by: [None, Some(7.0)][draw.below(2)],
            },
            3 => Numbers::Late {
                single_input: true,
                single_sums: true,
                single_output: true,
                base: vec![f64::from(0.1f32); scores],
                divide_by: [None, Some(7.0)][draw.below(2)],
            },
            4 => Numbers::Late {
                single_input: draw.below(2) == 0,
                single_sums: false,
                single_output: false,
                base: vec![0.1; scores],
                divide_by: [None, Some(7.0)][draw.below(2)],
            },
            _ => Numbers::Single { base: vec![0.25; scores] },
        };
        Ensemble {
            features,
            feature_names: None,
            trees,
            scores,
            objective: Objective::Identity,
            average: false,
            numbers,
            layout: OnceLock::new(),
        }
    }

    fn sums<T: Real>(model: &Ensemble, rows: &[f64], vectors: Vectors) -> Vec<f64> {
        let mut sums = vec![0.0; rows.len() / model.features * model.scores];
        Layout::<T>::new(model, vectors).sums(model, rows, &mut sums);
        sums
    }

    proptest! {
        /// All layouts give what the plain walk gives, to the bit.
        #[test]
        fn layouts_give_the_sums_of_the_walk(
            seed: u64,
            features in prop::sample::select(vec![1usize, 3, 20, 63, 64, 65, 130]),
            depth in prop::sample::select(vec![0usize, 1, 5, 6, 7, 8, 9, 12]),
            range in prop::sample::select(vec![4usize, 128, 100_000]),
            odd: bool,
            count in prop::sample::select(vec![1usize, 9, 23, 24, 33, 65, 140]),
        ) {
            let mut draw = Draw(seed);
            let model = model(&mut draw, features, depth, range, odd);
            let rows: Vec<f64> = (0..count * features).map(|_| draw.value(range)).collect();
            let mut expected = vec![0.0; count * model.scores];
            for (row, scores) in rows.chunks(features).zip(expected.chunks_mut(model.scores)) {
                model.walk(row, scores);
            }
            let bits = |sums: Vec<f64>| sums.into_iter().map(f64::to_bits).collect::<Vec<_>>();
            let expected = bits(expected);
            for vectors in [Vectors::Best, Vectors::Avx2, Vectors::Unused] {
                let found = match model.is_single() {
                    true => sums::<f32>(&model, &rows, vectors),
                    false => sums::<f64>(&model, &rows, vectors),
                };
                prop_assert_eq!(&bits(found), &expected, "{:?}", vectors);
            }
        }
    }
}
