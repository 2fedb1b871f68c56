//! Latency quantiles of two revisions.
//!
//! That the candidate's q-quantile is at most r times the champion's means: at the time t of the champion's quantile, the
//! champion takes t or longer with chance at least 1 − q, and the candidate takes longer than r·t with chance at most 1 − q.
//! For each t there is an e-process against these two, the product of one per stream; t is not known, so the evidence is
//! that of the t that speaks against the claim the most. The other direction is the same with the streams exchanged.
//!
//! This is the device of Howard & Ramdas, "Sequential estimation of quantiles with applications to A/B testing and
//! best-arm identification" (Bernoulli 2022): a fixed quantile needs no bound over the whole distribution,
//! only a sequential test of a rate, here that of `proportion.rs`. t runs over the bounds of a histogram; within a bucket
//! both counts are replaced by those at the end that gives less evidence, so that the histogram costs power (as if r were up
//! to two buckets, 4 %, further away) and never validity.

use serde::{Deserialize, Serialize};

use crate::histogram::{OVERFLOW, bounds_between, ratio_of_bounds};
use crate::mixture::{Prospect, until};
use crate::proportion::{RateBets, Side};
use crate::{Arm, Claim, InputError, Interval, LatencyHistogram};

/// Rounding in the logarithm of a ratio that is a whole number of buckets.
const ROUNDING: f64 = 1e-9;
/// Times that are looked at to say how many more requests it takes.
const PLACES: i64 = 8;

/// Anytime-valid comparison of latency quantiles of two streams; see the module for method and source.
///
/// Valid for [`Claim::Worse`] against "there is a t such that at every request, given all before it, the champion takes t
/// or longer with chance ≥ 1 − q and the candidate longer than r·t with chance ≤ 1 − q", and [`Claim::NoWorse`] against
/// the converse. Shares do not enter. Latencies that move with the hours for both are compared as the streams met them:
/// when the share moves with the hours too, and both a lot, the streams met different hours, and this test does not know it.
///
/// State: two histograms. `observe` is O(1), a look O(1,048).
///
/// ```
/// use kernel_sequential::{Arm, Claim, LatencyComparison};
///
/// let mut latencies = LatencyComparison::default();
/// for request in 0..4_000 {
///     let champion_ms = 20.0 + f64::from(request % 100);
///     latencies.observe(Arm::Champion, champion_ms)?;
///     latencies.observe(Arm::Candidate, 1.5 * champion_ms)?;
/// }
/// assert!((latencies.ratio(0.5) - 1.5).abs() < 0.03);
/// assert!(latencies.log_e(Claim::Worse, 0.5, 1.0) > (1.0f64 / 0.05).ln());
/// assert!(latencies.log_e(Claim::NoWorse, 0.5, 2.0) > (1.0f64 / 0.05).ln());
/// # Ok::<(), kernel_sequential::InputError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyComparison {
    champion: LatencyHistogram,
    candidate: LatencyHistogram,
}

impl LatencyComparison {
    /// Adds a finite latency of at least 0 ms.
    pub fn observe(&mut self, arm: Arm, latency_ms: f64) -> Result<(), InputError> {
        match arm {
            Arm::Champion => self.champion.add(latency_ms),
            Arm::Candidate => self.candidate.add(latency_ms),
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.champion.merge(&other.champion);
        self.candidate.merge(&other.candidate);
    }

    pub fn latencies(&self, arm: Arm) -> &LatencyHistogram {
        match arm {
            Arm::Champion => &self.champion,
            Arm::Candidate => &self.candidate,
        }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.champion.count() + self.candidate.count()
    }

    /// Candidate's quantile over the champion's, within 2 %; NaN while a stream is empty.
    pub fn ratio(&self, quantile: f64) -> f64 {
        self.candidate.quantile(quantile) / self.champion.quantile(quantile)
    }

    /// ln of the e-value for a claim about a quantile in (0, 1), `ratio` > 0 being the margin; 0 before the first request.
    /// Evidence for [`Claim::Worse`] falls with the ratio, for [`Claim::NoWorse`] it rises.
    pub fn log_e(&self, claim: Claim, quantile: f64, ratio: f64) -> f64 {
        self.contest(claim, quantile, buckets(claim, ratio)).least(f64::NEG_INFINITY)
    }

    /// Whether ln e is at least `log_threshold`; most often O(1,048) additions where [`log_e`](Self::log_e) takes as
    /// many exponentials, because the time that speaks against the claim is near the quantiles.
    pub fn reaches(&self, claim: Claim, quantile: f64, ratio: f64, log_threshold: f64) -> bool {
        let contest = self.contest(claim, quantile, buckets(claim, ratio));
        contest.weakest(2).log_e >= log_threshold && contest.least(log_threshold) >= log_threshold
    }

    /// A confidence sequence for the ratio of the quantiles, as [`RateComparison::interval`](crate::RateComparison::interval).
    /// From 0 to infinity while nothing is excluded. Ends are 2 % apart.
    pub fn interval(&self, quantile: f64, alpha_lower: f64, alpha_upper: f64) -> Interval {
        let most = |claim, alpha: f64| {
            let holds = |buckets| self.contest(claim, quantile, buckets).least(-alpha.ln()) >= -alpha.ln();
            most_buckets(holds)
        };
        Interval {
            lower: most(Claim::Worse, alpha_lower).map_or(0.0, ratio_of_bounds),
            upper: most(Claim::NoWorse, alpha_upper)
                .map_or(f64::INFINITY, |buckets| ratio_of_bounds(-buckets)),
        }
    }

    /// About how many more requests of both arms until ln e reaches `log_threshold`, if latencies and shares stay as they
    /// are; none when the claim does not gain. Looks at the times near the quantiles only.
    pub fn about_more(&self, claim: Claim, quantile: f64, ratio: f64, log_threshold: f64) -> Option<f64> {
        let contest = self.contest(claim, quantile, buckets(claim, ratio));
        let guess = contest.weakest(PLACES);
        let all = self.requests() as f64;
        let growth = contest.lead.count() as f64 / all * contest.below.growth(guess.lead_rate)
            + contest.other.count() as f64 / all * contest.above.growth(guess.other_rate);
        let prospect = Prospect { weight: 1.0, log_wealth: guess.log_e, growth };
        until(log_threshold, &[prospect])
    }

    fn contest(&self, claim: Claim, quantile: f64, shift: i64) -> Contest<'_> {
        let (lead, other) = match claim {
            Claim::Worse => (&self.champion, &self.candidate),
            Claim::NoWorse => (&self.candidate, &self.champion),
        };
        let below = RateBets::new(1.0 - quantile, Side::Below);
        let above = RateBets::new(1.0 - quantile, Side::Above);
        Contest { lead, other, quantile, shift, below, above }
    }
}

