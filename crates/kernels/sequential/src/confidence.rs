//! Asymptotic confidence sequences for means.
//!
//! Source: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform central limit theory and asymptotic
//! confidence sequences" (2021), theorem 2.2: with running mean μ̂ and deviation σ̂ after t values,
//! μ̂ ± σ̂·√(2(tρ² + 1)/(t²ρ²) · ln(√(tρ² + 1)/α)) covers the mean at all t ≥ some first look with
//! probability ≥ 1 − α.

use serde::{Deserialize, Serialize};

use crate::Moments;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub lower: f64,
    pub upper: f64,
}

/// The two parameters of a sequence: its error rate and where it is tightest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfidenceSequence {
    alpha: f64,
    rho_squared: f64,
}

impl ConfidenceSequence {
    /// `alpha`: probability of ever missing the mean, in (0, 1). `tightest_at`: the number of values at which
    /// the interval is narrowest relative to the best possible (same paper, appendix B.2).
    pub fn new(alpha: f64, tightest_at: u64) -> Self {
        assert!(alpha > 0.0 && alpha < 1.0, "alpha is a probability");
        assert!(tightest_at > 0, "the sequence is tightest after some values");
        let log = -2.0 * alpha.ln();
        Self { alpha, rho_squared: (log + (log + 1.0).ln()) / tightest_at as f64 }
    }

    /// Interval for the mean of the values behind `moments`; the whole line below two values. O(1).
    pub fn mean(&self, moments: &Moments) -> Interval {
        if moments.count() < 2 {
            return Interval { lower: f64::NEG_INFINITY, upper: f64::INFINITY };
        }
        let t = moments.count() as f64;
        let half = (moments.variance() / t).sqrt() * self.widening(t);
        Interval { lower: moments.mean() - half, upper: moments.mean() + half }
    }

    /// Factor on the standard error after `t` values: √(2(tρ² + 1)/(tρ²) · ln(√(tρ² + 1)/α)).
    fn widening(&self, t: f64) -> f64 {
        let u = t * self.rho_squared;
        (2.0 * (u + 1.0) / u * ((u + 1.0).sqrt() / self.alpha).ln()).sqrt()
    }
}

/// Interval for mean(a) − mean(b) of two independent arms. The boundary is taken at the harmonic size
/// 1/(1/n + 1/m), the number of pairs with the same information at equal variances.
pub fn difference_of_means(sequence: &ConfidenceSequence, a: &Moments, b: &Moments) -> Interval {
    if a.count() < 2 || b.count() < 2 {
        return Interval { lower: f64::NEG_INFINITY, upper: f64::INFINITY };
    }
    let (n, m) = (a.count() as f64, b.count() as f64);
    let error = (a.variance() / n + b.variance() / m).sqrt();
    let half = error * sequence.widening(n * m / (n + m));
    let difference = a.mean() - b.mean();
    Interval { lower: difference - half, upper: difference + half }
}
