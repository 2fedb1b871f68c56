//! What the champion was trained on, and how far the present is from it.

use std::collections::BTreeMap;

use kernel_drift::{
    QuantileBins, calibrate_categorical, calibrate_numeric, chi_square, jensen_shannon, kolmogorov_smirnov,
    population_stability, sorted, wasserstein_normed,
};
use platform_loopfile::{DriftWatch, Feature, FeatureKind};
use platform_primitives::Timestamp;
use platform_tables::{Table, TableError};

use crate::model::DriftScore;

/// Name under which the predictions themselves are watched.
pub(crate) const PREDICTION: &str = "prediction";

const BINS: usize = 10;
const DRAWS: usize = 100;
const SEED: u64 = 20_190_201;
/// Calibration draws from at most this many reference rows, evenly spaced in rank.
const CALIBRATION_ROWS: usize = 5_000;
/// Window sizes within this factor share a calibrated threshold.
const SIZE_STEP: f64 = 1.3;

struct ColumnBaseline {
    name: String,
    missing: f64,
    kind: Kind,
    /// Calibrated threshold by size class.
    thresholds: BTreeMap<i32, f64>,
}

enum Kind {
    Number {
        sorted: Vec<f64>,
        bins: QuantileBins,
    },
    /// Counts by level; the level is the bits of its number.
    Category {
        levels: BTreeMap<u64, u64>,
    },
}

pub(crate) struct Baseline {
    columns: Vec<ColumnBaseline>,
    pub mae: f64,
}

impl Baseline {
    /// From the training set and a sample of the champion's predictions.
    pub(crate) fn new(
        features: &[Feature],
        training: &Table,
        predictions: &Table,
        mae: f64,
    ) -> Result<Self, TableError> {
        let mut columns = Vec::new();
        for feature in features {
            columns.push(ColumnBaseline::new(&feature.name, feature.kind, &training.reals(&feature.name)?));
        }
        columns.push(ColumnBaseline::new(PREDICTION, FeatureKind::Number, &predictions.reals(PREDICTION)?));
        Ok(Self { columns, mae })
    }

    /// Scores of every column of the window; `window` has one list per feature and the predictions last.
    pub(crate) fn scores(
        &mut self,
        at: Timestamp,
        watch: &DriftWatch,
        window: &[Vec<f64>],
    ) -> Vec<DriftScore> {
        self.columns.iter_mut().zip(window).map(|(column, values)| column.score(at, watch, values)).collect()
    }
}

impl ColumnBaseline {
    fn new(name: &str, kind: FeatureKind, values: &[f64]) -> Self {
        let present = sorted(values.iter().copied());
        let missing = 1.0 - present.len() as f64 / values.len().max(1) as f64;
        let kind = match kind {
            FeatureKind::Number => Kind::Number { bins: QuantileBins::new(&present, BINS), sorted: present },
            FeatureKind::Category => Kind::Category { levels: count_levels(&present) },
        };
        Self { name: name.to_owned(), missing, kind, thresholds: BTreeMap::new() }
    }

    fn score(&mut self, at: Timestamp, watch: &DriftWatch, values: &[f64]) -> DriftScore {
        let present = sorted(values.iter().copied());
        let missing = 1.0 - present.len() as f64 / values.len().max(1) as f64;
        let (method, score, psi, p_value) = match &self.kind {
            Kind::Number { sorted, bins } => (
                "normed_wasserstein",
                wasserstein_normed(sorted, &present),
                bins.population_stability(sorted, &present),
                Some(kolmogorov_smirnov(sorted, &present).1),
            ),
            Kind::Category { levels } => {
                let (reference, current) = aligned(levels, &count_levels(&present));
                (
                    "jensen_shannon",
                    jensen_shannon(&reference, &current),
                    population_stability(&reference, &current),
                    chi_square(&reference, &current).map(|test| test.p_value),
                )
            }
        };
        DriftScore {
            at,
            column: self.name.clone(),
            method: method.to_owned(),
            score,
            threshold: self.threshold(watch, present.len()).max(watch.threshold),
            psi,
            p_value: p_value.filter(|p| p.is_finite()),
            missing,
            missing_baseline: self.missing,
            rows: values.len() as u64,
        }
    }

    /// The score that a window of this size exceeds at the stated rate when nothing drifted.
    fn threshold(&mut self, watch: &DriftWatch, size: usize) -> f64 {
        if size == 0 {
            return f64::INFINITY;
        }
        // Rounded down: a smaller window has the larger threshold, so the rate is kept.
        let class = ((size as f64).ln() / SIZE_STEP.ln()).floor() as i32;
        let class_size = (SIZE_STEP.powi(class).round() as usize).max(1);
        let kind = &self.kind;
        *self.thresholds.entry(class).or_insert_with(|| match kind {
            Kind::Number { sorted, .. } => {
                let step = sorted.len().div_ceil(CALIBRATION_ROWS).max(1);
                let thinned: Vec<f64> = sorted.iter().copied().step_by(step).collect();
                calibrate_numeric(&thinned, class_size, DRAWS, watch.false_alarm_rate, SEED)
            }
            Kind::Category { levels } => {
                let counts: Vec<u64> = levels.values().copied().collect();
                calibrate_categorical(&counts, class_size, DRAWS, watch.false_alarm_rate, SEED)
            }
        })
    }
}

fn count_levels(values: &[f64]) -> BTreeMap<u64, u64> {
    let mut levels = BTreeMap::new();
    for value in values {
        *levels.entry(value.to_bits()).or_default() += 1;
    }
    levels
}

/// Both counts over the union of levels.
fn aligned(reference: &BTreeMap<u64, u64>, current: &BTreeMap<u64, u64>) -> (Vec<u64>, Vec<u64>) {
    let union: std::collections::BTreeSet<u64> = reference.keys().chain(current.keys()).copied().collect();
    let counts =
        |side: &BTreeMap<u64, u64>| union.iter().map(|l| side.get(l).copied().unwrap_or(0)).collect();
    (counts(reference), counts(current))
}
