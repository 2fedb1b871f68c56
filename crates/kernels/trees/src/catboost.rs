//! The reader of CatBoost's model files: JSON, and its binary form, `cbm`.
//!
//! Both are read into a [`File`], whose trees become [`Tree`]s here. An oblivious tree asks the same of all nodes of a level; the
//! first of its splits is the one just above the leaves, as in the attributions of CatBoost.
//!
//! The files come from users: every number is checked before it is used as a place, and trees are followed from the root once, so a
//! hostile file gives an error, never a panic or an endless loop.

mod cbm;
mod flatbuffer;
mod json;
mod training;

use self::training::Classes;
use crate::ModelError;
use crate::ensemble::{Ensemble, Missing, Node, Numbers, Split, Tree};
use crate::objective::from_catboost;

/// Upper bounds that no honest model reaches; they keep a small file from asking for much memory.
const MAX_FEATURES: usize = 1 << 20;
const MAX_OUTPUTS: usize = 1 << 16;
const MAX_LEAVES: usize = 1 << 26;

/// What both forms of file say.
struct File {
    floats: Vec<FloatFeature>,
    others: Vec<OtherFeature>,
    /// In the order in which trees count their splits, which is after those of the numbers.
    questions: Vec<Question>,
    trees: Vec<TreeFields>,
    scores: usize,
    scale: f64,
    bias: Vec<f64>,
    loss: Option<String>,
    classes: Option<Classes>,
}

struct FloatFeature {
    /// The column.
    flat: i64,
    name: String,
    borders: Vec<f32>,
    /// Whether NaN counts as larger than every border. Otherwise it is larger than none.
    nan_right: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Category,
    Text,
    Embedding,
}

struct OtherFeature {
    kind: Kind,
    /// The number among the features of its kind.
    index: i64,
    flat: i64,
    name: String,
}

/// What trees ask of features that are not numbers.
struct Question {
    kind: Kind,
    role: &'static str,
    features: Vec<i64>,
    splits: usize,
}

impl Question {
    fn one_hot(feature: i64, splits: usize) -> Self {
        Self { kind: Kind::Category, role: "a category (one-hot)", features: vec![feature], splits }
    }

    fn ctr(features: Vec<i64>, splits: usize) -> Self {
        Self { kind: Kind::Category, role: "a category (CTR)", features, splits }
    }

    fn text(feature: i64, splits: usize) -> Self {
        Self { kind: Kind::Text, role: "a text", features: vec![feature], splits }
    }

    fn embedding(feature: i64, splits: usize) -> Self {
        Self { kind: Kind::Embedding, role: "an embedding", features: vec![feature], splits }
    }
}

/// A tree as its file has it.
struct TreeFields {
    shape: Shape,
    /// A value for each score, leaf after leaf.
    values: Vec<f64>,
    /// Training weight of each leaf; empty when the file does not say.
    weights: Vec<f64>,
}

/// Trees name a split by its number.
enum Shape {
    /// An oblivious tree: the split of bit 0 of a leaf's number, of bit 1, and so on. The bit is 1 on the right.
    Levels(Vec<i64>),
    Branches(Vec<Branch>),
}

/// A node of a tree that is not oblivious. Children are later branches, or, below 0, the leaf `!child`.
struct Branch {
    split: i64,
    left: i32,
    right: i32,
}

/// The branch above, and whether on its left. There is none above the root.
type Parent = Option<(usize, bool)>;

/// A tree of branches while its file is followed, parents first.
#[derive(Default)]
struct BranchWalk {
    branches: Vec<Branch>,
    leaves: usize,
    values: Vec<f64>,
    weights: Vec<f64>,
}

impl BranchWalk {
    fn hang(&mut self, parent: Parent, child: i32) {
        match parent {
            Some((branch, true)) => self.branches[branch].left = child,
            Some((branch, false)) => self.branches[branch].right = child,
            None => {}
        }
    }

