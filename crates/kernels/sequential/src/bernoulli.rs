//! Failures of two revisions that share the traffic.
//!
//! Each request goes to the candidate with a known share π, whatever its outcome will be. With A the arm, Y = 1 a failure
//! and c any constant,
//!
//! g = (Y − c)·(1\[A = candidate\]/π − 1\[A = champion\]/(1 − π))
//!
//! has the mean p(candidate) − p(champion), whatever the two rates are and however they move with the hours, for only the
//! draw of the arm is averaged over. So Π (1 + λ(g − m)) is a supermartingale while the difference is at most m, and
//! Π (1 + λ(m − g)) while it is at least m, as long as no factor is negative. Their mixtures over fixed λ are the
//! e-processes here: at any look, P(ever ≥ 1/α) ≤ α (Ville 1939).
//!
//! Why this one. The 2×2 e-variables of Turner, Ly & Grünwald grow fastest when both rates are known; here, with failures
//! that are rare, the best λ gives the same factors up to terms that are noise of the arms' counts, one unknown instead of
//! two has to be mixed over, and no rate has to stand still. Two separate intervals lose what the common rate tells, and
//! are wrong when shares and rates move together. With λ fixed beforehand all depends on counts by share alone: the order
//! of labels does not matter, a label can be corrected, and a look costs the same after ten requests and ten millions.
//!
//! Sources: Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting" (JRSS B 2024), section 4,
//! with a mixture in place of their predictable bets; the importance weights as in Waudby-Smith, Wu, Ramdas, Karampatziakis
//! & Mineiro, "Anytime-valid off-policy inference for contextual bandits" (2024); Turner, Ly & Grünwald, "Generic
//! e-variables for exact sequential k-sample tests that allow for optional stopping" (2024).

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::mixture::{Prospect, last_true, log_mean, until, weight};
use crate::{InputError, Interval};

/// Bets are 2^power·π(1 − π): for rare failures the best one is near "rate ratio less one".
const POWERS: RangeInclusive<i32> = -7..=6;
/// A bet loses at most this share of its wealth on a request.
const BOLDEST: f64 = 0.95;
/// Different shares that are kept apart.
const MOST_SHARES: usize = 256;

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    Champion,
    Candidate,
}

/// What an e-value speaks for; the hypothesis it speaks against is the opposite, the margin included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// The candidate is worse than the champion by more than the margin.
    Worse,
    /// It is not worse by as much as the margin.
    NoWorse,
}

impl Claim {
    fn sign(self) -> f64 {
        match self {
            Self::Worse => 1.0,
            Self::NoWorse => -1.0,
        }
    }
}

/// Requests and how many of them failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub requests: u64,
    pub failures: u64,
}

impl Tally {
    /// Failures per request; NaN before the first.
    pub fn rate(&self) -> f64 {
        self.failures as f64 / self.requests as f64
    }

    /// Half a failure and half a success more, so that no outcome is taken to be impossible.
    pub(crate) fn smoothed_rate(&self) -> f64 {
        (self.failures as f64 + 0.5) / (self.requests as f64 + 1.0)
    }
}

pub(crate) fn check_share(share: f64) -> Result<(), InputError> {
    require(share > 0.0 && share < 1.0, "the candidate's share", share, "above 0 and below 1")
}

/// The counts of one share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Stratum {
    share: f64,
    champion: Tally,
    candidate: Tally,
}

impl Stratum {
    fn tally_mut(&mut self, arm: Arm) -> &mut Tally {
        match arm {
            Arm::Champion => &mut self.champion,
            Arm::Candidate => &mut self.candidate,
        }
    }

    /// Candidate failed, candidate did not, champion failed, champion did not.
    fn counts(&self) -> [u64; 4] {
        let (candidate, champion) = (self.candidate, self.champion);
        [
            candidate.failures,
            candidate.requests - candidate.failures,
            champion.failures,
            champion.requests - champion.failures,
        ]
    }

    /// ln(1 ± λ(g − margin)) of the four outcomes, for the bet of this power. The cap on λ is the same for all margins
    /// from −1 to 1, so that evidence falls as the margin rises and an interval is one.
    fn log_factors(&self, claim: Claim, margin: f64, expected: f64, power: i32) -> [f64; 4] {
        let sign = claim.sign();
        let (candidate, champion) = (self.share, 1.0 - self.share);
        let guesses = [
            (1.0 - expected) / candidate,
            -expected / candidate,
            -(1.0 - expected) / champion,
            expected / champion,
        ];
        let worst = guesses.iter().map(|guess| -sign * guess).fold(0.0, f64::max) + 1.0;
        let bet = (2f64.powi(power) * candidate * champion).min(BOLDEST / worst);
        guesses.map(|guess| (bet * sign * (guess - margin)).ln_1p())
    }

