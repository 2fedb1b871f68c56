//! The format `lwtrees`: arrays that are read as they lie there, of any model that was read. `docs/reference/trees-format.md`.

use crate::ensemble::{Categories, Line, Missing, Node, Numbers, Split, Tree};
use crate::{Ensemble, ModelError, Objective};

pub(crate) const MAGIC: &[u8; 8] = b"lwtrees\x01";

type Result<T> = std::result::Result<T, ModelError>;

const CATEGORY: u32 = 1;
const LISTED: u32 = 2;
const KIND: u32 = 3;
const DEFAULT_LEFT: u32 = 1 << 2;
const MISSING_ZERO: u32 = 1 << 3;
const MISSING_NAN: u32 = 1 << 4;
const WHOLE: u32 = 1 << 5;
const FLAGS: u32 = (1 << 6) - 1;

/// What scores rows takes memory for each.
const MOST_FEATURES: usize = 1 << 24;
/// Words of a tree in the table.
const TREE: usize = 8;
const HAS_COVERS: u32 = 1;
const IS_LINEAR: u32 = 2;

fn invalid(rule: impl Into<String>) -> ModelError {
    ModelError::NotPacked { message: rule.into() }
}

/// Objectives in the order of their numbers, and the slope of those that have one.
fn objective_of(number: u32, slope: f64) -> Option<Objective> {
    Some(match number {
        0 => Objective::Identity,
        1 => Objective::SignedSquare,
        2 => Objective::Exponential,
        3 => Objective::Sigmoid { slope },
        4 => Objective::Softmax,
        5 => Objective::SigmoidPerClass { slope },
        6 => Objective::LogOnePlusExp,
        7 => Objective::Step,
        8 => Objective::LargestClass,
        9 => Objective::MeanAndVariance,
        _ => return None,
    })
}

fn number_of(objective: Objective) -> (u32, f64) {
    match objective {
        Objective::Identity => (0, 0.0),
        Objective::SignedSquare => (1, 0.0),
        Objective::Exponential => (2, 0.0),
        Objective::Sigmoid { slope } => (3, slope),
        Objective::Softmax => (4, 0.0),
        Objective::SigmoidPerClass { slope } => (5, slope),
        Objective::LogOnePlusExp => (6, 0.0),
        Objective::Step => (7, 0.0),
        Objective::LargestClass => (8, 0.0),
        Objective::MeanAndVariance => (9, 0.0),
    }
}

/// How the framework calculates: a number, three flags, what a score begins or ends with, and what sums are divided by (NaN: nothing).
fn arithmetic_of(numbers: &Numbers, scores: usize) -> (u32, u32, Vec<f64>, f64) {
    let flags = |of: [bool; 3]| of.into_iter().rev().fold(0, |flags, flag| 2 * flags + u32::from(flag));
    match numbers {
        Numbers::Double => (0, 0, vec![0.0; scores], f64::NAN),
        Numbers::Single { base } => (1, 0, base.iter().copied().map(f64::from).collect(), f64::NAN),
        Numbers::Wide { single_input, base, divide_by } => {
            (2, flags([*single_input, false, false]), base.clone(), divide_by.unwrap_or(f64::NAN))
        }
        Numbers::Biased { bias } => (3, 0, bias.clone(), f64::NAN),
        Numbers::Late { single_input, single_sums, single_output, base, divide_by } => {
            let flags = flags([*single_input, *single_sums, *single_output]);
            (4, flags, base.clone(), divide_by.unwrap_or(f64::NAN))
        }
    }
}

