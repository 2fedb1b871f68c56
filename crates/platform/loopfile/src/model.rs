//! The nouns of the file. Doc comments become the descriptions in the JSON Schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Span;

/// A machine-learning project whose model is kept right by the loop.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "loopwright.yaml")]
pub struct LoopFile {
    /// Version of this format: 1.
    pub version: u32,
    /// Name of the project: lower-case letters, digits and hyphens.
    pub project: String,
    pub business: Business,
    /// Who takes part. Without entries, whoever may approve on this server may approve.
    #[serde(default)]
    pub people: Vec<Person>,
    pub environment: Environment,
    pub data: Data,
    pub pipeline: Pipeline,
    pub model: Model,
    #[serde(default)]
    pub rollout: Rollout,
    #[serde(default)]
    pub watch: Watch,
    #[serde(default)]
    pub rebuild: Rebuild,
    /// For `loopwright demo`: recorded requests that are sent again in their order.
    pub replay: Option<Replay>,
}

/// What the model is for, and what an error costs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Business {
    /// The decision in the words of the people who own it.
    pub question: String,
    /// Unit of the cost, for example USD.
    pub currency: String,
    /// Cost of one unit that the prediction lies below the truth.
    pub cost_under: f64,
    /// Cost of one unit that the prediction lies above the truth.
    pub cost_over: f64,
    /// Decisions per month; turns a mean cost into money a month.
    pub decisions_per_month: f64,
    /// Reason behind the two costs.
    #[serde(default)]
    pub rationale: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Person {
    pub name: String,
    pub roles: Vec<PersonRole>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PersonRole {
    Business,
    DataEngineer,
    AiEngineer,
    Developer,
    Operator,
    Approver,
}

/// The software environment of the pipeline's commands.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Path of the `uv.lock`; `pyproject.toml` stands beside it.
    pub lock: String,
}

/// The columns of the training set, the hold-out and the requests.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Column that identifies a row; a prediction's id.
    pub id: String,
    /// Column with the time a request is made.
    pub time: String,
    /// Column with the truth.
    pub label: String,
    /// Column with the time the truth becomes known.
    pub label_time: String,
    /// Added to `label_time`: how long labels take to arrive.
    #[serde(default = "zero")]
    pub label_lag: Span,
    /// The model's inputs, in order.
    pub features: Vec<Feature>,
    /// Rows that break a rule count in no metric and enter no training set.
    #[serde(default)]
    pub quality: Vec<QualityRule>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: FeatureKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeatureKind {
    /// Drift is measured as normed Wasserstein distance and PSI.
    Number,
    /// Drift is measured as Jensen-Shannon distance and a two-sample chi-square test.
    Category,
}

/// Bounds on a feature or on the label, both inclusive.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QualityRule {
    pub column: String,
    pub min: Option<f64>,
    pub max: Option<f64>,
}

/// How the model is built.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Values for `${params.NAME}` in commands.
    #[serde(default)]
    pub params: BTreeMap<String, Param>,
    pub stages: BTreeMap<String, Stage>,
    /// The file the model is trained on. A rebuild replaces it with one made from the prediction log.
    pub training_set: String,
    /// The file the gate judges on; the training command never sees a rebuild's.
    pub holdout: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Param {
    Flag(bool),
    Whole(i64),
    Real(f64),
    Text(String),
}

impl std::fmt::Display for Param {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(value) => value.fmt(f),
            Self::Whole(value) => value.fmt(f),
            Self::Real(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// A command with what it reads and writes; the graph follows from the files.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Program and arguments, split at blanks; single or double quotes keep blanks together. No shell.
    pub command: String,
    /// Files it reads, relative to the loop file.
    pub deps: Vec<String>,
    /// Files it writes.
    #[serde(default)]
    pub outs: Vec<String>,
    /// Longest run.
    #[serde(default = "half_an_hour")]
    pub deadline: Span,
    /// How often a failed run is tried again.
    #[serde(default)]
    pub retries: u32,
    /// Logs a run and registers the model: the stage gets an MLflow run.
    #[serde(default)]
    pub trains_model: bool,
}

/// The registered model, its gate and its approval.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Name in the registry; also the name of the endpoint.
    pub name: String,
    #[serde(default)]
    pub gate: Gate,
    #[serde(default)]
    pub approval: Approval,
}

