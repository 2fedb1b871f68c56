use async_trait::async_trait;
use group_evaluation::Evaluation;
use group_experiments::Experiments;
use group_projects::WorkspaceContents;
use group_registry::Registry;
use platform_primitives::Failure;

use super::failure;

/// What keeps a workspace from being deleted.
pub struct NamedThings {
    pub experiments: Experiments,
    pub registry: Registry,
    pub evaluation: Evaluation,
}

#[async_trait]
impl WorkspaceContents for NamedThings {
    async fn count(&self, workspace: &str) -> Result<Vec<(&'static str, i64)>, Failure> {
        Ok(vec![
            ("experiments", self.experiments.count_in(workspace).await.map_err(failure)?),
            ("evaluation datasets", self.evaluation.count_in(workspace).await.map_err(failure)?),
            ("registered models", self.registry.count_in(workspace).await.map_err(failure)?),
        ])
    }
}
