//! The reader of our own format of tree ensembles, `docs/reference/trees-format.md`, which the Python package writes.
//!
//! The file comes from users: children come after their parent and have one, which is checked before the first walk, and what is
//! kept grows with the file, so a hostile one gives an error, never a panic, an endless loop or much memory.

use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, Visitor};
use serde_json::value::RawValue;

use crate::ensemble::{Ensemble, Missing, Node, Numbers, Split, Tree};
use crate::{ModelError, Objective};

const FORMAT: &str = "loopwright-trees";
const VERSION: u64 = 1;

/// Upper bounds that no honest model reaches; they keep a small file from asking for much memory.
const MAX_FEATURES: usize = 1 << 20;
const MAX_SCORES: usize = 1 << 16;

/// Read first: a file of another version has other keys.
#[derive(Deserialize)]
struct Kind<'f> {
    #[serde(borrow)]
    format: &'f RawValue,
    #[serde(borrow)]
    version: &'f RawValue,
}

/// Values stay text until [`value`] and [`column`] read them, so that an error names the key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'f> {
    #[serde(rename = "format")]
    _format: IgnoredAny,
    #[serde(rename = "version")]
    _version: IgnoredAny,
    #[serde(borrow)]
    source: &'f RawValue,
    #[serde(borrow)]
    features: &'f RawValue,
    #[serde(borrow)]
    feature_names: &'f RawValue,
    #[serde(borrow)]
    classes: &'f RawValue,
    #[serde(borrow)]
    input: &'f RawValue,
    #[serde(borrow)]
    scores: &'f RawValue,
    #[serde(borrow)]
    base: &'f RawValue,
    #[serde(borrow)]
    divide_by: &'f RawValue,
    #[serde(borrow)]
    link: &'f RawValue,
    #[serde(borrow)]
    trees: &'f RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TreeFields<'f> {
    #[serde(borrow)]
    score: &'f RawValue,
    #[serde(borrow)]
    left: &'f RawValue,
    #[serde(borrow)]
    right: &'f RawValue,
    #[serde(borrow)]
    feature: &'f RawValue,
    #[serde(borrow)]
    threshold: &'f RawValue,
    #[serde(borrow)]
    missing_left: &'f RawValue,
    #[serde(borrow)]
    categories: &'f RawValue,
    #[serde(borrow)]
    value: &'f RawValue,
    #[serde(borrow)]
    cover: &'f RawValue,
}

/// A node that compares with a list instead of a threshold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Comparison {
    node: usize,
    values: Vec<Number>,
}

