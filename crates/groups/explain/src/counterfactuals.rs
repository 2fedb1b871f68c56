//! What would have to change: the smallest changes of a row, among those that somebody can make, that bring the prediction to a target.

use axum::Json;
use axum::extract::{Path, State};
use kernel_effects::{
    EffectError, Question, Search, SearchEnd, SearchOptions, Table, Target, counterfactuals,
};
use platform_auth::Permission::Predict;
use platform_web::dialect::{Dialect, ProblemResult};
use platform_web::{Access, ApiJson, Routes, Surface};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::actions::{InputAction, Plan};
use crate::effects::Answer;
use crate::rows::from_instances;
use crate::service::{MOST_BACKGROUND, Ready, apart};
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
    /// Rows that say what is usual: ranges, levels, spreads. At most 1,000; the reference data without them.
    data: Option<Vec<Value>>,
    target: TargetBody,
    /// By input: what may be done about it. Inputs that are not named stay as they are. Without it those of the endpoint's settings.
    actions: Option<Map<String, Value>>,
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

/// What is looked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub row: Vec<f64>,
    /// Rows that say what is usual; the reference data without them.
    pub data: Option<Vec<f64>>,
    pub plan: Plan,
    pub target: Target,
    pub output: usize,
    pub options: SearchOptions,
}

impl Explain {
    pub(crate) async fn counterfactuals(
        &self,
        ready: &Ready,
        wanted: Wanted,
    ) -> Result<Search, ExplainError> {
        let reference = match wanted.data {
            Some(_) => None,
            None => Some(self.needed_reference(ready, "a search without data").await?),
        };
        let (model, width) = (ready.served.ensemble.clone(), ready.served.inputs.len());
        apart(move || {
            let Wanted { row, data, plan, target, output, options } = wanted;
            let data = match (&data, &reference) {
                (Some(data), _) => data.as_slice(),
                (None, Some(reference)) => reference.rows.as_slice(),
                (None, None) => &[],
            };
            let refused = |error: EffectError<_>| ExplainError::request(error.to_string());
            let data = Table::new(data, width).map_err(|error| refused(error.into()))?;
            let question = Question { row: &row, data, kinds: &plan.kinds, actions: &plan.actions, target };
            counterfactuals(&mut Answer { model: &model, output }, &question, &options).map_err(refused)
        })
        .await
    }

    /// What the settings of an endpoint say may be done; inputs that this model does not take are passed over. `None` when they say
    /// nothing of its inputs.
    pub(crate) async fn settled_plan(&self, ready: &Ready) -> Result<Option<Plan>, ExplainError> {
        let Some(found) = self.find_settings(&ready.served.endpoint, None).await? else { return Ok(None) };
        let inputs = &ready.served.inputs;
        let is_input = |name: &str| inputs.iter().any(|input| input.name == name);
        let mut plan = None;
        for (name, action) in found.settings.actions.iter().filter(|(name, _)| is_input(name)) {
            plan.get_or_insert_with(|| Plan::new(inputs)).set(inputs, name, action)?;
        }
        Ok(plan)
    }
}

async fn search(
    State(service): State<Explain>,
    Path(name): Path<String>,
    ApiJson(body): ApiJson<SearchBody>,
) -> ProblemResult<Json<Value>> {
    let ready = service.ready(&name, body.version.as_deref())?;
    let inputs = &ready.served.inputs;
    let row = from_instances(std::slice::from_ref(&body.instance), inputs)?;
    let data = match &body.data {
        Some(data) if data.len() > MOST_BACKGROUND => {
            let rule = format!("data has {} rows, at most {MOST_BACKGROUND}", data.len());
            return Err(ExplainError::request(rule).into());
        }
        Some(data) => Some(from_instances(data, inputs)?),
        None => None,
    };
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
    let plan = match body.actions {
        Some(actions) => {
            let mut plan = Plan::new(inputs);
            for (input, action) in actions {
                let action: InputAction = serde_json::from_value(action)
                    .map_err(|error| ExplainError::request(format!("the action of {input:?}: {error}")))?;
                plan.set(inputs, &input, &action)?;
            }
            plan
        }
        None => service.settled_plan(&ready).await?.ok_or_else(|| {
            let rule = format!("actions is missing, and the settings of endpoint {name:?} have none");
            ExplainError::request(rule)
        })?,
    };
    let target = body.target.target()?;
    let options =
        SearchOptions { count: body.count, budget_rows: body.budget_rows, ..SearchOptions::default() };
    let wanted = Wanted { row, data, plan, target, output: body.output, options };
    let search = service.counterfactuals(&ready, wanted).await?;
    let known = |value: f64| Some(value).filter(|value| !value.is_nan());
    let found = search.found.into_iter().map(|found| FoundRow {
        changes: found
            .changes
            .iter()
            .map(|change| FoundChange {
                feature: inputs[change.column].name.clone(),
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
        model_version: ready.served.version.clone(),
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