    fn branch(&mut self, parent: Parent, split: i64) -> usize {
        let place = self.branches.len();
        self.branches.push(Branch { split, left: 0, right: 0 });
        self.hang(parent, place as i32);
        place
    }

    fn leaf(&mut self, parent: Parent, values: &[f64], weight: Option<f64>) {
        self.hang(parent, !(self.leaves as i32));
        self.leaves += 1;
        self.values.extend_from_slice(values);
        self.weights.extend(weight);
    }

    fn tree(self) -> TreeFields {
        TreeFields { shape: Shape::Branches(self.branches), values: self.values, weights: self.weights }
    }
}

impl Ensemble {
    /// Reads a model written by CatBoost's `save_model` as JSON or as `cbm`.
    pub fn from_catboost(bytes: &[u8]) -> Result<Self, ModelError> {
        let file = match bytes.strip_prefix(cbm::MAGIC) {
            Some(rest) => cbm::read(rest),
            None => json::read(bytes),
        };
        ensemble(file.map_err(|message| ModelError::NotCatBoost { message })?)
    }
}

fn ensemble(file: File) -> Result<Ensemble, ModelError> {
    let File { floats, others, questions, trees: all, scores, scale, bias, loss, classes } = file;
    if !(1..=MAX_OUTPUTS).contains(&scores) {
        return Err(parameter("the number of scores", &scores.to_string(), "1 to 65,536"));
    }
    let columns = columns(&floats, &others)?;
    let (classes, outputs) = classes_of_scores(classes.as_ref(), scores)?;
    let bias = biases(scale, bias, scores)?;
    // Of a class that training was told of and never saw, CatBoost's raw score is this.
    let mut base = vec![f64::NEG_INFINITY; outputs];
    for (class, bias) in classes.iter().zip(bias) {
        base[*class] = bias;
    }
    let splits = Splits { numbers: splits_of_numbers(&floats)?, others: &others, questions: &questions };
    Ok(Ensemble {
        features: columns.len(),
        feature_names: names(&columns),
        trees: trees(all, &splits, scale, &classes)?,
        scores: outputs,
        objective: from_catboost(loss.as_deref())?,
        average: false,
        numbers: Numbers::Biased { bias: base },
        layout: Default::default(),
    })
}

fn parameter(key: &'static str, value: &str, rule: &'static str) -> ModelError {
    ModelError::Parameter { key, value: value.chars().take(40).collect(), rule }
}

/// The names of the columns up to the last that the file knows; `None` for those between that it does not.
fn columns<'f>(
    floats: &'f [FloatFeature],
    others: &'f [OtherFeature],
) -> Result<Vec<Option<&'f str>>, ModelError> {
    let floats = floats.iter().map(|feature| (feature.flat, feature.name.as_str()));
    let others = others.iter().map(|feature| (feature.flat, feature.name.as_str()));
    let mut columns: Vec<Option<&str>> = Vec::new();
    for (flat, name) in floats.chain(others) {
        let invalid = |rule| parameter("flat_feature_index", &flat.to_string(), rule);
        let column = usize::try_from(flat).ok().filter(|column| *column < MAX_FEATURES);
        let column = column.ok_or_else(|| invalid("0 to 1,048,575"))?;
        if column >= columns.len() {
            columns.resize(column + 1, None);
        }
        if columns[column].replace(name).is_some() {
            return Err(invalid("another one for each feature"));
        }
    }
    Ok(columns)
}

/// CatBoost calls a column without a name by its number.
fn names(columns: &[Option<&str>]) -> Option<Vec<String>> {
    let named = |name: &Option<&str>| name.filter(|name| !name.is_empty()).map(str::to_owned);
    columns.iter().any(|name| named(name).is_some()).then(|| {
        let names = columns.iter().enumerate();
        names.map(|(column, name)| named(name).unwrap_or_else(|| column.to_string())).collect()
    })
}