/// What a version must show before anybody is asked to approve it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gate {
    /// Highest mean absolute error on the hold-out, in units of the label. Without it only the champion is compared.
    pub max_mae: Option<f64>,
    /// Highest cost per decision on the hold-out.
    pub max_cost: Option<f64>,
    /// How much lower the error must be than the champion's on the same rows, as a share.
    pub improvement: f64,
    /// Confidence with which the difference to the champion must lie below zero.
    pub confidence: f64,
}

impl Default for Gate {
    fn default() -> Self {
        Self { max_mae: None, max_cost: None, improvement: 0.01, confidence: 0.95 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Approval {
    /// Who decides.
    pub role: PersonRole,
}

impl Default for Approval {
    fn default() -> Self {
        Self { role: PersonRole::Approver }
    }
}

/// How an approved version takes over from the champion.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rollout {
    /// Labelled rows both versions have predicted before the canary begins.
    pub shadow_rows: u64,
    /// Shares of traffic, ascending; all of it follows the last.
    pub canary_steps: Vec<f64>,
    /// Labelled rows the candidate has served at each step before it is judged.
    pub step_rows: u64,
    /// Error rate of the sequential test over the whole rollout.
    pub alpha: f64,
    /// A step is passed when the candidate's error is surely below the champion's and this share more; for all traffic it must
    /// surely be lower.
    pub margin: f64,
    /// A step without a verdict after this long is rolled back.
    pub deadline: Span,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            shadow_rows: 300,
            canary_steps: vec![0.1, 0.5],
            step_rows: 100,
            alpha: 0.05,
            margin: 0.02,
            deadline: Span::days(7),
        }
    }
}

/// What is looked at, and how often.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Watch {
    /// Time between two looks at accuracy.
    pub every: Span,
    /// Accuracy is taken over this long, or over `min_rows` if those reach further back.
    pub window: Span,
    pub min_rows: u64,
    pub drift: DriftWatch,
}

impl Default for Watch {
    fn default() -> Self {
        Self { every: Span::days(1), window: Span::days(7), min_rows: 1000, drift: DriftWatch::default() }
    }
}

/// Drift of inputs and predictions against the training set. It explains; it does not rebuild by itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DriftWatch {
    pub every: Span,
    pub window: Span,
    /// Smallest distance that counts, however small the calibrated threshold is.
    pub threshold: f64,
    /// Thresholds are calibrated to this rate per column and look.
    pub false_alarm_rate: f64,
}

impl Default for DriftWatch {
    fn default() -> Self {
        Self { every: Span::days(7), window: Span::days(30), threshold: 0.1, false_alarm_rate: 0.01 }
    }
}

/// When the model is built again, and on what.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rebuild {
    /// Alarm when the error is at least this many times what the gate measured.
    pub error_ratio: f64,
    /// Error rate of the confirmation that the error really rose.
    pub alpha: f64,
    /// The training set reaches back at most this long; after a refused attempt only to the onset of the change.
    pub window: Span,
    /// Newest share of the window that is kept from training, for the gate.
    pub holdout: f64,
    /// Never on fewer labelled rows.
    pub min_rows: u64,
    /// Shortest time from a refused or rolled-back attempt to the next.
    pub cool_down: Span,
    /// Shortest time from a promotion to the next attempt.
    pub settle: Span,
    /// One planned rebuild after an emergency once the window has this many times its rows; 0 turns it off.
    pub follow_up_factor: f64,
    pub budget: Budget,
}

impl Default for Rebuild {
    fn default() -> Self {
        Self {
            error_ratio: 1.25,
            alpha: 0.01,
            window: Span::days(30),
            holdout: 0.2,
            min_rows: 2000,
            cool_down: Span::days(7),
            settle: Span::days(30),
            follow_up_factor: 4.0,
            budget: Budget::default(),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Most attempts within `per`.
    pub attempts: u32,
    pub per: Span,
}

impl Default for Budget {
    fn default() -> Self {
        Self { attempts: 12, per: Span::days(365) }
    }
}

/// A recorded stream of requests with their truths.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// File a stage writes, in the columns of `data`, ascending in time.
    pub table: String,
}

fn zero() -> Span {
    Span::days(0)
}

fn half_an_hour() -> Span {
    Span::minutes(30)
}
