//! The reader of LightGBM's text format, versions v3 and v4.
//!
//! The text comes from users: every index is checked before the first walk, so a hostile file gives an error,
//! never a panic or an endless loop.

use std::collections::HashMap;
use std::str::FromStr;

use crate::ensemble::{Categories, Ensemble, Line, Missing, Node, Numbers, Split, Tree};
use crate::{ModelError, Objective};

/// Upper bounds that no honest model reaches; they keep a small file from asking for much memory.
const MAX_FEATURES: usize = 1 << 20;
const MAX_OUTPUTS: usize = 1 << 16;

/// `key=value` lines of one block, with the line each stands on.
struct Block<'a> {
    first_line: usize,
    fields: HashMap<&'a str, (usize, &'a str)>,
}

impl<'a> Block<'a> {
    fn text(&self, key: &'static str) -> Result<&'a str, ModelError> {
        self.fields
            .get(key)
            .map(|(_, value)| *value)
            .ok_or(ModelError::Missing { line: self.first_line, key })
    }

    fn number<T: FromStr>(&self, key: &'static str, rule: &'static str) -> Result<T, ModelError> {
        let value = self.text(key)?;
        value.parse().map_err(|_| self.invalid(key, value, rule))
    }

    fn numbers<T: FromStr>(&self, key: &'static str, rule: &'static str) -> Result<Vec<T>, ModelError> {
        self.text(key)?
            .split_ascii_whitespace()
            .map(|token| token.parse().map_err(|_| self.invalid(key, token, rule)))
            .collect()
    }

    fn invalid(&self, key: &'static str, value: &str, rule: &'static str) -> ModelError {
        let line = self.fields.get(key).map_or(self.first_line, |(line, _)| *line);
        ModelError::Value { line, key: key.to_owned(), value: value.chars().take(40).collect(), rule }
    }
}

struct Lines<'a> {
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<(usize, &'a str)> {
        self.lines.next().map(|(index, line)| (index + 1, line.trim_end()))
    }

    /// Fields up to the next blank line.
    fn block(&mut self, first_line: usize) -> Block<'a> {
        let mut fields = HashMap::new();
        while let Some((line, text)) = self.next() {
            if text.is_empty() {
                break;
            }
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            fields.insert(key, (line, value));
        }
        Block { first_line, fields }
    }
}

impl Ensemble {
    /// Reads a model written by LightGBM's `save_model` / `model_to_string`.
    pub fn from_lightgbm_text(text: &str) -> Result<Self, ModelError> {
        let mut lines = Lines { lines: text.lines().enumerate() };
        let (_, first) = lines.next().unwrap_or((0, ""));
        if first != "tree" {
            return Err(ModelError::NotLightGbm { found: first.chars().take(40).collect() });
        }
        let header = lines.block(2);
        let features = header.number::<usize>("max_feature_idx", "a whole number")? + 1;
        if features > MAX_FEATURES {
            return Err(header.invalid("max_feature_idx", &features.to_string(), "at most 1,048,575"));
        }
        let feature_names: Vec<String> =
            header.text("feature_names")?.split(' ').map(str::to_owned).collect();
        if feature_names.len() != features {
            return Err(header.invalid(
                "feature_names",
                &feature_names.len().to_string(),
                "max_feature_idx + 1 names",
            ));
        }
        let outputs = header.number::<usize>("num_tree_per_iteration", "a whole number")?;
        if outputs == 0 || outputs > MAX_OUTPUTS {
            return Err(header.invalid("num_tree_per_iteration", &outputs.to_string(), "1 to 65,536"));
        }
        let objective = Objective::parse(header.fields.get("objective").map(|(_, value)| *value))?;
        let average = header.fields.contains_key("average_output");
        let trees = read_trees(&mut lines, features, outputs)?;
        if trees.is_empty() || trees.len() % outputs != 0 {
            let rule = format!("{} trees do not make whole iterations of {outputs}", trees.len());
            return Err(ModelError::Structure { tree: trees.len(), rule });
        }
        refuse_pandas_categories(&mut lines)?;
        Ok(Self {
            features,
            feature_names: Some(feature_names),
            trees,
            scores: outputs,
            objective,
            average,
            numbers: Numbers::Double,
            layout: Default::default(),
        })
    }
}

