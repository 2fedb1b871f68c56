//! What a handle sees. Scorers and issues lie where their experiment does, data sets where they were made; outside of the
//! handle's workspace it is as if they were not there.

use platform_web::mlflow::{DEFAULT_WORKSPACE, Within};

use super::{Evaluation, Result};
use crate::store;

impl Within for Evaluation {
    fn within(&self, workspace: &str) -> Self {
        Self {
            experiments: self.experiments.within(workspace),
            workspace: Some(workspace.into()),
            ..self.clone()
        }
    }
}

impl Evaluation {
    /// The workspace in which this handle makes data sets.
    pub(super) fn home(&self) -> &str {
        self.workspace.as_deref().unwrap_or(DEFAULT_WORKSPACE)
    }

    /// Those of the experiments that this handle sees.
    pub(super) async fn seen(&self, experiments: Vec<String>) -> Result<Vec<String>> {
        let mut seen = Vec::with_capacity(experiments.len());
        for experiment in experiments {
            if self.experiments.sees(&experiment).await? {
                seen.push(experiment);
            }
        }
        Ok(seen)
    }

    /// How many data sets lie in a workspace.
    pub async fn count_in(&self, workspace: &str) -> Result<i64> {
        store::count_datasets(&self.db, workspace).await
    }
}
