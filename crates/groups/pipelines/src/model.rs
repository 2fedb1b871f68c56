use std::collections::BTreeMap;

use platform_primitives::Timestamp;
use serde::Serialize;

use crate::PipelineError;
use crate::plan::Plan;

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($variant:ident => $text:literal),+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($variant),+ }

        impl $name {
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
            pub fn parse(name: &str) -> Option<Self> {
                [$(Self::$variant),+].into_iter().find(|state| state.name() == name)
            }
        }
    };
}

states!(RunState { Running => "running", Succeeded => "succeeded", Failed => "failed" });
states!(
    /// `Provided`: its outputs were handed in, it does not run. `Cached`: it ran before on the same bytes.
    StepState {
        Pending => "pending", Running => "running", Succeeded => "succeeded", Failed => "failed",
        Cached => "cached", Provided => "provided"
    }
);

impl RunState {
    pub fn advance(self, to: Self) -> Result<Self, PipelineError> {
        match (self, to) {
            (Self::Running, Self::Succeeded | Self::Failed) => Ok(to),
            (from, to) => {
                Err(PipelineError::Transition { what: "pipeline run", from: from.name(), to: to.name() })
            }
        }
    }
}

impl StepState {
    pub fn is_done(self) -> bool {
        matches!(self, Self::Succeeded | Self::Cached | Self::Provided)
    }

    pub fn advance(self, to: Self) -> Result<Self, PipelineError> {
        match (self, to) {
            (Self::Pending, Self::Running | Self::Cached | Self::Failed) => Ok(to),
            (Self::Running, Self::Succeeded | Self::Failed) => Ok(to),
            (from, to) => Err(PipelineError::Transition { what: "step", from: from.name(), to: to.name() }),
        }
    }
}

#[derive(Debug, Clone)]
pub struct PipelineRun {
    pub id: String,
    pub project: String,
    /// Why it runs, for people.
    pub label: String,
    pub state: RunState,
    pub plan: Plan,
    pub error: Option<String>,
    pub created: Timestamp,
    pub ended: Option<Timestamp>,
    pub steps: Vec<Step>,
}

impl PipelineRun {
    /// Digest of a file that a stage wrote or that was handed in.
    pub fn output(&self, path: &str) -> Option<&str> {
        self.steps.iter().find_map(|step| step.outs.get(path)).map(String::as_str)
    }

    /// The tracking run of the training stage.
    pub fn training_run(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| step.run_id.as_deref())
    }
}

#[derive(Debug, Clone)]
pub struct Step {
    pub stage: String,
    pub state: StepState,
    pub job_id: Option<String>,
    pub run_id: Option<String>,
    pub cache_key: Option<String>,
    /// Path and SHA-256 of what it read.
    pub deps: BTreeMap<String, String>,
    /// Path and SHA-256 of what it wrote.
    pub outs: BTreeMap<String, String>,
}