/// The class of each score, and how many there are. Without classes, a score is its own.
fn classes_of_scores(classes: Option<&Classes>, scores: usize) -> Result<(Vec<usize>, usize), ModelError> {
    let told = classes.map_or(0, Classes::told);
    if told > MAX_OUTPUTS {
        return Err(parameter("the number of classes", &told.to_string(), "at most 65,536"));
    }
    match classes {
        Some(classes) if scores > 1 && told > 0 => {
            let of_scores = classes.of_scores().filter(|of_scores| of_scores.len() == scores);
            let of_scores = of_scores.ok_or_else(|| {
                parameter("class_to_label", &format!("{told} classes"), "another class for each score")
            })?;
            Ok((of_scores, told))
        }
        _ => Ok(((0..scores).collect(), scores)),
    }
}

/// The bias of each score. Files from before models had several say 0 for all.
fn biases(scale: f64, bias: Vec<f64>, scores: usize) -> Result<Vec<f64>, ModelError> {
    let is_fit = scale.is_finite() && bias.iter().all(|bias| bias.is_finite());
    match bias.as_slice() {
        [] | [0.0] if is_fit => Ok(vec![0.0; scores]),
        all if is_fit && all.len() == scores => Ok(bias),
        all => {
            let found = format!("{scale}, {:?}", &all[..all.len().min(4)]);
            Err(parameter("scale_and_bias", &found, "finite numbers, one bias for each score"))
        }
    }
}

/// Splits by their number.
struct Splits<'f> {
    numbers: Vec<(u32, Split)>,
    others: &'f [OtherFeature],
    questions: &'f [Question],
}

fn splits_of_numbers(floats: &[FloatFeature]) -> Result<Vec<(u32, Split)>, ModelError> {
    let mut splits = Vec::new();
    for feature in floats {
        // CatBoost counts the borders below a value, which is a comparison with each only when they ascend.
        if feature.borders.iter().any(|border| border.is_nan()) || !feature.borders.is_sorted() {
            let found = format!("those of column {}", feature.flat);
            return Err(parameter("borders", &found, "ascending numbers"));
        }
        for border in &feature.borders {
            // What is larger goes right; NaN there stands for infinity, which is not larger than itself.
            let default_left = !(feature.nan_right && *border < f32::INFINITY);
            let split = Split::Numeric { threshold: f64::from(*border), missing: Missing::Nan, default_left };
            splits.push((feature.flat as u32, split));
        }
    }
    Ok(splits)
}

impl Splits<'_> {
    fn get(&self, tree: usize, number: i64) -> Result<(u32, Split), ModelError> {
        let missing = || ModelError::Structure { tree, rule: format!("split {number} does not exist") };
        let place = usize::try_from(number).map_err(|_| missing())?;
        if let Some(split) = self.numbers.get(place) {
            return Ok(*split);
        }
        let mut after = place - self.numbers.len();
        for question in self.questions {
            if after < question.splits {
                return Err(self.refusal(question));
            }
            after -= question.splits;
        }
        Err(missing())
    }

    fn refusal(&self, question: &Question) -> ModelError {
        let name = |index: &i64| {
            let is_it = |other: &&OtherFeature| other.kind == question.kind && other.index == *index;
            match self.others.iter().find(is_it) {
                Some(feature) if feature.name.is_empty() => feature.flat.to_string(),
                Some(feature) => feature.name.chars().take(40).collect(),
                None => "?".to_owned(),
            }
        };
        let names: Vec<String> = question.features.iter().take(4).map(name).collect();
        ModelError::Feature { feature: names.join(", "), role: question.role }
    }
}

