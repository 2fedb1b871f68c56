//! The reader of XGBoost's model files, JSON and UBJSON, as its versions 1 to 3 write them.
//!
//! The file comes from users: children are followed from the root once, so a hostile file gives an error, never a panic or an
//! endless loop.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::Visitor;

use crate::ensemble::{Categories, Ensemble, Missing, Node, Numbers, Split, Tree};
use crate::objective::from_xgboost;
use crate::ubjson;
use crate::{ModelError, Objective};

/// Upper bounds that no honest model reaches; they keep a small file from asking for much memory.
const MAX_FEATURES: usize = 1 << 20;
const MAX_OUTPUTS: usize = 1 << 16;
/// A 32-bit float counts no further: XGBoost takes larger categories for unknown ones.
const MAX_CATEGORY: u32 = 1 << 24;

#[derive(Deserialize)]
struct File {
    learner: Learner,
}

#[derive(Deserialize)]
struct Learner {
    learner_model_param: LearnerParam,
    gradient_booster: Booster,
    objective: ObjectiveName,
    #[serde(default)]
    feature_names: Vec<String>,
}

#[derive(Deserialize)]
struct LearnerParam {
    base_score: String,
    num_class: String,
    num_feature: String,
    #[serde(default)]
    num_target: Option<String>,
}

#[derive(Deserialize)]
struct ObjectiveName {
    name: String,
}

/// `gbtree` with its model, or, before version 3, `dart` around a `gbtree`.
#[derive(Deserialize)]
struct Booster {
    name: String,
    #[serde(default)]
    model: Option<Model>,
    #[serde(default)]
    gbtree: Option<Inner>,
    #[serde(default)]
    weight_drop: Vec<Real>,
}

#[derive(Deserialize)]
struct Inner {
    model: Model,
}

/// Fields that a linear booster has not are optional: its name is refused, not its shape.
#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    tree_info: Vec<i64>,
    #[serde(default)]
    trees: Vec<TreeFields>,
    #[serde(default)]
    weight_drop: Vec<Real>,
}

#[derive(Deserialize)]
struct TreeFields {
    left_children: Vec<i64>,
    right_children: Vec<i64>,
    split_indices: Vec<i64>,
    split_conditions: Vec<Real>,
    default_left: Vec<Flag>,
    #[serde(default)]
    sum_hessian: Vec<Real>,
    #[serde(default)]
    split_type: Vec<i64>,
    #[serde(default)]
    categories: Vec<i64>,
    #[serde(default)]
    categories_nodes: Vec<i64>,
    #[serde(default)]
    categories_segments: Vec<i64>,
    #[serde(default)]
    categories_sizes: Vec<i64>,
    /// Leaves of several outputs, by the number that `right_children` has for a leaf.
    #[serde(default)]
    leaf_weights: Vec<Real>,
    tree_param: TreeParam,
}

#[derive(Deserialize)]
struct TreeParam {
    #[serde(default)]
    size_leaf_vector: Option<String>,
}

