//! Latencies in a fixed number of buckets.

use serde::{Deserialize, Serialize};

use crate::InputError;
use crate::error::require;

/// The bound of the first bucket.
const LEAST_MS: f64 = 0.001;
/// From one bound to the next.
const RATIO: f64 = 1.02;
/// ln 1.02.
pub(crate) const LOG_RATIO: f64 = 0.019_802_627_296_179_73;
/// The bucket of what is above the last bound, 990 s.
pub(crate) const OVERFLOW: usize = 1_047;

/// Counts of latencies between bounds that are 2 % apart, from 1 µs to 990 s.
///
/// A quantile is within 1 % of the sample's between those limits. The counts above a bound are exact, which is what
/// [`LatencyComparison`](crate::LatencyComparison) builds on. Memory: 1,048 counters, whatever is added. Merging is the
/// same as adding all values to one histogram.
///
/// Source: the logarithmic buckets of Masson, Rim & Lee, "DDSketch" (VLDB 2019), without their collapsing.
///
/// ```
/// let mut latencies = kernel_sequential::LatencyHistogram::default();
/// for thousandth in 1..=1_000 {
///     latencies.add(f64::from(thousandth))?;
/// }
/// assert!((latencies.quantile(0.95) / 950.0 - 1.0).abs() < 0.01);
/// # Ok::<(), kernel_sequential::InputError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u64>", into = "Vec<u64>")]
pub struct LatencyHistogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self { counts: vec![0; OVERFLOW + 1], total: 0 }
    }
}

impl From<LatencyHistogram> for Vec<u64> {
    fn from(histogram: LatencyHistogram) -> Self {
        histogram.counts
    }
}

impl TryFrom<Vec<u64>> for LatencyHistogram {
    type Error = InputError;

    fn try_from(counts: Vec<u64>) -> Result<Self, InputError> {
        if counts.len() != OVERFLOW + 1 {
            let (found, expected) = (counts.len(), OVERFLOW + 1);
            return Err(InputError::Count { what: "buckets of a histogram", found, expected });
        }
        Ok(Self { total: counts.iter().sum(), counts })
    }
}

impl LatencyHistogram {
    /// Adds a finite latency of at least 0 ms. O(1).
    pub fn add(&mut self, latency_ms: f64) -> Result<(), InputError> {
        check_latency(latency_ms)?;
        self.counts[bucket(latency_ms)] += 1;
        self.total += 1;
        Ok(())
    }

    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
    }

    pub fn count(&self) -> u64 {
        self.total
    }

    /// The smallest value with a share of at least `quantile` at or below it, in ms, within 1 %; NaN while empty.
    pub fn quantile(&self, quantile: f64) -> f64 {
        if self.total == 0 {
            return f64::NAN;
        }
        match self.bucket_of(quantile) {
            0 => LEAST_MS,
            bucket => LEAST_MS * ((bucket as f64 - 0.5) * LOG_RATIO).exp(),
        }
    }

    /// The bucket in which the quantile lies; the first while empty.
    pub(crate) fn bucket_of(&self, quantile: f64) -> usize {
        let rank = (quantile * self.total as f64).ceil() as u64;
        let mut below = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank {
                return bucket;
            }
        }
        OVERFLOW
    }

    /// How many values are above the bound of a bucket: all below the first bucket, none from the last one on.
    pub(crate) fn above(&self, bucket: i64) -> u64 {
        let first = usize::try_from(bucket.saturating_add(1)).unwrap_or(0);
        self.counts.iter().skip(first).sum()
    }

    /// [`above`](Self::above) for every bucket, in one pass.
    pub(crate) fn all_above(&self) -> Vec<u64> {
        let mut left = self.total;
        let below = self.counts.iter().map(|count| {
            left -= count;
            left
        });
        below.collect()
    }
}

pub(crate) fn check_latency(latency_ms: f64) -> Result<(), InputError> {
    let holds = latency_ms.is_finite() && latency_ms >= 0.0;
    require(holds, "a latency in ms", latency_ms, "finite and at least 0")
}

/// Bucket b holds what is at most 0.001·1.02ᵇ ms and above the bound before.
fn bucket(latency_ms: f64) -> usize {
    if latency_ms <= LEAST_MS {
        return 0;
    }
    (((latency_ms / LEAST_MS).ln() / LOG_RATIO).ceil() as usize).min(OVERFLOW)
}

/// Bounds from one latency to `ratio` times it, as a number that need not be whole.
pub(crate) fn bounds_between(ratio: f64) -> f64 {
    ratio.ln() / LOG_RATIO
}

/// The ratio of two bounds so many buckets apart.
pub(crate) fn ratio_of_bounds(buckets: i64) -> f64 {
    RATIO.powf(buckets as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_that_of_the_ratio() {
        assert!((LOG_RATIO - RATIO.ln()).abs() < 1e-16);
        let last = LEAST_MS * ratio_of_bounds(OVERFLOW as i64 - 1);
        assert!(last > 989_000.0 && last < 991_000.0, "{last}");
    }

    #[test]
    fn a_bucket_ends_at_its_bound() {
        for place in [1i64, 50, 400, 1_000] {
            let bound = LEAST_MS * ratio_of_bounds(place);
            let place = usize::try_from(place).unwrap();
            assert_eq!(bucket(bound * 0.999), place);
            assert_eq!(bucket(bound * 1.001), place + 1);
        }
        assert_eq!((bucket(0.0), bucket(0.001), bucket(1e300)), (0, 0, OVERFLOW));
    }
}