/// A tree for each score of each tree of the file, with the scale in its leaves.
fn trees(
    all: Vec<TreeFields>,
    splits: &Splits<'_>,
    scale: f64,
    classes: &[usize],
) -> Result<Vec<Tree>, ModelError> {
    if all.is_empty() {
        return Err(ModelError::Structure { tree: 0, rule: "the model has no trees".to_owned() });
    }
    let scores = classes.len();
    let mut trees = Vec::with_capacity(all.len());
    let mut leaves = 0usize;
    for (tree, fields) in all.into_iter().enumerate() {
        leaves = leaves.saturating_add(fields.values.len());
        if leaves > MAX_LEAVES {
            let rule = format!("the trees have more than {MAX_LEAVES} leaves");
            return Err(ModelError::Structure { tree, rule });
        }
        fields.check(scores).map_err(|rule| ModelError::Structure { tree, rule })?;
        let nodes = fields.shape.nodes(tree, splits)?;
        let (node_covers, leaf_covers) = covers(&nodes, fields.weights);
        for (score, class) in classes.iter().enumerate() {
            let values = fields.values.iter().skip(score).step_by(scores);
            trees.push(Tree {
                nodes: nodes.clone(),
                leaves: values.map(|value| value * scale).collect(),
                category_words: Vec::new(),
                listed: Vec::new(),
                lines: Vec::new(),
                output: *class,
                node_covers: node_covers.clone(),
                leaf_covers: leaf_covers.clone(),
            });
        }
    }
    Ok(trees)
}

impl TreeFields {
    /// Whether each leaf has a value for each score.
    fn check(&self, scores: usize) -> Result<(), String> {
        let (leaves, splits) = match &self.shape {
            Shape::Levels(levels) => {
                let depth = u32::try_from(levels.len()).unwrap_or(u32::MAX);
                (1usize.checked_shl(depth), levels.len())
            }
            Shape::Branches(branches) => (Some(branches.len() + 1), branches.len()),
        };
        let found = self.values.len();
        match leaves.and_then(|leaves| leaves.checked_mul(scores)) {
            Some(values) if values == found => Ok(()),
            _ => Err(format!("{found} leaf values do not fit {splits} splits and {scores} scores")),
        }
    }
}

impl Shape {
    /// Levels must have passed [`TreeFields::check`]: their nodes are as many as the leaves that the file holds.
    fn nodes(&self, tree: usize, splits: &Splits<'_>) -> Result<Vec<Node>, ModelError> {
        match self {
            Self::Levels(levels) => {
                let levels = levels.iter().map(|split| splits.get(tree, *split));
                Ok(oblivious(&levels.collect::<Result<Vec<_>, ModelError>>()?))
            }
            Self::Branches(branches) => {
                let mut nodes = Vec::with_capacity(branches.len());
                for branch in branches {
                    let (feature, split) = splits.get(tree, branch.split)?;
                    nodes.push(Node { feature, split, left: branch.left, right: branch.right });
                }
                Ok(nodes)
            }
        }
    }
}

/// The nodes of an oblivious tree, level after level from the root, which asks the last split.
fn oblivious(levels: &[(u32, Split)]) -> Vec<Node> {
    let inner = (1usize << levels.len()) - 1;
    let link = |place: usize| match place.checked_sub(inner) {
        Some(leaf) => !(leaf as i32),
        None => place as i32,
    };
    let mut nodes = Vec::with_capacity(inner);
    for (level, (feature, split)) in levels.iter().rev().enumerate() {
        let first = (1usize << level) - 1;
        nodes.extend((first..=2 * first).map(|place| Node {
            feature: *feature,
            split: *split,
            left: link(2 * place + 1),
            right: link(2 * place + 2),
        }));
    }
    nodes
}

/// The weights of nodes and leaves; none when the file lacks some.
fn covers(nodes: &[Node], weights: Vec<f64>) -> (Vec<f64>, Vec<f64>) {
    let is_usable = |weight: &f64| *weight >= 0.0 && weight.is_finite();
    if weights.len() != nodes.len() + 1 || !weights.iter().all(is_usable) {
        return (Vec::new(), Vec::new());
    }
    let mut covers = vec![0.0; nodes.len()];
    // Children come after their parents.
    for (place, node) in nodes.iter().enumerate().rev() {
        let cover = |child: i32| match usize::try_from(child) {
            Ok(node) => covers[node],
            Err(_) => weights[!child as usize],
        };
        let sum = cover(node.left) + cover(node.right);
        covers[place] = sum;
    }
    (covers, weights)
}
