//! The way of a row through the trees: how far each value may move before any leaf changes, and what single trees ask on the way.

use kernel_trees::{Ensemble, Step};
use serde::Serialize;

use crate::service::{Ready, apart};
use crate::{Explain, ExplainError};

type Result<T> = std::result::Result<T, ExplainError>;

const MOST_ROWS: usize = 16;
const MOST_TREES: usize = 16;

/// Of one output: while all values stay within their bounds, every tree gives the same leaf.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Room {
    pub output: usize,
    /// Of the features that a split on the way asks for.
    #[serde(rename = "box")]
    pub bounds: Vec<Bounds>,
}

/// Of one feature. A value that is missing has no bounds: while it stays missing, nothing changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Bounds {
    pub feature: String,
    /// `null` is missing.
    pub value: Option<f64>,
    /// The value must stay above this; `null` is no bound.
    pub above: Option<f64>,
    /// The value may go up to this; `null` is no bound.
    pub up_to: Option<f64>,
    /// Whether it would go another way if it were missing.
    pub missing_changes: bool,
    /// A split asks for its category. Which others go the same way is left out: only the very value is sure to.
    pub is_category: bool,
}

/// The way through one tree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TreeWay {
    pub tree: usize,
    /// The score that its leaf is added to.
    pub output: usize,
    /// From the root on.
    pub conditions: Vec<Condition>,
    /// The leaf's value, as the file has it.
    pub leaf: f64,
}

/// What held at a split. Bounds are of the value as the model's framework compares it: XGBoost and CatBoost round to 32 bits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Condition {
    pub feature: String,
    pub rule: String,
    pub value: Option<f64>,
    pub above: Option<f64>,
    pub up_to: Option<f64>,
    pub is_category: bool,
    pub goes_left: bool,
}

/// What a request asked about the ways of its rows, by row.
#[derive(Debug, Clone)]
pub(crate) struct Ways {
    pub rooms: Vec<Vec<Room>>,
    pub trees: Vec<Vec<TreeWay>>,
}

impl Explain {
    /// Rooms of every output, and the ways through `trees`.
    pub(crate) async fn ways(&self, ready: &Ready, rows: &[f64], trees: &[usize]) -> Result<Ways> {
        let width = ready.served.inputs.len().max(1);
        if rows.len() > MOST_ROWS * width {
            let found = rows.len() / width;
            return Err(ExplainError::request(format!(
                "path and trees are asked for {found} rows, at most {MOST_ROWS} in a request"
            )));
        }
        if trees.len() > MOST_TREES {
            let rule = format!("trees names {}, at most {MOST_TREES} in a request", trees.len());
            return Err(ExplainError::request(rule));
        }
        let count = ready.served.ensemble.tree_count();
        if let Some(tree) = trees.iter().find(|tree| **tree >= count) {
            let rule = format!("trees names {tree}, the model has {count} trees, from 0");
            return Err(ExplainError::request(rule));
        }
        let names: Vec<String> = ready.served.inputs.iter().map(|input| input.name.clone()).collect();
        let (model, rows, trees) = (ready.served.ensemble.clone(), rows.to_vec(), trees.to_vec());
        apart(move || {
            let rows = || rows.chunks(width);
            Ok(Ways {
                rooms: rows().map(|row| rooms(&model, &names, row)).collect(),
                trees: rows()
                    .map(|row| trees.iter().map(|tree| way(&model, &names, *tree, row)).collect())
                    .collect(),
            })
        })
        .await
    }
}

/// Of one feature, as the comparisons see it.
#[derive(Debug, Clone, Copy)]
struct Run {
    above: f64,
    up_to: f64,
    missing_changes: bool,
    is_category: bool,
}

