//! Numbers from a seed.

/// SplitMix64 (Steele, Lea & Flood 2014): small, seedable, good enough for sampling.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix64(u64);

fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl SplitMix64 {
    /// A sequence of its own for each number, so that one use does not shift another.
    pub fn stream(seed: u64, number: u64) -> Self {
        Self(mixed(seed.wrapping_add(0x9e37_79b9_7f4a_7c15)) ^ mixed(number.wrapping_add(1)).rotate_left(32))
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// Uniform on `0..bound` by multiply-shift; the bias is below bound/2⁶⁴.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.draw()) * bound as u128) >> 64) as usize
    }

    /// Fisher–Yates: the first `count` items are then a uniform sample without replacement, in random order.
    pub fn shuffle_first<T>(&mut self, items: &mut [T], count: usize) {
        for place in 0..count.min(items.len().saturating_sub(1)) {
            let other = place + self.below(items.len() - place);
            items.swap(place, other);
        }
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        self.shuffle_first(items, items.len());
    }
}

/// `count` different rows of `0..rows`, ascending; all of them when there are no more. O(rows).
///
/// ```
/// assert_eq!(kernel_effects::sample_rows(3, 5, 1), [0, 1, 2]);
/// assert_eq!(kernel_effects::sample_rows(1_000, 10, 7), kernel_effects::sample_rows(1_000, 10, 7));
/// ```
pub fn sample_rows(rows: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut chosen: Vec<usize> = (0..rows).collect();
    if count < rows {
        SplitMix64::stream(seed, 0).shuffle_first(&mut chosen, count);
        chosen.truncate(count);
        chosen.sort_unstable();
    }
    chosen
}