/// 0 or 1, or, in older files, a Boolean.
#[derive(Clone, Copy)]
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Flag;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("0, 1, true or false")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Flag, E> {
                Ok(Flag(value != 0))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Flag, E> {
                Ok(Flag(value != 0))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A 32-bit float. JSON has no word for some of them, so XGBoost writes its own: see [`quoted`].
#[derive(Clone, Copy)]
struct Real(f32);

impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Real;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number")
            }

            fn visit_f32<E>(self, value: f32) -> Result<Real, E> {
                Ok(Real(value))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Real, E> {
                Ok(Real(value as f32))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Real, E> {
                Ok(Real(value as f32))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Real, E> {
                Ok(Real(value as f32))
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Real, E> {
                match value {
                    "NaN" | "-NaN" => Ok(Real(f32::NAN)),
                    "Infinity" => Ok(Real(f32::INFINITY)),
                    "-Infinity" => Ok(Real(f32::NEG_INFINITY)),
                    _ => Err(E::custom(format!("{value:?} is not a number"))),
                }
            }
        }
        deserializer.deserialize_any(Number)
    }
}

/// The JSON with quotes around the bare words that XGBoost writes for floats that are not finite: `NaN`, `Infinity`, `-Infinity`.
fn quoted(json: &[u8]) -> Cow<'_, [u8]> {
    const WORDS: [&[u8]; 4] = [b"NaN", b"-NaN", b"Infinity", b"-Infinity"];
    let mut copy: Vec<u8> = Vec::new();
    let (mut copied, mut at, mut in_text) = (0, 0, false);
    while at < json.len() {
        match json[at] {
            b'\\' if in_text => at += 1,
            b'"' => in_text = !in_text,
            b'N' | b'I' | b'-' if !in_text => {
                if let Some(word) = WORDS.into_iter().find(|word| json[at..].starts_with(word)) {
                    copy.extend_from_slice(&json[copied..at]);
                    copy.push(b'"');
                    copy.extend_from_slice(word);
                    copy.push(b'"');
                    copied = at + word.len();
                    at = copied;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    copy.extend_from_slice(&json[copied..]);
    Cow::Owned(copy)
}

impl Ensemble {
    /// Reads a model written by XGBoost's `save_model` as JSON or as UBJSON.
    pub fn from_xgboost(bytes: &[u8]) -> Result<Self, ModelError> {
        let is_json = bytes.get(1).is_some_and(|byte| *byte == b'"' || byte.is_ascii_whitespace());
        let not_ours = |message: String| ModelError::NotXgBoost { message };
        let file: File = match is_json {
            true => serde_json::from_slice(&quoted(bytes)).map_err(|error| not_ours(error.to_string()))?,
            false => File::deserialize(&mut ubjson::Reader::new(bytes))
                .map_err(|error| not_ours(error.to_string()))?,
        };
        ensemble(file.learner)
    }
}

fn ensemble(learner: Learner) -> Result<Ensemble, ModelError> {
    let Booster { name, model, gbtree, weight_drop } = learner.gradient_booster;
    let model = match (name.as_str(), model, gbtree) {
        ("gbtree", Some(model), _) => model,
        ("dart", _, Some(inner)) => Model { weight_drop, ..inner.model },
        _ => return Err(ModelError::Booster { name }),
    };
    let param = &learner.learner_model_param;
    let features = whole("num_feature", &param.num_feature, 0, MAX_FEATURES)?;
    let classes = whole("num_class", &param.num_class, 0, MAX_OUTPUTS)?;
    let targets = whole("num_target", param.num_target.as_deref().unwrap_or("1"), 0, MAX_OUTPUTS)?;
    let scores = classes.max(targets).max(1);
    let (objective, link) = from_xgboost(&learner.objective.name)?;
    let base = base_scores(&param.base_score, scores)?.into_iter().map(|score| link.margin(score)).collect();
    let feature_names = match learner.feature_names.len() {
        0 => None,
        named if named == features => Some(learner.feature_names),
        named => return Err(parameter("feature_names", &named.to_string(), "num_feature names")),
    };
    let trees = trees(model, features, scores)?;
    Ok(Ensemble {
        features,
        feature_names,
        trees,
        scores,
        objective,
        average: false,
        numbers: Numbers::Single { base },
        layout: Default::default(),
    })
}

fn parameter(key: &'static str, value: &str, rule: &'static str) -> ModelError {
    ModelError::Parameter { key, value: value.chars().take(40).collect(), rule }
}

fn whole(key: &'static str, text: &str, least: usize, most: usize) -> Result<usize, ModelError> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| parameter(key, text, "a whole number, not larger than a model needs"))
}

/// One number, or, from version 3.1 on, a list with one for each output.
fn base_scores(text: &str, scores: usize) -> Result<Vec<f32>, ModelError> {
    let invalid = || parameter("base_score", text, "a number, or one for each output");
    let list = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let numbers: Result<Vec<f32>, _> = list.split(',').map(|number| number.trim().parse()).collect();
    let numbers = numbers.map_err(|_| invalid())?;
    match numbers.as_slice() {
        [one] => Ok(vec![*one; scores]),
        all if all.len() == scores => Ok(numbers),
        _ => Err(invalid()),
    }
}

fn trees(model: Model, features: usize, scores: usize) -> Result<Vec<Tree>, ModelError> {
    let count = model.trees.len();
    if model.tree_info.len() != count {
        let rule = format!("tree_info holds {} values, expected {count}", model.tree_info.len());
        return Err(ModelError::Structure { tree: count, rule });
    }
    if !model.weight_drop.is_empty() && model.weight_drop.len() != count {
        let rule = format!("weight_drop holds {} values, expected {count}", model.weight_drop.len());
        return Err(ModelError::Structure { tree: count, rule });
    }
    let mut trees = Vec::with_capacity(count);
    for (tree, fields) in model.trees.into_iter().enumerate() {
        let structure = |rule: String| ModelError::Structure { tree, rule };
        let output = usize::try_from(model.tree_info[tree]).ok().filter(|output| *output < scores);
        let output = output.ok_or_else(|| structure(format!("tree_info is {}", model.tree_info[tree])))?;
        let weight = model.weight_drop.get(tree).map_or(1.0, |weight| weight.0);
        let width = fields.tree_param.size_leaf_vector.as_deref().unwrap_or("0");
        let width = whole("size_leaf_vector", width, 0, MAX_OUTPUTS)?.max(1);
        let shape = Shape::read(&fields, features).map_err(structure)?;
        if width == 1 {
            let leaf = |node: usize| Ok(fields.split_conditions[node].0 * weight);
            trees.push(shape.tree(output, leaf).map_err(structure)?);
            continue;
        }
        if width != scores {
            return Err(structure(format!("size_leaf_vector is {width}, expected {scores}")));
        }
        // A leaf of several outputs is a tree for each.
        for output in 0..scores {
            let leaf = |node: usize| {
                let number = usize::try_from(fields.right_children[node]).ok();
                let place = number.and_then(|number| number.checked_mul(width)).map(|first| first + output);
                let value = place.and_then(|place| fields.leaf_weights.get(place));
                value.map(|value| value.0 * weight).ok_or_else(|| format!("leaf {node} has no leaf_weights"))
            };
            trees.push(shape.tree(output, leaf).map_err(structure)?);
        }
    }
    Ok(trees)
}

/// The inner nodes of a tree, with leaves by the node's number in the file.
struct Shape {
    nodes: Vec<Node>,
    /// Numbers in the file, in the order of `!child`.
    leaves: Vec<usize>,
    category_words: Vec<u32>,
    node_covers: Vec<f64>,
    leaf_covers: Vec<f64>,
}

impl Shape {
    fn tree(&self, output: usize, leaf: impl Fn(usize) -> Result<f32, String>) -> Result<Tree, String> {
        let leaves = self.leaves.iter().map(|node| leaf(*node).map(f64::from)).collect::<Result<_, _>>()?;
        Ok(Tree {
            nodes: self.nodes.clone(),
            leaves,
            category_words: self.category_words.clone(),
            listed: Vec::new(),
            lines: Vec::new(),
            output,
            node_covers: self.node_covers.clone(),
            leaf_covers: self.leaf_covers.clone(),
        })
    }

    /// Follows the children from the root.
    fn read(fields: &TreeFields, features: usize) -> Result<Self, String> {
        let count = fields.left_children.len();
        for (key, length) in [
            ("right_children", fields.right_children.len()),
            ("split_indices", fields.split_indices.len()),
            ("split_conditions", fields.split_conditions.len()),
            ("default_left", fields.default_left.len()),
        ] {
            if length != count {
                return Err(format!("{key} holds {length} values, expected {count}"));
            }
        }
        if count == 0 {
            return Err("the tree has no nodes".to_owned());
        }
        let mut sets = Sets::read(fields)?;
        let covers = &fields.sum_hessian;
        let has_covers =
            covers.len() == count && covers.iter().all(|cover| cover.0 >= 0.0 && cover.0.is_finite());
        let mut shape = Self {
            nodes: Vec::new(),
            leaves: Vec::new(),
            category_words: Vec::new(),
            node_covers: Vec::new(),
            leaf_covers: Vec::new(),
        };
        let mut seen = vec![false; count];
        // Nodes to visit, with the parent's place and side.
        let mut open: Vec<(i64, Option<(usize, bool)>)> = vec![(0, None)];
        while let Some((number, parent)) = open.pop() {
            let node = usize::try_from(number).ok().filter(|node| *node < count);
            let node = node.ok_or_else(|| format!("child {number} does not exist"))?;
            if std::mem::replace(&mut seen[node], true) {
                return Err(format!("node {node} has two parents"));
            }
            let (left, right) = (fields.left_children[node], fields.right_children[node]);
            let is_leaf = left == -1;
            let place = if is_leaf { shape.leaves.len() } else { shape.nodes.len() };
            if let Some((parent, is_left)) = parent {
                let link = if is_leaf { !(place as i32) } else { place as i32 };
                match is_left {
                    true => shape.nodes[parent].left = link,
                    false => shape.nodes[parent].right = link,
                }
            }
            if has_covers {
                let covers_of = if is_leaf { &mut shape.leaf_covers } else { &mut shape.node_covers };
                covers_of.push(f64::from(covers[node].0));
            }
            if is_leaf {
                shape.leaves.push(node);
                continue;
            }
            let feature = usize::try_from(fields.split_indices[node]).ok().filter(|index| *index < features);
            let feature = feature.ok_or_else(|| {
                format!("split_indices has {}, expected less than {features}", fields.split_indices[node])
            })?;
            let default_left = fields.default_left[node].0;
            let is_category = fields.split_type.get(node).is_some_and(|kind| *kind == 1);
            let split = match is_category {
                false => numeric(fields.split_conditions[node].0, default_left),
                // What is in the set goes right: the children change places.
                true => sets.split(node, !default_left, &mut shape.category_words)?,
            };
            shape.nodes.push(Node { feature: feature as u32, split, left: 0, right: 0 });
            open.push((right, Some((place, is_category))));
            open.push((left, Some((place, !is_category))));
        }
        Ok(shape)
    }
}

/// `x < threshold` of 32-bit floats is `x <=` the float before it.
fn numeric(threshold: f32, default_left: bool) -> Split {
    // Nothing is below the least: nothing is <= NaN.
    let before = if threshold == f32::NEG_INFINITY { f32::NAN } else { threshold.next_down() };
    Split::Numeric { threshold: f64::from(before), missing: Missing::Nan, default_left }
}

/// The sets of categories by node.
struct Sets<'f> {
    of_node: HashMap<usize, &'f [i64]>,
}

impl<'f> Sets<'f> {
    fn read(fields: &'f TreeFields) -> Result<Self, String> {
        let sets = fields.categories_nodes.len();
        if fields.categories_segments.len() != sets || fields.categories_sizes.len() != sets {
            return Err(format!("categories_segments or categories_sizes do not hold {sets} values"));
        }
        let mut of_node = HashMap::with_capacity(sets);
        for (set, node) in fields.categories_nodes.iter().enumerate() {
            let (first, size) = (fields.categories_segments[set], fields.categories_sizes[set]);
            let range = usize::try_from(first).ok().zip(usize::try_from(size).ok());
            let found =
                range.and_then(|(first, size)| fields.categories.get(first..first.checked_add(size)?));
            let found =
                found.ok_or_else(|| format!("the categories of node {node} lie outside of categories"))?;
            of_node.insert(usize::try_from(*node).unwrap_or(usize::MAX), found);
        }
        Ok(Self { of_node })
    }

    fn split(&mut self, node: usize, nan_left: bool, words: &mut Vec<u32>) -> Result<Split, String> {
        let set = self.of_node.get(&node).ok_or_else(|| format!("node {node} has no categories"))?;
        let first = words.len();
        for category in *set {
            let code = u32::try_from(*category).ok().filter(|code| *code < MAX_CATEGORY);
            let code = code.ok_or_else(|| format!("category {category} is not below {MAX_CATEGORY}"))?;
            let word = first + code as usize / 32;
            if word >= words.len() {
                words.resize(word + 1, 0);
            }
            words[word] |= 1 << (code % 32);
        }
        let words = (words.len() - first) as u32;
        Ok(Split::Category { first: first as u32, words, nan_left, codes: Categories::Whole })
    }
}

/// From a base score as the file has it to the margin that a sum begins with.
#[derive(Clone, Copy)]
pub(crate) enum Link {
    Identity,
    Logit,
    Log,
}

impl Link {
    fn margin(self, score: f32) -> f32 {
        match self {
            Self::Identity => score,
            Self::Logit => -(1.0 / score - 1.0).ln(),
            Self::Log => score.ln(),
        }
    }
}

impl Objective {
    /// Numbers that a prediction holds, of so many scores.
    pub(crate) fn outputs(self, scores: usize) -> usize {
        if matches!(self, Self::LargestClass) { 1 } else { scores }
    }
}
