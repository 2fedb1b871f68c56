//! What a handle sees. A trace lies where its experiment does; outside of the handle's workspace it is as if it were not there.

use std::collections::HashMap;

use platform_web::mlflow::Within;

use super::{Result, Traces};
use crate::TraceError;
use crate::model::Trace;
use crate::store;

impl Within for Traces {
    fn within(&self, workspace: &str) -> Self {
        Self { experiments: self.experiments.within(workspace), ..self.clone() }
    }
}

impl Traces {
    /// Those of the experiments that this handle sees.
    pub(super) async fn seen(&self, experiments: &[String]) -> Result<Vec<String>> {
        let mut seen = Vec::with_capacity(experiments.len());
        for experiment in experiments {
            if self.experiments.sees(experiment).await? {
                seen.push(experiment.clone());
            }
        }
        Ok(seen)
    }

    pub(super) async fn seen_traces(&self, traces: Vec<Trace>) -> Result<Vec<Trace>> {
        let mut judged: HashMap<String, bool> = HashMap::new();
        let mut seen = Vec::with_capacity(traces.len());
        for trace in traces {
            if self.judge(&mut judged, &trace.experiment_id).await? {
                seen.push(trace);
            }
        }
        Ok(seen)
    }

    /// Before a write: fails when one of the traces lies where this handle sees nothing. One that is not there yet passes.
    pub(super) async fn refuse_foreign(&self, trace_ids: &[String]) -> Result<()> {
        let mut judged: HashMap<String, bool> = HashMap::new();
        for (trace_id, experiment) in store::experiments_of(&self.db, trace_ids).await? {
            if !self.judge(&mut judged, &experiment).await? {
                return Err(TraceError::TraceNotFound { trace_id });
            }
        }
        Ok(())
    }

    async fn judge(&self, judged: &mut HashMap<String, bool>, experiment: &str) -> Result<bool> {
        if let Some(is_seen) = judged.get(experiment) {
            return Ok(*is_seen);
        }
        let is_seen = self.experiments.sees(experiment).await?;
        judged.insert(experiment.to_owned(), is_seen);
        Ok(is_seen)
    }
}