fn read_trees(lines: &mut Lines<'_>, features: usize, outputs: usize) -> Result<Vec<Tree>, ModelError> {
    let mut trees = Vec::new();
    loop {
        match lines.next() {
            None => return Err(ModelError::Truncated { expected: "\"end of trees\"" }),
            Some((_, "end of trees")) => return Ok(trees),
            Some((line, text)) if text.starts_with("Tree=") => {
                let output = trees.len() % outputs;
                trees.push(Tree { output, ..read_tree(&lines.block(line), trees.len(), features)? });
            }
            Some(_) => {}
        }
    }
}

fn refuse_pandas_categories(lines: &mut Lines<'_>) -> Result<(), ModelError> {
    while let Some((_, text)) = lines.next() {
        if let Some(list) = text.strip_prefix("pandas_categorical:") {
            let columns = list.matches('[').count().saturating_sub(1);
            if columns > 0 {
                return Err(ModelError::PandasCategories { columns });
            }
        }
    }
    Ok(())
}

fn read_tree(block: &Block<'_>, tree: usize, features: usize) -> Result<Tree, ModelError> {
    let structure = |rule: String| ModelError::Structure { tree, rule };
    let leaf_count = block.number::<usize>("num_leaves", "a whole number")?;
    let leaves: Vec<f64> = block.numbers("leaf_value", "a number")?;
    if leaf_count == 0 || leaves.len() != leaf_count {
        return Err(structure(format!("num_leaves is {leaf_count} but leaf_value holds {}", leaves.len())));
    }
    let lines = match block.fields.get("is_linear") {
        Some((_, "1")) => lines(block, tree, leaf_count, features)?,
        _ => Vec::new(),
    };
    if leaf_count == 1 {
        return // One leaf has all rows.
        Ok(Tree {
            nodes: Vec::new(),
            leaves,
            category_words: Vec::new(),
            listed: Vec::new(),
            lines,
            output: 0,
            node_covers: Vec::new(),
            leaf_covers: vec![1.0],
        });
    }
    let inner = leaf_count - 1;
    let feature: Vec<u32> = block.numbers("split_feature", "a feature index")?;
    let thresholds: Vec<f64> = block.numbers("threshold", "a number")?;
    let decisions: Vec<i32> = block.numbers("decision_type", "a whole number")?;
    let left: Vec<i32> = block.numbers("left_child", "a whole number")?;
    let right: Vec<i32> = block.numbers("right_child", "a whole number")?;
    for (key, length) in [
        ("split_feature", feature.len()),
        ("threshold", thresholds.len()),
        ("decision_type", decisions.len()),
        ("left_child", left.len()),
        ("right_child", right.len()),
    ] {
        if length != inner {
            return Err(structure(format!("{key} holds {length} values, expected {inner}")));
        }
    }
    let (boundaries, category_words) = if block.number::<usize>("num_cat", "a whole number")? > 0 {
        (
            block.numbers::<u32>("cat_boundaries", "an index")?,
            block.numbers::<u32>("cat_threshold", "32 bits")?,
        )
    } else {
        (Vec::new(), Vec::new())
    };
    let mut nodes = Vec::with_capacity(inner);
    for index in 0..inner {
        if feature[index] as usize >= features {
            return Err(structure(format!("split_feature {} is not below {features}", feature[index])));
        }
        let split = if decisions[index] & 1 == 1 {
            category_split(thresholds[index], &boundaries, category_words.len()).map_err(structure)?
        } else {
            numeric_split(thresholds[index], decisions[index]).map_err(structure)?
        };
        nodes.push(Node { feature: feature[index], split, left: left[index], right: right[index] });
    }
    check_children(&nodes, leaf_count).map_err(structure)?;
    let node_covers = covers(block, "internal_count", inner)?;
    let leaf_covers = covers(block, "leaf_count", leaf_count)?;
    Ok(Tree { nodes, leaves, category_words, listed: Vec::new(), lines, output: 0, node_covers, leaf_covers })
}

