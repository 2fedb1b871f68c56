//! Scores for counts per level. Both slices list the same levels in the same order.

use statrs::distribution::{ChiSquared, ContinuousCDF};

/// Shares below this count as this in [`population_stability`].
const FLOOR: f64 = 1e-4;

/// Population stability index Σ (p − q)·ln(p/q), p the reference's shares, q the current ones, each share at
/// least 1e-4 and not renormalised (the textbook form of credit scoring, Siddiqi 2006, ch. 9).
/// NaN when a side is empty.
pub fn population_stability(reference: &[u64], current: &[u64]) -> f64 {
    let Some((n, m)) = totals(reference, current) else { return f64::NAN };
    reference
        .iter()
        .zip(current)
        .map(|(r, c)| {
            let p = (*r as f64 / n).max(FLOOR);
            let q = (*c as f64 / m).max(FLOOR);
            (p - q) * (p / q).ln()
        })
        .sum()
}

/// Jensen–Shannon distance, the square root of the divergence in bits: 0 equal, 1 disjoint
/// (Endres & Schindelin 2003; `scipy.spatial.distance.jensenshannon(…, base=2)`). NaN when a side is empty.
///
/// ```
/// assert_eq!(kernel_drift::jensen_shannon(&[1, 0], &[0, 1]), 1.0);
/// assert_eq!(kernel_drift::jensen_shannon(&[3, 1], &[6, 2]), 0.0);
/// ```
pub fn jensen_shannon(reference: &[u64], current: &[u64]) -> f64 {
    let Some((n, m)) = totals(reference, current) else { return f64::NAN };
    let relative_entropy = |p: f64, middle: f64| if p > 0.0 { p * (p / middle).ln() } else { 0.0 };
    let divergence: f64 = reference
        .iter()
        .zip(current)
        .map(|(r, c)| {
            let (p, q) = (*r as f64 / n, *c as f64 / m);
            let middle = (p + q) / 2.0;
            relative_entropy(p, middle) + relative_entropy(q, middle)
        })
        .sum::<f64>()
        / 2.0;
    (divergence.max(0.0) / std::f64::consts::LN_2).sqrt()
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChiSquare {
    pub statistic: f64,
    pub degrees_of_freedom: u64,
    pub p_value: f64,
}

/// Pearson's test of homogeneity on the 2 × k table, without continuity correction
/// (`scipy.stats.chi2_contingency(correction=False)`). Both samples count as samples: unlike the one-sample form
/// it keeps its false-alarm rate. `None` with fewer than two levels in use or an empty side.
pub fn chi_square(reference: &[u64], current: &[u64]) -> Option<ChiSquare> {
    let (n, m) = totals(reference, current)?;
    let total = n + m;
    let mut statistic = 0.0;
    let mut levels = 0u64;
    for (r, c) in reference.iter().zip(current) {
        let column = (*r + *c) as f64;
        if column == 0.0 {
            continue;
        }
        levels += 1;
        for (observed, row) in [(*r as f64, n), (*c as f64, m)] {
            let expected = row * column / total;
            statistic += (observed - expected).powi(2) / expected;
        }
    }
    if levels < 2 {
        return None;
    }
    let degrees_of_freedom = levels - 1;
    let law = ChiSquared::new(degrees_of_freedom as f64).ok()?;
    Some(ChiSquare { statistic, degrees_of_freedom, p_value: law.sf(statistic) })
}

fn totals(reference: &[u64], current: &[u64]) -> Option<(f64, f64)> {
    assert_eq!(reference.len(), current.len(), "both sides list the same levels");
    let (n, m) = (reference.iter().sum::<u64>(), current.iter().sum::<u64>());
    (n > 0 && m > 0).then_some((n as f64, m as f64))
}
