//! What this group needs of others.

use async_trait::async_trait;
use platform_primitives::Failure;

/// Models as they were logged, before anybody registered them.
#[async_trait]
pub trait LoggedModels: Send + Sync + 'static {
    /// The run that logged the model; empty when it was logged outside of one.
    async fn run_of(&self, logged_model: &str) -> Result<String, Failure>;

    /// Notes on the logged model that it became this version (MLflow's tag `mlflow.modelVersions`).
    async fn registered(&self, logged_model: &str, model: &str, version: i64) -> Result<(), Failure> {
        let _ = (logged_model, model, version);
        Ok(())
    }
}