/// A 64-bit float. JSON has no word for some of them; they are strings.
#[derive(Clone, Copy)]
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Number;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number, \"NaN\", \"Infinity\" or \"-Infinity\"")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Number, E> {
                match value {
                    "NaN" => Ok(Number(f64::NAN)),
                    "Infinity" => Ok(Number(f64::INFINITY)),
                    "-Infinity" => Ok(Number(f64::NEG_INFINITY)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(value), &self)),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Ensemble {
    /// Reads a file of the format `loopwright-trees`, version 1.
    pub fn from_trees_json(bytes: &[u8]) -> Result<Self, ModelError> {
        let kind: Kind<'_> = serde_json::from_slice(bytes).map_err(not_ours)?;
        value("format", kind.format, "\"loopwright-trees\"", |format: &String| format == FORMAT)?;
        value("version", kind.version, "1", |version: &u64| *version == VERSION)?;
        ensemble(serde_json::from_slice(bytes).map_err(not_ours)?)
    }
}

fn not_ours(error: serde_json::Error) -> ModelError {
    ModelError::NotTrees { message: brief(&error) }
}

/// An error may repeat what stands in the file, however long.
fn brief(error: &serde_json::Error) -> String {
    error.to_string().chars().take(200).collect()
}

fn ensemble(file: File<'_>) -> Result<Ensemble, ModelError> {
    value("source", file.source, "a string", |_: &String| true)?;
    let features =
        value("features", file.features, "a whole number from 1 to 1,048,576", |features: &usize| {
            (1..=MAX_FEATURES).contains(features)
        })?;
    let feature_names = value(
        "feature_names",
        file.feature_names,
        "null or a string for each feature",
        |names: &Option<Vec<String>>| names.as_ref().is_none_or(|names| names.len() == features),
    )?;
    let input = value("input", file.input, "\"float32\" or \"float64\"", |input: &String| {
        matches!(input.as_str(), "float32" | "float64")
    })?;
    let scores = value("scores", file.scores, "a whole number from 1 to 65,536", |scores: &usize| {
        (1..=MAX_SCORES).contains(scores)
    })?;
    let base = value("base", file.base, "a finite number for each score", |base: &Vec<Number>| {
        base.len() == scores && base.iter().all(|base| base.0.is_finite())
    })?;
    let divide_by =
        value("divide_by", file.divide_by, "null or a whole number from 1", |count: &Option<u32>| {
            count.is_none_or(|count| count > 0)
        })?;
    let objective = objective(file.link)?;
    let is_binary = matches!(objective, Objective::Sigmoid { .. });
    if is_binary && scores != 1 {
        return Err(refused("scores", file.scores, "1 where the link is logistic"));
    }
    let labels = if is_binary { 2 } else { scores };
    value("classes", file.classes, "null or a label for each class", |classes: &Option<Vec<IgnoredAny>>| {
        classes.as_ref().is_none_or(|classes| classes.len() == labels)
    })?;
    Ok(Ensemble {
        features,
        feature_names,
        trees: trees(file.trees, features, scores)?,
        scores,
        objective,
        average: false,
        numbers: Numbers::Wide {
            single_input: input == "float32",
            base: base.into_iter().map(|base| base.0).collect(),
            divide_by: divide_by.map(f64::from),
        },
        layout: Default::default(),
    })
}

/// What a key of the file holds, where it is what the rule says.
fn value<'f, T: Deserialize<'f>>(
    key: &'static str,
    raw: &'f RawValue,
    rule: &'static str,
    holds: impl FnOnce(&T) -> bool,
) -> Result<T, ModelError> {
    let value: Option<T> = serde_json::from_str(raw.get()).ok();
    value.filter(holds).ok_or_else(|| refused(key, raw, rule))
}

fn refused(key: &'static str, raw: &RawValue, rule: &'static str) -> ModelError {
    let value = raw.get().trim_matches('"').chars().take(40).collect();
    ModelError::Parameter { key, value, rule }
}

fn objective(link: &RawValue) -> Result<Objective, ModelError> {
    const LINKS: &str = "\"identity\", \"exp\", \"logistic\", \"logistic2\" or \"softmax\"";
    let name: String = value("link", link, LINKS, |_| true)?;
    Ok(match name.as_str() {
        "identity" => Objective::Identity,
        "exp" => Objective::Exponential,
        "logistic" => Objective::Sigmoid { slope: 1.0 },
        "logistic2" => Objective::Sigmoid { slope: 2.0 },
        "softmax" => Objective::Softmax,
        _ => return Err(refused("link", link, LINKS)),
    })
}

fn trees(raw: &RawValue, features: usize, scores: usize) -> Result<Vec<Tree>, ModelError> {
    let of_file: Vec<TreeFields<'_>> =
        parsed("trees", raw).map_err(|message| ModelError::NotTrees { message })?;
    if of_file.is_empty() {
        return Err(refused("trees", raw, "at least one tree"));
    }
    let mut trees = Vec::with_capacity(of_file.len());
    for (tree, fields) in of_file.iter().enumerate() {
        append(fields, features, scores, &mut trees).map_err(|rule| ModelError::Structure { tree, rule })?;
    }
    Ok(trees)
}

/// A tree for its score, or, where leaves hold all scores, a tree for each.
fn append(
    fields: &TreeFields<'_>,
    features: usize,
    scores: usize,
    trees: &mut Vec<Tree>,
) -> Result<(), String> {
    let score: Option<usize> = parsed("score", fields.score)?;
    let outputs = match score {
        None => 0..scores,
        Some(score) if score < scores => score..score + 1,
        Some(score) => return Err(format!("score is {score}, expected null or less than {scores}")),
    };
    let shape = Shape::read(fields, features)?;
    let width = outputs.len();
    if width > 1 && !shape.listed.is_empty() {
        // Every score would keep the lists again: memory would not grow with the file only.
        return Err("categories stand in a tree of several scores, expected one score".to_owned());
    }
    let values: Vec<Number> = column("value", fields.value, shape.leaves * width)?;
    if let Some(place) = values.iter().position(|value| !value.0.is_finite()) {
        return Err(format!("value {place} is {}, expected a finite number", values[place].0));
    }
    for (first, output) in outputs.enumerate() {
        trees.push(Tree {
            nodes: shape.nodes.clone(),
            leaves: values.iter().skip(first).step_by(width).map(|value| value.0).collect(),
            category_words: Vec::new(),
            listed: shape.listed.clone(),
            lines: Vec::new(),
            output,
            node_covers: shape.node_covers.clone(),
            leaf_covers: shape.leaf_covers.clone(),
        });
    }
    Ok(())
}

fn parsed<'f, T: Deserialize<'f>>(key: &str, raw: &'f RawValue) -> Result<T, String> {
    serde_json::from_str(raw.get()).map_err(|error| format!("{key}: {}", brief(&error)))
}

/// A list with so many entries.
fn column<'f, T: Deserialize<'f>>(key: &str, raw: &'f RawValue, count: usize) -> Result<Vec<T>, String> {
    let column: Vec<T> = parsed(key, raw)?;
    if column.len() != count {
        return Err(format!("{key} holds {} values, expected {count}", column.len()));
    }
    Ok(column)
}

/// A tree without the values of its leaves.
struct Shape {
    nodes: Vec<Node>,
    leaves: usize,
    listed: Vec<f64>,
    node_covers: Vec<f64>,
    leaf_covers: Vec<f64>,
}

impl Shape {
    fn read(fields: &TreeFields<'_>, features: usize) -> Result<Self, String> {
        let left: Vec<i64> = parsed("left", fields.left)?;
        let count = left.len();
        if count == 0 || i32::try_from(count).is_err() {
            return Err(format!("left holds {count} values, expected 1 to {}", i32::MAX));
        }
        let right: Vec<i64> = column("right", fields.right, count)?;
        let feature: Vec<i64> = column("feature", fields.feature, count)?;
        let thresholds: Vec<Number> = column("threshold", fields.threshold, count)?;
        let missing_left: Vec<bool> = column("missing_left", fields.missing_left, count)?;
        let comparisons: Option<Vec<Comparison>> = parsed("categories", fields.categories)?;
        let mut comparisons = comparisons.unwrap_or_default().into_iter().peekable();
        let places = places(&left, &right)?;
        let mut listed = Vec::new();
        let mut nodes = Vec::new();
        for node in (0..count).filter(|node| places[*node] >= 0) {
            let index = usize::try_from(feature[node]).ok().filter(|index| *index < features);
            let index = index.ok_or_else(|| {
                format!(
                    "feature of node {node} is {}, expected 0 or more, less than {features}",
                    feature[node]
                )
            })?;
            // `places` saw that both are nodes.
            let (mut left, mut right) = (places[left[node] as usize], places[right[node] as usize]);
            let split = match comparisons.next_if(|comparison| comparison.node == node) {
                None => Split::Numeric {
                    threshold: thresholds[node].0,
                    missing: Missing::Nan,
                    default_left: missing_left[node],
                },
                Some(comparison) => {
                    // The listed numbers part from the missing ones.
                    if missing_left[node] {
                        std::mem::swap(&mut left, &mut right);
                    }
                    list(&comparison, &mut listed)?
                }
            };
            nodes.push(Node { feature: index as u32, split, left, right });
        }
        if let Some(comparison) = comparisons.next() {
            let node = comparison.node;
            return Err(format!("categories has node {node}, expected nodes that are no leaves, ascending"));
        }
        let (node_covers, leaf_covers) = covers(fields.cover, &places)?;
        Ok(Self { leaves: count - nodes.len(), nodes, listed, node_covers, leaf_covers })
    }
}

/// Where nodes stand in memory: inner nodes and leaves are counted apart, in the order of the file.
fn places(left: &[i64], right: &[i64]) -> Result<Vec<i32>, String> {
    let (mut inner, mut leaves) = (0, 0);
    let mut places = Vec::with_capacity(left.len());
    let mut has_parent = vec![false; left.len()];
    for (node, children) in left.iter().copied().zip(right.iter().copied()).enumerate() {
        if children == (-1, -1) {
            places.push(!leaves);
            leaves += 1;
            continue;
        }
        places.push(inner);
        inner += 1;
        for (key, child) in [("left", children.0), ("right", children.1)] {
            let later = usize::try_from(child).ok().filter(|child| *child > node);
            match later.and_then(|child| has_parent.get_mut(child)) {
                None => {
                    return Err(format!(
                        "{key} of node {node} is {child}, expected a later node, or -1 for both children of a leaf"
                    ));
                }
                Some(true) => {
                    return Err(format!("{key} of node {node} is {child}, which has a parent already"));
                }
                Some(has_parent) => *has_parent = true,
            }
        }
    }
    match has_parent.iter().skip(1).position(|has_parent| !has_parent) {
        None => Ok(places),
        Some(place) => Err(format!("node {} is no child of any node", place + 1)),
    }
}

fn list(comparison: &Comparison, listed: &mut Vec<f64>) -> Result<Split, String> {
    let Comparison { node, values } = comparison;
    let is_ascending = values.windows(2).all(|pair| pair[0].0 < pair[1].0);
    if !is_ascending || values.iter().any(|value| !value.0.is_finite()) {
        return Err(format!("categories of node {node} are not finite numbers in ascending order"));
    }
    let first = u32::try_from(listed.len()).map_err(|_| "categories holds too many numbers")?;
    let count = u32::try_from(values.len()).map_err(|_| "categories holds too many numbers")?;
    listed.extend(values.iter().map(|value| value.0));
    Ok(Split::Listed { first, count, nan_left: false })
}

/// Of inner nodes and of leaves; nothing where the file does not say.
fn covers(raw: &RawValue, places: &[i32]) -> Result<(Vec<f64>, Vec<f64>), String> {
    let (mut of_nodes, mut of_leaves) = (Vec::new(), Vec::new());
    if parsed::<Option<IgnoredAny>>("cover", raw)?.is_none() {
        return Ok((of_nodes, of_leaves));
    }
    let covers: Vec<Number> = column("cover", raw, places.len())?;
    for (node, (cover, place)) in covers.into_iter().zip(places).enumerate() {
        if !(0.0..f64::INFINITY).contains(&cover.0) {
            return Err(format!("cover of node {node} is {}, expected a finite number from 0", cover.0));
        }
        if *place >= 0 { of_nodes.push(cover.0) } else { of_leaves.push(cover.0) }
    }
    Ok((of_nodes, of_leaves))
}
