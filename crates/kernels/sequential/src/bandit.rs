//! Traffic that goes where the reward is, with what an arm is worth known at every look.

use serde::{Deserialize, Serialize};

use crate::bernstein::LowerSequence;
use crate::error::require;
use crate::random::Draws;
use crate::{InputError, Interval, Moments};

/// Draws from the posterior by which shares are set.
const DRAWS: u64 = 1_000;
/// Arms at most.
const MOST_ARMS: usize = 64;
/// The stream of choices; refreshes take those from 1 on.
const CHOICES: u64 = 0;

/// What a reward is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reward {
    /// 0 or 1. The prior of an arm is uniform.
    Bernoulli,
    /// Within `low` and `high`, modelled as normal. The prior of an arm, in units of the range above `low`: mean ½ with the
    /// weight of one reward, variance by an inverse gamma of shape 1 and scale 1/16.
    Gaussian { low: f64, high: f64 },
}

/// An arm that was chosen, with the chance it had: what the log has to keep of a request.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    pub arm: usize,
    pub propensity: f64,
}

/// Thompson sampling with a floor.
///
/// An arm's share is floor + (1 − K·floor)·P(it is the best), K being the number of arms, by 1,000 draws from the posteriors
/// (Thompson 1933; beta and normal-inverse-gamma posteriors as in Murphy, "Conjugate Bayesian analysis of the Gaussian
/// distribution", 2007). The shares are set first and arms drawn from them, so that the propensity that is logged is
/// the chance that was used. They change at [`refresh`](Self::refresh) only.
///
/// What an arm would earn if it had all traffic: the mean of reward/propensity where it was chosen and 0 elsewhere, with the
/// confidence sequence of Waudby-Smith, Wu, Ramdas, Karampatziakis & Mineiro (2024): their predictable plug-in
/// empirical-Bernstein bounds, one on the reward and one on what it lacks to the highest. It is valid at all looks although the
/// shares depend on the past, for the average of what the arm earns when that moves. The floor bounds the weights.
///
/// Same seed and rewards, same choices, to the bit. `choose` and `reward` are O(K), `refresh` O(1,000·K).
///
/// ```
/// use kernel_sequential::{Bandit, Reward};
///
/// let mut bandit = Bandit::new(2, Reward::Bernoulli, 0.1, 0.05, 42)?;
/// for request in 0..2_000 {
///     let choice = bandit.choose();
///     // Arm 1 always earns, arm 0 every second time.
///     bandit.reward(choice, if choice.arm == 1 || request % 2 == 0 { 1.0 } else { 0.0 })?;
///     if request % 100 == 99 {
///         bandit.refresh();
///     }
/// }
/// assert!(bandit.shares()[1] > 0.89);
/// assert!(bandit.interval(0)?.upper < bandit.interval(1)?.lower);
/// # Ok::<(), kernel_sequential::InputError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bandit {
    reward: Reward,
    floor: f64,
    alpha: f64,
    seed: u64,
    choices: Draws,
    refreshes: u64,
    arms: Vec<ArmRecord>,
    shares: Vec<f64>,
}

/// Rewards in units of the range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ArmRecord {
    rewards: Moments,
    /// Weighted rewards, and weighted shortfalls from the highest.
    earned: LowerSequence,
    missed: LowerSequence,
}

impl Bandit {
    /// From 2 to 64 arms. `floor`: least share of an arm, above 0 and at most 1/arms. `alpha`: chance that an interval, at any
    /// look, misses, in (0, 1). All arms begin with the same share.
    pub fn new(arms: usize, reward: Reward, floor: f64, alpha: f64, seed: u64) -> Result<Self, InputError> {
        require((2..=MOST_ARMS).contains(&arms), "the number of arms", arms as f64, "between 2 and 64")?;
        let holds = floor > 0.0 && floor <= 1.0 / arms as f64;
        require(holds, "the floor of shares", floor, "above 0 and at most one over the number of arms")?;
        require(alpha > 0.0 && alpha < 1.0, "alpha", alpha, "above 0 and below 1")?;
        if let Reward::Gaussian { low, high } = reward {
            require(low.is_finite(), "the lowest reward", low, "finite")?;
            require(
                high.is_finite() && high > low,
                "the highest reward",
                high,
                "finite and above the lowest",
            )?;
        }
        let sequence = LowerSequence::new(alpha / 2.0);
        let record = ArmRecord { rewards: Moments::default(), earned: sequence, missed: sequence };
        Ok(Self {
            reward,
            floor,
            alpha,
            seed,
            choices: Draws::stream(seed, CHOICES),
            refreshes: 0,
            arms: vec![record; arms],
            shares: vec![1.0 / arms as f64; arms],
        })
    }

