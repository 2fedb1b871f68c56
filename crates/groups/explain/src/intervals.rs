//! Intervals of 95 % for rates and means, and for how two of them differ. Pure.

use kernel_drift::chi_square;
use serde::Serialize;
use statrs::distribution::{Continuous as _, ContinuousCDF as _, Normal, StudentsT};

/// The 97.5 % quantile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;
/// From so many degrees of freedom on, the expansion is exact to eleven figures.
const EXPANDED: f64 = 200.0;
/// From so many on, tails of Student's t are those of the normal distribution.
const NORMAL: f64 = 10_000.0;

/// A number and its interval of 95 %. What is not known is NaN, in JSON `null`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

impl Estimate {
    fn around(value: f64, reach: f64) -> Self {
        Self { value, low: value - reach, high: value + reach }
    }

    fn without_interval(value: f64) -> Self {
        Self { value, low: f64::NAN, high: f64::NAN }
    }
}

/// Rows of which something holds, among those of which it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    pub hits: u64,
    pub count: u64,
}

impl Share {
    pub fn of(rows: impl IntoIterator<Item = bool>) -> Self {
        rows.into_iter()
            .fold(Self::default(), |sum, hit| Self { hits: sum.hits + u64::from(hit), count: sum.count + 1 })
    }

    /// NaN of no rows.
    pub fn rate(self) -> f64 {
        self.hits as f64 / self.count as f64
    }

    /// (p + z²/2n ± z·√(p(1 − p)/n + z²/4n²)) / (1 + z²/n).
    ///
    /// Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927);
    /// `scipy.stats.binomtest(k, n).proportion_ci(method="wilson")` of scipy 1.17.1.
    pub fn wilson(self) -> Estimate {
        if self.count == 0 {
            return Estimate::without_interval(f64::NAN);
        }
        let (n, p) = (self.count as f64, self.rate());
        let scale = 1.0 + Z * Z / n;
        let centre = (p + Z * Z / (2.0 * n)) / scale;
        let reach = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt() / scale;
        // At the ends the formula gives them but for rounding.
        let low = if self.hits == 0 { 0.0 } else { centre - reach };
        let high = if self.hits == self.count { 1.0 } else { centre + reach };
        Estimate { value: p, low, high }
    }

    /// How much larger this rate is than the other one: from the ends of both Wilson intervals.
    ///
    /// Source: Newcombe, "Interval estimation for the difference between independent proportions" (1998), method 10.
    pub fn difference(self, other: Self) -> Estimate {
        let (one, two) = (self.wilson(), other.wilson());
        let value = one.value - two.value;
        let down = (one.value - one.low).hypot(two.high - two.value);
        let up = (one.high - one.value).hypot(two.value - two.low);
        Estimate { value, low: value - down, high: value + up }
    }

    /// This rate as a multiple of the other one. Without an interval where either is 0, and NaN where the other is.
    ///
    /// Source: Katz, Baptista, Azen & Pike, "Obtaining confidence intervals for the risk ratio in cohort studies" (1978);
    /// `scipy.stats.contingency.relative_risk` of scipy 1.17.1.
    pub fn ratio(self, other: Self) -> Estimate {
        if other.hits == 0 {
            return Estimate::without_interval(f64::NAN);
        }
        let value = self.rate() / other.rate();
        if self.hits == 0 {
            return Estimate::without_interval(value);
        }
        let part = |share: Self| 1.0 / share.hits as f64 - 1.0 / share.count as f64;
        let reach = (Z * (part(self) + part(other)).sqrt()).exp();
        Estimate { value, low: value / reach, high: value * reach }
    }

    /// Two-sided p-value of equal rates by Pearson's chi-square without correction, which is the score test of two
    /// proportions. 1 where all rows of both are alike, NaN without rows.
    pub fn p_value(self, other: Self) -> f64 {
        if self.count == 0 || other.count == 0 {
            return f64::NAN;
        }
        let counts = |share: Self| [share.hits, share.count - share.hits];
        chi_square(&counts(self), &counts(other)).map_or(1.0, |found| found.p_value)
    }
}

/// Count, mean and spread of numbers, in one pass (Welford 1962).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    count: u64,
    mean: f64,
    /// Sum of squared distances from the mean.
    squares: f64,
}

impl Moments {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut moments = Self::default();
        values.into_iter().for_each(|value| moments.add(value));
        moments
    }

    pub fn add(&mut self, value: f64) {
        self.count += 1;
        let step = value - self.mean;
        self.mean += step / self.count as f64;
        self.squares += step * (value - self.mean);
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// NaN of nothing.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.mean }
    }

    /// Squared standard error of the mean; NaN of fewer than two numbers.
    fn error_squared(&self) -> f64 {
        match self.count {
            0 | 1 => f64::NAN,
            count => self.squares / (count - 1) as f64 / count as f64,
        }
    }

    fn freedom(&self) -> f64 {
        self.count as f64 - 1.0
    }

    /// Mean ± t·s/√n (Student 1908). Without an interval of fewer than two numbers.
    pub fn interval(&self) -> Estimate {
        if self.count < 2 {
            return Estimate::without_interval(self.mean());
        }
        Estimate::around(self.mean, t_quantile(self.freedom()) * self.error_squared().sqrt())
    }

    /// How much larger this mean is than the other one, variances not taken to be equal, and the two-sided p-value of equal means.
    ///
    /// Source: Welch, "The generalization of Student's problem when several different population variances are involved"
    /// (1947); `scipy.stats.ttest_ind(equal_var=False)` of scipy 1.17.1. Where no number varies the interval is the difference itself.
    pub fn welch(&self, other: &Self) -> (Estimate, f64) {
        let value = self.mean() - other.mean();
        if self.count < 2 || other.count < 2 {
            return (Estimate::without_interval(value), f64::NAN);
        }
        let (one, two) = (self.error_squared(), other.error_squared());
        let error = (one + two).sqrt();
        if error == 0.0 {
            return (Estimate::around(value, 0.0), if value == 0.0 { 1.0 } else { 0.0 });
        }
        let freedom = (one + two).powi(2) / (one * one / self.freedom() + two * two / other.freedom());
        (Estimate::around(value, t_quantile(freedom) * error), t_tails(value.abs() / error, freedom))
    }

    /// The interval of the mean under the root: of a mean square it is that of the root mean square.
    pub fn root(&self) -> Estimate {
        let Estimate { value, low, high } = self.interval();
        // A NaN stays one, which `max` would lose.
        let root = |value: f64| if value < 0.0 { 0.0 } else { value.sqrt() };
        Estimate { value: root(value), low: root(low), high: root(high) }
    }
}

