//! Whether a candidate is to be promoted, rolled back, or watched longer.

mod plan;
mod verdict;

pub use plan::{Kind, Margins, Metric, Plan};
pub use verdict::{Evidence, Verdict};

use serde::{Deserialize, Serialize};

use crate::bernoulli::check_share;
use crate::histogram::check_latency;
use crate::{
    Arm, Claim, Disagreements, InputError, Interval, LatencyComparison, PairedShift, RateComparison,
};

/// One request that was answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Request<'a> {
    pub arm: Arm,
    /// The probability with which it went to the candidate, in (0, 1).
    pub share: f64,
    pub failed: bool,
    /// None for a request without one, such as a failed one that must not count as fast.
    pub latency_ms: Option<f64>,
    /// One for each metric of kind [`Kind::Rate`], in the plan's order.
    pub rates: &'a [bool],
}

/// The counts behind one metric. Latencies are kept once for all quantiles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Test {
    Rate(RateComparison),
    Latency,
    Shift(PairedShift),
    Disagreement(Disagreements),
}

/// One metric with its counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Watch {
    metric: Metric,
    /// Its part of the plan's alpha.
    alpha: f64,
    test: Test,
    /// A label was corrected since the last promotion.
    corrected: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Open,
    Promoted { after: u64 },
    Reopened { promoted_after: u64, watch: usize },
    RolledBack { watch: usize, promoted_after: Option<u64> },
}

/// Judges a rollout request by request, as often as one likes.
///
/// A metric rolls back when the e-value for "worse by more than its margin" reaches 1/α, α being its part of the plan's;
/// by Ville's inequality and the union bound, a candidate that is within all these margins is ever rolled back with
/// chance at most `alpha`, whenever and however often [`verdict`](Self::verdict) is asked. The candidate is promoted when
/// the e-values for "not worse by as much as the margin" of all metrics reach 1/`promote_alpha` at one look.
///
/// Labels may come in any order and late, provided that whether and when one comes does not depend on the arm. They go on
/// changing the counts after a promotion. It is reopened when the evidence of an accuracy metric falls below e = 1, or,
/// when a label was corrected since, below what promotion takes; a metric that says "worse" rolls back even then. What
/// each test assumes is said at [`RateComparison`], [`LatencyComparison`], [`PairedShift`] and [`Disagreements`].
///
/// The state, two histograms and some counts per metric, is what serde writes; a judge that is read back goes on with the
/// same bits. `observe` is O(metrics), a look some microseconds. Same observations, same verdicts.
///
/// ```
/// use kernel_sequential::{Arm, Judge, Kind, Margins, Metric, Plan, Request, Verdict};
///
/// let margins = Margins { roll_back: 0.0, promote: 0.01 };
/// let errors = Metric::new("errors", Kind::Errors { expected: 0.01 }, margins);
/// let mut judge = Judge::new(Plan::new(vec![errors]))?;
/// for number in 0..20_000 {
///     let arm = if number % 10 == 0 { Arm::Candidate } else { Arm::Champion };
///     let failed = match arm {
///         Arm::Candidate => number % 200 == 0, // one of twenty
///         Arm::Champion => number % 100 == 1,  // one of ninety
///     };
///     judge.observe(&Request { arm, share: 0.1, failed, latency_ms: None, rates: &[] })?;
/// }
/// let Verdict::RollBack { evidence, .. } = judge.verdict() else { panic!("not rolled back") };
/// assert!(evidence.log_e_worse > (1.0f64 / 0.05).ln());
/// # Ok::<(), kernel_sequential::InputError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judge {
    promote_alpha: f64,
    watches: Vec<Watch>,
    latencies: LatencyComparison,
    requests: u64,
    standing: Standing,
}

