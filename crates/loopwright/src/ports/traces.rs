use std::sync::Arc;

use async_trait::async_trait;
use group_experiments::Experiments;
use group_traces::TraceFiles;
use platform_primitives::{ErrorKind, Failure, Fault};
use platform_web::mlflow::Within as _;

use super::failure;

/// The experiments and runs that traces name.
pub struct TracedExperiments(pub Experiments);

#[async_trait]
impl group_traces::Experiments for TracedExperiments {
    async fn exists(&self, experiment_id: &str) -> Result<(), Failure> {
        let experiment = self.0.get_experiment(experiment_id).await.map_err(failure)?;
        if experiment.deleted {
            let message = format!(
                "The experiment {experiment_id} must be in the 'active' state. Current state is deleted."
            );
            return Err(Failure::new(ErrorKind::Conflict, "experiments/experiment-deleted", message));
        }
        Ok(())
    }

    async fn run_exists(&self, run_id: &str) -> Result<(), Failure> {
        self.0.get_run(run_id).await.map_err(failure)?;
        Ok(())
    }

    async fn sees(&self, experiment_id: &str) -> Result<bool, Failure> {
        match experiment_id.parse::<i64>() {
            Ok(experiment) => self.0.sees(experiment).await.map_err(failure),
            Err(_) => Ok(false),
        }
    }

    fn within(&self, workspace: &str) -> Arc<dyn group_traces::Experiments> {
        Arc::new(Self(self.0.within(workspace)))
    }
}

#[async_trait]
impl group_evaluation::Experiments for TracedExperiments {
    async fn exists(&self, experiment_id: &str) -> Result<(), Failure> {
        group_traces::Experiments::exists(self, experiment_id).await
    }

    async fn sees(&self, experiment_id: &str) -> Result<bool, Failure> {
        group_traces::Experiments::sees(self, experiment_id).await
    }

    fn within(&self, workspace: &str) -> Arc<dyn group_evaluation::Experiments> {
        Arc::new(Self(self.0.within(workspace)))
    }
}

/// Spans that a client uploaded as a file.
pub struct UploadedFiles(pub Experiments);

#[async_trait]
impl TraceFiles for UploadedFiles {
    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        match self.0.read_artifact(path).await {
            Ok((_, bytes)) => Ok(Some(bytes.to_vec())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failure(error)),
        }
    }
}
