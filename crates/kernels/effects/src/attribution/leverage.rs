//! Regression on sets of columns that are sampled by their leverage scores.
//!
//! Shapley values are the solution of a least-squares problem over all 2ⁿ − 2 sets S with weights (n −
//! 1)/(C(n,|S|)·|S|·(n − |S|)) and the constraint that they sum to v(all) − v(none) (Charnes et al. 1988; Lundberg &
//! Lee 2017). The leverage score of a set is 1/C(n,|S|) (Musco & Witter 2025): each size is sampled as
//! often, which needs O(n log n) sets. A set comes with its complement, and none comes twice. Here the number of sets
//! of each size is fixed rather than random, so that sizes are strata and the small ones are complete.

use std::collections::HashSet;

use super::coalition::Coalition;
use super::game::Game;
use super::regression::{Fit, Pair, Stratum, fit};
use super::{AttributionOptions, Estimate, Method, is_stable};
use crate::random::SplitMix64;
use crate::{Model, Scored};

/// Strata of at most so many pairs are listed and shuffled; from larger ones pairs are drawn until they are new.
const MOST_LISTED: f64 = 65_536.0;

/// At most `most` pairs of a set and its complement, at least five per player.
pub(super) fn estimate<M: Model>(
    game: &mut Game<'_, M>,
    most: u64,
    options: &AttributionOptions,
) -> Scored<Estimate, M> {
    let count = game.varying.len();
    let mut random = SplitMix64::stream(options.seed, 2);
    let mut strata: Vec<Sampler> =
        (1..=count / 2).map(|size| Sampler::new(count, size, &mut random)).collect();
    let all: f64 = strata.iter().map(|stratum| stratum.pairs).sum();
    let most = (most as f64).min(all) as usize;
    let total = game.prediction - game.base;
    let mut sampled: Vec<Stratum> = strata
        .iter()
        .map(|stratum| Stratum { mass: stratum.mass, pairs_of_all: stratum.pairs, pairs: Vec::new() })
        .collect();
    let mut pairs = 0;
    loop {
        let goal = match options.stable_top {
            Some(_) => (5 * count).max(2 * pairs).min(most),
            None => most,
        };
        let sizes: Vec<f64> = strata.iter().map(|stratum| stratum.pairs).collect();
        let mut coalitions = Vec::new();
        let mut owners = Vec::new();
        for (number, wanted) in allocation(&sizes, count, goal).into_iter().enumerate() {
            for _ in sampled[number].pairs.len()..wanted {
                // Rounding can have given an earlier round one pair more of a size.
                if owners.len() == goal - pairs {
                    break;
                }
                let coalition = strata[number].next(&mut random);
                coalitions.push(coalition.complement(count));
                coalitions.push(coalition);
                owners.push(number);
            }
        }
        let worths = game.worths(&coalitions)?;
        for ((owner, pair), worths) in owners.into_iter().zip(coalitions.chunks(2)).zip(worths.chunks(2)) {
            let signs = (0..count).map(|player| if pair[1].contains(player) { 1.0 } else { -1.0 }).collect();
            sampled[owner].pairs.push(Pair { signs, difference: worths[1] - worths[0] });
        }
        pairs = sampled.iter().map(|stratum| stratum.pairs.len()).sum();
        let Fit { values, standard_errors } = fit(&sampled, count, total);
        let stopped_early =
            pairs < most && options.stable_top.is_some_and(|top| is_stable(&values, &standard_errors, top));
        if stopped_early || pairs >= most {
            let method = Method::Leverage { pairs };
            return Ok(Estimate { values, standard_errors, method, stopped_early });
        }
    }
}

/// Pairs of a size and its complement's, without repeats.
struct Sampler {
    count: usize,
    size: usize,
    /// How many there are; a float, for there can be very many.
    pairs: f64,
    /// Their part of the regression's weights.
    mass: f64,
    source: Source,
}

enum Source {
    /// Those not yet taken, in random order.
    Listed(Vec<Coalition>),
    /// Those taken.
    Drawn(HashSet<Coalition>),
}

impl Sampler {
    fn new(count: usize, size: usize, random: &mut SplitMix64) -> Self {
        // Of an even number's middle size, a set and its complement are both counted.
        let part = if 2 * size == count { 0.5 } else { 1.0 };
        let pairs = (binomial(count, size) * part).round();
        let mass = part * (count - 1) as f64 / (size * (count - size)) as f64;
        let source = if pairs <= MOST_LISTED {
            let mut listed = combinations(count, size);
            // In the order of combinations, those with player 0 are the first half.
            listed.truncate(pairs as usize);
            random.shuffle(&mut listed);
            Source::Listed(listed)
        } else {
            Source::Drawn(HashSet::new())
        };
        Self { count, size, pairs, mass, source }
    }

    /// A pair not yet taken, by its member of the smaller size (with player 0, for the middle size). There must be one.
    fn next(&mut self, random: &mut SplitMix64) -> Coalition {
        let (count, size) = (self.count, self.size);
        match &mut self.source {
            Source::Listed(listed) => listed.pop().unwrap_or_else(|| Coalition::empty(count)),
            Source::Drawn(taken) => {
                let mut players: Vec<usize> = (0..count).collect();
                loop {
                    random.shuffle_first(&mut players, size);
                    let mut coalition = Coalition::of(count, &players[..size]);
                    if 2 * size == count && !coalition.contains(0) {
                        coalition = coalition.complement(count);
                    }
                    if taken.insert(coalition.clone()) {
                        return coalition;
                    }
                }
            }
        }
    }
}

/// How many pairs of each size: as many of each (half of the middle one, whose sets come in pairs among themselves),
/// but no more than there are. What is left over by rounding goes to the smallest sizes, which weigh most.
fn allocation(sizes: &[f64], count: usize, goal: usize) -> Vec<usize> {
    let part = |number: usize| if 2 * (number + 1) == count { 0.5 } else { 1.0 };
    let taken = |level: f64| -> Vec<f64> {
        let of = |(number, size): (usize, &f64)| (level * part(number)).floor().min(*size);
        sizes.iter().enumerate().map(of).collect()
    };
    // The largest level that stays within the goal.
    let (mut low, mut high) = (0usize, 2 * goal + 2);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if taken(middle as f64).iter().sum::<f64>() <= goal as f64 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let mut wanted: Vec<usize> = taken(low as f64).into_iter().map(|pairs| pairs as usize).collect();
    let mut left = goal - wanted.iter().sum::<usize>().min(goal);
    while left > 0 {
        let before = left;
        for (wanted, size) in wanted.iter_mut().zip(sizes) {
            if left > 0 && (*wanted as f64) < *size {
                *wanted += 1;
                left -= 1;
            }
        }
        if left == before {
            break;
        }
    }
    wanted
}

fn binomial(count: usize, size: usize) -> f64 {
    (0..size).fold(1.0, |product, k| product * (count - k) as f64 / (k + 1) as f64)
}

/// All sets of a size, in lexicographic order.
fn combinations(count: usize, size: usize) -> Vec<Coalition> {
    let mut players: Vec<usize> = (0..size).collect();
    let mut found = Vec::new();
    loop {
        found.push(Coalition::of(count, &players));
        let Some(place) = (0..size).rev().find(|place| players[*place] < count - size + place) else {
            return found;
        };
        let next = players[place] + 1;
        players.iter_mut().skip(place).enumerate().for_each(|(step, player)| *player = next + step);
    }
}
