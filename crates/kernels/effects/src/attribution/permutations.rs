//! Contributions along random orders, each taken forwards and backwards.

use super::coalition::Coalition;
use super::game::Game;
use super::{Estimate, Method};
use crate::random::SplitMix64;
use crate::{Model, Scored};

/// Degrees of freedom that the mean variance of all players stands for.
pub(super) const PRIOR_PAIRS: usize = 4;

/// Means over `pairs` pairs of orders. A pair asks for 2·(players − 1) coalitions: what joins first in one order
/// joins last in the other, so that each pair is exact for interactions of two players.
///
/// The standard error is that of the mean of the pairs, which are independent, with a variance pooled with the mean
/// variance of all players as if that came from [`PRIOR_PAIRS`] more (the moderation of Smyth 2004, with fixed prior
/// degrees of freedom): contributions to interactions take few values, and two or three pairs that happen to agree
/// would claim an error of none.
pub(super) fn estimate<M: Model>(game: &mut Game<'_, M>, pairs: usize, seed: u64) -> Scored<Estimate, M> {
    let count = game.varying.len();
    let mut random = SplitMix64::stream(seed, 1);
    let mut order: Vec<usize> = (0..count).collect();
    let mut orders = Vec::with_capacity(pairs);
    let mut coalitions = Vec::with_capacity(pairs * 2 * count);
    for _ in 0..pairs {
        random.shuffle(&mut order);
        let mut joined = Coalition::empty(count);
        for player in &order[..count - 1] {
            joined.insert(*player);
            coalitions.push(joined.clone());
            coalitions.push(joined.complement(count));
        }
        orders.push(order.clone());
    }
    let worths = game.worths(&coalitions)?;
    let mut moments = vec![Moments::default(); count];
    for (order, worths) in orders.iter().zip(worths.chunks(2 * (count - 1))) {
        // Of those that joined so far, and of those that did not.
        let (mut joined, mut others) = (game.base, game.prediction);
        let after = worths.chunks(2).map(|pair| (pair[0], pair[1])).chain([(game.prediction, game.base)]);
        for (player, (joined_after, others_after)) in order.iter().zip(after) {
            let contributions = (joined_after - joined) + (others - others_after);
            moments[*player].add(contributions / 2.0);
            (joined, others) = (joined_after, others_after);
        }
    }
    Ok(Estimate {
        values: moments.iter().map(|moments| moments.mean).collect(),
        standard_errors: standard_errors(&moments, pairs as f64),
        method: Method::Permutations { pairs },
        stopped_early: false,
    })
}

/// Mean and sum of squared distances from it (Welford 1962).
#[derive(Clone, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let distance = value - self.mean;
        self.mean += distance / self.count;
        self.squares += distance * (value - self.mean);
    }
}

/// Of the means; infinite for one pair.
fn standard_errors(moments: &[Moments], pairs: f64) -> Vec<f64> {
    if pairs < 2.0 {
        return vec![f64::INFINITY; moments.len()];
    }
    let (degrees, prior) = (pairs - 1.0, PRIOR_PAIRS as f64);
    let all: f64 =
        moments.iter().map(|moments| moments.squares / degrees).sum::<f64>() / moments.len() as f64;
    let variance = |moments: &Moments| (prior * all + moments.squares) / (prior + degrees);
    moments.iter().map(|moments| (variance(moments) / pairs).sqrt()).collect()
}
