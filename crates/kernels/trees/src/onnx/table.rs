//! The nodes of an ensemble in the two forms that ONNX has, as one table, and a tree from each of its roots.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::attributes::{Attributes, BYTE, DOUBLE, parameter};
use super::protobuf::Result;
use crate::ModelError;
use crate::ensemble::{Missing, Node, Split};

#[derive(Debug, Clone, Copy)]
enum Mode {
    Leq,
    Lt,
    Gte,
    Gt,
    Eq,
    Neq,
    Member,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// A number among the branches.
    Branch(usize),
    /// A number that the weights know.
    Leaf(usize),
}

#[derive(Debug)]
struct Branch {
    feature: i64,
    mode: Mode,
    threshold: f64,
    members: Range<usize>,
    /// NaN goes where the comparison holds.
    nan_holds: bool,
    holds: Place,
    fails: Place,
}

/// A number that a leaf adds to an output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weight {
    leaf: usize,
    pub output: usize,
    pub value: f64,
}

#[derive(Debug)]
pub(super) struct Table {
    is_double: bool,
    branches: Vec<Branch>,
    members: Vec<f64>,
    roots: Vec<Place>,
    /// By their leaf and output.
    weights: Vec<Weight>,
    /// Whether the file has a weight below 0.
    has_negative: bool,
}

/// A tree without the values of its leaves, which are numbers of the table.
pub(super) struct Shape {
    pub nodes: Vec<Node>,
    pub leaves: Vec<usize>,
    pub listed: Vec<f64>,
}

fn invalid(rule: String) -> ModelError {
    ModelError::NotOnnx { message: rule }
}

fn lengths(count: usize, columns: &[(&str, usize)]) -> Result<()> {
    match columns.iter().find(|(_, length)| *length != count) {
        None => Ok(()),
        Some((key, length)) => Err(invalid(format!("{key} holds {length} values, expected {count}"))),
    }
}

/// Whether NaN goes where a comparison holds, for each node.
fn tracks(attributes: &mut Attributes<'_>, count: usize) -> Result<Vec<bool>> {
    let tracks = attributes.ints("nodes_missing_value_tracks_true")?;
    if tracks.is_empty() {
        return Ok(vec![false; count]);
    }
    lengths(count, &[("nodes_missing_value_tracks_true", tracks.len())])?;
    // onnxruntime takes no other number for true.
    Ok(tracks.into_iter().map(|track| track == 1).collect())
}

fn output_of(id: i64, outputs: usize) -> Result<usize> {
    let output = usize::try_from(id).ok().filter(|output| *output < outputs);
    output
        .ok_or_else(|| invalid(format!("a weight is for target or class {id}, expected less than {outputs}")))
}

/// The keys of the weights of a regressor or a classifier.
pub(super) struct WeightKeys {
    pub trees: &'static str,
    pub nodes: &'static str,
    pub ids: &'static str,
    pub weights: &'static str,
    pub as_tensor: &'static str,
}

