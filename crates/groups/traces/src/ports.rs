use std::sync::Arc;

use async_trait::async_trait;
use platform_primitives::Failure;

/// The experiments that traces belong to and the runs they are linked with.
#[async_trait]
pub trait Experiments: Send + Sync + 'static {
    /// Fails when the experiment is not there or takes nothing any more.
    async fn exists(&self, experiment_id: &str) -> Result<(), Failure>;
    async fn run_exists(&self, run_id: &str) -> Result<(), Failure>;
    /// Whether the experiment is there, deleted or not.
    async fn sees(&self, experiment_id: &str) -> Result<bool, Failure>;
    /// Those of one workspace: to them the others are not there.
    fn within(&self, workspace: &str) -> Arc<dyn Experiments>;
}

/// Files that clients uploaded through the artifact proxy.
#[async_trait]
pub trait TraceFiles: Send + Sync + 'static {
    /// The file at a path below the proxy's root; `None` when there is none.
    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Failure>;
}
