//! CatBoost's binary form: a head, a core of FlatBuffers, and parts that only categories, texts and embeddings need.

use serde_json::Value;

use super::flatbuffer::{Buffer, Field, Table};
use super::training::Training;
use super::{BranchWalk, File, FloatFeature, Kind, OtherFeature, Parent, Question, Shape, TreeFields};

pub(super) const MAGIC: &[u8] = b"CBM1";
const VERSION: &str = "FlabuffersModel_v1";

const fn field(place: usize, name: &'static str) -> Field {
    Field { place, name }
}

const FORMAT_VERSION: Field = field(0, "FormatVersion");
const MODEL_TREES: Field = field(1, "ModelTrees");
const INFO_MAP: Field = field(2, "InfoMap");

const KEY: Field = field(0, "Key");
const VALUE: Field = field(1, "Value");

const APPROX_DIMENSION: Field = field(0, "ApproxDimension");
const TREE_SPLITS: Field = field(1, "TreeSplits");
const TREE_SIZES: Field = field(2, "TreeSizes");
const TREE_START_OFFSETS: Field = field(3, "TreeStartOffsets");
const CAT_FEATURES: Field = field(4, "CatFeatures");
const FLOAT_FEATURES: Field = field(5, "FloatFeatures");
const ONE_HOT_FEATURES: Field = field(6, "OneHotFeatures");
const CTR_FEATURES: Field = field(7, "CtrFeatures");
const LEAF_VALUES: Field = field(8, "LeafValues");
const LEAF_WEIGHTS: Field = field(9, "LeafWeights");
const STEP_NODES: Field = field(10, "NonSymmetricStepNodes");
const NODE_ID_TO_LEAF_ID: Field = field(11, "NonSymmetricNodeIdToLeafId");
const TEXT_FEATURES: Field = field(12, "TextFeatures");
const ESTIMATED_FEATURES: Field = field(13, "EstimatedFeatures");
const SCALE: Field = field(14, "Scale");
const BIAS: Field = field(15, "Bias");
const MULTI_BIAS: Field = field(16, "MultiBias");
const EMBEDDING_FEATURES: Field = field(18, "EmbeddingFeatures");

// Of float features.
const HAS_NANS: Field = field(0, "HasNans");
const FLOAT_FLAT_INDEX: Field = field(2, "FlatIndex");
const FLOAT_BORDERS: Field = field(3, "Borders");
const FLOAT_ID: Field = field(4, "FeatureId");
const NAN_VALUE_TREATMENT: Field = field(5, "NanValueTreatment");
const AS_TRUE: u8 = 2;

// Of categories, texts and embeddings.
const INDEX: Field = field(0, "Index");
const FLAT_INDEX: Field = field(1, "FlatIndex");
const FEATURE_ID: Field = field(2, "FeatureId");

// Of what is asked of them.
const SOURCE_FEATURE_INDEX: Field = field(0, "SourceFeatureIndex");
const ESTIMATED_BORDERS: Field = field(3, "Borders");
const SOURCE_FEATURE_TYPE: Field = field(4, "SourceFeatureType");
const ONE_HOT_INDEX: Field = field(0, "Index");
const ONE_HOT_VALUES: Field = field(1, "Values");
const CTR: Field = field(0, "Ctr");
const CTR_BORDERS: Field = field(1, "Borders");
const CTR_BASE: Field = field(0, "Base");
const FEATURE_COMBINATION: Field = field(0, "FeatureCombination");
const COMBINED_CAT_FEATURES: Field = field(0, "CatFeatures");

/// Reads what comes after [`MAGIC`].
pub(super) fn read(bytes: &[u8]) -> Result<File, String> {
    let core = core(bytes).ok_or_else(|| "the file ends within its core".to_owned())?;
    let buffer = Buffer::new(core);
    let model = buffer.root("TModelCore")?;
    let version = model.text(FORMAT_VERSION)?.unwrap_or_default();
    if version != VERSION {
        let version: String = version.chars().take(40).collect();
        return Err(format!("FormatVersion is {version:?}, expected {VERSION:?}"));
    }
    let trees = model.table(MODEL_TREES, "TModelTrees")?;
    let trees = trees.ok_or_else(|| "TModelCore has no ModelTrees".to_owned())?;
    let mut training = training(&model)?;
    let dimension = trees.int(APPROX_DIMENSION, 0)?;
    let scores = usize::try_from(dimension).ok().filter(|scores| *scores > 0);
    let scores = scores.ok_or_else(|| format!("ApproxDimension is {dimension}, expected 1 or more"))?;
    let biases = trees.list(MULTI_BIAS, f64::from_le_bytes)?;
    let bias = if biases.is_empty() { vec![trees.double(BIAS, 0.0)?] } else { biases };
    Ok(File {
        floats: floats(&trees)?,
        others: others(&trees)?,
        questions: questions(&trees)?,
        trees: Forest::read(&trees, scores)?.trees()?,
        scores,
        scale: trees.double(SCALE, 1.0)?,
        bias,
        loss: training.loss()?,
        classes: training.classes()?,
    })
}