impl Table {
    /// Of `TreeEnsembleRegressor` and `TreeEnsembleClassifier`: nodes by the number of their tree and their own.
    pub fn by_tree(
        attributes: &mut Attributes<'_>,
        keys: &WeightKeys,
        kind: i64,
        outputs: usize,
    ) -> Result<Self> {
        let trees = attributes.ints("nodes_treeids")?;
        let count = trees.len();
        let numbers = attributes.ints("nodes_nodeids")?;
        let features = attributes.ints("nodes_featureids")?;
        let holds = attributes.ints("nodes_truenodeids")?;
        let fails = attributes.ints("nodes_falsenodeids")?;
        let thresholds = attributes.reals("nodes_values", "nodes_values_as_tensor", kind)?;
        let modes = attributes.texts("nodes_modes")?;
        lengths(
            count,
            &[
                ("nodes_nodeids", numbers.len()),
                ("nodes_featureids", features.len()),
                ("nodes_truenodeids", holds.len()),
                ("nodes_falsenodeids", fails.len()),
                ("nodes_values", thresholds.len()),
                ("nodes_modes", modes.len()),
            ],
        )?;
        let tracks = tracks(attributes, count)?;
        attributes.skip("nodes_hitrates");
        attributes.skip("nodes_hitrates_as_tensor");
        let mut places = Vec::with_capacity(count);
        let mut branches = 0;
        let mut of_id = HashMap::with_capacity(count);
        for (node, mode) in modes.iter().enumerate() {
            let id = (trees[node], numbers[node]);
            if of_id.insert(id, node).is_some() {
                return Err(invalid(format!("node {} of tree {} is there twice", id.1, id.0)));
            }
            if *mode == "LEAF" {
                places.push(Place::Leaf(node));
            } else {
                places.push(Place::Branch(branches));
                branches += 1;
            }
        }
        let find = |tree: i64, number: i64| {
            of_id
                .get(&(tree, number))
                .copied()
                .ok_or_else(|| invalid(format!("node {number} of tree {tree} does not exist")))
        };
        let mut table = Self::new(kind);
        for node in (0..count).filter(|node| matches!(places[*node], Place::Branch(_))) {
            table.branches.push(Branch {
                feature: features[node],
                mode: mode_of(modes[node])?,
                threshold: thresholds[node],
                members: 0..0,
                nan_holds: tracks[node],
                holds: places[find(trees[node], holds[node])?],
                fails: places[find(trees[node], fails[node])?],
            });
        }
        let mut begun = HashSet::new();
        for (node, tree) in trees.iter().enumerate() {
            // The first node of a tree is its root.
            if node > 0 && trees[node - 1] == *tree {
                continue;
            }
            if !begun.insert(*tree) {
                return Err(invalid(format!("the nodes of tree {tree} do not stand together")));
            }
            table.roots.push(places[node]);
        }
        let weight_trees = attributes.ints(keys.trees)?;
        let weight_nodes = attributes.ints(keys.nodes)?;
        let ids = attributes.ints(keys.ids)?;
        let values = attributes.reals(keys.weights, keys.as_tensor, kind)?;
        lengths(
            values.len(),
            &[(keys.trees, weight_trees.len()), (keys.nodes, weight_nodes.len()), (keys.ids, ids.len())],
        )?;
        for (place, value) in values.into_iter().enumerate() {
            let node = find(weight_trees[place], weight_nodes[place])?;
            let output = output_of(ids[place], outputs)?;
            table.has_negative |= value < 0.0;
            // Old converters give weights to branches, which onnxruntime passes over.
            if let Place::Leaf(leaf) = places[node] {
                table.weights.push(Weight { leaf, output, value });
            }
        }
        table.weights.sort_by_key(|weight| (weight.leaf, weight.output));
        Ok(table)
    }

