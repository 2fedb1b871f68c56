//! All mixtures of the row with each background row.

use super::coalition::Coalition;
use super::game::Game;
use super::{Estimate, Method};
use crate::{Model, Scored};

/// 4,096 mixtures with a background row.
pub(super) const MOST_DIFFERING: usize = 12;

/// Rows that [`values`] asks for. At most [`MOST_DIFFERING`] players differ.
pub(super) fn rows<M: Model>(game: &Game<'_, M>) -> u64 {
    game.differing().iter().map(|differing| (1u64 << differing.size()).saturating_sub(2)).sum()
}

/// φᵢ = Σ_b w_b Σ_{S ∌ i} |S|!(d − |S| − 1)!/d! · (f_b(S ∪ i) − f_b(S)) over the sets S of the d players in which
/// background row b differs from the row: players that agree add nothing in any order.
pub(super) fn values<M: Model>(game: &mut Game<'_, M>) -> Scored<Estimate, M> {
    let count = game.varying.len();
    let players: Vec<Vec<usize>> =
        game.differing().iter().map(|differing| differing.players(count).collect()).collect();
    let mut asked = Vec::new();
    for (place, players) in players.iter().enumerate() {
        for set in 1..(1usize << players.len()).saturating_sub(1) {
            let taken = players.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1);
            let taken: Vec<usize> = taken.map(|(_, player)| *player).collect();
            asked.push((place, Coalition::of(count, &taken)));
        }
    }
    let mut outputs = game.mixtures(&asked)?.into_iter();
    let mut values = vec![0.0; count];
    for (place, players) in players.iter().enumerate() {
        let sets = 1usize << players.len();
        let mut worths = vec![game.background_outputs()[place]];
        worths.extend(outputs.by_ref().take(sets.saturating_sub(2)));
        worths.push(game.prediction);
        let shapley = weights(players.len());
        for (bit, player) in players.iter().enumerate() {
            let without = (0..sets).filter(|set| set >> bit & 1 == 0);
            let sum: f64 = without
                .map(|set| shapley[set.count_ones() as usize] * (worths[set | 1 << bit] - worths[set]))
                .sum();
            values[*player] += game.weights()[place] * sum;
        }
    }
    Ok(Estimate { values, standard_errors: vec![0.0; count], method: Method::Exact, stopped_early: false })
}

/// s!(d − s − 1)!/d! for s = 0, …, d − 1: 1/d, and each from the one before it.
fn weights(count: usize) -> Vec<f64> {
    let mut weights = Vec::with_capacity(count);
    let mut weight = 1.0 / count.max(1) as f64;
    for size in 0..count {
        weights.push(weight);
        weight *= (size + 1) as f64 / (count - size - 1).max(1) as f64;
    }
    weights
}
