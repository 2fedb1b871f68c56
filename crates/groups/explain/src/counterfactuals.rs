//! What would have to change: the smallest changes of a row, among those that somebody can make, that bring the prediction to a target.

use axum::Json;
use axum::extract::{Path, State};
use kernel_effects::{
    Action, Direction, EffectError, Kind, Question, SearchEnd, SearchOptions, Table, Target, counterfactuals,
};
use platform_auth::Permission::Predict;
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, ApiJson, Routes, Surface};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::effects::Answer;
use crate::rows::from_instances;
use crate::service::{MOST_BACKGROUND, apart};
use crate::{Explain, ExplainError};

const BODY_LIMIT: usize = 64 * 1024 * 1024;
const MOST_FOUND: usize = 20;
const MOST_BUDGET: u64 = 200_000;

pub(crate) fn surface(service: &Explain) -> Surface {
    Routes::new(Dialect::Problem)
        .body_limit(BODY_LIMIT)
        .post("/api/v1/endpoints/{name}/counterfactuals", Access::Needs(Predict), search)
        .with_state(service.clone())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchBody {
    /// The row: a list in the order of the inputs, or an object.
    instance: Value,
    /// Rows that say what is usual: ranges, levels, spreads. At most 1,000.
    data: Vec<Value>,
    target: TargetBody,
    /// By input: what may be done about it. Inputs that are not named stay as they are.
    actions: Map<String, Value>,
    version: Option<String>,
    /// Which of a prediction's numbers.
    #[serde(default)]
    output: usize,
    #[serde(default = "three")]
    count: usize,
    #[serde(default = "budget")]
    budget_rows: u64,
}

fn three() -> usize {
    SearchOptions::default().count
}

fn budget() -> u64 {
    SearchOptions::default().budget_rows
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetBody {
    at_least: Option<f64>,
    at_most: Option<f64>,
}

impl TargetBody {
    fn target(&self) -> Result<Target, ExplainError> {
        match (self.at_least, self.at_most) {
            (Some(low), Some(high)) if low <= high => Ok(Target::Within { low, high }),
            (Some(least), None) => Ok(Target::AtLeast(least)),
            (None, Some(most)) => Ok(Target::AtMost(most)),
            _ => Err(ExplainError::request(
                "target holds at_least, at_most, or both, the first not above the second",
            )),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum DirectionBody {
    #[default]
    Either,
    Up,
    Down,
}

/// A number that moves, or, with `levels`, one of several values (an empty list: any that the data has).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionBody {
    #[serde(default)]
    direction: DirectionBody,
    least: Option<f64>,
    most: Option<f64>,
    step: Option<f64>,
    levels: Option<Vec<f64>>,
    weight: Option<f64>,
}

impl ActionBody {
    fn action(self, is_whole: bool) -> Action {
        let weight = self.weight.unwrap_or(1.0);
        if let Some(values) = self.levels {
            return Action::Level { values, weight };
        }
        Action::Number {
            direction: match self.direction {
                DirectionBody::Either => Direction::Either,
                DirectionBody::Up => Direction::Up,
                DirectionBody::Down => Direction::Down,
            },
            least: self.least.unwrap_or(f64::NEG_INFINITY),
            most: self.most.unwrap_or(f64::INFINITY),
            // A whole number stays one.
            step: self.step.or(is_whole.then_some(1.0)),
            weight,
        }
    }
}

#[derive(Serialize)]
struct Found {
    model_name: String,
    model_version: String,
    /// Of the row as it is.
    prediction: f64,
    /// `already_met`, `complete` (all that the search tries was tried) or `budget_spent`.
    end: &'static str,
    /// Rows that the model scored.
    rows_scored: u64,
    /// Cheapest first. None found is no proof that there is none.
    counterfactuals: Vec<FoundRow>,
}

#[derive(Serialize)]
struct FoundRow {
    changes: Vec<FoundChange>,
    /// What the model says of the changed row.
    prediction: f64,
    /// Sum over changes of weight × change in median absolute deviations.
    cost: f64,
    /// Gower's distance of the nearest row of the data, 0 to 1: far means that nobody is like this.
    distance_from_data: f64,
    row: Vec<Option<f64>>,
}

#[derive(Serialize)]
struct FoundChange {
    feature: String,
    from: Option<f64>,
    to: Option<f64>,
    cost: f64,
}

async fn search(
    State(service): State<Explain>,
    Path(name): Path<String>,
    ApiJson(body): ApiJson<SearchBody>,
) -> ProblemResult<Json<Value>> {
    let ready = service.ready(&name, body.version.as_deref())?;
    let inputs = &ready.served.inputs;
    let row = from_instances(std::slice::from_ref(&body.instance), inputs)?;
    if body.data.len() > MOST_BACKGROUND {
        let rule = format!("data has {} rows, at most {MOST_BACKGROUND}", body.data.len());
        return Err(ExplainError::request(rule).into());
    }
    let data = from_instances(&body.data, inputs)?;
    let outputs = ready.served.ensemble.outputs();
    if body.output >= outputs {
        let rule = format!("output is {}, the model answers {outputs}", body.output);
        return Err(ExplainError::request(rule).into());
    }
    if !(1..=MOST_FOUND).contains(&body.count) || !(1..=MOST_BUDGET).contains(&body.budget_rows) {
        let rule = format!(
            "count is {} and budget_rows {}, expected 1 to {MOST_FOUND} and 1 to {MOST_BUDGET}",
            body.count, body.budget_rows
        );
        return Err(ExplainError::request(rule).into());
    }
    let mut actions = vec![Action::Fixed; inputs.len()];
    let mut kinds = vec![Kind::Number; inputs.len()];
    for (input, action) in body.actions {
        let place = inputs.iter().position(|known| known.name == input);
        let place = place.ok_or_else(|| {
            ExplainError::request(format!("actions names {input:?}, no input of the model"))
        })?;
        let action: ActionBody = serde_json::from_value(action)
            .map_err(|error| ExplainError::request(format!("the action of {input:?}: {error}")))?;
        actions[place] = action.action(inputs[place].is_whole);
        if matches!(actions[place], Action::Level { .. }) {
            kinds[place] = Kind::Category;
        }
    }
    let target = body.target.target()?;
    let options =
        SearchOptions { count: body.count, budget_rows: body.budget_rows, ..SearchOptions::default() };
    let (model, output) = (ready.served.ensemble.clone(), body.output);
    let names: Vec<String> = inputs.iter().map(|input| input.name.clone()).collect();
    let search = apart(move || {
        let refused = |error: EffectError<_>| ExplainError::request(error.to_string());
        let data = Table::new(&data, names.len()).map_err(|error| refused(error.into()))?;
        let question = Question { row: &row, data, kinds: &kinds, actions: &actions, target };
        let found = counterfactuals(&mut Answer { model: &model, output }, &question, &options);
        Ok((found.map_err(refused)?, names))
    });
    let (search, names) = search.await?;
    let known = |value: f64| Some(value).filter(|value| !value.is_nan());
    let found = search.found.into_iter().map(|found| FoundRow {
        changes: found
            .changes
            .iter()
            .map(|change| FoundChange {
                feature: names[change.column].clone(),
                from: known(change.from),
                to: known(change.to),
                cost: change.cost,
            })
            .collect(),
        prediction: found.prediction,
        cost: found.cost,
        distance_from_data: found.nearest.distance,
        row: found.row.into_iter().map(known).collect(),
    });
    let answer = Found {
        model_name: name,
        model_version: ready.served.version,
        prediction: search.prediction,
        end: match search.end {
            SearchEnd::AlreadyMet => "already_met",
            SearchEnd::Complete => "complete",
            SearchEnd::BudgetSpent => "budget_spent",
        },
        rows_scored: search.effort.rows,
        counterfactuals: found.collect(),
    };
    Ok(Json(serde_json::to_value(answer).map_err(|error| ExplainError::request(error.to_string()))?))
}
