//! Shapley values of one prediction of a model that can only be asked: what each column of the row adds to what the
//! model says of background rows.
//!
//! The game is the interventional one: a set S of columns is worth v(S) = Σ_b w_b · f(the row's values in S,
//! background row b's elsewhere), the value of a column is its mean contribution over all orders in which columns can
//! join (Shapley 1953; Lundberg & Lee 2017, with the expectation over the background).

mod background;
mod coalition;
mod exact;
mod game;
mod leverage;
mod permutations;
mod regression;

pub use background::Background;

use crate::table::check_row;
use crate::{EffectError, Effort, InputError, Model, Scored};
use exact::MOST_DIFFERING;
use game::Game;
use permutations::PRIOR_PAIRS;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttributionOptions {
    /// The most rows that the model scores. 100 background rows take as many for each set of columns.
    pub budget_rows: u64,
    /// Stop as soon as the order of the so many largest values is stable: neighbours in it are two standard errors of
    /// their difference apart. Regression then goes on in rounds, each as large as all before it, from five pairs of
    /// sets per column on; the other methods take their rows at once.
    pub stable_top: Option<usize>,
    pub seed: u64,
}

impl Default for AttributionOptions {
    fn default() -> Self {
        Self { budget_rows: 50_000, stable_top: None, seed: 0 }
    }
}

/// How values were calculated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// All sets of columns.
    Exact,
    /// So many random orders, each also backwards.
    Permutations { pairs: usize },
    /// Regression on so many random sets, each with its complement.
    Leverage { pairs: usize },
}

/// Shapley values of a prediction: `base` and `values` sum to `prediction`, but for rounding.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribution {
    /// By column, in the units of the outputs; exactly 0 where the row and the background agree.
    pub values: Vec<f64>,
    /// The mean output of the background rows.
    pub base: f64,
    pub prediction: f64,
    /// By column; 0 when exact, infinite when the budget allowed one pair of orders only. See [`Attribution::margins`].
    pub standard_errors: Vec<f64>,
    pub method: Method,
    /// Whether sampling stopped because the order of the largest values was stable.
    pub stopped_early: bool,
    pub effort: Effort,
}

impl Attribution {
    /// By column, what the true value is at most away from the value in 95 of 100 cases, as far as the errors are
    /// normal: so many standard errors as Student's distribution says for the few pairs of orders, 1.96 for
    /// regression; 0 when exact.
    pub fn margins(&self) -> Vec<f64> {
        let factor = match self.method {
            Method::Permutations { pairs } => student(pairs.saturating_sub(1) + PRIOR_PAIRS),
            Method::Exact | Method::Leverage { .. } => NORMAL,
        };
        // No error stays none, however few the pairs.
        let margin = |error: &f64| if *error == 0.0 { 0.0 } else { factor * error };
        self.standard_errors.iter().map(margin).collect()
    }
}

/// The 0.975 quantile of the normal distribution.
const NORMAL: f64 = 1.959_963_984_540_054;

/// The 0.975 quantile of Student's distribution by Cornish and Fisher's expansion (Abramowitz & Stegun 26.7.5):
/// within 0.5 % from four degrees of freedom on.
fn student(degrees: usize) -> f64 {
    let (z, n) = (NORMAL, degrees as f64);
    z + (z.powi(3) + z) / (4.0 * n)
        + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n * n)
        + (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / (384.0 * n.powi(3))
}

/// Shapley values of the output for `row` against the background, within a budget.
///
/// - Exact where it is affordable and no background row differs from the row in more than 12 columns: all mixtures of
///   the row with each background row, Σ 2^(columns in which they differ) rows.
/// - Else regression on leverage-score samples when the budget allows 10 sets of columns per varying column: Musco &
///   Witter, "Provably accurate Shapley value estimation via leverage score sampling" (ICLR 2025).
/// - Else antithetic permutations: Mitchell, Cooper, Frank & Holmes, "Sampling permutations for Shapley value
///   estimation" (2022). Both sampling methods are exact for models in which columns interact in pairs only.
///
/// Rows that mix to the same are scored once. A call carries as many rows as the model takes. Deterministic in the
/// seed.
///
/// Fails when the row does not fit the background, and with [`EffectError::Budget`] when the budget does not allow
/// one pair of orders: 1 + (2 · varying columns − 1) · background rows.
///
/// ```
/// use kernel_effects::{AttributionOptions, Background, Formula, Method, Table, attribute};
///
/// let mut model = Formula::new(3, |row: &[f64]| row[0] * row[1] + 2.0 * row[2]);
/// let background = Background::new(Table::new(&[0.0, 0.0, 1.0], 3).unwrap());
/// let found = attribute(&mut model, &[3.0, 2.0, 1.0], &background, &AttributionOptions::default()).unwrap();
/// assert_eq!(found.values, [3.0, 3.0, 0.0]);
/// assert_eq!((found.base, found.prediction, found.method), (2.0, 8.0, Method::Exact));
/// ```
pub fn attribute<M: Model>(
    model: &mut M,
    row: &[f64],
    background: &Background,
    options: &AttributionOptions,
) -> Scored<Attribution, M> {
    check_row(row, background.columns())?;
    if options.stable_top == Some(0) {
        return Err(InputError::Setting {
            what: "the number of largest values",
            found: 0.0,
            rule: "one or more",
        }
        .into());
    }
    let rows = background.rows() as u64;
    let budget = options.budget_rows;
    if budget <= rows {
        return Err(EffectError::Budget { budget, needed: rows + 1 });
    }
    let mut game = Game::new(model, row, background)?;
    let varying = game.varying.len() as u64;
    let left = budget - rows - 1;
    let coalitions = left / rows;
    let is_small = game.most_differing() <= MOST_DIFFERING;
    let found = if is_small && exact::rows(&game) <= left {
        exact::values(&mut game)?
    } else if coalitions >= 10 * varying {
        leverage::estimate(&mut game, coalitions / 2, options)?
    } else {
        let pairs = usize::try_from(coalitions / (2 * (varying - 1))).unwrap_or(usize::MAX);
        if pairs == 0 {
            return Err(EffectError::Budget { budget, needed: 1 + (2 * varying - 1) * rows });
        }
        permutations::estimate(&mut game, pairs, options.seed)?
    };
    Ok(found.spread(&game))
}

/// What a method found for the varying columns.
struct Estimate {
    values: Vec<f64>,
    standard_errors: Vec<f64>,
    method: Method,
    stopped_early: bool,
}

impl Estimate {
    /// Over all columns.
    fn spread<M: Model>(self, game: &Game<'_, M>) -> Attribution {
        let mut values = vec![0.0; game.columns()];
        let mut standard_errors = vec![0.0; game.columns()];
        for (place, column) in game.varying.iter().enumerate() {
            values[*column] = self.values[place];
            standard_errors[*column] = self.standard_errors[place];
        }
        Attribution {
            values,
            base: game.base,
            prediction: game.prediction,
            standard_errors,
            method: self.method,
            stopped_early: self.stopped_early,
            effort: game.effort(),
        }
    }
}

/// Whether the `top` largest values stand in this order but for a chance of some per cent.
fn is_stable(values: &[f64], standard_errors: &[f64], top: usize) -> bool {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].abs().total_cmp(&values[*a].abs()));
    order.windows(2).take(top).all(|pair| {
        let gap = values[pair[0]].abs() - values[pair[1]].abs();
        gap >= 2.0 * standard_errors[pair[0]].hypot(standard_errors[pair[1]])
    })
}
