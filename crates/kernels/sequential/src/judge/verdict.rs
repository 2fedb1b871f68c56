//! What a judge says.

use serde::Serialize;

use crate::Interval;

/// How one metric stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    pub metric: String,
    /// Of the candidate; pairs, for paired metrics.
    pub observations: u64,
    /// In the unit of the margins: difference of rates, ratio of latencies, mean difference, rate. NaN before the first.
    pub estimate: f64,
    /// What is not excluded: too high with chance `alpha` at most, too low with the plan's `promote_alpha`, at all looks
    /// together. Ends may be infinite.
    pub interval: Interval,
    /// ln of the e-value for "worse by more than the margin of roll-back".
    pub log_e_worse: f64,
    /// ln of the e-value for "not worse by as much as the margin of promotion".
    pub log_e_no_worse: f64,
    /// The part of the plan's `alpha` that this metric spends; it rolls back when e reaches 1/alpha.
    pub alpha: f64,
}

/// The end of a look.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every metric says that the candidate is not worse by as much as its margin.
    Promote,
    /// The metric of the evidence says that the candidate is worse. Final.
    RollBack {
        evidence: Evidence,
        /// The number of requests at which this judge had promoted it, if it had.
        promoted_after: Option<u64>,
    },
    /// About how many more requests (pairs, when none but paired metrics are watched) until one of both, if all stays as it
    /// is; none when no end is in sight.
    NotYet { about_requests: Option<u64> },
    /// The candidate was promoted, and labels that came or were corrected since have taken this metric's evidence away.
    Reopened { promoted_after: u64, evidence: Evidence, about_requests: Option<u64> },
}
