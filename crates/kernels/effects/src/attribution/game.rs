//! What sets of columns are worth, by asking the model.

use std::collections::HashMap;

use super::background::Background;
use super::coalition::Coalition;
use crate::model::Meter;
use crate::table::same;
use crate::{Effort, Model, Scored};

pub(super) struct Game<'a, M: Model> {
    meter: Meter<'a, M>,
    row: &'a [f64],
    background: &'a Background,
    /// Columns in which some background row differs from the row: the players.
    pub varying: Vec<usize>,
    /// The players in which each background row differs.
    differing: Vec<Coalition>,
    /// The output for the row: what all players are worth.
    pub prediction: f64,
    /// What no player is worth.
    pub base: f64,
    background_outputs: Vec<f64>,
    /// Outputs by background row and the players taken from the row. Only looked up, so that its order decides nothing.
    scored: Vec<HashMap<Coalition, f64>>,
}

impl<'a, M: Model> Game<'a, M> {
    /// Scores the row and the background rows.
    pub fn new(model: &'a mut M, row: &'a [f64], background: &'a Background) -> Scored<Self, M> {
        let mut meter = Meter::new(model, row.len())?;
        let rows = background.rows();
        let mut outputs = meter.score(rows + 1, |number, mixed| {
            mixed.copy_from_slice(if number == rows { row } else { background.row(number) });
        })?;
        // The last output is the row's own.
        let prediction = outputs.pop().unwrap_or(f64::NAN);
        let differs = |place: usize, column: usize| !same(background.row(place)[column], row[column]);
        let varying: Vec<usize> =
            (0..row.len()).filter(|column| (0..rows).any(|place| differs(place, *column))).collect();
        let differing = (0..rows).map(|place| {
            let players = varying.iter().enumerate().filter(|(_, column)| differs(place, **column));
            let players: Vec<usize> = players.map(|(player, _)| player).collect();
            Coalition::of(varying.len(), &players)
        });
        let differing: Vec<Coalition> = differing.collect();
        let base = outputs.iter().zip(background.weights()).map(|(output, weight)| output * weight).sum();
        Ok(Self {
            meter,
            row,
            background,
            varying,
            differing,
            prediction,
            base,
            background_outputs: outputs,
            scored: vec![HashMap::new(); rows],
        })
    }

    pub fn columns(&self) -> usize {
        self.row.len()
    }

    pub fn effort(&self) -> Effort {
        self.meter.effort()
    }

    pub fn weights(&self) -> &'a [f64] {
        self.background.weights()
    }

    pub fn background_outputs(&self) -> &[f64] {
        &self.background_outputs
    }

    /// The players in which each background row differs from the row.
    pub fn differing(&self) -> &[Coalition] {
        &self.differing
    }

    pub fn most_differing(&self) -> usize {
        self.differing.iter().map(Coalition::size).max().unwrap_or(0)
    }

    /// Outputs for background rows with some players taken from the row, in order.
    pub fn mixtures(&mut self, asked: &[(usize, Coalition)]) -> Scored<Vec<f64>, M> {
        let (row, background, varying) = (self.row, self.background, &self.varying);
        self.meter.score(asked.len(), |number, mixed| {
            let (place, taken) = &asked[number];
            mixed.copy_from_slice(background.row(*place));
            for player in taken.players(varying.len()) {
                mixed[varying[player]] = row[varying[player]];
            }
        })
    }

    /// What coalitions are worth, in order.
    pub fn worths(&mut self, coalitions: &[Coalition]) -> Scored<Vec<f64>, M> {
        let mut asked: Vec<(usize, Coalition)> = Vec::new();
        for (place, differing) in self.differing.iter().enumerate() {
            for coalition in coalitions {
                let taken = coalition.intersection(differing);
                if !taken.is_empty() && taken != *differing && !self.scored[place].contains_key(&taken) {
                    self.scored[place].insert(taken.clone(), f64::NAN);
                    asked.push((place, taken));
                }
            }
        }
        let outputs = self.mixtures(&asked)?;
        for ((place, taken), output) in asked.into_iter().zip(outputs) {
            self.scored[place].insert(taken, output);
        }
        Ok(coalitions.iter().map(|coalition| self.known_worth(coalition)).collect())
    }

    fn known_worth(&self, coalition: &Coalition) -> f64 {
        let mut worth = 0.0;
        for (place, differing) in self.differing.iter().enumerate() {
            let taken = coalition.intersection(differing);
            let output = if taken.is_empty() {
                self.background_outputs[place]
            } else if taken == *differing {
                self.prediction
            } else {
                // Scored before it is looked up.
                self.scored[place].get(&taken).copied().unwrap_or(f64::NAN)
            };
            worth += self.weights()[place] * output;
        }
        worth
    }
}