fn numbers_of(number: u32, flags: u32, base: Vec<f64>, divide_by: f64) -> Result<Numbers> {
    let divide_by = Some(divide_by).filter(|divide_by| !divide_by.is_nan());
    let flag = |place: u32| flags >> place & 1 == 1;
    let allowed = match number {
        2 => 1,
        4 => 7,
        _ => 0,
    };
    if flags > allowed || divide_by.is_some() && !matches!(number, 2 | 4) {
        return Err(invalid(format!("arithmetic {number} with flags {flags} does not exist")));
    }
    Ok(match number {
        0 => Numbers::Double,
        1 => Numbers::Single { base: base.into_iter().map(|base| base as f32).collect() },
        2 => Numbers::Wide { single_input: flag(0), base, divide_by },
        3 => Numbers::Biased { bias: base },
        4 => Numbers::Late {
            single_input: flag(0),
            single_sums: flag(1),
            single_output: flag(2),
            base,
            divide_by,
        },
        other => return Err(invalid(format!("arithmetic {other} does not exist"))),
    })
}

/// The word of a node, and the eight bytes beside it: a threshold, or where a set begins and how much it holds.
fn word_of(split: Split) -> (u32, u64) {
    let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
    let pair = |first: u32, count: u32| u64::from(first) | u64::from(count) << 32;
    match split {
        Split::Numeric { threshold, missing, default_left } => {
            let missing =
                flag(missing == Missing::Zero, MISSING_ZERO) | flag(missing == Missing::Nan, MISSING_NAN);
            (missing | flag(default_left, DEFAULT_LEFT), threshold.to_bits())
        }
        Split::Category { first, words, nan_left, codes } => {
            let codes = flag(codes == Categories::Whole, WHOLE);
            (CATEGORY | flag(nan_left, DEFAULT_LEFT) | codes, pair(first, words))
        }
        Split::Listed { first, count, nan_left } => {
            (LISTED | flag(nan_left, DEFAULT_LEFT), pair(first, count))
        }
    }
}

impl Ensemble {
    /// The model as bytes that [`Ensemble::from_packed`] reads: the same predictions, to the bit.
    pub fn to_packed(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let (objective, slope) = number_of(self.objective);
        let (arithmetic, flags, base, divide_by) = arithmetic_of(&self.numbers, self.scores);
        let names: Vec<u8> = self
            .feature_names
            .iter()
            .flatten()
            .flat_map(|name| {
                let length = name.len() as u32;
                length.to_le_bytes().into_iter().chain(name.bytes())
            })
            .collect();
        let words = [
            self.features as u32,
            self.scores as u32,
            objective,
            arithmetic,
            flags,
            u32::from(self.average),
            self.trees.len() as u32,
            u32::from(self.feature_names.is_some()),
        ];
        put(&mut bytes, words.map(u32::to_le_bytes));
        put(&mut bytes, [(names.len() as u64).to_le_bytes()]);
        put(&mut bytes, [slope, divide_by].map(f64::to_le_bytes));
        put(&mut bytes, base.iter().map(|base| base.to_le_bytes()));
        bytes.extend(&names);
        pad(&mut bytes);
        for tree in &self.trees {
            let flags =
                if tree.has_covers() { HAS_COVERS } else { 0 } | if tree.is_linear() { IS_LINEAR } else { 0 };
            let terms: usize = tree.lines.iter().map(|line| line.terms.len()).sum();
            let words = [
                tree.nodes.len() as u32,
                tree.leaves.len() as u32,
                tree.category_words.len() as u32,
                tree.listed.len() as u32,
                terms as u32,
                tree.output as u32,
                flags,
                0,
            ];
            put(&mut bytes, words.map(u32::to_le_bytes));
        }
        for tree in &self.trees {
            put(&mut bytes, tree.nodes.iter().map(|node| word_of(node.split).1.to_le_bytes()));
            put(&mut bytes, tree.leaves.iter().map(|leaf| leaf.to_le_bytes()));
            if tree.has_covers() {
                put(
                    &mut bytes,
                    tree.node_covers.iter().chain(&tree.leaf_covers).map(|cover| cover.to_le_bytes()),
                );
            }
            put(&mut bytes, tree.listed.iter().map(|listed| listed.to_le_bytes()));
            put(&mut bytes, tree.lines.iter().map(|line| line.constant.to_le_bytes()));
            let terms = || tree.lines.iter().flat_map(|line| &line.terms);
            put(&mut bytes, terms().map(|(_, coefficient)| coefficient.to_le_bytes()));
            put(&mut bytes, tree.nodes.iter().map(|node| word_of(node.split).0.to_le_bytes()));
            put(&mut bytes, tree.nodes.iter().map(|node| node.feature.to_le_bytes()));
            put(&mut bytes, tree.nodes.iter().map(|node| node.left.to_le_bytes()));
            put(&mut bytes, tree.nodes.iter().map(|node| node.right.to_le_bytes()));
            put(&mut bytes, tree.category_words.iter().map(|word| word.to_le_bytes()));
            put(&mut bytes, tree.lines.iter().map(|line| (line.terms.len() as u32).to_le_bytes()));
            put(&mut bytes, terms().map(|(feature, _)| feature.to_le_bytes()));
            pad(&mut bytes);
        }
        let sum = crc32fast::hash(&bytes);
        put(&mut bytes, [u64::from(sum).to_le_bytes()]);
        bytes
    }

