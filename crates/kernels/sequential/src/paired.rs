//! Predictions of both revisions for the same row: shadow traffic.
//!
//! Differences of a row's two predictions are free of what the rows have in common, so that far fewer of them tell than
//! requests of two separate streams do.

use serde::{Deserialize, Serialize};

use crate::bernoulli::Tally;
use crate::bernstein::LowerSequence;
use crate::error::require;
use crate::mixture::{Prospect, last_true, log_mean, until, weight};
use crate::proportion::{RateBets, Side};
use crate::{Claim, InputError, Interval, Moments};

/// Bets on tailed differences are 2^power/scale.
const POWERS: std::ops::RangeInclusive<i32> = -14..=-1;
const CENTRE: i32 = -5;
/// Tailed differences say nothing below so many, for their variance is estimated.
const FEWEST: u64 = 30;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Spread {
    /// Of (1 ± difference/limit)/2.
    Bounded {
        limit: f64,
        rises: LowerSequence,
        falls: LowerSequence,
    },
    Tailed {
        scale: f64,
    },
}

/// Anytime-valid statements about the mean of paired differences, candidate less champion, in the unit of the prediction.
///
/// Bounded differences: the empirical-Bernstein sequence of Waudby-Smith & Ramdas (JRSS B 2024), theorem 2, exact for means
/// that stand still, and about their weighted average otherwise. Tailed ones: with n differences of mean μ̂ and variance
/// σ̂², the mixture over λ < 1/b of exp(λn(μ̂ − m) − nσ̂²λ²/(2(1 − bλ))), which assumes Bernstein's condition
/// E|D − μ|ᵏ ≤ k!/2·σ²·bᵏ⁻² for all k ≥ 2 (Boucheron, Lugosi & Massart, "Concentration inequalities" 2013, theorem 2.10; b
/// is the scale: a third of the largest distance from the mean for bounded differences, 0.71 σ for Laplace's distribution, σ for an exponential one)
/// and takes the running variance for the true one. It is approximate as long as that is off, like any asymptotic
/// sequence; below 30 differences it says nothing. Differences with heavier tails are not covered: bound them.
///
/// [`Claim::Worse`] means that the mean is further from 0 than the margin, [`Claim::NoWorse`] that it is nearer. O(1) each.
///
/// ```
/// use kernel_sequential::{Claim, PairedShift};
///
/// let mut shift = PairedShift::bounded(1.0, 0.05)?;
/// for row in 0..1_000 {
///     shift.observe(if row % 2 == 0 { 0.3 } else { 0.1 })?;
/// }
/// assert!((shift.mean() - 0.2).abs() < 1e-12);
/// assert!(shift.log_e(Claim::Worse, 0.1) > (1.0f64 / 0.05).ln());
/// let interval = shift.interval(0.025, 0.025);
/// assert!(0.1 < interval.lower && interval.lower < 0.2 && 0.2 < interval.upper && interval.upper < 0.3);
/// # Ok::<(), kernel_sequential::InputError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairedShift {
    spread: Spread,
    moments: Moments,
}

impl PairedShift {
    /// Differences within ±`limit`. `alpha` in (0, 1): the level at which the bets are best; what is said is valid at any.
    pub fn bounded(limit: f64, alpha: f64) -> Result<Self, InputError> {
        require(limit.is_finite() && limit > 0.0, "the limit of differences", limit, "finite and above 0")?;
        require(alpha > 0.0 && alpha < 1.0, "alpha", alpha, "above 0 and below 1")?;
        let (rises, falls) = (LowerSequence::new(alpha), LowerSequence::new(alpha));
        Ok(Self { spread: Spread::Bounded { limit, rises, falls }, moments: Moments::default() })
    }

    /// Differences whose tails are those of Bernstein's condition with this scale, in the unit of the prediction.
    pub fn tailed(scale: f64) -> Result<Self, InputError> {
        require(scale.is_finite() && scale > 0.0, "the scale of the tails", scale, "finite and above 0")?;
        Ok(Self { spread: Spread::Tailed { scale }, moments: Moments::default() })
    }