    /// Of `TreeEnsemble`: branches and leaves by their place.
    pub fn by_place(attributes: &mut Attributes<'_>, kind: i64, outputs: usize) -> Result<Self> {
        let features = attributes.ints("nodes_featureids")?;
        let count = features.len();
        let thresholds = attributes.tensor("nodes_splits", kind)?;
        let modes = attributes.tensor("nodes_modes", BYTE)?;
        let holds = attributes.ints("nodes_truenodeids")?;
        let fails = attributes.ints("nodes_falsenodeids")?;
        let holds_leaf = attributes.ints("nodes_trueleafs")?;
        let fails_leaf = attributes.ints("nodes_falseleafs")?;
        lengths(
            count,
            &[
                ("nodes_splits", thresholds.len()),
                ("nodes_modes", modes.len()),
                ("nodes_truenodeids", holds.len()),
                ("nodes_falsenodeids", fails.len()),
                ("nodes_trueleafs", holds_leaf.len()),
                ("nodes_falseleafs", fails_leaf.len()),
            ],
        )?;
        let tracks = tracks(attributes, count)?;
        attributes.skip("nodes_hitrates");
        let ids = attributes.ints("leaf_targetids")?;
        let values = attributes.tensor("leaf_weights", kind)?;
        lengths(values.len(), &[("leaf_targetids", ids.len())])?;
        let mut table = Self::new(kind);
        table.members = attributes.tensor("membership_values", kind)?;
        for (leaf, (id, value)) in ids.iter().zip(values).enumerate() {
            table.weights.push(Weight { leaf, output: output_of(*id, outputs)?, value });
        }
        let place = |number: i64, is_leaf: bool| {
            let bound = if is_leaf { ids.len() } else { count };
            let found = usize::try_from(number).ok().filter(|number| *number < bound);
            let found = found.ok_or_else(|| invalid(format!("child {number} does not exist")))?;
            Ok::<_, ModelError>(if is_leaf { Place::Leaf(found) } else { Place::Branch(found) })
        };
        // NaN ends the members of a node.
        let mut next_member = 0;
        for (node, mode) in modes.into_iter().enumerate() {
            let mode = mode_of_number(mode)?;
            let mut members = next_member..next_member;
            if matches!(mode, Mode::Member) {
                let rest = table.members.get(next_member..).unwrap_or_default();
                let length = rest.iter().position(|member| member.is_nan()).unwrap_or(rest.len());
                members = next_member..next_member + length;
                next_member = (members.end + 1).min(table.members.len());
            }
            table.branches.push(Branch {
                feature: features[node],
                mode,
                threshold: thresholds[node],
                members,
                nan_holds: tracks[node],
                holds: place(holds[node], holds_leaf[node] != 0)?,
                fails: place(fails[node], fails_leaf[node] != 0)?,
            });
        }
        for root in attributes.ints("tree_roots")? {
            let root = usize::try_from(root).ok().filter(|root| *root < count);
            let root = root.ok_or_else(|| invalid("tree_roots has a node that does not exist".to_owned()))?;
            let branch = &table.branches[root];
            // A tree of one leaf has it on both sides.
            let place = match (branch.holds, branch.fails) {
                (Place::Leaf(holds), Place::Leaf(fails)) if holds == fails => {
                    if holds != root {
                        let rule =
                            "a tree of one leaf has not the number of its node, which onnxruntime takes";
                        return Err(invalid(rule.to_owned()));
                    }
                    Place::Leaf(holds)
                }
                _ => Place::Branch(root),
            };
            table.roots.push(place);
        }
        Ok(table)
    }

    fn new(kind: i64) -> Self {
        Self {
            is_double: kind == DOUBLE,
            branches: Vec::new(),
            members: Vec::new(),
            roots: Vec::new(),
            weights: Vec::new(),
            has_negative: false,
        }
    }

    pub fn trees(&self) -> usize {
        self.roots.len()
    }

    pub fn has_negative(&self) -> bool {
        self.has_negative
    }

    pub fn weights(&self) -> &[Weight] {
        &self.weights
    }

    /// Features up to the last that a comparison asks for.
    pub fn features(&self) -> usize {
        let largest = self.branches.iter().map(|branch| branch.feature).max();
        largest
            .and_then(|largest| usize::try_from(largest).ok())
            .map_or(1, |largest| largest.saturating_add(1))
    }

    /// The weights of a leaf.
    pub fn of_leaf(&self, leaf: usize) -> &[Weight] {
        let first = self.weights.partition_point(|weight| weight.leaf < leaf);
        let rest = &self.weights[first..];
        &rest[..rest.partition_point(|weight| weight.leaf == leaf)]
    }

    /// Follows the branches from every root. A branch that two lead to is refused.
    pub fn shapes(&self, features: usize) -> Result<Vec<Shape>> {
        let mut seen = vec![false; self.branches.len()];
        let shapes = self.roots.iter().enumerate().map(|(tree, root)| {
            self.shape(*root, features, &mut seen).map_err(|rule| ModelError::Structure { tree, rule })
        });
        shapes.collect()
    }