    fn log_wealth(&self, claim: Claim, margin: f64, expected: f64, power: i32) -> f64 {
        let factors = self.log_factors(claim, margin, expected, power);
        self.counts().iter().zip(factors).map(|(count, factor)| *count as f64 * factor).sum()
    }
}

/// Anytime-valid comparison of the failure rates of two arms; see the module for method and source.
///
/// Valid for [`Claim::Worse`] against "at every request, given all before it, the candidate's rate is at most the
/// champion's plus the margin", for [`Claim::NoWorse`] against "at least". Needed: each request's arm was drawn with the
/// share that is stated, independently of its outcome. Requests that repeat an id whose arm is remembered are not drawn
/// anew; count such an id once.
///
/// State: counts per share, at most 256 shares. `observe` is O(shares), a look O(14·shares).
///
/// ```
/// use kernel_sequential::{Claim, RateComparison, Tally};
///
/// let mut errors = RateComparison::new(0.0)?;
/// let champion = Tally { requests: 18_000, failures: 180 };
/// errors.observe_batch(0.1, champion, Tally { requests: 2_000, failures: 42 })?;
/// assert!((errors.difference() - 0.011).abs() < 1e-12);
/// // Twice the error rate on 2,000 requests: surely worse than the champion, surely not by 5 points.
/// assert!(errors.log_e(Claim::Worse, 0.0) > (1.0f64 / 0.05).ln());
/// assert!(errors.log_e(Claim::NoWorse, 0.05) > (1.0f64 / 0.05).ln());
/// let interval = errors.interval(0.025, 0.025);
/// assert!(0.0 < interval.lower && interval.lower < 0.011 && 0.011 < interval.upper && interval.upper < 0.05);
/// # Ok::<(), kernel_sequential::InputError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RateComparison {
    expected: f64,
    strata: Vec<Stratum>,
    /// The share of the last request, as a place in `strata`.
    latest: usize,
}

impl RateComparison {
    /// `expected`: about how often the champion fails, in [0, 1], as known beforehand; the constant c above. It makes no
    /// difference to validity, and little while failures are rare (0 will do); for rates such as one wrong answer in
    /// five it saves requests.
    pub fn new(expected: f64) -> Result<Self, InputError> {
        require((0.0..=1.0).contains(&expected), "the expected rate", expected, "between 0 and 1")?;
        Ok(Self { expected, strata: Vec::new(), latest: 0 })
    }

    /// Counts a request. `share`: the probability with which it went to the candidate, in (0, 1).
    pub fn observe(&mut self, arm: Arm, share: f64, failed: bool) -> Result<(), InputError> {
        let tally = self.stratum(share)?.tally_mut(arm);
        tally.requests += 1;
        tally.failures += u64::from(failed);
        Ok(())
    }

    /// Counts all requests of a look at one share; the same as one by one.
    pub fn observe_batch(&mut self, share: f64, champion: Tally, candidate: Tally) -> Result<(), InputError> {
        for tally in [champion, candidate] {
            let holds = tally.failures <= tally.requests;
            require(holds, "the number of failures", tally.failures as f64, "at most that of requests")?;
        }
        let stratum = self.stratum(share)?;
        for (arm, tally) in [(Arm::Champion, champion), (Arm::Candidate, candidate)] {
            let sum = stratum.tally_mut(arm);
            sum.requests += tally.requests;
            sum.failures += tally.failures;
        }
        Ok(())
    }

    /// Turns one request that was counted the other way into one that `failed` or did not.
    ///
    /// What is known now is then as if it had been known at first. The bound over all looks is proven for outcomes that
    /// are counted once; after a correction the e-value is that of the corrected data.
    pub fn correct(&mut self, arm: Arm, share: f64, failed: bool) -> Result<(), InputError> {
        let stratum = self.strata.iter_mut().find(|stratum| stratum.share == share);
        match stratum.map(|stratum| stratum.tally_mut(arm)) {
            Some(tally) if failed && tally.failures < tally.requests => tally.failures += 1,
            Some(tally) if !failed && tally.failures > 0 => tally.failures -= 1,
            _ => {
                let what = if failed { "success" } else { "failure" };
                return Err(InputError::NothingToCorrect { what, share });
            }
        }
        Ok(())
    }

