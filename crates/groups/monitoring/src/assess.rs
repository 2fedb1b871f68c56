//! From the joined stream to a statement about the live model.

use kernel_sequential::{ConfidenceSequence, Moments};

use crate::model::Assessment;
use crate::outcomes::Outcomes;

/// The champion's accuracy over the window: the configured span, or further back until it holds enough rows.
pub(crate) fn assess(outcomes: &Outcomes, champion: i64, baseline_mae: f64) -> Assessment {
    let spec = outcomes.spec();
    let cost = spec.cost();
    let from = outcomes.now.plus_millis(-spec.watch.window.as_millis());
    let mut absolute = Moments::default();
    let mut signed = Moments::default();
    let mut costs = Moments::default();
    for outcome in outcomes.of_champion(champion) {
        if outcome.observed < from && absolute.count() >= spec.watch.min_rows {
            break;
        }
        let error = outcome.row.champion_prediction - outcome.label;
        absolute.add(error.abs());
        signed.add(error);
        costs.add(cost.of(outcome.row.champion_prediction, outcome.label));
    }
    let sequence = ConfidenceSequence::new(spec.alpha, spec.watch.min_rows.max(1));
    Assessment {
        at: outcomes.now,
        champion,
        rows: absolute.count(),
        coverage: outcomes.coverage(from),
        mae: absolute.mean(),
        bias: signed.mean(),
        cost: costs.mean(),
        mae_lower: sequence.mean(&absolute).lower,
        baseline_mae,
        ratio: absolute.mean() / baseline_mae,
        change: outcomes.change(champion),
    }
}
