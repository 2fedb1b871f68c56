//! The reader of ONNX models that are one tree ensemble of the domain `ai.onnx.ml`, as onnxruntime calculates them.
//!
//! The file comes from users: branches are followed from the roots once, and what is kept grows with the file, so a hostile one gives
//! an error, never a panic, an endless loop or much memory.

mod attributes;
mod graph;
mod protobuf;
mod table;

use std::collections::BTreeSet;
use std::ops::Range;

use crate::ensemble::{Ensemble, Numbers, Tree};
use crate::{ModelError, Objective};
use attributes::{Attributes, DOUBLE, FLOAT, parameter};
use graph::{Kind, Trees};
use protobuf::Result;
use table::{Shape, Table, WeightKeys};

/// Upper bounds that no honest model reaches; they keep a small file from asking for much memory.
const MAX_FEATURES: usize = 1 << 20;
const MAX_OUTPUTS: usize = 1 << 16;
/// A tree of several outputs is repeated for each; leaves that have weights for hardly any would make much of a small file.
const MAX_REPETITION: usize = 64;

const REGRESSOR: WeightKeys = WeightKeys {
    trees: "target_treeids",
    nodes: "target_nodeids",
    ids: "target_ids",
    weights: "target_weights",
    as_tensor: "target_weights_as_tensor",
};
const CLASSIFIER: WeightKeys = WeightKeys {
    trees: "class_treeids",
    nodes: "class_nodeids",
    ids: "class_ids",
    weights: "class_weights",
    as_tensor: "class_weights_as_tensor",
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PostTransform {
    None,
    Logistic,
    Softmax,
}

/// What an operator's attributes say.
struct Read {
    table: Table,
    /// Targets or classes.
    outputs: usize,
    /// A number for each output, or none.
    base: Vec<f64>,
    average: bool,
    objective: Objective,
    /// The only output that has weights, where it alone is answered.
    only: Option<usize>,
    /// Outputs for which every row must come to a weight.
    needs_weights: Range<usize>,
}

impl Ensemble {
    /// Reads an ONNX model whose graph is one `TreeEnsembleRegressor`, `TreeEnsembleClassifier` or `TreeEnsemble`.
    pub fn from_onnx(bytes: &[u8]) -> Result<Self> {
        let Trees { kind, mut attributes, rows, is_rounded } = Trees::find(bytes)?;
        let floats = if rows.kind == DOUBLE { DOUBLE } else { FLOAT };
        let (read, operator) = match kind {
            Kind::Regressor => (regressor(&mut attributes, floats)?, "TreeEnsembleRegressor"),
            Kind::Classifier => (classifier(&mut attributes, floats)?, "TreeEnsembleClassifier"),
            Kind::Ensemble => (latest(&mut attributes, floats)?, "TreeEnsemble"),
        };
        attributes.finish(operator)?;
        let features = rows.features.unwrap_or_else(|| read.table.features());
        if features > MAX_FEATURES {
            return Err(parameter("features", &features.to_string(), "at most 1,048,576"));
        }
        if read.table.trees() == 0 {
            return Err(parameter("trees", "0", "at least one tree"));
        }
        let trees = trees(&read, features)?;
        let scores = if read.only.is_some() { 1 } else { read.outputs };
        let base = if read.base.is_empty() { vec![0.0; scores] } else { read.base };
        Ok(Self {
            features,
            feature_names: None,
            trees,
            scores,
            objective: read.objective,
            average: false,
            numbers: Numbers::Late {
                single_input: floats == FLOAT || rows.is_rounded,
                single_sums: floats == FLOAT,
                // Only the operator of version 5 answers 64-bit floats.
                single_output: is_rounded || kind != Kind::Ensemble,
                base,
                divide_by: read.average.then_some(read.table.trees() as f64),
            },
            layout: Default::default(),
        })
    }
}

fn post_transform(name: &str) -> Result<PostTransform> {
    match name {
        "NONE" => Ok(PostTransform::None),
        "LOGISTIC" => Ok(PostTransform::Logistic),
        "SOFTMAX" => Ok(PostTransform::Softmax),
        other => Err(parameter("post_transform", other, "NONE, LOGISTIC or SOFTMAX")),
    }
}

/// Of several numbers a row.
fn objective(transform: PostTransform) -> Objective {
    match transform {
        PostTransform::None => Objective::Identity,
        PostTransform::Logistic => Objective::SigmoidPerClass { slope: 1.0 },
        PostTransform::Softmax => Objective::Softmax,
    }
}

fn targets(attributes: &mut Attributes<'_>) -> Result<usize> {
    let count = attributes.int("n_targets", 0)?;
    let targets = usize::try_from(count).ok().filter(|targets| (1..=MAX_OUTPUTS).contains(targets));
    targets.ok_or_else(|| parameter("n_targets", &count.to_string(), "a whole number from 1 to 65,536"))
}

/// onnxruntime applies no transform to a single target.
fn of_targets(targets: usize, transform: PostTransform) -> Objective {
    if targets == 1 { Objective::Identity } else { objective(transform) }
}

fn regressor(attributes: &mut Attributes<'_>, floats: i64) -> Result<Read> {
    let targets = targets(attributes)?;
    let average = match attributes.text("aggregate_function", "SUM")? {
        "SUM" => false,
        "AVERAGE" => true,
        other => return Err(parameter("aggregate_function", other, "SUM or AVERAGE")),
    };
    let transform = post_transform(attributes.text("post_transform", "NONE")?)?;
    let base = attributes.reals("base_values", "base_values_as_tensor", floats)?;
    if !base.is_empty() && base.len() != targets {
        return Err(parameter(
            "base_values",
            &format!("{} numbers", base.len()),
            "none or one for each target",
        ));
    }
    Ok(Read {
        table: Table::by_tree(attributes, &REGRESSOR, floats, targets)?,
        outputs: targets,
        // onnxruntime passes over the base of a target for which a row came to no weight.
        needs_weights: if targets > 1 && base.iter().any(|base| *base != 0.0) { 0..targets } else { 0..0 },
        base,
        average,
        objective: of_targets(targets, transform),
        only: None,
    })
}

fn latest(attributes: &mut Attributes<'_>, floats: i64) -> Result<Read> {
    let targets = targets(attributes)?;
    let average = match attributes.int("aggregate_function", 1)? {
        0 => true,
        1 => false,
        2 => return Err(parameter("aggregate_function", "MIN", "SUM or AVERAGE")),
        3 => return Err(parameter("aggregate_function", "MAX", "SUM or AVERAGE")),
        other => return Err(parameter("aggregate_function", &other.to_string(), "SUM (1) or AVERAGE (0)")),
    };
    // The specification has the two the other way around.
    let transform = match attributes.int("post_transform", 0)? {
        0 => PostTransform::None,
        1 => PostTransform::Logistic,
        2 => PostTransform::Softmax,
        other => return Err(parameter("post_transform", &other.to_string(), "0, 1 or 2")),
    };
    Ok(Read {
        table: Table::by_place(attributes, floats, targets)?,
        outputs: targets,
        base: Vec::new(),
        average,
        objective: of_targets(targets, transform),
        only: None,
        needs_weights: 0..0,
    })
}

fn classifier(attributes: &mut Attributes<'_>, floats: i64) -> Result<Read> {
    let names = attributes.texts("classlabels_strings")?.len();
    let numbers = attributes.ints("classlabels_int64s")?.len();
    let classes = if names > 0 { names } else { numbers };
    if !(2..=MAX_OUTPUTS).contains(&classes) {
        return Err(parameter("classlabels", &format!("{classes} labels"), "2 to 65,536 labels"));
    }
    let transform = post_transform(attributes.text("post_transform", "NONE")?)?;
    let base = attributes.reals("base_values", "base_values_as_tensor", floats)?;
    let table = Table::by_tree(attributes, &CLASSIFIER, floats, classes)?;
    let mut read = Read {
        table,
        outputs: classes,
        base,
        average: false,
        objective: objective(transform),
        only: None,
        needs_weights: 0..0,
    };
    if classes == 2 {
        of_two_classes(&mut read, transform)?;
    } else if !read.base.is_empty() && read.base.len() != classes {
        let found = format!("{} numbers", read.base.len());
        return Err(parameter("base_values", &found, "none or one for each class"));
    }
    Ok(read)
}

/// What onnxruntime's `FinalizeScores` and `write_scores` make of two classes depends on which of them have weights.
fn of_two_classes(read: &mut Read, transform: PostTransform) -> Result<()> {
    let ids: BTreeSet<usize> = read.table.weights().iter().map(|weight| weight.output).collect();
    let is_first = ids.len() == 1 && ids.contains(&0);
    let is_second = ids.len() == 1 && ids.contains(&1);
    // With other base values it passes over trees or over the base.
    if read.base.len() > usize::from(is_first) {
        let rule = "none, or one where all weights are for the first class";
        return Err(parameter("base_values", &format!("{} numbers", read.base.len()), rule));
    }
    if is_first {
        read.only = Some(0);
        // Sums of weights that are not negative count as probabilities.
        let is_logistic = transform == PostTransform::Logistic && read.table.has_negative();
        read.objective = if is_logistic { Objective::Sigmoid { slope: 1.0 } } else { Objective::Identity };
    } else if is_second && transform != PostTransform::Softmax {
        read.only = Some(1);
        let is_logistic = transform == PostTransform::Logistic;
        read.objective = if is_logistic { Objective::Sigmoid { slope: 1.0 } } else { Objective::Identity };
    } else {
        // A row without a weight for the second class would count as one of the case above.
        read.needs_weights = 1..2;
    }
    Ok(())
}

/// A tree for its output, or, where leaves have weights for several, a tree for each.
fn trees(read: &Read, features: usize) -> Result<Vec<Tree>> {
    let mut trees = Vec::new();
    let mut has_weights = vec![false; read.outputs];
    for (tree, shape) in read.table.shapes(features)?.iter().enumerate() {
        append(read, shape, &mut has_weights, &mut trees)
            .map_err(|rule| ModelError::Structure { tree, rule })?;
    }
    match read.needs_weights.clone().find(|output| !has_weights[*output]) {
        None => Ok(trees),
        Some(output) => Err(ModelError::NotOnnx {
            message: format!(
                "rows may come to no weight for target or class {output}, for which onnxruntime has other rules"
            ),
        }),
    }
}

fn append(
    read: &Read,
    shape: &Shape,
    has_weights: &mut [bool],
    trees: &mut Vec<Tree>,
) -> std::result::Result<(), String> {
    let mut outputs = BTreeSet::new();
    let mut weights = 0;
    let mut counted = BTreeSet::new();
    for leaf in &shape.leaves {
        // Several branches may share a leaf.
        if !counted.insert(*leaf) {
            continue;
        }
        let of_leaf = read.table.of_leaf(*leaf);
        let distinct: BTreeSet<usize> = of_leaf.iter().map(|weight| weight.output).collect();
        if of_leaf.is_empty() || distinct.len() < of_leaf.len() {
            return Err(format!("leaf {leaf} has no weight, or two for the same target or class"));
        }
        weights += of_leaf.len();
        outputs.extend(distinct);
    }
    let repeated = outputs.len().saturating_mul(shape.leaves.len() + shape.listed.len());
    if outputs.len() > 1 && repeated > MAX_REPETITION.saturating_mul(weights + shape.listed.len()) {
        return Err("its leaves have weights for few of its targets or classes".to_owned());
    }
    for output in outputs {
        let value_of = |leaf: &usize| {
            let of_leaf = read.table.of_leaf(*leaf);
            let place = of_leaf.binary_search_by_key(&output, |weight| weight.output).ok()?;
            of_leaf.get(place).map(|weight| weight.value)
        };
        let found: Vec<Option<f64>> = shape.leaves.iter().map(value_of).collect();
        if found.iter().all(Option::is_some) {
            has_weights[output] = true;
        }
        trees.push(Tree {
            lines: Vec::new(),
            nodes: shape.nodes.clone(),
            leaves: found.into_iter().map(Option::unwrap_or_default).collect(),
            category_words: Vec::new(),
            listed: shape.listed.clone(),
            output: if read.only.is_some() { 0 } else { output },
            node_covers: Vec::new(),
            leaf_covers: Vec::new(),
        });
    }
    Ok(())
}