/// A length of 32 bits, or, after as many ones, of 64.
fn core(bytes: &[u8]) -> Option<&[u8]> {
    let (short, rest) = bytes.split_first_chunk()?;
    let (length, rest) = match u32::from_le_bytes(*short) {
        u32::MAX => {
            let (long, rest) = rest.split_first_chunk()?;
            (u64::from_le_bytes(*long), rest)
        }
        short => (u64::from(short), rest),
    };
    rest.get(..usize::try_from(length).ok()?)
}

fn training(model: &Table<'_>) -> Result<Training, String> {
    let mut training = Training::default();
    for entry in model.tables(INFO_MAP, "TKeyValue")? {
        let note = match entry.text(KEY)? {
            Some("params") => &mut training.params,
            Some("loss_function") => &mut training.loss_function,
            Some("class_params") => &mut training.class_params,
            Some("multiclass_params") => &mut training.multiclass_params,
            _ => continue,
        };
        *note = entry.text(VALUE)?.map(|text| Value::String(text.to_owned()));
    }
    Ok(training)
}

fn name(feature: &Table<'_>, field: Field) -> Result<String, String> {
    Ok(feature.text(field)?.unwrap_or_default().to_owned())
}

fn floats(trees: &Table<'_>) -> Result<Vec<FloatFeature>, String> {
    let mut floats = Vec::new();
    for feature in trees.tables(FLOAT_FEATURES, "TFloatFeature")? {
        let treatment = feature.byte(NAN_VALUE_TREATMENT, 0)?;
        if treatment > AS_TRUE {
            return Err(format!("TFloatFeature.NanValueTreatment is {treatment}, expected 0 to {AS_TRUE}"));
        }
        floats.push(FloatFeature {
            flat: feature.int(FLOAT_FLAT_INDEX, -1)?.into(),
            name: name(&feature, FLOAT_ID)?,
            borders: feature.list(FLOAT_BORDERS, f32::from_le_bytes)?,
            // The treatment counts only when training saw NaN.
            nan_right: treatment == AS_TRUE && feature.byte(HAS_NANS, 0)? != 0,
        });
    }
    Ok(floats)
}

fn others(trees: &Table<'_>) -> Result<Vec<OtherFeature>, String> {
    let mut others = Vec::new();
    for (kind, field, table) in [
        (Kind::Category, CAT_FEATURES, "TCatFeature"),
        (Kind::Text, TEXT_FEATURES, "TTextFeature"),
        (Kind::Embedding, EMBEDDING_FEATURES, "TEmbeddingFeature"),
    ] {
        for feature in trees.tables(field, table)? {
            others.push(OtherFeature {
                kind,
                index: feature.int(INDEX, -1)?.into(),
                flat: feature.int(FLAT_INDEX, -1)?.into(),
                name: name(&feature, FEATURE_ID)?,
            });
        }
    }
    Ok(others)
}

fn questions(trees: &Table<'_>) -> Result<Vec<Question>, String> {
    let mut questions = Vec::new();
    for feature in trees.tables(ESTIMATED_FEATURES, "TEstimatedFeature")? {
        let source = feature.int(SOURCE_FEATURE_INDEX, -1)?.into();
        let splits = feature.list(ESTIMATED_BORDERS, f32::from_le_bytes)?.len();
        questions.push(match feature.byte(SOURCE_FEATURE_TYPE, 0)? {
            0 => Question::text(source, splits),
            _ => Question::embedding(source, splits),
        });
    }
    for feature in trees.tables(ONE_HOT_FEATURES, "TOneHotFeature")? {
        let values = feature.list(ONE_HOT_VALUES, i32::from_le_bytes)?.len();
        questions.push(Question::one_hot(feature.int(ONE_HOT_INDEX, -1)?.into(), values));
    }
    for feature in trees.tables(CTR_FEATURES, "TCtrFeature")? {
        let splits = feature.list(CTR_BORDERS, f32::from_le_bytes)?.len();
        questions.push(Question::ctr(combined(&feature)?, splits));
    }
    Ok(questions)
}

/// The categories that a statistic is of.
fn combined(feature: &Table<'_>) -> Result<Vec<i64>, String> {
    let Some(ctr) = feature.table(CTR, "TModelCtr")? else { return Ok(Vec::new()) };
    let Some(base) = ctr.table(CTR_BASE, "TModelCtrBase")? else { return Ok(Vec::new()) };
    let combination = base.table(FEATURE_COMBINATION, "TFeatureCombination")?;
    let Some(combination) = combination else { return Ok(Vec::new()) };
    let features = combination.list(COMBINED_CAT_FEATURES, i32::from_le_bytes)?;
    Ok(features.into_iter().map(i64::from).collect())
}

/// The lists of all trees.
struct Forest {
    scores: usize,
    /// Splits of a tree: its depth, or, of trees that are not oblivious, its nodes.
    sizes: Vec<i32>,
    starts: Vec<i32>,
    splits: Vec<i32>,
    values: Vec<f64>,
    weights: Vec<f64>,
    /// How many nodes further the left and the right child stands, in the lower and the upper half. Where it is 0, the node itself
    /// has the leaf. Empty when the trees are oblivious.
    steps: Vec<u32>,
    /// Where the leaf of a node begins among the values.
    leaf_starts: Vec<u32>,
}

