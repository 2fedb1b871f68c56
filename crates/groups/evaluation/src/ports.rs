use async_trait::async_trait;
use platform_primitives::Failure;

/// The experiments that data sets, scorers and issues belong to.
#[async_trait]
pub trait Experiments: Send + Sync + 'static {
    /// Fails when the experiment is not there or takes nothing any more.
    async fn exists(&self, experiment_id: &str) -> Result<(), Failure>;
}