/// By output. O(trees · depth).
pub(crate) fn rooms(model: &Ensemble, names: &[String], row: &[f64]) -> Vec<Room> {
    let mut runs: Vec<Vec<Option<Run>>> = vec![vec![None; names.len()]; model.scores()];
    for (number, tree) in model.trees().iter().enumerate() {
        for place in model.path(number, row) {
            let Step::Split { feature, .. } = tree.at(place) else { continue };
            let value = model.read(row[feature]);
            let run = runs[tree.output()][feature].get_or_insert(Run {
                above: f64::NEG_INFINITY,
                up_to: f64::INFINITY,
                missing_changes: false,
                is_category: false,
            });
            run.is_category |= tree.asks_for_category(place);
            run.missing_changes |= tree.goes_left(place, f64::NAN) != tree.goes_left(place, value);
            if let Some((above, up_to)) = tree.run(place, value) {
                run.above = run.above.max(above);
                run.up_to = run.up_to.min(up_to);
            }
        }
    }
    let bounds = |(feature, run): (usize, Option<Run>)| {
        let run = run?;
        Some(Bounds {
            feature: names[feature].clone(),
            value: Some(row[feature]).filter(|value| !value.is_nan()),
            above: finite(model.largest_read_up_to(run.above)),
            up_to: finite(model.largest_read_up_to(run.up_to)),
            missing_changes: run.missing_changes,
            is_category: run.is_category,
        })
    };
    let room = |(output, runs): (usize, Vec<Option<Run>>)| Room {
        output,
        bounds: runs.into_iter().enumerate().filter_map(bounds).collect(),
    };
    runs.into_iter().enumerate().map(room).collect()
}

fn way(model: &Ensemble, names: &[String], number: usize, row: &[f64]) -> TreeWay {
    let tree = &model.trees()[number];
    let (mut conditions, mut leaf) = (Vec::new(), 0.0);
    for place in model.path(number, row) {
        let feature = match tree.at(place) {
            Step::Leaf(value) => {
                leaf = value;
                continue;
            }
            Step::Split { feature, .. } => feature,
        };
        let value = model.read(row[feature]);
        let (is_category, goes_left) = (tree.asks_for_category(place), tree.goes_left(place, value));
        let run = tree.run(place, value).map(|(above, up_to)| (finite(above), finite(up_to)));
        let (above, up_to) = run.unwrap_or((None, None));
        let rule = match (row[feature].is_nan(), is_category, goes_left) {
            (true, _, _) => "is missing".to_owned(),
            (false, true, true) => "is one of the split's categories".to_owned(),
            (false, true, false) => "is none of the split's categories".to_owned(),
            (false, false, _) => bound_text(above, up_to),
        };
        conditions.push(Condition {
            feature: names[feature].clone(),
            rule,
            value: Some(row[feature]).filter(|value| !value.is_nan()),
            above,
            up_to,
            is_category,
            goes_left,
        });
    }
    TreeWay { tree: number, output: tree.output(), conditions, leaf }
}

fn finite(bound: f64) -> Option<f64> {
    Some(bound).filter(|bound| bound.is_finite())
}

fn bound_text(above: Option<f64>, up_to: Option<f64>) -> String {
    match (above, up_to) {
        (Some(above), Some(up_to)) => format!("> {} and <= {}", plain(above), plain(up_to)),
        (Some(above), None) => format!("> {}", plain(above)),
        (None, Some(up_to)) => format!("<= {}", plain(up_to)),
        (None, None) => "is any number".to_owned(),
    }
}

