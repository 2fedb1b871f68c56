//! What the controller needs of the other groups.

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use kernel_sequential::Moments;
use platform_loopfile::LoopFile;
use platform_primitives::{Failure, Timestamp};
use serde::{Deserialize, Serialize};

pub type PortResult<T> = Result<T, Failure>;

/// Projects and their loop files.
#[async_trait]
pub trait ProjectFiles: Send + Sync + 'static {
    async fn get(&self, project: &str) -> PortResult<ProjectFile>;
    async fn names(&self) -> PortResult<Vec<String>>;
}

pub struct ProjectFile {
    pub directory: PathBuf,
    pub file: LoopFile,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Underway,
    Done,
    Failed,
}

/// Building models: environments and pipelines.
#[async_trait]
pub trait Builds: Send + Sync + 'static {
    /// The environment's id, and how far it is.
    /// `known` is the environment an earlier call gave: its state is told, a failed one is not built again.
    async fn environment(
        &self,
        project: &str,
        lock: PathBuf,
        known: Option<&str>,
    ) -> PortResult<(String, Progress, Option<String>)>;
    async fn start(&self, build: NewBuild) -> PortResult<String>;
    async fn find(&self, pipeline_run: &str) -> PortResult<BuildOutcome>;
}

pub struct NewBuild {
    /// The attempt's id: asked twice for the same attempt, the same run is meant.
    pub id: String,
    pub project: String,
    pub label: String,
    pub directory: PathBuf,
    pub environment: String,
    pub file: LoopFile,
    /// Files handed in: path and SHA-256 of a blob.
    pub provided: BTreeMap<String, String>,
}

pub struct BuildOutcome {
    pub progress: Progress,
    pub error: Option<String>,
    pub training_run: Option<String>,
    /// Path and SHA-256 of every file written or handed in.
    pub files: BTreeMap<String, String>,
}

/// Model versions and the decisions on them.
#[async_trait]
pub trait Versions: Send + Sync + 'static {
    async fn claim(&self, model: &str, project: &str) -> PortResult<()>;
    /// The version of `model` that a run registered.
    async fn of_run(&self, model: &str, run: &str) -> PortResult<Option<i64>>;
    async fn standing(&self, model: &str, version: i64) -> PortResult<Standing>;
    async fn record_gate(
        &self,
        model: &str,
        version: i64,
        verdict: &GateVerdict,
        digest: &str,
    ) -> PortResult<()>;
    /// What is not as it was signed, after every byte was read again; none when all is, or nothing was ever signed.
    async fn changed_since_signed(&self, model: &str, version: i64) -> PortResult<Option<String>>;
    async fn promote(&self, model: &str, version: i64, reason: &str) -> PortResult<()>;
    async fn roll_back(&self, model: &str, version: i64, reason: &str) -> PortResult<()>;
    /// Who approved, when and why; for the answer to "why is this serving".
    async fn approval(&self, model: &str, version: i64) -> PortResult<Option<Approval>>;
}

/// Where a version stands, as far as the loop cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Registered,
    AwaitingApproval,
    Refused,
    Approved,
    Rejected,
    Serving,
    Gone,
}

#[derive(Debug, Clone, Serialize)]
pub struct Approval {
    pub by: String,
    pub at: Timestamp,
    pub reason: String,
}

/// Scoring tables and moving traffic.
#[async_trait]
pub trait Serving: Send + Sync + 'static {
    /// Predictions of a version on a Parquet blob, one per row, with the digest of the model's bytes.
    async fn score(&self, model: &str, version: i64, table: &str) -> PortResult<(Vec<f64>, String)>;
    async fn set_traffic(&self, traffic: NewTraffic) -> PortResult<()>;
}

pub struct NewTraffic {
    pub project: String,
    pub model: String,
    pub champion: i64,
    /// Version and share; share 0 is shadow.
    pub candidate: Option<(i64, f64)>,
    pub reference: i64,
    pub note: String,
}

/// Accuracy, paired evidence and training sets.
#[async_trait]
pub trait Monitoring: Send + Sync + 'static {
    async fn configure(&self, project: &str, file: &LoopFile) -> PortResult<()>;
    async fn set_baseline(&self, endpoint: &str, baseline: NewBaseline) -> PortResult<()>;
    async fn assess(&self, endpoint: &str, champion: i64, now: Timestamp) -> PortResult<Assessment>;
    async fn paired(&self, endpoint: &str, candidate: i64, step_since: Timestamp) -> PortResult<Paired>;
    async fn labelled_rows(&self, endpoint: &str, from: Timestamp) -> PortResult<u64>;
    async fn training_set(&self, file: &LoopFile, template: &str, from: Timestamp)
    -> PortResult<TrainingSet>;
    async fn months(&self, endpoint: &str, now: Timestamp) -> PortResult<Vec<Month>>;
    /// Columns that drift now, with score and threshold.
    async fn drifting(&self, endpoint: &str) -> PortResult<Vec<String>>;
    /// The labels of a hold-out table, and a blob with these predictions beside them.
    async fn labels_of(&self, file: &LoopFile, table: &str) -> PortResult<Vec<f64>>;
    async fn keep_predictions(&self, predictions: &[f64]) -> PortResult<String>;
}

pub struct NewBaseline {
    pub revision: i64,
    pub training_digest: String,
    pub predictions_digest: String,
    pub mae: f64,
    pub since: Timestamp,
}

/// The live model's accuracy at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Assessment {
    pub rows: u64,
    #[serde(deserialize_with = "platform_primitives::json::nan")]
    pub coverage: f64,
    #[serde(deserialize_with = "platform_primitives::json::nan")]
    pub mae: f64,
    #[serde(deserialize_with = "platform_primitives::json::nan")]
    pub bias: f64,
    #[serde(deserialize_with = "platform_primitives::json::nan")]
    pub cost: f64,
    #[serde(deserialize_with = "platform_primitives::json::no_lower_bound")]
    pub mae_lower: f64,
    #[serde(deserialize_with = "platform_primitives::json::nan")]
    pub baseline_mae: f64,
    #[serde(deserialize_with = "platform_primitives::json::nan")]
    pub ratio: f64,
    /// Where the detector puts the beginning of the last rise.
    pub onset: Option<Timestamp>,
    pub found_at: Option<Timestamp>,
}

pub struct Paired {
    /// |error of the candidate| − |error of the champion| per row.
    pub difference: Moments,
    pub candidate_mae: f64,
    pub champion_mae: f64,
    /// Rows the candidate answered since the step began.
    pub served: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrainingSet {
    pub training: String,
    pub holdout: String,
    pub training_rows: u64,
    pub holdout_rows: u64,
    pub excluded: u64,
    pub first: Timestamp,
    pub split: Timestamp,
    pub last: Timestamp,
}

#[derive(Debug, Clone, Serialize)]
pub struct Month {
    pub month: String,
    pub predictions: u64,
    pub labelled: u64,
    pub excluded: u64,
    pub loop_mae: f64,
    pub loop_bias: f64,
    pub loop_cost: f64,
    pub static_mae: f64,
    pub static_bias: f64,
    pub static_cost: f64,
    pub answered_by: BTreeMap<i64, u64>,
}

/// What a gate found: checks in the order they were made, and the conclusion.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GateVerdict {
    pub passed: bool,
    pub reason: String,
    pub checks: Vec<GateCheck>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GateCheck {
    pub name: String,
    #[serde(deserialize_with = "platform_primitives::json::nan")]
    pub candidate: f64,
    pub champion: Option<f64>,
    pub rule: String,
    pub passed: bool,
}