impl Forest {
    fn read(trees: &Table<'_>, scores: usize) -> Result<Self, String> {
        Ok(Self {
            scores,
            sizes: trees.list(TREE_SIZES, i32::from_le_bytes)?,
            starts: trees.list(TREE_START_OFFSETS, i32::from_le_bytes)?,
            splits: trees.list(TREE_SPLITS, i32::from_le_bytes)?,
            values: trees.list(LEAF_VALUES, f64::from_le_bytes)?,
            weights: trees.list(LEAF_WEIGHTS, f64::from_le_bytes)?,
            steps: trees.list(STEP_NODES, u32::from_le_bytes)?,
            leaf_starts: trees.list(NODE_ID_TO_LEAF_ID, u32::from_le_bytes)?,
        })
    }

    fn trees(&self) -> Result<Vec<TreeFields>, String> {
        let mut trees = Vec::with_capacity(self.sizes.len());
        let (mut start, mut leaf_start, mut left) = (0usize, 0usize, self.values.len());
        for (tree, size) in self.sizes.iter().enumerate() {
            let size = usize::try_from(*size).map_err(|_| format!("tree {tree}: its size is {size}"))?;
            if self.starts.get(tree).is_some_and(|told| i64::from(*told) != start as i64) {
                return Err(format!("tree {tree}: TreeStartOffsets is not the sum of TreeSizes"));
            }
            let fields = match self.steps.is_empty() {
                true => self.levels(start, size, leaf_start),
                false => self.branches(start, size),
            };
            let fields = fields.map_err(|rule| format!("tree {tree}: {rule}"))?;
            // Leaves that many nodes share would make much of a small file.
            left = left
                .checked_sub(fields.values.len())
                .ok_or_else(|| format!("tree {tree}: its nodes share leaves"))?;
            start += size;
            leaf_start += fields.values.len();
            trees.push(fields);
        }
        Ok(trees)
    }

    /// An oblivious tree, whose leaves follow those of the tree before it.
    fn levels(&self, start: usize, depth: usize, leaf_start: usize) -> Result<TreeFields, String> {
        let splits = self.splits.get(start..).and_then(|splits| splits.get(..depth));
        let splits = splits.ok_or_else(|| format!("TreeSplits does not hold its {depth} splits"))?;
        let leaves = u32::try_from(depth).ok().and_then(|depth| 1usize.checked_shl(depth));
        let length = leaves.and_then(|leaves| leaves.checked_mul(self.scores));
        let values = length.and_then(|length| self.values.get(leaf_start..)?.get(..length));
        let values = values.ok_or_else(|| "LeafValues does not hold its leaves".to_owned())?;
        let first = leaf_start / self.scores;
        let weights = self.weights.get(first..first + values.len() / self.scores);
        Ok(TreeFields {
            shape: Shape::Levels(splits.iter().map(|split| i64::from(*split)).collect()),
            values: values.to_vec(),
            weights: weights.unwrap_or_default().to_vec(),
        })
    }

    /// Follows the steps from the first of a tree's nodes.
    fn branches(&self, start: usize, count: usize) -> Result<TreeFields, String> {
        let steps = self.steps.get(start..).and_then(|steps| steps.get(..count));
        let splits = self.splits.get(start..).and_then(|splits| splits.get(..count));
        let (Some(steps), Some(splits)) = (steps, splits) else {
            return Err(format!("the lists of nodes do not hold its {count}"));
        };
        let mut walk = BranchWalk::default();
        let mut seen = vec![false; count];
        let mut open: Vec<(usize, Parent)> = vec![(0, None)];
        while let Some((node, parent)) = open.pop() {
            let seen = seen.get_mut(node).ok_or_else(|| format!("node {node} does not exist"))?;
            if std::mem::replace(seen, true) {
                return Err(format!("node {node} has two parents"));
            }
            let (left, right) = ((steps[node] & 0xffff) as usize, (steps[node] >> 16) as usize);
            if left == 0 && right == 0 {
                self.leaf(&mut walk, parent, start + node)?;
                continue;
            }
            let branch = walk.branch(parent, splits[node].into());
            for (step, is_left) in [(right, false), (left, true)] {
                match step {
                    0 => self.leaf(&mut walk, Some((branch, is_left)), start + node)?,
                    step => open.push((node + step, Some((branch, is_left)))),
                }
            }
        }
        Ok(walk.tree())
    }

    fn leaf(&self, walk: &mut BranchWalk, parent: Parent, node: usize) -> Result<(), String> {
        let first = self.leaf_starts.get(node).map(|first| *first as usize);
        let values = first.and_then(|first| self.values.get(first..)?.get(..self.scores));
        let (Some(first), Some(values)) = (first, values) else {
            return Err(format!("LeafValues does not hold the leaf of node {node}"));
        };
        walk.leaf(parent, values, self.weights.get(first / self.scores).copied());
        // More than the file has in all are shared ones.
        if walk.values.len() > self.values.len() {
            return Err("its nodes share leaves".to_owned());
        }
        Ok(())
    }
}
