//! Path-dependent values of one row: the points of a quadrature fill the vector, where a block's rows do.
//!
//! Per split there are three cases: the row has taken all splits of the feature so far and goes left, or right, or had left them before. The constants of
//! a case for both children lie together, so that of what is known of a split a row reads one cache line. Down the tree, each place gets the
//! product of what is above it (a leaf's value included); up again, it becomes the sum of what is below it. Neither way branches.

use std::array::from_fn;

use kernel_trees::{Ensemble, Step, Tree};

use crate::block::Real;
use crate::path::{State, share};
use crate::quadrature::Point;

/// Sums of so many trees are taken with the floats of the model before they are added up with 64 bits.
const TREES: usize = 16;
/// The case without splits above is that of a row that took them.
const ALWAYS: u32 = 0;

/// Factors of the children, and what they gain the feature: left, left, right, right.
#[derive(Debug)]
#[repr(align(64))]
struct Case<T, const W: usize>([[T; W]; 4]);

#[derive(Debug)]
struct Split<T> {
    feature: u32,
    /// The slot that says whether the row takes the splits above of this feature.
    above: u32,
    /// Places of the children; a child that is a split writes its slot at its place.
    children: [u32; 2],
    /// Of the first of two cases, or three when there are splits above.
    case: u32,
    test: Test<T>,
}

#[derive(Debug, Clone, Copy)]
enum Test<T> {
    Numeric { threshold: T, nan_left: bool },
    Other { place: i32 },
}

#[derive(Debug)]
struct Alone<T, const W: usize> {
    output: usize,
    splits: Vec<Split<T>>,
    /// Splits are the first places.
    places: usize,
    cases: Vec<Case<T, W>>,
}

/// By how many points the vectors hold.
#[derive(Debug)]
enum Trees<T> {
    Four(Vec<Alone<T, 4>>),
    Eight(Vec<Alone<T, 8>>),
}

#[derive(Debug)]
pub(crate) struct Plan<T>(Trees<T>);

impl<T: Real> Plan<T> {
    pub fn new(model: &Ensemble, quadratures: &[Vec<Point>], points: &[usize]) -> Self {
        Self(match points.iter().all(|points| *points <= 4) {
            true => Trees::Four(compile(model, quadratures, points)),
            false => Trees::Eight(compile(model, quadratures, points)),
        })
    }

    /// Adds the values of a row, as the model reads it, to `values`: by output, a value per feature and one more.
    pub fn add(&self, model: &Ensemble, row: &[T], values: &mut [f64]) {
        match &self.0 {
            Trees::Four(trees) => add(trees, model, row, values),
            Trees::Eight(trees) => add(trees, model, row, values),
        }
    }
}

fn compile<T: Real, const W: usize>(
    model: &Ensemble,
    quadratures: &[Vec<Point>],
    points: &[usize],
) -> Vec<Alone<T, W>> {
    let of_tree = |(tree, count): (&Tree, &usize)| {
        let mut compiler = Compiler {
            tree,
            points: &quadratures[*count],
            leaf_scale: model.leaf_scale(),
            path: Vec::new(),
            leaves: Vec::new(),
            alone: Alone { output: tree.output(), splits: Vec::new(), places: 0, cases: Vec::new() },
        };
        if matches!(tree.at(tree.root()), Step::Split { .. }) {
            compiler.split(tree.root());
        }
        compiler.finish()
    };
    model.trees().iter().zip(points).map(of_tree).collect()
}

struct Compiler<'t, T, const W: usize> {
    tree: &'t Tree,
    points: &'t [Point],
    leaf_scale: f64,
    /// Features of the edges above, with the slot below and the shares so far.
    path: Vec<(usize, u32, f64)>,
    /// Split and side above each leaf.
    leaves: Vec<(usize, usize)>,
    alone: Alone<T, W>,
}

