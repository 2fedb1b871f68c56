//! Sets of columns.

/// A set of players `0..count`, a bit for each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Coalition(Box<[u64]>);

impl Coalition {
    pub fn empty(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)].into_boxed_slice())
    }

    pub fn of(count: usize, players: &[usize]) -> Self {
        let mut coalition = Self::empty(count);
        players.iter().for_each(|player| coalition.insert(*player));
        coalition
    }

    pub fn insert(&mut self, player: usize) {
        self.0[player / 64] |= 1 << (player % 64);
    }

    pub fn contains(&self, player: usize) -> bool {
        self.0[player / 64] >> (player % 64) & 1 == 1
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub fn size(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The players of `0..count` in order.
    pub fn players(&self, count: usize) -> impl Iterator<Item = usize> {
        (0..count).filter(|player| self.contains(*player))
    }

    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    pub fn complement(&self, count: usize) -> Self {
        let mut complement = Self(self.0.iter().map(|word| !word).collect());
        if let Some(last) = complement.0.last_mut()
            && !count.is_multiple_of(64)
        {
            *last &= (1 << (count % 64)) - 1;
        }
        complement
    }
}