    /// Of the arms, in order; they sum to 1.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// Draws an arm by the present shares.
    pub fn choose(&mut self) -> Choice {
        let mut left = self.choices.uniform();
        let mut arm = 0;
        while arm + 1 < self.shares.len() && left >= self.shares[arm] {
            left -= self.shares[arm];
            arm += 1;
        }
        Choice { arm, propensity: self.shares[arm] }
    }

    /// Counts the reward of a choice, which may come late and in any order, provided that when it comes, and whether, does not
    /// depend on the arm. The propensity is that of the choice, between the floor and 1.
    pub fn reward(&mut self, choice: Choice, reward: f64) -> Result<(), InputError> {
        let Choice { arm: chosen, propensity } = choice;
        let holds = chosen < self.arms.len();
        require(holds, "the arm of a choice", chosen as f64, "below the number of arms")?;
        // Shares are sums that round.
        let holds = (self.floor * (1.0 - 1e-9)..=1.0).contains(&propensity);
        require(holds, "the propensity of a choice", propensity, "between the floor and 1")?;
        let reward = self.in_range(reward)?;
        for (arm, record) in self.arms.iter_mut().enumerate() {
            let weight = if arm == chosen { 1.0 / propensity } else { 0.0 };
            record.earned.add(weight * reward);
            record.missed.add(weight * (1.0 - reward));
        }
        self.arms[chosen].rewards.add(reward);
        Ok(())
    }

    /// A reward in units of the range.
    fn in_range(&self, reward: f64) -> Result<f64, InputError> {
        match self.reward {
            Reward::Bernoulli => {
                require(reward == 0.0 || reward == 1.0, "a reward", reward, "0 or 1")?;
                Ok(reward)
            }
            Reward::Gaussian { low, high } => {
                require((low..=high).contains(&reward), "a reward", reward, "within the range that was set")?;
                Ok(((reward - low) / (high - low)).clamp(0.0, 1.0))
            }
        }
    }

    /// Sets the shares by the rewards so far.
    pub fn refresh(&mut self) {
        self.refreshes += 1;
        let mut draws = Draws::stream(self.seed, self.refreshes);
        let mut wins = vec![0u64; self.arms.len()];
        for _ in 0..DRAWS {
            let (mut best, mut highest) = (0, f64::NEG_INFINITY);
            for (arm, record) in self.arms.iter().enumerate() {
                let value = record.draw(self.reward, &mut draws);
                if value > highest {
                    (best, highest) = (arm, value);
                }
            }
            wins[best] += 1;
        }
        let free = 1.0 - self.floor * self.arms.len() as f64;
        for (share, wins) in self.shares.iter_mut().zip(wins) {
            *share = self.floor + free * wins as f64 / DRAWS as f64;
        }
    }

    /// What the arm would earn with all traffic, by inverse propensities; NaN before the first reward. Unbiased, so that
    /// it may lie outside the range of rewards.
    pub fn value(&self, arm: usize) -> Result<f64, InputError> {
        Ok(self.in_units(self.record(arm)?.earned.mean()))
    }

    /// A confidence sequence for that, within the range of rewards.
    pub fn interval(&self, arm: usize) -> Result<Interval, InputError> {
        let record = self.record(arm)?;
        let lower = record.earned.lower(self.alpha / 2.0).min(1.0);
        let upper = 1.0 - record.missed.lower(self.alpha / 2.0).min(1.0);
        Ok(Interval { lower: self.in_units(lower), upper: self.in_units(upper) })
    }

    fn record(&self, arm: usize) -> Result<&ArmRecord, InputError> {
        let (what, rule) = ("an arm", "below the number of arms");
        self.arms.get(arm).ok_or(InputError::Setting { what, found: arm as f64, rule })
    }

    fn in_units(&self, value: f64) -> f64 {
        match self.reward {
            Reward::Bernoulli => value,
            Reward::Gaussian { low, high } => low + (high - low) * value,
        }
    }
}

impl ArmRecord {
    /// A mean reward drawn from the posterior.
    fn draw(&self, reward: Reward, draws: &mut Draws) -> f64 {
        let n = self.rewards.count() as f64;
        let mean = if n > 0.0 { self.rewards.mean() } else { 0.5 };
        match reward {
            Reward::Bernoulli => {
                let successes = (n * mean).round();
                let (ones, zeros) = (draws.gamma(1.0 + successes), draws.gamma(1.0 + n - successes));
                ones / (ones + zeros)
            }
            Reward::Gaussian { .. } => {
                let squares = if n > 1.0 { self.rewards.variance() * (n - 1.0) } else { 0.0 };
                let weight = 1.0 + n;
                let centre = (0.5 + n * mean) / weight;
                let shape = 1.0 + n / 2.0;
                let scale = 1.0 / 16.0 + squares / 2.0 + n * (mean - 0.5).powi(2) / (2.0 * weight);
                let variance = scale / draws.gamma(shape);
                centre + (variance / weight).sqrt() * draws.normal()
            }
        }
    }
}
