//! What a handle sees. A trace lies where its experiment does; outside of the handle's workspace it is as if it were not there.

use std::collections::HashMap;

use platform_db::Tx;
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

/// Which experiments a handle sees, as far as one write asks: looked up before it and heeded inside of its transaction, so
/// that no trace is changed that came between the two.
pub(super) struct Judged(HashMap<String, bool>);

impl Judged {
    /// For a write to this experiment, which the handle sees.
    pub fn and(mut self, experiment: &str) -> Self {
        self.0.insert(experiment.to_owned(), true);
        self
    }

    fn sees(&self, trace_id: &str, experiment: &str) -> Result<bool> {
        let unknown = || TraceError::JustBegun { trace_id: trace_id.to_owned() };
        self.0.get(experiment).copied().ok_or_else(unknown)
    }

    /// Whether the trace is there and the handle does not see it.
    pub fn is_foreign(&self, tx: &mut Tx<'_>, trace_id: &str) -> Result<bool> {
        match store::experiment_of(tx, trace_id)? {
            Some(experiment) => Ok(!self.sees(trace_id, &experiment)?),
            None => Ok(false),
        }
    }

    /// The row of a trace that the handle sees, locked until the commit; any other one is not found.
    pub fn lock(&self, tx: &mut Tx<'_>, trace_id: &str) -> Result<Trace> {
        let trace = store::lock_trace(tx, trace_id)?;
        match self.sees(trace_id, &trace.experiment_id)? {
            true => Ok(trace),
            false => Err(TraceError::TraceNotFound { trace_id: trace_id.to_owned() }),
        }
    }
}

impl Traces {
    /// Before a write: the experiments of those of the traces that are there.
    pub(super) async fn judged(&self, trace_ids: &[String]) -> Result<Judged> {
        let mut judged = HashMap::new();
        for (_, experiment) in store::experiments_of(&self.db, trace_ids).await? {
            self.judge(&mut judged, &experiment).await?;
        }
        Ok(Judged(judged))
    }

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

    /// Fails when the trace lies where this handle sees nothing. One that is not there passes.
    pub(super) async fn refuse_foreign(&self, trace_id: &str) -> Result<()> {
        for (_, experiment) in store::experiments_of(&self.db, &[trace_id.to_owned()]).await? {
            if !self.experiments.sees(&experiment).await? {
                return Err(TraceError::TraceNotFound { trace_id: trace_id.to_owned() });
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