    /// Adds a difference, finite and within the limit.
    pub fn observe(&mut self, difference: f64) -> Result<(), InputError> {
        self.check(difference)?;
        if let Spread::Bounded { limit, rises, falls } = &mut self.spread {
            rises.add((1.0 + difference / *limit) / 2.0);
            falls.add((1.0 - difference / *limit) / 2.0);
        }
        self.moments.add(difference);
        Ok(())
    }

    pub(crate) fn check(&self, difference: f64) -> Result<(), InputError> {
        require(difference.is_finite(), "a difference of predictions", difference, "finite")?;
        match self.spread {
            Spread::Bounded { limit, .. } => {
                let holds = difference.abs() <= limit;
                require(holds, "a difference of predictions", difference, "within the limit that was set")
            }
            Spread::Tailed { .. } => Ok(()),
        }
    }

    pub fn count(&self) -> u64 {
        self.moments.count()
    }

    /// NaN before the first difference.
    pub fn mean(&self) -> f64 {
        self.moments.mean()
    }

    /// ln of the e-value for a claim, `margin` ≥ 0 in the unit of the prediction; 0 before the first difference.
    pub fn log_e(&self, claim: Claim, margin: f64) -> f64 {
        match claim {
            // Against "between": the average of the evidence for either side.
            Claim::Worse => {
                log_mean([(1.0, self.log_above(margin)), (1.0, self.log_below(-margin))].into_iter())
            }
            // Against "on one of the sides": both have to be excluded.
            Claim::NoWorse => self.log_below(margin).min(self.log_above(-margin)),
        }
    }

    /// ln of the e-value against "the mean is at most `mean`".
    fn log_above(&self, mean: f64) -> f64 {
        match &self.spread {
            Spread::Bounded { limit, rises, .. } => rises.log_e((1.0 + mean / limit) / 2.0),
            Spread::Tailed { scale } => self.log_tailed(*scale, self.moments.mean() - mean),
        }
    }

    fn log_below(&self, mean: f64) -> f64 {
        match &self.spread {
            Spread::Bounded { limit, falls, .. } => falls.log_e((1.0 - mean / limit) / 2.0),
            Spread::Tailed { scale } => self.log_tailed(*scale, mean - self.moments.mean()),
        }
    }

    /// `excess`: by how much the mean is on the side of the claim.
    fn log_tailed(&self, scale: f64, excess: f64) -> f64 {
        if self.moments.count() < FEWEST {
            return 0.0;
        }
        let (n, variance) = (self.moments.count() as f64, self.moments.variance());
        log_mean(POWERS.map(|power| {
            let part = 2f64.powi(power);
            let bet = part / scale;
            (weight(power, CENTRE), n * (bet * excess - variance * bet * bet / (2.0 * (1.0 - part))))
        }))
    }

    /// A confidence sequence for the mean; unbounded while a tailed one says nothing.
    pub fn interval(&self, alpha_lower: f64, alpha_upper: f64) -> Interval {
        match &self.spread {
            Spread::Bounded { limit, rises, falls } => Interval {
                lower: limit * (2.0 * rises.lower(alpha_lower) - 1.0),
                upper: limit * (1.0 - 2.0 * falls.lower(alpha_upper)),
            },
            Spread::Tailed { .. } if self.moments.count() < FEWEST => {
                Interval { lower: f64::NEG_INFINITY, upper: f64::INFINITY }
            }
            Spread::Tailed { scale } => Interval {
                lower: self.mean() - self.least_excess(*scale, alpha_lower),
                upper: self.mean() + self.least_excess(*scale, alpha_upper),
            },
        }
    }

    /// The least distance from the mean that is excluded.
    fn least_excess(&self, scale: f64, alpha: f64) -> f64 {
        let excluded = |excess: f64| self.log_tailed(scale, excess) >= -alpha.ln();
        let mut most = scale;
        while most.is_finite() && !excluded(most) {
            most *= 2.0;
        }
        -last_true(-most, 0.0, |excess| excluded(-excess))
    }