impl<T: Real, const W: usize> Compiler<'_, T, W> {
    fn split(&mut self, place: i32) -> u32 {
        let Step::Split { feature, left, right } = self.tree.at(place) else {
            unreachable!("asked for splits only")
        };
        let number = self.alone.splits.len();
        let before = self.path.iter().rev().find(|edge| edge.0 == feature).copied();
        let test = match self.tree.threshold(place) {
            Some((threshold, nan_left)) => Test::Numeric { threshold: T::of(threshold), nan_left },
            None => Test::Other { place },
        };
        let case = self.alone.cases.len() as u32;
        let above = before.map_or(ALWAYS, |edge| edge.1);
        self.alone.splits.push(Split { feature: feature as u32, above, children: [0; 2], case, test });
        let shares_before = before.map(|edge| edge.2);
        for (was_taken, left_taken) in [(true, true), (true, false), (false, false)] {
            if was_taken || before.is_some() {
                let of_left = self.child(place, left, shares_before, was_taken, was_taken & left_taken);
                let of_right = self.child(place, right, shares_before, was_taken, was_taken & !left_taken);
                self.alone.cases.push(Case([of_left.0, of_left.1, of_right.0, of_right.1]));
            }
        }
        for (side, child) in [left, right].into_iter().enumerate() {
            match self.tree.at(child) {
                Step::Leaf(_) => self.leaves.push((number, side)),
                Step::Split { .. } => {
                    let shares = shares_before.unwrap_or(1.0) * share(self.tree, place, child);
                    // The slot of a split says whether the row takes the edge above it.
                    self.path.push((feature, self.alone.splits.len() as u32, shares));
                    let split = self.split(child);
                    self.alone.splits[number].children[side] = split;
                    self.path.pop();
                }
            }
        }
        number as u32
    }

    /// By point: what the product above is multiplied with, a leaf's value included, and what the sum below gains the feature.
    fn child(&self, place: i32, child: i32, before: Option<f64>, was: bool, is: bool) -> ([T; W], [T; W]) {
        let shares = before.unwrap_or(1.0) * share(self.tree, place, child);
        let (old, new) = (before.map(|shares| State { taken: was, shares }), State { taken: is, shares });
        let value = match self.tree.at(child) {
            Step::Leaf(value) => value * self.leaf_scale,
            Step::Split { .. } => 1.0,
        };
        let (mut factors, mut gains) = ([T::default(); W], [T::default(); W]);
        for (q, point) in self.points.iter().enumerate() {
            let above = old.map_or(1.0, |old| old.factor(point.at));
            let factor = if above > 0.0 { new.factor(point.at) / above } else { 0.0 };
            factors[q] = T::of(value * factor);
            let pull = old.map_or(0.0, |old| old.pull(point.at));
            gains[q] = T::of(point.weight * (new.pull(point.at) - pull));
        }
        (factors, gains)
    }

    fn finish(mut self) -> Alone<T, W> {
        let splits = self.alone.splits.len();
        for (leaf, (split, side)) in self.leaves.iter().enumerate() {
            self.alone.splits[*split].children[*side] = (splits + leaf) as u32;
        }
        self.alone.places = splits + self.leaves.len();
        self.alone.by_level();
        self.alone
    }
}

impl<T, const W: usize> Alone<T, W> {
    /// Level by level: what is calculated in turn then seldom waits for what is calculated just before.
    fn by_level(&mut self) {
        let splits = std::mem::take(&mut self.splits);
        let mut numbers = vec![0u32; splits.len()];
        let mut order = if splits.is_empty() { Vec::new() } else { vec![0usize] };
        let mut next = 0;
        while let Some(split) = order.get(next).copied() {
            numbers[split] = next as u32;
            order.extend(
                splits[split]
                    .children
                    .iter()
                    .map(|child| *child as usize)
                    .filter(|child| *child < splits.len()),
            );
            next += 1;
        }
        let number_of = |place: u32| numbers.get(place as usize).copied().unwrap_or(place);
        let mut splits: Vec<Option<Split<T>>> = splits.into_iter().map(Some).collect();
        self.splits = order.into_iter().filter_map(|split| splits[split].take()).collect();
        for split in &mut self.splits {
            split.above = number_of(split.above);
            split.children = split.children.map(number_of);
        }
    }
}

