//! One part of the rows against another: what moves their scores apart. Pure.

use kernel_effects::{ranking_ndcg, share_changes};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ExplainError;
use crate::intervals::{Estimate, Moments};
use crate::population::{Population, Values};
use crate::report::shown;

type Result<T> = std::result::Result<T, ExplainError>;

/// What the other cohort is called where none is asked for.
const EVERYONE_ELSE: &str = "everyone else";

/// Rows of which all conditions hold.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cohort {
    /// Without it the conditions are the name.
    pub name: Option<String>,
    pub conditions: Vec<Condition>,
}

/// A condition on a column; every part that is given must hold. Only `missing` holds of a missing value.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// An input of the model, or another column of the data.
    pub column: String,
    /// A text or a number.
    pub is: Option<Value>,
    pub one_of: Option<Vec<Value>>,
    pub at_least: Option<f64>,
    pub below: Option<f64>,
    pub missing: Option<bool>,
}

impl Condition {
    fn refused(&self, rule: &str) -> ExplainError {
        ExplainError::request(format!("the condition on {:?} {rule}", self.column))
    }

    /// Row by row whether it holds.
    fn holds(&self, population: &Population) -> Result<Vec<bool>> {
        let bounds = [self.at_least, self.below];
        if self.is.is_none() && self.one_of.is_none() && self.missing.is_none() && bounds == [None, None] {
            return Err(self.refused("asks for nothing: give is, one_of, at_least, below or missing"));
        }
        let wanted = [self.is.as_ref().map(std::slice::from_ref), self.one_of.as_deref()];
        match &*population.column(&self.column)? {
            Values::Numbers(values) => {
                let lists = wanted
                    .into_iter()
                    .flatten()
                    .map(|list| list.iter().map(|value| self.number(value)).collect::<Result<Vec<f64>>>())
                    .collect::<Result<Vec<Vec<f64>>>>()?;
                let asks_numbers = !lists.is_empty() || bounds != [None, None];
                let holds = |value: &f64| {
                    if value.is_nan() {
                        return self.missing == Some(true) && !asks_numbers;
                    }
                    self.missing != Some(true)
                        && lists.iter().all(|list| list.contains(value))
                        && self.at_least.is_none_or(|least| *value >= least)
                        && self.below.is_none_or(|bound| *value < bound)
                };
                Ok(values.iter().map(holds).collect())
            }
            Values::Texts(values) => {
                if bounds != [None, None] {
                    return Err(self.refused("compares numbers, and the column holds texts"));
                }
                let lists = wanted
                    .into_iter()
                    .flatten()
                    .map(|list| list.iter().map(|value| self.text(value)).collect::<Result<Vec<String>>>())
                    .collect::<Result<Vec<Vec<String>>>>()?;
                let holds = |value: &Option<String>| match value {
                    None => self.missing == Some(true) && lists.is_empty(),
                    Some(text) => self.missing != Some(true) && lists.iter().all(|list| list.contains(text)),
                };
                Ok(values.iter().map(holds).collect())
            }
        }
    }

    fn number(&self, value: &Value) -> Result<f64> {
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| self.refused(&format!("asks for {value}, and the column holds numbers")))
    }

    fn text(&self, value: &Value) -> Result<String> {
        match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            other => Err(self.refused(&format!("asks for {other}, expected a text or a number"))),
        }
    }

    fn describe(&self) -> String {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut parts = Vec::new();
        if let Some(value) = &self.is {
            parts.push(format!("is {}", text(value)));
        }
        if let Some(values) = &self.one_of {
            parts.push(format!("is one of {}", values.iter().map(text).collect::<Vec<_>>().join(", ")));
        }
        if let Some(least) = self.at_least {
            parts.push(format!("is at least {}", shown(least)));
        }
        if let Some(bound) = self.below {
            parts.push(format!("is below {}", shown(bound)));
        }
        match self.missing {
            Some(true) => parts.push("is missing".to_owned()),
            Some(false) => parts.push("is not missing".to_owned()),
            None => {}
        }
        format!("{} {}", self.column, parts.join(" and "))
    }
}

