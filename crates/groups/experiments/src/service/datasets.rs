use platform_events::NewEvent;
use serde_json::json;

use super::{Experiments, Result};
use crate::model::*;
use crate::store;
use crate::{ExperimentError, kinds};

impl Experiments {
    /// Data sets and logged models that a run read.
    pub(crate) async fn log_inputs(
        &self,
        actor: &str,
        id: &str,
        inputs: Vec<DatasetInput>,
        models: Vec<String>,
    ) -> Result<()> {
        for input in &inputs {
            check_dataset(input)?;
        }
        let (actor, id, service) = (actor.to_owned(), id.to_owned(), self.clone());
        self.db
            .write(move |tx| {
                let run = service.active_run(tx, &id, false, false)?;
                for input in &inputs {
                    store::put_input(tx, &id, input)?;
                    let event = NewEvent::new(kinds::INPUT_LOGGED, actor.clone(), format!("run:{id}"));
                    let payload =
                        json!({"dataset": input.name, "digest": input.digest, "source": input.source});
                    service.events.append(tx, event.payload(payload))?;
                }
                for model in &models {
                    store::put_model_input(tx, &id, model)?;
                }
                tx.after_commit(service.changed(run.experiment_id, &id));
                Ok::<_, ExperimentError>(())
            })
            .await
    }

    /// Logged models that a run made.
    pub(crate) async fn log_outputs(&self, id: &str, outputs: Vec<ModelOutput>) -> Result<()> {
        let (id, service) = (id.to_owned(), self.clone());
        self.db
            .write(move |tx| {
                let run = service.active_run(tx, &id, false, false)?;
                for output in &outputs {
                    store::put_model_output(tx, &id, &output.model_id, output.step)?;
                }
                tx.after_commit(service.changed(run.experiment_id, &id));
                Ok::<_, ExperimentError>(())
            })
            .await
    }

    /// The different data sets that the experiments' active runs read.
    pub(crate) async fn dataset_summaries(
        &self,
        experiments: &[i64],
        limit: usize,
    ) -> Result<Vec<DatasetSummary>> {
        let experiments = self.seen(experiments).await?;
        if experiments.is_empty() {
            return Ok(Vec::new());
        }
        store::dataset_summaries(&self.db, &experiments, limit).await
    }
}