impl Judge {
    /// Fails for a plan without metrics, with a name twice, or with a number outside its range.
    pub fn new(plan: Plan) -> Result<Self, InputError> {
        plan.check()?;
        let mut watches = Vec::with_capacity(plan.metrics.len());
        for metric in &plan.metrics {
            let alpha = plan.alpha_of(metric);
            let test = match metric.kind {
                Kind::Errors { expected } | Kind::Rate { expected } | Kind::Accuracy { expected } => {
                    Test::Rate(RateComparison::new(expected)?)
                }
                Kind::Latency { .. } => Test::Latency,
                Kind::Shift { limit } => Test::Shift(PairedShift::bounded(limit, alpha)?),
                Kind::TailedShift { scale } => Test::Shift(PairedShift::tailed(scale)?),
                Kind::Disagreement => Test::Disagreement(Disagreements::default()),
            };
            watches.push(Watch { metric: metric.clone(), alpha, test, corrected: false });
        }
        Ok(Self {
            promote_alpha: plan.promote_alpha,
            watches,
            latencies: LatencyComparison::default(),
            requests: 0,
            standing: Standing::Open,
        })
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Counts a request. Nothing is counted when it is refused.
    pub fn observe(&mut self, request: &Request<'_>) -> Result<(), InputError> {
        check_share(request.share)?;
        request.latency_ms.map_or(Ok(()), check_latency)?;
        let expected = self.rates(|kind| matches!(kind, Kind::Rate { .. })).count();
        if request.rates.len() != expected {
            let found = request.rates.len();
            return Err(InputError::Count { what: "rates of a request", found, expected });
        }
        let Request { arm, share, failed, .. } = *request;
        // All of these have seen the same shares: if one has too many, the first one has.
        for errors in self.rates(|kind| matches!(kind, Kind::Errors { .. })) {
            errors.observe(arm, share, failed)?;
        }
        for (rate, hit) in self.rates(|kind| matches!(kind, Kind::Rate { .. })).zip(request.rates) {
            rate.observe(arm, share, *hit)?;
        }
        if let Some(latency_ms) = request.latency_ms {
            self.latencies.observe(arm, latency_ms)?;
        }
        self.requests += 1;
        Ok(())
    }

    /// Counts the label of an earlier request: the share is that of the request, `right` whether its answer was. At any
    /// time, in any order. Fails without a metric of accuracy.
    pub fn label(&mut self, arm: Arm, share: f64, right: bool) -> Result<(), InputError> {
        self.check_accuracy()?;
        for accuracy in self.rates(|kind| matches!(kind, Kind::Accuracy { .. })) {
            accuracy.observe(arm, share, !right)?;
        }
        Ok(())
    }

    /// Counts a label the other way: it said the opposite before, and now `right`. Fails when no such label was counted.
    pub fn correct_label(&mut self, arm: Arm, share: f64, right: bool) -> Result<(), InputError> {
        self.check_accuracy()?;
        for watch in &mut self.watches {
            if let (Kind::Accuracy { .. }, Test::Rate(accuracy)) = (watch.metric.kind, &mut watch.test) {
                accuracy.correct(arm, share, !right)?;
                watch.corrected = true;
            }
        }
        Ok(())
    }

    /// Counts both revisions' predictions for one row, for the metrics of shift.
    pub fn observe_pair(&mut self, champion: f64, candidate: f64) -> Result<(), InputError> {
        let difference = candidate - champion;
        let shifts = || self.watches.iter().filter_map(shift);
        if shifts().next().is_none() {
            return Err(InputError::NoMetric { what: "paired predictions" });
        }
        shifts().try_for_each(|known| known.check(difference))?;
        for watch in &mut self.watches {
            if let Test::Shift(shift) = &mut watch.test {
                shift.observe(difference)?;
            }
        }
        Ok(())
    }

    /// Counts whether both revisions gave a row the same class, for the metrics of disagreement.
    pub fn observe_classes(&mut self, agree: bool) -> Result<(), InputError> {
        let mut counted = false;
        for watch in &mut self.watches {
            if let Test::Disagreement(disagreements) = &mut watch.test {
                disagreements.observe(!agree);
                counted = true;
            }
        }
        if counted { Ok(()) } else { Err(InputError::NoMetric { what: "paired classes" }) }
    }

    fn rates(&mut self, which: impl Fn(&Kind) -> bool) -> impl Iterator<Item = &mut RateComparison> {
        self.watches.iter_mut().filter_map(move |watch| match &mut watch.test {
            Test::Rate(comparison) if which(&watch.metric.kind) => Some(comparison),
            _ => None,
        })
    }

    fn check_accuracy(&mut self) -> Result<(), InputError> {
        let found = self.rates(|kind| matches!(kind, Kind::Accuracy { .. })).next().is_some();
        if found { Ok(()) } else { Err(InputError::NoMetric { what: "accuracy" }) }
    }

    /// Looks, and remembers a promotion or roll-back. A roll-back is final: its evidence is looked at anew, its verdict
    /// stands.
    pub fn verdict(&mut self) -> Verdict {
        self.standing = self.advance();
        match self.standing {
            Standing::Open => Verdict::NotYet { about_requests: self.about_requests() },
            Standing::Promoted { .. } => Verdict::Promote,
            Standing::Reopened { promoted_after, watch } => Verdict::Reopened {
                promoted_after,
                evidence: self.evidence_of(&self.watches[watch]),
                about_requests: self.about_requests(),
            },
            Standing::RolledBack { watch, promoted_after } => {
                Verdict::RollBack { evidence: self.evidence_of(&self.watches[watch]), promoted_after }
            }
        }
    }

    /// How every metric stands, in the plan's order.
    pub fn evidence(&self) -> Vec<Evidence> {
        self.watches.iter().map(|watch| self.evidence_of(watch)).collect()
    }

    /// The transition function of a judgement.
    fn advance(&mut self) -> Standing {
        let promoted_after = match self.standing {
            Standing::RolledBack { .. } => return self.standing,
            Standing::Promoted { after } => Some(after),
            Standing::Reopened { promoted_after, .. } => Some(promoted_after),
            Standing::Open => None,
        };
        let worse = self.watches.iter().position(|watch| self.reaches(watch, Claim::Worse));
        if let Some(watch) = worse {
            return Standing::RolledBack { watch, promoted_after };
        }
        if let Standing::Promoted { after } = self.standing {
            let lost = self.watches.iter().position(|watch| self.has_lost(watch));
            return match lost {
                Some(watch) => Standing::Reopened { promoted_after: after, watch },
                None => self.standing,
            };
        }
        if self.watches.iter().all(|watch| self.is_enough(watch) && self.reaches(watch, Claim::NoWorse)) {
            self.watches.iter_mut().for_each(|watch| watch.corrected = false);
            return Standing::Promoted { after: self.requests };
        }
        self.standing
    }

    fn log_threshold(&self, watch: &Watch, claim: Claim) -> f64 {
        match claim {
            Claim::Worse => -watch.alpha.ln(),
            Claim::NoWorse => -self.promote_alpha.ln(),
        }
    }

    fn log_e(&self, watch: &Watch, claim: Claim) -> f64 {
        let margin = margin(watch, claim);
        match &watch.test {
            Test::Rate(comparison) => comparison.log_e(claim, margin),
            Test::Latency => self.latencies.log_e(claim, quantile(watch), margin),
            Test::Shift(shift) => shift.log_e(claim, margin),
            Test::Disagreement(disagreements) => disagreements.log_e(claim, margin),
        }
    }

    fn reaches(&self, watch: &Watch, claim: Claim) -> bool {
        let threshold = self.log_threshold(watch, claim);
        match &watch.test {
            // Seldom needs the whole histogram.
            Test::Latency => self.latencies.reaches(claim, quantile(watch), margin(watch, claim), threshold),
            _ => self.log_e(watch, claim) >= threshold,
        }
    }

    /// Whether labels have taken away what a promotion rested on.
    fn has_lost(&self, watch: &Watch) -> bool {
        let least = if watch.corrected { self.log_threshold(watch, Claim::NoWorse) } else { 0.0 };
        matches!(watch.metric.kind, Kind::Accuracy { .. }) && self.log_e(watch, Claim::NoWorse) < least
    }

    fn is_enough(&self, watch: &Watch) -> bool {
        self.candidates(watch) >= watch.metric.minimum
    }

    /// Observations of the candidate, or pairs.
    fn candidates(&self, watch: &Watch) -> u64 {
        match &watch.test {
            Test::Rate(comparison) => comparison.tally(Arm::Candidate).requests,
            Test::Latency => self.latencies.latencies(Arm::Candidate).count(),
            Test::Shift(shift) => shift.count(),
            Test::Disagreement(disagreements) => disagreements.count(),
        }
    }

    /// Observations of both arms, or pairs.
    fn observations(&self, watch: &Watch) -> u64 {
        match &watch.test {
            Test::Rate(comparison) => comparison.requests(),
            Test::Latency => self.latencies.requests(),
            Test::Shift(_) | Test::Disagreement(_) => self.candidates(watch),
        }
    }

    /// To the nearer of both ends: all metrics speaking for the candidate, or one against it.
    fn about_requests(&self) -> Option<u64> {
        let watches = || self.watches.iter();
        let promote = watches().try_fold(0.0f64, |most, watch| {
            let more = self.about_more(watch, Claim::NoWorse)?;
            Some(most.max(more))
        });
        let roll_back =
            watches().filter_map(|watch| self.about_more(watch, Claim::Worse)).min_by(f64::total_cmp);
        let nearest = match (promote, roll_back) {
            (Some(promote), Some(roll_back)) => promote.min(roll_back),
            (promote, roll_back) => promote.or(roll_back)?,
        };
        Some(nearest.ceil() as u64)
    }

    /// In requests, of which this metric goes on getting the share of observations that it got.
    fn about_more(&self, watch: &Watch, claim: Claim) -> Option<f64> {
        let (margin, threshold) = (margin(watch, claim), self.log_threshold(watch, claim));
        let evidence = match &watch.test {
            Test::Rate(comparison) => comparison.about_more(claim, margin, threshold),
            Test::Latency => self.latencies.about_more(claim, quantile(watch), margin, threshold),
            Test::Shift(shift) => shift.about_more(claim, margin, threshold),
            Test::Disagreement(disagreements) => disagreements.about_more(claim, margin, threshold),
        }?;
        let (candidates, observations) = (self.candidates(watch), self.observations(watch));
        let more = match claim {
            Claim::NoWorse if candidates < watch.metric.minimum => {
                let missing = watch.metric.minimum - candidates;
                evidence.max(missing as f64 * observations as f64 / candidates as f64)
            }
            _ => evidence,
        };
        let requests = if self.requests == 0 { observations } else { self.requests };
        let about = more * requests as f64 / observations as f64;
        about.is_finite().then_some(about)
    }

    fn evidence_of(&self, watch: &Watch) -> Evidence {
        let (alpha, promote_alpha) = (watch.alpha, self.promote_alpha);
        let (estimate, interval): (f64, Interval) = match &watch.test {
            Test::Rate(comparison) => (comparison.difference(), comparison.interval(alpha, promote_alpha)),
            Test::Latency => {
                let quantile = quantile(watch);
                let interval = self.latencies.interval(quantile, alpha, promote_alpha);
                (self.latencies.ratio(quantile), interval)
            }
            Test::Shift(shift) => (shift.mean(), shift.interval(alpha, promote_alpha)),
            Test::Disagreement(disagreements) => {
                (disagreements.rate(), disagreements.interval(alpha, promote_alpha))
            }
        };
        Evidence {
            metric: watch.metric.name.clone(),
            observations: self.candidates(watch),
            estimate,
            interval,
            log_e_worse: self.log_e(watch, Claim::Worse),
            log_e_no_worse: self.log_e(watch, Claim::NoWorse),
            alpha,
        }
    }
}

fn shift(watch: &Watch) -> Option<&PairedShift> {
    match &watch.test {
        Test::Shift(shift) => Some(shift),
        _ => None,
    }
}

fn margin(watch: &Watch, claim: Claim) -> f64 {
    match claim {
        Claim::Worse => watch.metric.margins.roll_back,
        Claim::NoWorse => watch.metric.margins.promote,
    }
}

/// Of a metric of latency.
fn quantile(watch: &Watch) -> f64 {
    match watch.metric.kind {
        Kind::Latency { quantile } => quantile,
        _ => f64::NAN,
    }
}
