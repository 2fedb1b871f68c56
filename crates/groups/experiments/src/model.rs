//! The nouns and the rules on their values. Limits are MLflow 3.17's.

use std::collections::BTreeMap;

use kernel_series::{Point, Summaries};
use platform_primitives::Timestamp;
use serde::Serialize;

use crate::{ExperimentError, location};

#[derive(Debug, Clone, Serialize)]
pub struct Experiment {
    pub id: i64,
    pub name: String,
    pub deleted: bool,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// Names are unique within it.
    pub workspace: String,
    /// Where the files of what is made in it go; empty for this server's store. Never changes.
    pub artifact_location: String,
    pub tags: BTreeMap<String, String>,
}

impl Experiment {
    pub fn artifact_uri(&self) -> String {
        location::root_uri(&self.artifact_location, self.id)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunStatus {
    Running,
    Scheduled,
    Finished,
    Failed,
    Killed,
}

impl RunStatus {
    const ALL: [Self; 5] = [Self::Running, Self::Scheduled, Self::Finished, Self::Failed, Self::Killed];

    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Scheduled => "SCHEDULED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }

    pub fn parse(name: &str) -> Result<Self, ExperimentError> {
        Self::ALL.into_iter().find(|status| status.name() == name).ok_or_else(|| {
            let rule = "expected RUNNING, SCHEDULED, FINISHED, FAILED or KILLED";
            ExperimentError::invalid("status", name, rule)
        })
    }

    /// Nothing more is expected of the run.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Killed)
    }

    /// The one place that says which change is legal: clients may set any status at any time, as MLflow lets
    /// them resume a finished run.
    pub fn advance(self, to: RunStatus) -> RunStatus {
        to
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct Run {
    pub id: String,
    pub experiment_id: i64,
    pub name: String,
    pub status: RunStatus,
    pub user: String,
    pub deleted: bool,
    pub start: Timestamp,
    pub end: Option<Timestamp>,
    /// Its experiment's location when it was created; empty for this server's store.
    pub artifact_root: String,
}

impl Run {
    /// Where the run's files live, as the proxy names them; an error when that is not on this server.
    pub fn artifact_folder(&self) -> Result<String, ExperimentError> {
        location::folder(&self.artifact_root, self.experiment_id, &self.artifact_path())
    }

    pub fn artifact_uri(&self) -> String {
        location::uri(&self.artifact_root, self.experiment_id, &self.artifact_path())
    }

    fn artifact_path(&self) -> String {
        format!("{}/artifacts", self.id)
    }
}

/// A run with all that was logged to it, except the histories.
#[derive(Debug, Clone)]
pub struct RunRecord {
    pub run: Run,
    pub tags: BTreeMap<String, String>,
    pub params: BTreeMap<String, String>,
    /// Newest, smallest and largest value per metric.
    pub metrics: Summaries,
    pub inputs: Vec<DatasetInput>,
    /// Ids of logged models the run read.
    pub model_inputs: Vec<String>,
    pub outputs: Vec<ModelOutput>,
}

/// A logged model that a run made.
#[derive(Debug, Clone, Serialize)]
pub struct ModelOutput {
    pub model_id: String,
    pub step: i64,
}

/// A point on its way in.
#[derive(Debug, Clone)]
pub struct MetricPoint {
    pub key: String,
    /// NaN and infinities are stored as what they are.
    pub point: Point,
    /// The logged model it is about, and on which data; empty when it is about neither.
    pub model_id: String,
    pub dataset_name: String,
    pub dataset_digest: String,
}

/// Newest value of a metric of a logged model.
#[derive(Debug, Clone, Serialize)]
pub struct ModelMetric {
    pub key: String,
    pub value: f64,
    pub step: i64,
    pub at: Timestamp,
    pub dataset_name: String,
    pub dataset_digest: String,
    pub run_id: String,
}

/// A data set as a list of them shows it.
#[derive(Debug, Clone, Serialize)]
pub struct DatasetSummary {
    pub experiment_id: i64,
    pub name: String,
    pub digest: String,
    pub context: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct DatasetInput {
    pub name: String,
    pub digest: String,
    pub source_type: String,
    pub source: String,
    pub schema: Option<String>,
    pub profile: Option<String>,
    pub tags: BTreeMap<String, String>,
}

/// How far a logged model's files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LoggedModelStatus {
    Pending,
    Ready,
    Failed,
}

impl LoggedModelStatus {
    const ALL: [Self; 3] = [Self::Pending, Self::Ready, Self::Failed];

    /// As filters write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Ready => "READY",
            Self::Failed => "FAILED",
        }
    }

    pub fn parse(name: &str) -> Result<Self, ExperimentError> {
        Self::ALL
            .into_iter()
            .find(|status| status.name() == name)
            .ok_or_else(|| ExperimentError::invalid("status", name, "expected PENDING, READY or FAILED"))
    }

    /// The one place that says which change is legal: a model may become ready or fail from anywhere, but not
    /// go back to pending.
    pub fn advance(self, to: Self) -> Result<Self, ExperimentError> {
        match to {
            Self::Pending if self != Self::Pending => Err(ExperimentError::invalid(
                "status",
                to.name(),
                "a finalized model cannot be pending again",
            )),
            to => Ok(to),
        }
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct LoggedModel {
    pub id: String,
    pub experiment_id: i64,
    pub run_id: String,
    pub name: String,
    pub model_type: String,
    pub status: LoggedModelStatus,
    pub status_message: String,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub tags: BTreeMap<String, String>,
    pub params: BTreeMap<String, String>,
    pub metrics: Vec<ModelMetric>,
    /// Its experiment's location when it was logged; empty for this server's store.
    pub artifact_root: String,
}

impl LoggedModel {
    /// Where its files live, as the proxy names them; an error when that is not on this server.
    pub fn artifact_folder(&self) -> Result<String, ExperimentError> {
        location::folder(&self.artifact_root, self.experiment_id, &self.artifact_path())
    }

    pub fn artifact_uri(&self) -> String {
        location::uri(&self.artifact_root, self.experiment_id, &self.artifact_path())
    }

    fn artifact_path(&self) -> String {
        format!("models/{}/artifacts", self.id)
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct ArtifactEntry {
    /// Last part of the path.
    pub name: String,
    pub is_folder: bool,
    pub size_bytes: Option<i64>,
}

pub(crate) const MAX_KEY: usize = 250;
pub(crate) const MAX_PARAM: usize = 6_000;
pub(crate) const MAX_TAG: usize = 8_000;
pub(crate) const MAX_EXPERIMENT_TAG: usize = 20_000;

/// Tags take any key that is no path trick.
pub(crate) fn check_tag(key: &str, value: &str) -> Result<(), ExperimentError> {
    check_key("tag name", key)?;
    check_length("tag value", value, MAX_TAG)
}

pub(crate) fn check_dataset(input: &DatasetInput) -> Result<(), ExperimentError> {
    let long = |text: &Option<String>| text.clone().unwrap_or_default();
    check_length("dataset name", &input.name, 500)?;
    check_length("dataset digest", &input.digest, 64)?;
    check_length("dataset schema", &long(&input.schema), 1_048_575)?;
    check_length("dataset profile", &long(&input.profile), 16_777_215)
}

/// Keys of metrics and params: word characters, `_-. :/`, no path tricks, at most 250 characters.
pub(crate) fn check_key(field: &'static str, key: &str) -> Result<(), ExperimentError> {
    let allowed = |c: char| c.is_alphanumeric() || "_-. :/".contains(c);
    if key.is_empty() || key.chars().count() > MAX_KEY {
        return Err(ExperimentError::invalid(field, key, "expected 1 to 250 characters"));
    }
    if !key.chars().all(allowed) {
        let rule = "names may hold alphanumerics, underscores, dashes, periods, spaces, colons and slashes";
        return Err(ExperimentError::invalid(field, key, rule));
    }
    if key.starts_with('/') || key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(ExperimentError::invalid(field, key, "must not be a relative or absolute path"));
    }
    Ok(())
}

/// Values are refused when they are too long, never cut.
pub(crate) fn check_length(field: &'static str, value: &str, most: usize) -> Result<(), ExperimentError> {
    let length = value.chars().count();
    if length > most {
        let shown: String = value.chars().take(32).collect();
        let rule = format!("had length {length}, which exceeded the limit of {most}");
        return Err(ExperimentError::invalid(field, format!("{shown}…"), rule));
    }
    Ok(())
}

/// A data set as logged models name it; an empty digest is any version of it.
#[derive(Debug, Clone)]
pub(crate) struct DatasetKey {
    pub name: String,
    pub digest: String,
}

/// The data sets that a search of logged models is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct ModelDatasets {
    pub searched: Vec<DatasetKey>,
    /// Those that the order's metrics were measured on, by their number in the order's entities.
    pub ordered: Vec<DatasetKey>,
}

/// A file on its way here in parts.
#[derive(Clone)]
pub(crate) struct Upload {
    pub id: String,
    /// Where the file will be.
    pub path: String,
    /// How many there are; they are numbered from 1.
    pub parts: i64,
    /// Keys the secrets in the addresses of its parts.
    pub secret: String,
    pub created: Timestamp,
    pub workspace: String,
    /// The digest of what its parts were when it was completed; `None` while it is open.
    pub joined: Option<String>,
}
