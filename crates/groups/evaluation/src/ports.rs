use std::sync::Arc;

use async_trait::async_trait;
use platform_primitives::Failure;

/// The experiments that data sets, scorers and issues belong to.
#[async_trait]
pub trait Experiments: Send + Sync + 'static {
    /// Fails when the experiment is not there or takes nothing any more.
    async fn exists(&self, experiment_id: &str) -> Result<(), Failure>;
    /// Whether the experiment is there, deleted or not.
    async fn sees(&self, experiment_id: &str) -> Result<bool, Failure>;
    /// Those of one workspace: to them the others are not there.
    fn within(&self, workspace: &str) -> Arc<dyn Experiments>;
}