/// The linear functions of the leaves: constants, how many features each has, then features and coefficients of all.
fn lines(block: &Block<'_>, tree: usize, leaves: usize, features: usize) -> Result<Vec<Line>, ModelError> {
    let structure = |rule: String| ModelError::Structure { tree, rule };
    let constants: Vec<f64> = block.numbers("leaf_const", "a number")?;
    let counts: Vec<usize> = block.numbers("num_features", "a whole number")?;
    let asked: Vec<u32> = block.numbers("leaf_features", "a feature index")?;
    let coefficients: Vec<f64> = block.numbers("leaf_coeff", "a number")?;
    for (key, length) in [("leaf_const", constants.len()), ("num_features", counts.len())] {
        if length != leaves {
            return Err(structure(format!("{key} holds {length} values, expected {leaves}")));
        }
    }
    let all = counts.iter().try_fold(0usize, |sum, count| sum.checked_add(*count));
    if all != Some(asked.len()) || asked.len() != coefficients.len() {
        let rule = "leaf_features and leaf_coeff do not hold as many values as num_features says";
        return Err(structure(rule.to_owned()));
    }
    if let Some(feature) = asked.iter().find(|feature| **feature as usize >= features) {
        return Err(structure(format!("leaf_features {feature} is not below {features}")));
    }
    let mut terms = asked.into_iter().zip(coefficients);
    let line = |(constant, count)| Line { constant, terms: terms.by_ref().take(count).collect() };
    Ok(constants.into_iter().zip(counts).map(line).collect())
}

/// Rows at each node, which files of some programs leave out.
fn covers(block: &Block<'_>, key: &'static str, count: usize) -> Result<Vec<f64>, ModelError> {
    if !block.fields.contains_key(key) {
        return Ok(Vec::new());
    }
    let covers: Vec<f64> = block.numbers(key, "a number of rows")?;
    let is_usable = covers.len() == count && covers.iter().all(|rows| *rows >= 0.0 && rows.is_finite());
    Ok(if is_usable { covers } else { Vec::new() })
}

fn numeric_split(threshold: f64, decision: i32) -> Result<Split, String> {
    let missing = match (decision >> 2) & 3 {
        0 => Missing::None,
        1 => Missing::Zero,
        2 => Missing::Nan,
        other => return Err(format!("decision_type {decision} has missing type {other}, expected 0 to 2")),
    };
    Ok(Split::Numeric { threshold, missing, default_left: decision & 2 != 0 })
}

fn category_split(threshold: f64, boundaries: &[u32], words: usize) -> Result<Split, String> {
    let index = threshold as usize;
    let (Some(first), Some(end)) = (boundaries.get(index), boundaries.get(index + 1)) else {
        return Err(format!("category set {threshold} is not in cat_boundaries"));
    };
    if first > end || *end as usize > words {
        return Err(format!("category set {threshold} lies outside cat_threshold"));
    }
    Ok(Split::Category { first: *first, words: end - first, nan_left: false, codes: Categories::Truncated })
}

/// Every node and leaf has exactly one parent and a node comes after its parent: the walk ends.
fn check_children(nodes: &[Node], leaf_count: usize) -> Result<(), String> {
    let mut seen_node = vec![false; nodes.len()];
    let mut seen_leaf = vec![false; leaf_count];
    for (index, node) in nodes.iter().enumerate() {
        for child in [node.left, node.right] {
            let seen = if child >= 0 {
                if child as usize <= index {
                    return Err(format!("node {index} has child {child}, expected a later node"));
                }
                seen_node.get_mut(child as usize)
            } else {
                seen_leaf.get_mut(!child as usize)
            };
            match seen {
                None => return Err(format!("node {index} has child {child}, which does not exist")),
                Some(true) => return Err(format!("child {child} has two parents")),
                Some(seen) => *seen = true,
            }
        }
    }
    Ok(())
}