    /// About how many more differences until ln e reaches `log_threshold`, if mean and variance stay as they are; none when
    /// the claim does not gain.
    pub fn about_more(&self, claim: Claim, margin: f64, log_threshold: f64) -> Option<f64> {
        if self.moments.count() < 2 {
            return None;
        }
        let gap = match claim {
            Claim::Worse => self.mean().abs() - margin,
            Claim::NoWorse => margin - self.mean().abs(),
        };
        let scale = match self.spread {
            Spread::Bounded { limit, .. } => limit,
            Spread::Tailed { scale } => scale,
        };
        // max over λ of λ·gap − λ²σ²/(2(1 − bλ)), nearly: gap²/(2(σ² + b·gap)).
        let growth =
            if gap > 0.0 { gap * gap / (2.0 * (self.moments.variance() + scale * gap)) } else { 0.0 };
        let prospect = Prospect { weight: 1.0, log_wealth: self.log_e(claim, margin), growth };
        let fewest = if matches!(self.spread, Spread::Tailed { .. }) { FEWEST } else { 0 };
        let more = until(log_threshold, &[prospect])?;
        Some(more.max(fewest.saturating_sub(self.moments.count()) as f64))
    }
}

/// How often the two revisions give a row different classes, against a rate that is allowed.
///
/// The e-process is a mixture of likelihood ratios (`proportion.rs`), exact for pairs whose chance of disagreement, given
/// the past, is at most (for [`Claim::Worse`]) or at least ([`Claim::NoWorse`]) the margin. O(1) each.
///
/// ```
/// use kernel_sequential::{Claim, Disagreements};
///
/// let mut disagreements = Disagreements::default();
/// for row in 0..1_000 {
///     disagreements.observe(row % 50 == 0);
/// }
/// assert_eq!(disagreements.rate(), 0.02);
/// assert!(disagreements.log_e(Claim::NoWorse, 0.05) > (1.0f64 / 0.05).ln());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disagreements {
    pairs: Tally,
}

impl Disagreements {
    pub fn observe(&mut self, differ: bool) {
        self.pairs.requests += 1;
        self.pairs.failures += u64::from(differ);
    }

    pub fn count(&self) -> u64 {
        self.pairs.requests
    }

    /// Share of pairs that differ; NaN before the first.
    pub fn rate(&self) -> f64 {
        self.pairs.rate()
    }

    /// ln of the e-value for a claim, `margin` a rate in [0, 1]; 0 before the first pair.
    pub fn log_e(&self, claim: Claim, margin: f64) -> f64 {
        bets(claim, margin).log_e(self.pairs.failures, self.pairs.requests)
    }

    /// A confidence sequence for the rate.
    pub fn interval(&self, alpha_lower: f64, alpha_upper: f64) -> Interval {
        let lower = last_true(0.0, 1.0, |rate| self.log_e(Claim::Worse, rate) >= -alpha_lower.ln());
        let upper = -last_true(-1.0, 0.0, |rate| self.log_e(Claim::NoWorse, -rate) >= -alpha_upper.ln());
        Interval { lower, upper }
    }

    /// About how many more pairs until ln e reaches `log_threshold`, if the rate stays as it is; none when the claim does
    /// not gain.
    pub fn about_more(&self, claim: Claim, margin: f64, log_threshold: f64) -> Option<f64> {
        let Tally { requests, failures } = self.pairs;
        bets(claim, margin).about_more(failures, requests, self.pairs.smoothed_rate(), log_threshold)
    }
}

fn bets(claim: Claim, margin: f64) -> RateBets {
    let side = match claim {
        Claim::Worse => Side::Above,
        Claim::NoWorse => Side::Below,
    };
    RateBets::new(margin.clamp(0.0, 1.0), side)
}
