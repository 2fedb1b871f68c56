//! What a score is when nothing drifted: its upper quantile over samples drawn from the reference itself.
//!
//! A fixed threshold has a false-alarm rate anywhere between 0 and 1 depending on the window's size and the number of
//! levels; a calibrated one has the rate that was asked for.

use crate::{jensen_shannon, wasserstein_normed};

/// SplitMix64 (Steele, Lea & Flood 2014): small, seedable, good enough for resampling.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform on `0..bound` by multiply-shift; the bias is below bound/2⁶⁴.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

/// The `1 − false_alarm_rate` quantile of the normed Wasserstein score over `draws` samples of `size` values
/// taken from the reference with replacement (Efron 1979). NaN when the reference is empty.
/// O(draws · (n + size log size)).
pub fn calibrate_numeric(
    reference_sorted: &[f64],
    size: usize,
    draws: usize,
    false_alarm_rate: f64,
    seed: u64,
) -> f64 {
    if reference_sorted.is_empty() || size == 0 || draws == 0 {
        return f64::NAN;
    }
    let mut random = SplitMix64(seed);
    let mut scores: Vec<f64> = (0..draws)
        .map(|_| {
            let mut ranks: Vec<usize> = (0..size).map(|_| random.below(reference_sorted.len())).collect();
            ranks.sort_unstable();
            let sample: Vec<f64> = ranks.into_iter().map(|rank| reference_sorted[rank]).collect();
            wasserstein_normed(reference_sorted, &sample)
        })
        .collect();
    upper_quantile(&mut scores, false_alarm_rate)
}

/// Like [`calibrate_numeric`] for the Jensen–Shannon distance of counts. O(draws · (levels + size log levels)).
pub fn calibrate_categorical(
    reference: &[u64],
    size: usize,
    draws: usize,
    false_alarm_rate: f64,
    seed: u64,
) -> f64 {
    let cumulative: Vec<u64> = reference
        .iter()
        .scan(0u64, |sum, count| {
            *sum += count;
            Some(*sum)
        })
        .collect();
    let total = cumulative.last().copied().unwrap_or(0) as usize;
    if total == 0 || size == 0 || draws == 0 {
        return f64::NAN;
    }
    let mut random = SplitMix64(seed);
    let mut scores: Vec<f64> = (0..draws)
        .map(|_| {
            let mut counts = vec![0u64; reference.len()];
            for _ in 0..size {
                let row = random.below(total) as u64;
                counts[cumulative.partition_point(|end| *end <= row)] += 1;
            }
            jensen_shannon(reference, &counts)
        })
        .collect();
    upper_quantile(&mut scores, false_alarm_rate)
}

fn upper_quantile(scores: &mut [f64], false_alarm_rate: f64) -> f64 {
    scores.sort_unstable_by(f64::total_cmp);
    let rank = ((1.0 - false_alarm_rate) * scores.len() as f64).ceil() as usize;
    scores[rank.clamp(1, scores.len()) - 1]
}
