//! What a rollout is judged by.

use serde::{Deserialize, Serialize};

use crate::InputError;

/// Where the two claims begin, in the unit of the metric: the candidate goes back when it is surely worse by more than
/// `roll_back`, and on when it is surely not worse by as much as `promote`. Between them lies what is worse and bearable.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Margins {
    pub roll_back: f64,
    /// At least `roll_back`. To promote an equal candidate it has to be above what "equal" is: 0 for differences, 1 for
    /// ratios.
    pub promote: f64,
}

/// What is counted. `expected` is about what the champion's rate is, see [`RateComparison::new`](crate::RateComparison::new).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    /// Requests that failed. Margins are differences of rates.
    Errors { expected: f64 },
    /// Another rate of which more is worse; a request brings one answer for each of these, in the plan's order.
    Rate { expected: f64 },
    /// Wrong answers, by labels that come late. Margins are differences of rates: 0.02 is two points of accuracy.
    Accuracy { expected: f64 },
    /// A quantile in (0, 1) of the latency. Margins are ratios, candidate over champion.
    Latency { quantile: f64 },
    /// Mean difference of paired predictions that are never further apart than `limit`. Margins are distances from 0, in
    /// the unit of the prediction.
    Shift { limit: f64 },
    /// The same for predictions without a limit whose tails have this scale; see [`PairedShift`](crate::PairedShift).
    TailedShift { scale: f64 },
    /// Share of paired predictions of different classes. Margins are rates.
    Disagreement,
}

/// One metric of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    pub name: String,
    pub kind: Kind,
    pub margins: Margins,
    /// Its part of `alpha`, relative to the other metrics' weights; above 0.
    pub weight: f64,
    /// Observations of the candidate (pairs, for paired metrics) before it can be promoted. Rolling back waits for none.
    pub minimum: u64,
}

impl Metric {
    /// Weight 1, no minimum.
    pub fn new(name: &str, kind: Kind, margins: Margins) -> Self {
        Self { name: name.to_owned(), kind, margins, weight: 1.0, minimum: 0 }
    }

    fn check(&self) -> Result<(), InputError> {
        let require = |holds: bool, what: &'static str, found: f64, rule: &'static str| {
            if holds {
                Ok(())
            } else {
                Err(InputError::Metric { metric: self.name.clone(), what, found, rule })
            }
        };
        let (least, most, rule) = match self.kind {
            Kind::Errors { expected } | Kind::Rate { expected } | Kind::Accuracy { expected } => {
                let holds = (0.0..=1.0).contains(&expected);
                require(holds, "the expected rate", expected, "between 0 and 1")?;
                (-1.0, 1.0, "between -1 and 1")
            }
            Kind::Latency { quantile } => {
                let holds = quantile > 0.0 && quantile < 1.0;
                require(holds, "the quantile", quantile, "above 0 and below 1")?;
                (1e-6, 1e6, "between 1e-6 and 1e6")
            }
            Kind::Shift { limit } => {
                require(limit.is_finite() && limit > 0.0, "the limit", limit, "finite and above 0")?;
                (0.0, f64::MAX, "finite and at least 0")
            }
            Kind::TailedShift { scale } => {
                require(scale.is_finite() && scale > 0.0, "the scale", scale, "finite and above 0")?;
                (0.0, f64::MAX, "finite and at least 0")
            }
            Kind::Disagreement => (0.0, 1.0, "between 0 and 1"),
        };
        let Margins { roll_back, promote } = self.margins;
        for (what, margin) in [("the margin of roll-back", roll_back), ("the margin of promotion", promote)] {
            require((least..=most).contains(&margin), what, margin, rule)?;
        }
        let rule = "at least the margin of roll-back";
        require(promote >= roll_back, "the margin of promotion", promote, rule)?;
        require(self.weight.is_finite() && self.weight > 0.0, "the weight", self.weight, "finite and above 0")
    }
}

/// The metrics, and how often the judge may be wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Chance, over all looks and metrics, of rolling back a candidate that no metric's margin of roll-back is against. The
    /// metrics share it by weight (union bound).
    pub alpha: f64,
    /// Chance, over all looks, of promoting a candidate that some metric's margin of promotion is against. It is not
    /// shared: every metric has to speak for the candidate, and one that lies does so with this chance at most (Berger
    /// 1982).
    pub promote_alpha: f64,
    /// In order of importance for a verdict that several metrics bring about at one look.
    pub metrics: Vec<Metric>,
}

impl Plan {
    /// Both chances 5 %.
    pub fn new(metrics: Vec<Metric>) -> Self {
        Self { alpha: 0.05, promote_alpha: 0.05, metrics }
    }

    pub(super) fn check(&self) -> Result<(), InputError> {
        for (what, alpha) in [("alpha", self.alpha), ("promote_alpha", self.promote_alpha)] {
            crate::error::require(alpha > 0.0 && alpha < 1.0, what, alpha, "above 0 and below 1")?;
        }
        if self.metrics.is_empty() {
            return Err(InputError::Count { what: "metrics", found: 0, expected: 1 });
        }
        for (place, metric) in self.metrics.iter().enumerate() {
            metric.check()?;
            if self.metrics.iter().take(place).any(|other| other.name == metric.name) {
                return Err(InputError::NameTwice { name: metric.name.clone() });
            }
        }
        Ok(())
    }

    /// The metric's part of `alpha`.
    pub(super) fn alpha_of(&self, metric: &Metric) -> f64 {
        let weights: f64 = self.metrics.iter().map(|metric| metric.weight).sum();
        self.alpha * metric.weight / weights
    }
}
