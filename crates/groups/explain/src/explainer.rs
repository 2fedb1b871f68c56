//! A model made ready to explain.

use std::sync::{Arc, OnceLock};

use kernel_shapley::{Interventional, PathDependent};
use kernel_trees::Ensemble;

use crate::ExplainError;
use crate::model::{Attributions, Explanations, Method};

#[derive(Debug)]
pub struct Explainer {
    model: Arc<Ensemble>,
    features: Vec<String>,
    game: Game,
}

#[derive(Debug)]
enum Game {
    /// Made when it is first asked: not every question about a model needs it, and not every model has it.
    PathDependent(OnceLock<Result<PathDependent<Arc<Ensemble>>, kernel_shapley::ExplainError>>),
    Interventional(Interventional<Arc<Ensemble>>),
}

impl Explainer {
    /// Path-dependent. `features` names the values of a row, in the order of the model.
    pub fn new(model: Arc<Ensemble>, features: Vec<String>) -> Self {
        Self { model, features, game: Game::PathDependent(OnceLock::new()) }
    }

    /// Whether a question is answered at once.
    pub(crate) fn is_made(&self) -> bool {
        !matches!(&self.game, Game::PathDependent(game) if game.get().is_none())
    }

    /// Against the rows of a background.
    pub fn against(
        model: Arc<Ensemble>,
        features: Vec<String>,
        background: &[f64],
    ) -> Result<Self, ExplainError> {
        let game = Interventional::new(Arc::clone(&model), background).map_err(ExplainError::Model)?;
        Ok(Self { model, features, game: Game::Interventional(game) })
    }

    pub fn features(&self) -> &[String] {
        &self.features
    }

    pub fn model(&self) -> &Arc<Ensemble> {
        &self.model
    }

    /// `rows` holds whole rows. Every row's values are checked to sum to its score.
    pub fn explain(&self, rows: Vec<f64>) -> Result<Explanations, ExplainError> {
        let width = self.features.len();
        let (count, outputs) = (rows.len() / width.max(1), self.model.scores());
        let mut found = vec![0.0; count * outputs * (width + 1)];
        let method = match &self.game {
            Game::PathDependent(game) => {
                let made = game.get_or_init(|| PathDependent::new(Arc::clone(&self.model)));
                let game = made.as_ref().map_err(|error| ExplainError::Model(error.clone()))?;
                game.explain_rows(&rows, &mut found).map_err(ExplainError::Model)?;
                Method::PathDependent
            }
            Game::Interventional(game) => {
                game.explain_rows(&rows, &mut found).map_err(ExplainError::Model)?;
                Method::Interventional
            }
        };
        let mut scores = vec![0.0; count * outputs];
        self.model.raw_scores(&rows, &mut scores);
        let mut predictions = vec![0.0; count * self.model.outputs()];
        self.model.predict(&rows, &mut predictions);
        let of_output = |output: usize| {
            let own = found.chunks(width + 1).skip(output).step_by(outputs);
            Attributions {
                base: found.get(output * (width + 1) + width).copied().unwrap_or(0.0),
                values: own.flat_map(|row| &row[..width]).copied().collect(),
                scores: scores.iter().skip(output).step_by(outputs).copied().collect(),
            }
        };
        let outputs = (0..outputs).map(of_output).collect();
        Ok(Explanations { method, features: self.features.clone(), rows, outputs, predictions })
    }

    /// A row in the middle of what the model asks for: of each feature the middle threshold of its splits, 0 where there is none.
    pub fn middle(&self) -> Vec<f64> {
        let mut thresholds: Vec<Vec<f64>> = vec![Vec::new(); self.features.len()];
        for tree in self.model.trees() {
            let mut open = vec![tree.root()];
            while let Some(place) = open.pop() {
                if let kernel_trees::Step::Split { feature, left, right } = tree.at(place) {
                    if let Some((threshold, _)) = tree.threshold(place).filter(|(t, _)| t.is_finite()) {
                        thresholds[feature].push(threshold);
                    }
                    open.extend([left, right]);
                }
            }
        }
        let middle = |mut own: Vec<f64>| {
            own.sort_by(f64::total_cmp);
            own.get(own.len() / 2).copied().unwrap_or(0.0)
        };
        thresholds.into_iter().map(middle).collect()
    }
}