    /// Reads what [`Ensemble::to_packed`] wrote.
    pub fn from_packed(bytes: &[u8]) -> Result<Self> {
        let Some((content, sum)) = bytes.split_last_chunk::<8>() else {
            return Err(ModelError::Truncated { expected: "its sum" });
        };
        if !content.starts_with(MAGIC) {
            return Err(invalid("it begins otherwise than version 1"));
        }
        if u64::from_le_bytes(*sum) != u64::from(crc32fast::hash(content)) {
            return Err(invalid("its sum is another one: the file is damaged or not whole"));
        }
        let mut rest = Rest { bytes: &content[MAGIC.len()..] };
        let [features, scores, objective, arithmetic, flags, average, trees, has_names] =
            rest.words::<8>()?;
        let names = rest.array::<u64>(1)?[0];
        let [slope, divide_by] = [rest.array::<f64>(1)?[0], rest.array::<f64>(1)?[0]];
        let (features, scores) = (features as usize, scores as usize);
        if features > MOST_FEATURES {
            return Err(invalid(format!("features is {features}, at most {MOST_FEATURES}")));
        }
        if scores == 0 || average > 1 || has_names > 1 {
            return Err(invalid(format!("scores is {scores}, average {average} and named {has_names}")));
        }
        let objective = objective_of(objective, slope)
            .ok_or_else(|| invalid(format!("objective {objective} does not exist")))?;
        if objective == Objective::MeanAndVariance && scores < 2 {
            return Err(invalid("mean and variance are two scores"));
        }
        let numbers = numbers_of(arithmetic, flags, rest.array(scores)?, divide_by)?;
        let feature_names = rest.names(names, if has_names == 1 { Some(features) } else { None })?;
        let mut table = Rest { bytes: rest.take(trees as usize, 4 * TREE)? };
        let mut found = Vec::with_capacity(table.bytes.len() / (4 * TREE));
        for tree in 0..trees as usize {
            let entry = table.words::<TREE>()?;
            let structure = |rule: String| ModelError::Structure { tree, rule };
            let read = read_tree(&mut rest, entry)?;
            check(&read, features, scores).map_err(structure)?;
            found.push(read);
        }
        if !rest.bytes.is_empty() {
            return Err(invalid(format!("{} bytes follow the last tree", rest.bytes.len())));
        }
        Ok(Self {
            features,
            feature_names,
            trees: found,
            scores,
            objective,
            average: average == 1,
            numbers,
            layout: Default::default(),
        })
    }
}

fn put<const N: usize>(bytes: &mut Vec<u8>, values: impl IntoIterator<Item = [u8; N]>) {
    values.into_iter().for_each(|value| bytes.extend(value));
}

/// Arrays begin at multiples of eight bytes.
fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}

/// What is still to be read.
struct Rest<'b> {
    bytes: &'b [u8],
}

trait Value: Sized {
    const SIZE: usize;
    fn of(bytes: &[u8]) -> Self;
}

macro_rules! value {
    ($($type:ty),*) => {$(
        impl Value for $type {
            const SIZE: usize = size_of::<Self>();

            fn of(bytes: &[u8]) -> Self {
                bytes.try_into().map(Self::from_le_bytes).unwrap_or_default()
            }
        }
    )*};
}

