//! A loaded revision: the trees and what they take.

use std::sync::Arc;

use kernel_trees::Ensemble;

use crate::model::Signature;

#[derive(Debug)]
pub struct Runtime {
    pub revision: i64,
    pub(crate) platform: &'static str,
    pub signature: Signature,
    pub(crate) ensemble: Arc<Ensemble>,
}

impl Runtime {
    pub fn ensemble(&self) -> &Arc<Ensemble> {
        &self.ensemble
    }

    /// The first output of one row. Rows are in signature order.
    pub fn predict(&self, row: &[f64]) -> f64 {
        if self.ensemble.outputs() == 1 {
            let mut one = [0.0];
            self.ensemble.predict(row, &mut one);
            return one[0];
        }
        let mut all = vec![0.0; self.ensemble.outputs()];
        self.ensemble.predict(row, &mut all);
        all[0]
    }

    pub(crate) fn outputs(&self) -> usize {
        self.ensemble.outputs()
    }
}