/// The 97.5 % quantile of Student's t. Source: from 200 degrees of freedom on, Abramowitz & Stegun, 26.7.5; below, statrs and
/// Newton's steps.
fn t_quantile(freedom: f64) -> f64 {
    if freedom >= EXPANDED {
        let square = Z * Z;
        let terms = [
            (square + 1.0) / 4.0,
            ((5.0 * square + 16.0) * square + 3.0) / 96.0,
            (((3.0 * square + 19.0) * square + 17.0) * square - 15.0) / 384.0,
            ((((79.0 * square + 776.0) * square + 1482.0) * square - 1920.0) * square - 945.0) / 92_160.0,
        ];
        return Z * terms.iter().rev().fold(0.0f64, |sum, term| (sum + term) / freedom) + Z;
    }
    let Ok(law) = StudentsT::new(0.0, 1.0, freedom) else { return f64::NAN };
    let start = law.inverse_cdf(0.975);
    (0..3).fold(start, |place, _| place - (law.cdf(place) - 0.975) / law.pdf(place))
}

/// P(|T| > t).
fn t_tails(t: f64, freedom: f64) -> f64 {
    if freedom >= NORMAL {
        return Normal::new(0.0, 1.0).map_or(f64::NAN, |law| 2.0 * law.sf(t));
    }
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::NAN, |law| 2.0 * law.sf(t))
}

/// p-values adjusted so that those below α are wrong in a share of α at most; NaN stands for no test and counts for none.
///
/// Source: Benjamini & Hochberg, "Controlling the false discovery rate" (1995); `scipy.stats.false_discovery_control` of
/// scipy 1.17.1.
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).filter(|place| !p_values[*place].is_nan()).collect();
    order.sort_by(|one, other| p_values[*other].total_cmp(&p_values[*one]));
    let tests = order.len();
    let mut adjusted = vec![f64::NAN; p_values.len()];
    let mut least = 1.0f64;
    for (above, place) in order.into_iter().enumerate() {
        least = least.min(p_values[place] * tests as f64 / (tests - above) as f64);
        adjusted[place] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_close(found: f64, expected: f64) -> bool {
        (found - expected).abs() <= 1e-9 * expected.abs().max(1.0)
    }

    #[test]
    fn quantiles_of_t_are_scipys() {
        // scipy.stats.t.ppf(0.975, ν)
        for (freedom, expected) in [
            (1.0, 12.706_204_736_174_694),
            (2.0, 4.302_652_729_749_462),
            (7.5, 2.333_039_626_864_974),
            (30.0, 2.042_272_456_301_237_8),
            (199.0, 1.971_956_544_251_753_3),
            (200.0, 1.971_896_223_633_908_8),
            (1e4, 1.960_201_239_890_626),
        ] {
            let found = t_quantile(freedom);
            assert!(is_close(found, expected), "{freedom}: {found}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_a_number() {
        let none = Share::default();
        let some = Share { hits: 3, count: 10 };
        assert!(none.wilson().value.is_nan() && none.wilson().low.is_nan());
        assert!(some.difference(none).low.is_nan() && some.p_value(none).is_nan());
        let zero = Share { hits: 0, count: 10 };
        assert!(some.ratio(zero).value.is_nan());
        assert!(zero.ratio(some).value == 0.0 && zero.ratio(some).high.is_nan());
        assert_eq!(zero.p_value(zero), 1.0);
        assert_eq!((zero.wilson().low, Share { hits: 10, count: 10 }.wilson().high), (0.0, 1.0));
        let lone = Moments::of([2.0]);
        assert!(lone.interval().value == 2.0 && lone.interval().low.is_nan() && lone.root().low.is_nan());
        assert!(Moments::default().mean().is_nan());
        let (gap, p_value) = Moments::of([1.0, 1.0]).welch(&Moments::of([1.0, 1.0, 1.0]));
        assert_eq!((gap.low, gap.high, p_value), (0.0, 0.0, 1.0));
    }

    #[test]
    fn adjusted_values_do_not_cross() {
        let adjusted = benjamini_hochberg(&[0.01, f64::NAN, 0.04, 0.03, 0.2]);
        let expected = [0.04, f64::NAN, 0.04 * 4.0 / 3.0, 0.04 * 4.0 / 3.0, 0.2];
        for (found, expected) in adjusted.iter().zip(expected) {
            assert!((found.is_nan() && expected.is_nan()) || is_close(*found, expected), "{adjusted:?}");
        }
        assert!(benjamini_hochberg(&[]).is_empty());
    }
}