value!(u32, i32, u64, f64);

impl<'b> Rest<'b> {
    fn take(&mut self, count: usize, size: usize) -> Result<&'b [u8]> {
        let end = count.checked_mul(size).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(ModelError::Truncated { expected: "the end of an array" })?;
        let (taken, rest) = self.bytes.split_at(end);
        self.bytes = rest;
        Ok(taken)
    }

    fn array<T: Value>(&mut self, count: usize) -> Result<Vec<T>> {
        Ok(self.take(count, T::SIZE)?.chunks_exact(T::SIZE).map(T::of).collect())
    }

    fn words<const N: usize>(&mut self) -> Result<[u32; N]> {
        let taken = self.take(N, 4)?;
        Ok(std::array::from_fn(|word| u32::of(&taken[4 * word..][..4])))
    }

    /// What is left of eight bytes.
    fn pad(&mut self, read: usize) -> Result<()> {
        let padding = self.take(read.next_multiple_of(8) - read, 1)?;
        match padding.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(invalid("what fills an array up is not 0")),
        }
    }

    /// Of so many features, or none.
    fn names(&mut self, length: u64, expected: Option<usize>) -> Result<Option<Vec<String>>> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut names = Rest { bytes: self.take(length, 1)? };
        self.pad(length)?;
        let Some(expected) = expected else {
            return match names.bytes {
                [] => Ok(None),
                _ => Err(invalid("there are names of features, and there are none")),
            };
        };
        let mut found = Vec::new();
        while !names.bytes.is_empty() {
            let [length] = names.words::<1>()?;
            let name = std::str::from_utf8(names.take(length as usize, 1)?);
            found.push(name.map_err(|_| invalid("the name of a feature is not UTF-8"))?.to_owned());
        }
        if found.len() != expected {
            return Err(invalid(format!("{} names of {expected} features", found.len())));
        }
        Ok(Some(found))
    }
}

fn read_tree(rest: &mut Rest<'_>, entry: [u32; TREE]) -> Result<Tree> {
    let [nodes, leaves, words, listed, terms, output, flags, zero] = entry.map(|word| word as usize);
    let (has_covers, is_linear) = (flags as u32 & HAS_COVERS != 0, flags as u32 & IS_LINEAR != 0);
    if flags as u32 > HAS_COVERS | IS_LINEAR || zero != 0 {
        return Err(invalid(format!("flags {flags} of a tree do not exist")));
    }
    let before = rest.bytes.len();
    let values: Vec<u64> = rest.array(nodes)?;
    let own_leaves = rest.array(leaves)?;
    let node_covers = rest.array(if has_covers { nodes } else { 0 })?;
    let leaf_covers = rest.array(if has_covers { leaves } else { 0 })?;
    let own_listed = rest.array(listed)?;
    let lines = if is_linear { leaves } else { 0 };
    let constants: Vec<f64> = rest.array(lines)?;
    let coefficients: Vec<f64> = rest.array(terms)?;
    let kinds: Vec<u32> = rest.array(nodes)?;
    let features: Vec<u32> = rest.array(nodes)?;
    let (left, right): (Vec<i32>, Vec<i32>) = (rest.array(nodes)?, rest.array(nodes)?);
    let category_words = rest.array(words)?;
    let counts: Vec<u32> = rest.array(lines)?;
    let asked: Vec<u32> = rest.array(terms)?;
    rest.pad(before - rest.bytes.len())?;
    let mut own_nodes = Vec::with_capacity(nodes);
    for node in 0..nodes {
        let split = split_of(kinds[node], values[node])?;
        own_nodes.push(Node { feature: features[node], split, left: left[node], right: right[node] });
    }
    if counts.iter().map(|count| *count as usize).sum::<usize>() != terms {
        return Err(invalid("the terms of linear leaves are more or fewer than theirs"));
    }
    let mut terms = asked.into_iter().zip(coefficients);
    let line = |(constant, count): (f64, u32)| Line {
        constant,
        terms: terms.by_ref().take(count as usize).collect(),
    };
    let lines = constants.into_iter().zip(counts).map(line).collect();
    Ok(Tree {
        nodes: own_nodes,
        leaves: own_leaves,
        category_words,
        listed: own_listed,
        lines,
        output,
        node_covers,
        leaf_covers,
    })
}

