//! What this group needs of others.

use std::collections::BTreeMap;

use async_trait::async_trait;
use platform_primitives::Failure;

/// A tracking run opened for a training stage.
#[derive(Debug, Clone)]
pub struct TrainingRun {
    pub id: String,
    /// Variables with which an unmodified client attaches to the run.
    pub environment: BTreeMap<String, String>,
}

/// Tracking for stages that train a model.
#[async_trait]
pub trait TrainingRuns: Send + Sync + 'static {
    async fn open(&self, project: &str, pipeline_run: &str, stage: &str) -> Result<TrainingRun, Failure>;
    /// The variables for a run opened before.
    async fn reopen(&self, project: &str, run: &str) -> Result<TrainingRun, Failure>;
    /// Ends a run whose command died without saying so.
    async fn fail(&self, run: &str) -> Result<(), Failure>;
}
