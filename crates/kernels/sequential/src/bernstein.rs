//! A lower bound on a mean that holds at every look.
//!
//! For values x ≥ 0 whose mean, given the past, is v ≤ 1, and bets λ in (0, 1) and guesses x̂ in \[0, 1\] made before each
//! value, exp(Σ λ(x − v) − Σ (x − x̂)²·ψ(λ)) with ψ(λ) = −ln(1 − λ) − λ is a supermartingale (Fan, Grama & Liu 2015).
//! Guesses and bets are the predictable plug-ins of Waudby-Smith & Ramdas, "Estimating means of bounded
//! random variables by betting" (JRSS B 2024), theorem 2. Values above 1 are allowed, as importance weighting makes them
//! (Waudby-Smith, Wu, Ramdas, Karampatziakis & Mineiro 2024). When the mean moves, the bound is one on its average by λ.

use serde::{Deserialize, Serialize};

/// The largest bet, theirs.
const BOLDEST: f64 = 0.5;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct LowerSequence {
    /// ln(1/α) of the level at which the bets are best; the evidence is valid at any.
    log_inverse_alpha: f64,
    count: u64,
    sum: f64,
    /// Σ (x − mean of those up to x)².
    squares: f64,
    /// Σ λ, Σ λx, Σ (x − x̂)²·ψ(λ).
    bets: f64,
    staked: f64,
    penalty: f64,
}

impl LowerSequence {
    /// `alpha` in (0, 1).
    pub fn new(alpha: f64) -> Self {
        let log_inverse_alpha = -alpha.ln();
        Self { log_inverse_alpha, count: 0, sum: 0.0, squares: 0.0, bets: 0.0, staked: 0.0, penalty: 0.0 }
    }

    /// Adds a finite value of at least 0.
    pub fn add(&mut self, value: f64) {
        let next = self.count as f64 + 1.0;
        let guess = ((0.5 + self.sum) / next).min(1.0);
        let variance = (0.25 + self.squares) / next;
        let bet = (2.0 * self.log_inverse_alpha / (variance * next * (next + 1.0).ln())).sqrt().min(BOLDEST);
        self.bets += bet;
        self.staked += bet * value;
        self.penalty += (value - guess).powi(2) * (-(-bet).ln_1p() - bet);
        self.count += 1;
        self.sum += value;
        let mean = (0.5 + self.sum) / (next + 1.0);
        self.squares += (value - mean).powi(2);
    }

    /// Mean of the values; NaN before the first.
    pub fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }

    /// ln of the e-value against "the mean is at most `mean`"; 0 before the first value.
    pub fn log_e(&self, mean: f64) -> f64 {
        self.staked - mean * self.bets - self.penalty
    }

    /// The largest mean that is excluded at `alpha`, at least 0.
    pub fn lower(&self, alpha: f64) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        ((self.staked - self.penalty + alpha.ln()) / self.bets).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A value that is `high` or 0 and has the mean `mean`, after any history.
        #[test]
        fn the_evidence_is_no_greater_on_average_after_one_more_value(
            mean in 0.0f64..=1.0,
            times in 1.0f64..50.0,
            history in prop::collection::vec(0.0f64..20.0, 0..50),
        ) {
            let high = mean * times;
            let mut sequence = LowerSequence::new(0.05);
            history.into_iter().for_each(|value| sequence.add(value));
            let gain = |value: f64| {
                let mut next = sequence;
                next.add(value);
                (next.log_e(mean) - sequence.log_e(mean)).exp()
            };
            let average = gain(high) / times + gain(0.0) * (1.0 - 1.0 / times);
            prop_assert!(average <= 1.0 + 1e-9, "{average}");
        }
    }

    #[test]
    fn the_bound_is_where_the_evidence_reaches_the_level() {
        let mut sequence = LowerSequence::new(0.05);
        assert_eq!((sequence.lower(0.05), sequence.log_e(0.5)), (0.0, 0.0));
        (0..200).for_each(|place| sequence.add(if place % 4 == 0 { 0.2 } else { 0.8 }));
        let lower = sequence.lower(0.05);
        assert!(lower > 0.5 && lower < 0.65, "{lower}");
        assert!((sequence.log_e(lower) - 20f64.ln()).abs() < 1e-9);
    }
}