    fn stratum(&mut self, share: f64) -> Result<&mut Stratum, InputError> {
        check_share(share)?;
        let place = self.strata.iter().position(|stratum| stratum.share == share);
        if place.is_none() {
            if self.strata.len() == MOST_SHARES {
                return Err(InputError::TooManyShares { share, limit: MOST_SHARES });
            }
            let (champion, candidate) = (Tally::default(), Tally::default());
            self.strata.push(Stratum { share, champion, candidate });
        }
        self.latest = place.unwrap_or(self.strata.len() - 1);
        Ok(&mut self.strata[self.latest])
    }

    /// Over all shares.
    pub fn tally(&self, arm: Arm) -> Tally {
        let mut sum = Tally::default();
        for stratum in &self.strata {
            let tally = match arm {
                Arm::Champion => stratum.champion,
                Arm::Candidate => stratum.candidate,
            };
            sum.requests += tally.requests;
            sum.failures += tally.failures;
        }
        sum
    }

    pub(crate) fn requests(&self) -> u64 {
        self.tally(Arm::Champion).requests + self.tally(Arm::Candidate).requests
    }

    /// Candidate's rate less the champion's, within each share, weighted by the share's requests; NaN before both have
    /// answered at one share.
    pub fn difference(&self) -> f64 {
        let (mut sum, mut weights) = (0.0, 0.0);
        for Stratum { champion, candidate, .. } in &self.strata {
            if champion.requests > 0 && candidate.requests > 0 {
                let weight = (champion.requests + candidate.requests) as f64;
                sum += weight * (candidate.rate() - champion.rate());
                weights += weight;
            }
        }
        sum / weights
    }

    /// ln of the e-value for a claim; 0 before the first request. `margin`: a difference of rates, taken to be within
    /// −1 and 1. Evidence for [`Claim::Worse`] falls with the margin, for [`Claim::NoWorse`] it rises.
    pub fn log_e(&self, claim: Claim, margin: f64) -> f64 {
        log_mean(POWERS.map(|power| (weight(power, 0), self.log_wealth(claim, margin, power))))
    }

    fn log_wealth(&self, claim: Claim, margin: f64, power: i32) -> f64 {
        let margin = margin.clamp(-1.0, 1.0);
        self.strata.iter().map(|stratum| stratum.log_wealth(claim, margin, self.expected, power)).sum()
    }

    /// A confidence sequence for the difference, while it stands still: the margins that neither claim excludes. At all
    /// looks together the lower end is too high with probability at most `alpha_lower`, the upper too low with
    /// `alpha_upper`.
    pub fn interval(&self, alpha_lower: f64, alpha_upper: f64) -> Interval {
        let lower = last_true(-1.0, 1.0, |margin| self.log_e(Claim::Worse, margin) >= -alpha_lower.ln());
        let upper = -last_true(-1.0, 1.0, |margin| self.log_e(Claim::NoWorse, -margin) >= -alpha_upper.ln());
        Interval { lower, upper }
    }

    /// About how many more requests of both arms until ln e reaches `log_threshold`, if rates and share stay as they
    /// are; none when the claim does not gain, or before the first request.
    pub fn about_more(&self, claim: Claim, margin: f64, log_threshold: f64) -> Option<f64> {
        let stratum = self.strata.get(self.latest)?;
        let (champion, candidate) =
            (self.tally(Arm::Champion).smoothed_rate(), self.tally(Arm::Candidate).smoothed_rate());
        let share = stratum.share;
        let chances = [
            share * candidate,
            share * (1.0 - candidate),
            (1.0 - share) * champion,
            (1.0 - share) * (1.0 - champion),
        ];
        let prospect = |power| {
            let factors = stratum.log_factors(claim, margin.clamp(-1.0, 1.0), self.expected, power);
            let growth = chances.iter().zip(factors).map(|(chance, factor)| chance * factor).sum();
            Prospect { weight: weight(power, 0), log_wealth: self.log_wealth(claim, margin, power), growth }
        };
        until(log_threshold, &POWERS.map(prospect).collect::<Vec<_>>())
    }
}