/// Every digit that tells a number from the next one: of a 32-bit float those of such.
fn plain(value: f64) -> String {
    let single = value as f32;
    let is_single = f64::from(single) == value;
    match (is_single, value == 0.0 || (1e-5..1e16).contains(&value.abs())) {
        (true, true) => single.to_string(),
        (true, false) => format!("{single:e}"),
        (false, true) => value.to_string(),
        (false, false) => format!("{value:e}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    fn names(model: &Ensemble) -> Vec<String> {
        (0..model.features()).map(|feature| format!("f{feature}")).collect()
    }

    static MODELS: LazyLock<Vec<(&str, Ensemble)>> = LazyLock::new(|| {
        macro_rules! golden {
            ($($name:literal),+) => {
                [$((
                    $name,
                    include_bytes!(concat!("../../../kernels/trees/tests/golden/", $name)).as_slice(),
                )),+]
            };
        }
        let files = golden![
            "binary.txt",
            "multiclass.txt",
            "regression_no_missing.txt",
            "regression_zero_as_missing.txt",
            "regression_l1_categorical.txt",
            "xgboost/binary.json",
            "xgboost/categorical.json",
            "xgboost/softprob.json",
            "catboost/logloss.json"
        ];
        files.into_iter().map(|(name, bytes)| (name, Ensemble::from_bytes(bytes).unwrap().0)).collect()
    });

    fn paths(model: &Ensemble, output: usize, row: &[f64]) -> Vec<Vec<i32>> {
        let own = model.trees().iter().enumerate().filter(|(_, tree)| tree.output() == output);
        own.map(|(number, _)| model.path(number, row)).collect()
    }

    /// Values such as the models were trained on, zeros and missing ones among them.
    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            6 => -4.0..4.0f64,
            2 => (-3i32..40).prop_map(f64::from),
            1 => 0.0..1_100.0f64,
            1 => Just(f64::NAN),
        ]
    }

    /// A number within the bounds: a share of the way between them, or of 10 where there is none.
    fn within(bounds: &Bounds, share: f64) -> f64 {
        let value = bounds.value.unwrap_or(f64::NAN);
        let high = bounds.up_to.unwrap_or(value.max(bounds.above.unwrap_or(value)) + 10.0);
        let low = bounds.above.unwrap_or(value.min(high) - 10.0);
        let moved = (high - (high - low) * share).min(high);
        if moved > low { moved } else { high }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn within_the_box_every_leaf_stays_and_beyond_a_bound_one_changes(
            values in prop::collection::vec(value(), 64),
            shares in prop::collection::vec(0.0..1.0f64, 64),
        ) {
            for (name, model) in MODELS.iter() {
                let row = &values[..model.features()];
                for room in rooms(model, &names(model), row) {
                    let before = paths(model, room.output, row);
                    let place = |bounds: &Bounds| bounds.feature[1..].parse::<usize>().unwrap();
                    let mut moved = row.to_vec();
                    for bounds in &room.bounds {
                        if bounds.value.is_some() && !bounds.is_category {
                            moved[place(bounds)] = within(bounds, shares[place(bounds)]);
                        }
                    }
                    prop_assert_eq!(&before, &paths(model, room.output, &moved), "{} {:?} {:?}", name, row, moved);
                    // What no split on the way asks for may be anything.
                    let mut other = row.to_vec();
                    for (feature, value) in other.iter_mut().enumerate() {
                        if !room.bounds.iter().any(|bounds| place(bounds) == feature) {
                            *value = 1e6;
                        }
                    }
                    prop_assert_eq!(&before, &paths(model, room.output, &other), "{} {:?}", name, row);
                    for bounds in &room.bounds {
                        let beyond = bounds.up_to.map(f64::next_up).into_iter().chain(bounds.above);
                        for value in beyond {
                            let mut stepped = row.to_vec();
                            stepped[place(bounds)] = value;
                            let after = paths(model, room.output, &stepped);
                            prop_assert!(before != after, "{} {:?}: {} is beyond {:?}", name, row, value, bounds);
                        }
                        if bounds.value.is_some() {
                            let mut missing = row.to_vec();
                            missing[place(bounds)] = f64::NAN;
                            let changes = before != paths(model, room.output, &missing);
                            prop_assert_eq!(bounds.missing_changes, changes, "{} {:?} {:?}", name, row, bounds);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_way_through_a_tree_ends_at_the_leaf_that_counts() {
        for (name, model) in MODELS.iter() {
            let names = names(model);
            let row = vec![0.5; model.features()];
            let mut scores = vec![0.0; model.scores()];
            model.raw_scores(&row, &mut scores);
            let mut sums: Vec<f64> = (0..model.scores()).map(|output| model.base_score(output)).collect();
            for tree in 0..model.tree_count() {
                let way = way(model, &names, tree, &row);
                sums[way.output] += way.leaf;
                assert_eq!(way.conditions.len() + 1, model.path(tree, &row).len(), "{name}");
            }
            for (sum, score) in sums.iter().zip(&scores) {
                assert!((sum - score).abs() < 1e-4 * (1.0 + score.abs()), "{name}: {sum} {score}");
            }
        }
    }

    #[test]
    fn rules_read_as_people_write_them() {
        let cases = [
            (None, Some(3.5), "<= 3.5"),
            (Some(f64::from(0.1f32)), None, "> 0.1"),
            (Some(1e-35), Some(2.0), "> 1e-35 and <= 2"),
            (None, Some(0.1), "<= 0.1"),
            (None, Some(1e20), "<= 1e20"),
            (None, None, "is any number"),
        ];
        for (above, up_to, text) in cases {
            assert_eq!(bound_text(above, up_to), text);
        }
    }
}
