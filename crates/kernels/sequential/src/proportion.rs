//! How often something happens, against a rate that is given.
//!
//! With k hits in n trials, Σ w·exp(kδ − n·ln(1 + rate·(e^δ − 1))) over fixed δ > 0 is an e-process against "at each trial,
//! given those before, the chance is at most `rate`", over δ < 0 against "at least": each term is the likelihood ratio of the
//! rate whose odds are e^δ times as high. The mixture is of the kind of Robbins 1970 and Howard, Ramdas, McAuliffe & Sekhon,
//! "Time-uniform, nonparametric, nonasymptotic confidence sequences" (2021), section 3.3: a grid in place of a beta.

use crate::mixture::{Prospect, log_mean, until, weight};

/// δ is ±2^power.
const POWERS: std::ops::RangeInclusive<i32> = -6..=3;
/// Odds half or twice as high are the most usual change.
const CENTRE: i32 = -1;
/// Weight of the part that bets nothing: the others sum to about 6. Without it, evidence from one stream would be eaten up
/// by another that has nothing to say.
const ABSTAINING: f64 = 2.0;
const BETS: usize = 11;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Above,
    Below,
}

#[derive(Debug, Clone, Copy)]
struct Bet {
    weight: f64,
    log_odds: f64,
    /// ln(1 + rate·(e^δ − 1)): what a trial costs.
    cost: f64,
}

/// The bets against one rate.
#[derive(Debug, Clone)]
pub(crate) struct RateBets([Bet; BETS]);

impl RateBets {
    /// For "above" or "below" a rate in [0, 1].
    pub fn new(rate: f64, side: Side) -> Self {
        let sign = if side == Side::Above { 1.0 } else { -1.0 };
        let mut bets = [Bet { weight: ABSTAINING, log_odds: 0.0, cost: 0.0 }; BETS];
        for (bet, power) in bets.iter_mut().skip(1).zip(POWERS) {
            let log_odds = sign * 2f64.powi(power);
            *bet = Bet { weight: weight(power, CENTRE), log_odds, cost: (rate * log_odds.exp_m1()).ln_1p() };
        }
        Self(bets)
    }

    /// ln of the e-value after `hits` in `trials`; 0 without trials.
    pub fn log_e(&self, hits: u64, trials: u64) -> f64 {
        log_mean(self.0.iter().map(|bet| (bet.weight, bet.log_wealth(hits, trials))))
    }

    /// The most that a bet gains per trial when hits come with chance `rate`; at least 0.
    pub fn growth(&self, rate: f64) -> f64 {
        self.0.iter().map(|bet| bet.growth(rate)).fold(0.0, f64::max)
    }

    /// Trials until ln e reaches the threshold, when hits come with chance `rate`.
    pub fn about_more(&self, hits: u64, trials: u64, rate: f64, log_threshold: f64) -> Option<f64> {
        let prospects = self.0.map(|bet| Prospect {
            weight: bet.weight,
            log_wealth: bet.log_wealth(hits, trials),
            growth: bet.growth(rate),
        });
        until(log_threshold, &prospects)
    }
}

impl Bet {
    fn log_wealth(&self, hits: u64, trials: u64) -> f64 {
        hits as f64 * self.log_odds - trials as f64 * self.cost
    }

    fn growth(&self, rate: f64) -> f64 {
        rate * self.log_odds - self.cost
    }
}