fn add<T: Real, const W: usize>(trees: &[Alone<T, W>], model: &Ensemble, row: &[T], values: &mut [f64]) {
    let features = row.len();
    let most = trees.iter().map(|tree| tree.places).max().unwrap_or(0);
    let mut places = vec![[T::default(); W]; most];
    let mut taken = vec![true; most];
    let (mut chosen, mut next) = (vec![0u32; most], vec![0u32; most]);
    let mut sums = vec![[T::default(); W]; features * model.scores()];
    let all: Vec<(&Alone<T, W>, &Tree)> = trees.iter().zip(model.trees()).collect();
    if let Some((alone, tree)) = all.first() {
        alone.choose(tree, row, &mut taken, &mut next);
    }
    for (number, (alone, _)) in all.iter().enumerate() {
        std::mem::swap(&mut chosen, &mut next);
        // The constants of the next tree are on their way while this one is calculated.
        if let Some((following, tree)) = all.get(number + 1) {
            following.choose(tree, row, &mut taken, &mut next);
        }
        alone.add(&chosen, &mut places, &mut sums[alone.output * features..][..features]);
        if number % TREES == TREES - 1 || number == all.len() - 1 {
            for (values, sums) in values.chunks_mut(features + 1).zip(sums.chunks_mut(features)) {
                for (value, sum) in values.iter_mut().zip(sums) {
                    for point in sum.iter_mut() {
                        *value += std::mem::take(point).wide();
                    }
                }
            }
        }
    }
}

/// Asks for the cache line of a value that is needed soon.
#[inline(always)]
fn prefetch<V>(value: &V) {
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code, reason = "a hint about an address that is there")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

impl<T: Real, const W: usize> Alone<T, W> {
    /// The case of each split.
    fn choose(&self, tree: &Tree, row: &[T], taken: &mut [bool], chosen: &mut [u32]) {
        for (split, chosen) in self.splits.iter().zip(chosen) {
            let value = row[split.feature as usize];
            let goes_left = match split.test {
                Test::Numeric { threshold, nan_left } => (value <= threshold) | (nan_left & value.is_nan()),
                Test::Other { place } => tree.goes_left(place, value.wide()),
            };
            let was = taken[split.above as usize];
            let [left, right] = split.children.map(|child| child as usize);
            taken[left] = was & goes_left;
            taken[right] = was & !goes_left;
            *chosen = split.case + 2 * u32::from(!was) + u32::from(was & !goes_left);
            prefetch(&self.cases[*chosen as usize]);
        }
    }

    fn add(&self, chosen: &[u32], places: &mut [[T; W]], sums: &mut [[T; W]]) {
        let Some(root) = places.first_mut() else { return };
        *root = [T::of(1.0); W];
        for (number, (split, case)) in self.splits.iter().zip(chosen).enumerate() {
            let Case([left, _, right, _]) = &self.cases[*case as usize];
            let product = places[number];
            places[split.children[0] as usize] = from_fn(|q| product[q].times(left[q]));
            places[split.children[1] as usize] = from_fn(|q| product[q].times(right[q]));
        }
        for (number, (split, case)) in self.splits.iter().zip(chosen).enumerate().rev() {
            let Case([_, of_left, _, of_right]) = &self.cases[*case as usize];
            let left = places[split.children[0] as usize];
            let right = places[split.children[1] as usize];
            places[number] = from_fn(|q| left[q].plus(right[q]));
            let sum = &mut sums[split.feature as usize];
            *sum = from_fn(|q| sum[q].plus(left[q].times(of_left[q]).plus(right[q].times(of_right[q]))));
        }
    }
}
