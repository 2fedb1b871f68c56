//! CatBoost's JSON.

use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, SeqAccess, Visitor};

use super::training::Training;
use super::{BranchWalk, File, FloatFeature, Kind, OtherFeature, Parent, Question, Shape, TreeFields};

/// Keys without contents are `null`.
#[derive(Deserialize)]
struct Model {
    features_info: Features,
    model_info: Option<Training>,
    oblivious_trees: Option<Vec<Oblivious>>,
    trees: Option<Vec<NodeFields>>,
    scale_and_bias: Option<(f64, Reals)>,
}

#[derive(Deserialize)]
struct Features {
    float_features: Option<Vec<Float>>,
    categorical_features: Option<Vec<Category>>,
    ctrs: Option<Vec<Ctr>>,
}

#[derive(Deserialize)]
struct Float {
    flat_feature_index: i64,
    feature_id: Option<String>,
    borders: Reals,
    has_nans: Option<bool>,
    nan_value_treatment: Option<Treatment>,
}

#[derive(Deserialize, PartialEq, Eq)]
enum Treatment {
    #[serde(rename = "AsIs")]
    Kept,
    #[serde(rename = "AsFalse")]
    Least,
    #[serde(rename = "AsTrue")]
    Largest,
}

#[derive(Deserialize)]
struct Category {
    feature_index: i64,
    flat_feature_index: i64,
    feature_id: Option<String>,
    /// Of one-hot splits.
    values: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
struct Ctr {
    borders: Reals,
    elements: Option<Vec<Element>>,
}

#[derive(Deserialize)]
struct Element {
    cat_feature_index: Option<i64>,
}

#[derive(Deserialize)]
struct Oblivious {
    leaf_values: Reals,
    leaf_weights: Option<Reals>,
    splits: Option<Vec<Numbered>>,
}

/// CatBoost itself reads nothing else of a split.
#[derive(Deserialize)]
struct Numbered {
    split_index: i64,
}

/// A leaf, which has a value, or a node of a tree that is not oblivious. They lie in each other no deeper than JSON's reader allows.
#[derive(Deserialize)]
struct NodeFields {
    value: Option<Reals>,
    weight: Option<f64>,
    split: Option<Numbered>,
    left: Option<Box<NodeFields>>,
    right: Option<Box<NodeFields>>,
}

/// Numbers, of which one may stand without its list.
#[derive(Default)]
struct Reals(Vec<f64>);

impl<'de> Deserialize<'de> for Reals {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Reals;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number or a list of numbers")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Reals, E> {
                Ok(Reals(vec![value]))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Reals, E> {
                Ok(Reals(vec![value as f64]))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Reals, E> {
                Ok(Reals(vec![value as f64]))
            }

            fn visit_unit<E>(self) -> Result<Reals, E> {
                Ok(Reals(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Reals, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(Reals(values))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

pub(super) fn read(bytes: &[u8]) -> Result<File, String> {
    let model: Model = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let (trees, scores) = match (model.oblivious_trees, model.trees) {
        (Some(trees), _) => oblivious(trees),
        (None, trees) => branched(trees.unwrap_or_default())?,
    };
    let (scale, Reals(bias)) = model.scale_and_bias.unwrap_or((1.0, Reals::default()));
    let (others, questions) = others(&model.features_info);
    let mut training = model.model_info.unwrap_or_default();
    Ok(File {
        floats: floats(model.features_info.float_features.unwrap_or_default()),
        others,
        questions,
        trees,
        scores,
        scale,
        bias,
        loss: training.loss()?,
        classes: training.classes()?,
    })
}

fn floats(features: Vec<Float>) -> Vec<FloatFeature> {
    let float = |feature: Float| FloatFeature {
        flat: feature.flat_feature_index,
        name: feature.feature_id.unwrap_or_default(),
        borders: feature.borders.0.into_iter().map(|border| border as f32).collect(),
        // The treatment counts only when training saw NaN.
        nan_right: feature.has_nans == Some(true) && feature.nan_value_treatment == Some(Treatment::Largest),
    };
    features.into_iter().map(float).collect()
}

/// The categories, and what is asked of them: first whether they equal values, then for statistics of theirs.
fn others(features: &Features) -> (Vec<OtherFeature>, Vec<Question>) {
    let categories = features.categorical_features.as_deref().unwrap_or_default();
    let other = |category: &Category| OtherFeature {
        kind: Kind::Category,
        index: category.feature_index,
        flat: category.flat_feature_index,
        name: category.feature_id.clone().unwrap_or_default(),
    };
    let mut questions = Vec::new();
    for category in categories {
        if let Some(values) = &category.values {
            questions.push(Question::one_hot(category.feature_index, values.len()));
        }
    }
    for ctr in features.ctrs.as_deref().unwrap_or_default() {
        let elements = ctr.elements.as_deref().unwrap_or_default();
        let features = elements.iter().filter_map(|element| element.cat_feature_index).collect();
        questions.push(Question::ctr(features, ctr.borders.0.len()));
    }
    (categories.iter().map(other).collect(), questions)
}

fn oblivious(trees: Vec<Oblivious>) -> (Vec<TreeFields>, usize) {
    let fields = |tree: Oblivious| TreeFields {
        shape: Shape::Levels(tree.splits.unwrap_or_default().iter().map(|split| split.split_index).collect()),
        values: tree.leaf_values.0,
        weights: tree.leaf_weights.unwrap_or_default().0,
    };
    let trees: Vec<TreeFields> = trees.into_iter().map(fields).collect();
    // The file does not say how many scores there are: all trees have as many as the first.
    let scores = trees.first().map_or(1, |first| match &first.shape {
        Shape::Levels(splits) => first.values.len() >> splits.len().min(63),
        Shape::Branches(_) => 1,
    });
    (trees, scores)
}

fn branched(trees: Vec<NodeFields>) -> Result<(Vec<TreeFields>, usize), String> {
    let mut all = Vec::with_capacity(trees.len());
    let mut scores = None;
    for (tree, root) in trees.into_iter().enumerate() {
        let mut walk = BranchWalk::default();
        let mut open: Vec<(NodeFields, Parent)> = vec![(root, None)];
        while let Some((node, parent)) = open.pop() {
            if let Some(Reals(values)) = node.value {
                let width = *scores.get_or_insert(values.len());
                if values.len() != width {
                    return Err(format!("tree {tree}: a leaf has {} values, expected {width}", values.len()));
                }
                walk.leaf(parent, &values, node.weight);
                continue;
            }
            let (Some(split), Some(left), Some(right)) = (node.split, node.left, node.right) else {
                return Err(format!("tree {tree}: a node lacks value, or split, left and right"));
            };
            let branch = walk.branch(parent, split.split_index);
            open.push((*right, Some((branch, false))));
            open.push((*left, Some((branch, true))));
        }
        all.push(walk.tree());
    }
    Ok((all, scores.unwrap_or(1)))
}
