//! Which workspace an experiment lies in, for every request that names a run.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Filled on demand and only with what was committed. Experiments stay where they were made, so what is here stays true.
#[derive(Default)]
pub(crate) struct Homes(RwLock<HashMap<i64, Arc<str>>>);

impl Homes {
    /// Whether the experiment lies in the workspace; `None` when that has to be read first.
    pub fn is_in(&self, experiment: i64, workspace: &str) -> Option<bool> {
        // Nothing that can panic runs under the lock.
        let homes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        homes.get(&experiment).map(|home| **home == *workspace)
    }

    /// Whether it was read before.
    pub fn has(&self, experiment: i64) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(&experiment)
    }

    pub fn put(&self, experiment: i64, workspace: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(experiment, workspace.into());
    }
}