/// Whole buckets by which the other stream's bound has to lie above the lead's.
fn buckets(claim: Claim, ratio: f64) -> i64 {
    let between = bounds_between(ratio);
    match claim {
        Claim::Worse => (between - ROUNDING).ceil() as i64,
        Claim::NoWorse => (-between - ROUNDING).ceil() as i64,
    }
}

/// The most buckets for which a claim holds that holds for all fewer.
fn most_buckets(holds: impl Fn(i64) -> bool) -> Option<i64> {
    let (mut low, mut high) = (-(OVERFLOW as i64), OVERFLOW as i64);
    if !holds(low) {
        return None;
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(low)
}

/// Evidence that the lead's quantile is low while the other's, `shift` buckets further up, is high.
struct Contest<'a> {
    lead: &'a LatencyHistogram,
    other: &'a LatencyHistogram,
    quantile: f64,
    shift: i64,
    below: RateBets,
    above: RateBets,
}

/// The evidence at one time, and the shares of the streams that take longer.
struct Guess {
    log_e: f64,
    lead_rate: f64,
    other_rate: f64,
}

impl Contest<'_> {
    /// For the time t in a bucket: values of the lead from t on are at most those above the bucket before, values of the
    /// other above r·t at least those above the first bound at or above r times this bucket's.
    fn at(&self, bucket: i64) -> Guess {
        let slow_leads = self.lead.above(bucket.saturating_sub(1));
        let slow_others = self.other.above(self.bound_of_others(bucket));
        let smoothed = |slow: u64, all: u64| (slow as f64 + 0.5) / (all as f64 + 1.0);
        Guess {
            log_e: self.log_e(slow_leads, slow_others),
            lead_rate: smoothed(slow_leads, self.lead.count()),
            other_rate: smoothed(slow_others, self.other.count()),
        }
    }

    /// The first bound that is at or above r times all of a bucket: of what is in the lowest bucket or the highest nothing
    /// more is known.
    fn bound_of_others(&self, bucket: i64) -> i64 {
        let highest = OVERFLOW as i64;
        if bucket >= highest { highest } else { bucket.saturating_add(self.shift).max(0) }
    }

    fn log_e(&self, slow_leads: u64, slow_others: u64) -> f64 {
        self.below.log_e(slow_leads, self.lead.count()) + self.above.log_e(slow_others, self.other.count())
    }

    /// The weakest evidence at some places from one quantile to the other, both included; the weakest of all is near them.
    fn weakest(&self, places: i64) -> Guess {
        let at_lead = self.lead.bucket_of(self.quantile) as i64;
        let at_other = (self.other.bucket_of(self.quantile) as i64).saturating_sub(self.shift);
        let (first, last) = (at_lead.min(at_other), at_lead.max(at_other));
        let step = (last.saturating_sub(first) / (places - 1)).max(1);
        let mut weakest = self.at(last);
        for place in 0..places {
            let bucket = first.saturating_add(place.saturating_mul(step));
            if bucket >= last {
                break;
            }
            let guess = self.at(bucket);
            if guess.log_e < weakest.log_e {
                weakest = guess;
            }
        }
        weakest
    }

    /// The least evidence over all times, or any that is below `enough`.
    fn least(&self, enough: f64) -> f64 {
        let (leads, others) = (self.lead.all_above(), self.other.all_above());
        let above = |counts: &[u64], all: u64, bucket: i64| match usize::try_from(bucket) {
            Ok(bucket) => counts.get(bucket).copied().unwrap_or(0),
            Err(_) => all,
        };
        let (mut least, mut last) = (f64::INFINITY, None);
        for bucket in 0..=OVERFLOW as i64 {
            let slow_leads = above(&leads, self.lead.count(), bucket - 1);
            let slow_others = above(&others, self.other.count(), self.bound_of_others(bucket));
            if last != Some((slow_leads, slow_others)) {
                last = Some((slow_leads, slow_others));
                least = least.min(self.log_e(slow_leads, slow_others));
            }
            if least < enough {
                break;
            }
        }
        least
    }
}