fn split_of(word: u32, value: u64) -> Result<Split> {
    let has = |flag: u32| word & flag != 0;
    let (first, count) = (value as u32, (value >> 32) as u32);
    let allowed = match word & KIND {
        0 => DEFAULT_LEFT | if has(MISSING_ZERO) { MISSING_ZERO } else { MISSING_NAN },
        CATEGORY => KIND | DEFAULT_LEFT | WHOLE,
        LISTED => KIND | DEFAULT_LEFT,
        _ => 0,
    };
    if word & !(allowed & FLAGS) != 0 || word & KIND == KIND {
        return Err(invalid(format!("a split of kind {word} does not exist")));
    }
    Ok(match word & KIND {
        0 => Split::Numeric {
            threshold: f64::from_bits(value),
            missing: match (has(MISSING_ZERO), has(MISSING_NAN)) {
                (true, _) => Missing::Zero,
                (_, true) => Missing::Nan,
                _ => Missing::None,
            },
            default_left: has(DEFAULT_LEFT),
        },
        CATEGORY => Split::Category {
            first,
            words: count,
            nan_left: has(DEFAULT_LEFT),
            codes: if has(WHOLE) { Categories::Whole } else { Categories::Truncated },
        },
        _ => Split::Listed { first, count, nan_left: has(DEFAULT_LEFT) },
    })
}

/// That it is a tree whose parts are all there.
fn check(tree: &Tree, features: usize, scores: usize) -> std::result::Result<(), String> {
    let (nodes, leaves) = (tree.nodes.len(), tree.leaves.len());
    if tree.output >= scores {
        return Err(format!("it adds to score {} of {scores}", tree.output));
    }
    if leaves != nodes + 1 {
        return Err(format!("it has {nodes} splits and {leaves} leaves"));
    }
    let mut seen = (vec![false; nodes], vec![false; leaves]);
    let mut open = vec![tree.root()];
    while let Some(place) = open.pop() {
        let (seen, number) = match usize::try_from(place) {
            Ok(node) => (&mut seen.0, node),
            Err(_) => (&mut seen.1, !place as usize),
        };
        match seen.get_mut(number) {
            None => return Err(format!("place {place} does not exist")),
            Some(true) => return Err(format!("place {place} has two parents")),
            Some(seen) => *seen = true,
        }
        if let Some(node) = usize::try_from(place).ok().and_then(|node| tree.nodes.get(node)) {
            open.extend([node.left, node.right]);
        }
    }
    if seen.0.contains(&false) {
        return Err("a split has no parent".to_owned());
    }
    for node in &tree.nodes {
        if node.feature as usize >= features {
            return Err(format!("a split asks for feature {} of {features}", node.feature));
        }
        let (first, count, length, what) = match node.split {
            Split::Numeric { .. } => continue,
            Split::Category { first, words, .. } => (first, words, tree.category_words.len(), "bits"),
            Split::Listed { first, count, .. } => (first, count, tree.listed.len(), "numbers"),
        };
        if u64::from(first) + u64::from(count) > length as u64 {
            return Err(format!("the {what} of a split lie beyond those of the tree"));
        }
        if let Split::Listed { .. } = node.split {
            let listed = &tree.listed[first as usize..][..count as usize];
            if !listed.is_sorted() {
                return Err("the numbers of a split do not ascend".to_owned());
            }
        }
    }
    let asked = tree.lines.iter().flat_map(|line| &line.terms);
    match asked.map(|(feature, _)| *feature as usize).find(|feature| *feature >= features) {
        Some(feature) => Err(format!("a leaf asks for feature {feature} of {features}")),
        None => Ok(()),
    }
}