impl Cohort {
    pub fn name(&self) -> String {
        let described = || self.conditions.iter().map(Condition::describe).collect::<Vec<_>>().join(" and ");
        self.name.clone().unwrap_or_else(described)
    }

    /// Row by row whether it belongs.
    fn members(&self, population: &Population) -> Result<Vec<bool>> {
        if self.conditions.is_empty() {
            return Err(ExplainError::request(format!("cohort {:?} has no condition", self.name())));
        }
        let mut members = vec![true; population.count()];
        for condition in &self.conditions {
            let holds = condition.holds(population)?;
            members.iter_mut().zip(holds).for_each(|(member, holds)| *member &= holds);
        }
        Ok(members)
    }
}

/// A cohort, and what the model and the data say of it. Means over what is there; `null` where nothing is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    pub name: String,
    pub rows: usize,
    pub mean_score: f64,
    pub mean_prediction: f64,
    /// Rows whose label is known.
    pub labelled: u64,
    pub mean_label: f64,
    /// Prediction less label.
    pub mean_error: f64,
    pub mean_absolute_error: f64,
}

/// A feature in both cohorts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureGap {
    pub feature: String,
    /// Mean attribution in either, in the units of the raw score.
    pub one: f64,
    pub two: f64,
    /// One less two. Over all features these sum to the difference of the mean scores.
    pub difference: Estimate,
    pub mean_absolute_one: f64,
    pub mean_absolute_two: f64,
    /// Of all attribution without signs, 0 to 1.
    pub share_one: f64,
    pub share_two: f64,
    pub rank_one: usize,
    pub rank_two: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    pub output: usize,
    /// Rows that were explained, and rows that these were chosen from.
    pub rows: usize,
    pub of: usize,
    pub one: Side,
    pub two: Side,
    pub score_difference: Estimate,
    /// `null` of a model that names a class.
    pub prediction_difference: Option<Estimate>,
    /// How much of the second cohort's ranking of features the first one keeps: 1 when the order is the same.
    pub ndcg: f64,
    /// Largest difference first, whatever its sign.
    pub features: Vec<FeatureGap>,
}

/// What an output's scores and attributions are in one cohort and in another, or in all other rows.
///
/// Intervals are of 95 % each, by Welch's t on the rows' attributions; cost: rows × features. Fails where a cohort has no rows and where
/// a row is in both.
pub fn compare(
    population: &Population,
    one: &Cohort,
    two: Option<&Cohort>,
    output: usize,
) -> Result<Comparison> {
    population.check_output(output)?;
    let members = one.members(population)?;
    let others = match two {
        Some(cohort) => cohort.members(population)?,
        None => members.iter().map(|member| !member).collect(),
    };
    let names = [one.name(), two.map_or_else(|| EVERYONE_ELSE.to_owned(), Cohort::name)];
    let shared = members.iter().zip(&others).filter(|(one, two)| **one && **two).count();
    if shared > 0 {
        return Err(ExplainError::request(format!(
            "{shared} rows are in {:?} and in {:?}; a row may be in one of them only",
            names[0], names[1]
        )));
    }
    let places = |members: &[bool]| (0..members.len()).filter(|row| members[*row]).collect::<Vec<_>>();
    let (first, second) = (places(&members), places(&others));
    for (rows, name) in [&first, &second].into_iter().zip(&names) {
        if rows.is_empty() {
            return Err(ExplainError::request(format!("no row is in cohort {name:?}")));
        }
    }
    let [name, other] = names;
    let mut features = gaps(population, output, &first, &second)?;
    let ndcg = {
        let absolute = |of: fn(&FeatureGap) -> f64| features.iter().map(of).collect::<Vec<_>>();
        ranking_ndcg(&absolute(|gap| gap.mean_absolute_two), &absolute(|gap| gap.mean_absolute_one))
            .map_err(|error| ExplainError::request(format!("the features cannot be ranked: {error}")))?
    };
    features.sort_by(|before, after| after.difference.value.abs().total_cmp(&before.difference.value.abs()));
    let scores = &population.explanations().outputs[output].scores;
    let gap = |values: &[f64]| {
        let moments = |rows: &[usize]| Moments::of(rows.iter().map(|row| values[*row]));
        moments(&first).welch(&moments(&second)).0
    };
    Ok(Comparison {
        output,
        rows: population.count(),
        of: population.of(),
        one: side(population, output, &first, name),
        two: side(population, output, &second, other),
        score_difference: gap(scores),
        prediction_difference: population.predictions(output).map(|predictions| gap(&predictions)),
        ndcg,
        features,
    })
}

