//! Changes on trial, and the model's word on them.

use super::Target;
use super::action::Lever;
use crate::model::Meter;
use crate::{Model, Scored};

/// Changes of some columns and the output that they bring.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draft {
    /// Lever and value.
    pub changes: Vec<(usize, f64)>,
    pub output: f64,
}

impl Draft {
    pub fn write(&self, levers: &[Lever], row: &mut [f64]) {
        self.changes.iter().for_each(|(lever, value)| row[levers[*lever].column] = *value);
    }

    pub fn cost(&self, levers: &[Lever]) -> f64 {
        self.changes.iter().map(|(lever, value)| levers[*lever].cost(*value)).sum()
    }

    /// The levers it pulls, ascending.
    pub fn pulled(&self) -> Vec<usize> {
        let mut pulled: Vec<usize> = self.changes.iter().map(|(lever, _)| *lever).collect();
        pulled.sort_unstable();
        pulled
    }
}

/// Asks the model within the budget.
pub(super) struct Asker<'a, M: Model> {
    pub meter: Meter<'a, M>,
    pub row: &'a [f64],
    pub levers: &'a [Lever],
    pub target: Target,
    pub budget: u64,
    /// Whether something was not asked for want of budget.
    pub was_short: bool,
}

impl<M: Model> Asker<'_, M> {
    pub fn left(&self) -> usize {
        usize::try_from(self.budget.saturating_sub(self.meter.effort().rows)).unwrap_or(usize::MAX)
    }

    /// Sets the outputs of the first `most` drafts, or as many as the budget allows, and drops the others.
    pub fn ask(&mut self, drafts: &mut Vec<Draft>, most: usize) -> Scored<(), M> {
        let affordable = most.min(self.left());
        if drafts.len() > affordable {
            self.was_short = true;
            drafts.truncate(affordable);
        }
        let (row, levers) = (self.row, self.levers);
        let outputs = self.meter.score(drafts.len(), |number, changed| {
            changed.copy_from_slice(row);
            drafts[number].write(levers, changed);
        })?;
        drafts.iter_mut().zip(outputs).for_each(|(draft, output)| draft.output = output);
        Ok(())
    }

    pub fn is_met(&self, draft: &Draft) -> bool {
        self.target.gap(draft.output) == 0.0
    }
}