    fn shape(&self, root: Place, features: usize, seen: &mut [bool]) -> std::result::Result<Shape, String> {
        let mut shape = Shape { nodes: Vec::new(), leaves: Vec::new(), listed: Vec::new() };
        // Places to visit, with the parent and the side.
        let mut open: Vec<(Place, Option<(usize, bool)>)> = vec![(root, None)];
        while let Some((place, parent)) = open.pop() {
            let link = match place {
                Place::Leaf(_) => !(shape.leaves.len() as i32),
                Place::Branch(_) => shape.nodes.len() as i32,
            };
            match parent {
                None => {}
                Some((parent, true)) => shape.nodes[parent].left = link,
                Some((parent, false)) => shape.nodes[parent].right = link,
            }
            let number = match place {
                Place::Leaf(leaf) => {
                    shape.leaves.push(leaf);
                    continue;
                }
                Place::Branch(number) => number,
            };
            if std::mem::replace(&mut seen[number], true) {
                return Err(format!("branch {number} has two parents"));
            }
            let branch = &self.branches[number];
            let feature = usize::try_from(branch.feature).ok().filter(|feature| *feature < features);
            let feature = feature.ok_or_else(|| {
                format!("feature is {}, expected 0 or more, less than {features}", branch.feature)
            })?;
            let (split, holds_left) = self.split(branch, &mut shape.listed)?;
            let own = shape.nodes.len();
            shape.nodes.push(Node { feature: feature as u32, split, left: 0, right: 0 });
            open.push((branch.fails, Some((own, !holds_left))));
            open.push((branch.holds, Some((own, holds_left))));
        }
        Ok(shape)
    }

    /// The split of a branch, and whether what it holds for goes left.
    fn split(&self, branch: &Branch, listed: &mut Vec<f64>) -> std::result::Result<(Split, bool), String> {
        let number = branch.threshold;
        let numeric = |threshold: f64, default_left: bool| Split::Numeric {
            threshold,
            missing: Missing::Nan,
            default_left,
        };
        // Nothing is less than NaN, so all but NaN goes left where the comparison fails.
        let bound = |threshold: f64| if number.is_nan() { f64::INFINITY } else { threshold };
        Ok(match branch.mode {
            Mode::Leq => (numeric(number, branch.nan_holds), true),
            Mode::Lt => (numeric(self.before(number), branch.nan_holds), true),
            Mode::Gt => (numeric(bound(number), !branch.nan_holds), false),
            Mode::Gte => (numeric(bound(self.before(number)), !branch.nan_holds), false),
            Mode::Eq => (list(&[number], branch.nan_holds, listed)?, true),
            // NaN differs from every number.
            Mode::Neq => (list(&[number], false, listed)?, false),
            Mode::Member => {
                let members = self.members.get(branch.members.clone()).unwrap_or_default();
                (list(members, branch.nan_holds, listed)?, true)
            }
        })
    }

    /// `x < number` is `x <=` the float before it; nothing is `<=` NaN.
    fn before(&self, number: f64) -> f64 {
        match self.is_double {
            _ if number == f64::NEG_INFINITY => f64::NAN,
            true => number.next_down(),
            false => f64::from((number as f32).next_down()),
        }
    }
}

fn list(members: &[f64], nan_left: bool, listed: &mut Vec<f64>) -> std::result::Result<Split, String> {
    let mut members: Vec<f64> = members.iter().copied().filter(|member| !member.is_nan()).collect();
    members.sort_by(f64::total_cmp);
    members.dedup();
    let too_many = |_| "there are too many members".to_owned();
    let first = u32::try_from(listed.len()).map_err(too_many)?;
    let count = u32::try_from(members.len()).map_err(too_many)?;
    listed.extend(members);
    Ok(Split::Listed { first, count, nan_left })
}

fn mode_of(name: &str) -> Result<Mode> {
    Ok(match name {
        "BRANCH_LEQ" => Mode::Leq,
        "BRANCH_LT" => Mode::Lt,
        "BRANCH_GTE" => Mode::Gte,
        "BRANCH_GT" => Mode::Gt,
        "BRANCH_EQ" => Mode::Eq,
        "BRANCH_NEQ" => Mode::Neq,
        other => {
            return Err(parameter("nodes_modes", other, "LEAF, BRANCH_LEQ, _LT, _GTE, _GT, _EQ or _NEQ"));
        }
    })
}

fn mode_of_number(number: f64) -> Result<Mode> {
    const MODES: [Mode; 7] = [Mode::Leq, Mode::Lt, Mode::Gte, Mode::Gt, Mode::Eq, Mode::Neq, Mode::Member];
    let mode = if number >= 0.0 { MODES.get(number as usize).copied() } else { None };
    mode.ok_or_else(|| parameter("nodes_modes", &number.to_string(), "a number from 0 to 6"))
}