fn side(population: &Population, output: usize, rows: &[usize], name: String) -> Side {
    let scores = &population.explanations().outputs[output].scores;
    let mean = |values: &[f64]| Moments::of(rows.iter().map(|row| values[*row])).mean();
    let predictions = population.predictions(output);
    let truths = population.truths(output);
    let known: Vec<(usize, f64)> = rows
        .iter()
        .filter_map(|row| Some((*row, truths.as_ref()?[*row])))
        .filter(|(_, truth)| !truth.is_nan())
        .collect();
    let errors: Vec<f64> = match &predictions {
        Some(predictions) => known.iter().map(|(row, truth)| predictions[*row] - truth).collect(),
        None => Vec::new(),
    };
    let labels = Moments::of(known.iter().map(|(_, truth)| *truth));
    Side {
        name,
        rows: rows.len(),
        mean_score: mean(scores),
        mean_prediction: predictions.as_deref().map_or(f64::NAN, mean),
        labelled: labels.count(),
        mean_label: labels.mean(),
        mean_error: Moments::of(errors.iter().copied()).mean(),
        mean_absolute_error: Moments::of(errors.iter().map(|error| error.abs())).mean(),
    }
}

/// A feature's attributions over rows.
#[derive(Clone, Default)]
struct Attributed {
    values: Moments,
    absolute: f64,
}

fn attributed(population: &Population, output: usize, rows: &[usize]) -> Vec<Attributed> {
    let mut features = vec![Attributed::default(); population.explanations().features.len()];
    for row in rows {
        for (feature, value) in features.iter_mut().zip(population.explanations().values(output, *row)) {
            feature.values.add(*value);
            feature.absolute += value.abs();
        }
    }
    features
}

/// Every feature in one set of rows and in another, in the model's order. O(rows × features).
pub(crate) fn gaps(
    population: &Population,
    output: usize,
    one: &[usize],
    two: &[usize],
) -> Result<Vec<FeatureGap>> {
    let sides = [one, two].map(|rows| attributed(population, output, rows));
    let [absolute_one, absolute_two] = [(0, one), (1, two)].map(|(side, rows): (usize, &[usize])| {
        let count = rows.len().max(1) as f64;
        sides[side].iter().map(|feature| feature.absolute / count).collect::<Vec<f64>>()
    });
    let changes = share_changes(&absolute_two, &absolute_one)
        .map_err(|error| ExplainError::request(format!("the features cannot be compared: {error}")))?;
    let names = &population.explanations().features;
    let gap = |change: kernel_effects::ShareChange| {
        let [first, second] = [&sides[0][change.feature].values, &sides[1][change.feature].values];
        FeatureGap {
            feature: names[change.feature].clone(),
            one: first.mean(),
            two: second.mean(),
            difference: first.welch(second).0,
            mean_absolute_one: absolute_one[change.feature],
            mean_absolute_two: absolute_two[change.feature],
            share_one: change.current,
            share_two: change.baseline,
            rank_one: change.current_rank,
            rank_two: change.baseline_rank,
        }
    };
    Ok(changes.into_iter().map(gap).collect())
}
