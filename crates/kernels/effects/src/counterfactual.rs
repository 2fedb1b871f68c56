//! What would have to be different for the model to say something else: small changes of the columns that can be
//! changed.

mod action;
mod draft;
mod explore;
mod refine;

pub use action::{Action, Direction};

use crate::model::Meter;
use crate::table::check_row;
use crate::{EffectError, Effort, Gower, InputError, Kind, Model, Neighbour, Scaling, Scored, Table};
use action::levers;
use draft::{Asker, Draft};

/// What the output should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    Within { low: f64, high: f64 },
}

impl Target {
    /// How far an output is from the target; 0 when it is met.
    pub fn gap(self, output: f64) -> f64 {
        match self {
            Self::AtLeast(least) => (least - output).max(0.0),
            Self::AtMost(most) => (output - most).max(0.0),
            Self::Within { low, high } => (low - output).max(output - high).max(0.0),
        }
    }

    /// How deep within the target an output is; below 0 outside of it.
    fn depth(self, output: f64) -> f64 {
        match self {
            Self::AtLeast(least) => output - least,
            Self::AtMost(most) => most - output,
            Self::Within { low, high } => (output - low).min(high - output),
        }
    }

    fn check(self) -> Result<(), InputError> {
        let (low, high) = match self {
            Self::AtLeast(bound) | Self::AtMost(bound) => (bound, bound),
            Self::Within { low, high } => (low, high),
        };
        if low.is_finite() && high.is_finite() && low <= high {
            return Ok(());
        }
        Err(InputError::Setting {
            what: "the target",
            found: high,
            rule: "finite and not below its lower end",
        })
    }
}

/// Which row, what may change, and what should come of it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub row: &'a [f64],
    /// Rows that say what is usual: observed ranges, levels and spreads.
    pub data: Table<'a>,
    pub kinds: &'a [Kind],
    /// By column.
    pub actions: &'a [Action],
    pub target: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchOptions {
    /// The most counterfactuals.
    pub count: usize,
    /// The most rows that the model scores.
    pub budget_rows: u64,
    /// The most columns that change together.
    pub most_changes: usize,
    /// Combinations that are carried on to one column more.
    pub beam: usize,
    /// Values tried per column: quantiles of the data. Levels are all tried.
    pub values_per_column: usize,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self { count: 3, budget_rows: 5_000, most_changes: 3, beam: 12, values_per_column: 16 }
    }
}

/// One column's part of a counterfactual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    pub column: usize,
    pub from: f64,
    pub to: f64,
    pub cost: f64,
}

/// A row that the model was asked about and that meets the target.
#[derive(Debug, Clone, PartialEq)]
pub struct Counterfactual {
    pub row: Vec<f64>,
    /// By column.
    pub changes: Vec<Change>,
    /// The model's output for `row`.
    pub prediction: f64,
    /// Sum of the changes' costs.
    pub cost: f64,
    /// The row of the data that is nearest by Gower's distance: far means that nobody is like this.
    pub nearest: Neighbour,
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchEnd {
    /// The row meets the target as it is.
    AlreadyMet,
    /// Everything that the search tries was tried.
    Complete,
    /// The budget did not allow all of it.
    BudgetSpent,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// The output for the row as it is.
    pub prediction: f64,
    /// Cheapest first, those that change a set of columns of their own before others. Empty when none was found,
    /// which is no proof that there is none.
    pub found: Vec<Counterfactual>,
    pub end: SearchEnd,
    pub effort: Effort,
}

/// Up to `count` rows that meet the target and differ from the row as little as was found.
///
/// cost = Σ weight · |change|/MAD for numbers (MAD: median absolute deviation in the data; where that is 0 the mean
/// deviation from the median, and 1 where that is 0 too) + Σ weight for levels. Numbers stay within the action's
/// bounds *and* the observed range. A number that is missing in the row stays so.
///
/// Source: the distance of Wachter, Mittelstadt & Russell, "Counterfactual explanations without opening the black
/// box" (2018), diversity by different columns after Mothilal, Sharma & Tan (DiCE, 2020); the search is our own. One,
/// two, … columns take quantiles and levels of the data; each round goes on from the combinations that came nearest
/// or gained most for their cost, preferring those that would do if effects added up. It ends when `count` sets of
/// columns meet the target. Then changes that are not needed are taken back, and each number is moved towards the row
/// until 1/512 of its change, or one step, more would miss the target. A counterfactual that changes more columns
/// than another one at no less cost is dropped.
///
/// Every counterfactual was scored by the model as it stands. Deterministic, without a seed. Cost: at most the
/// budget; some ten calls of many rows each.
///
/// Fails when row, kinds or actions do not fit the data, with bounds, steps, weights or a target that are no such,
/// and with a budget of 0.
///
/// ```
/// use kernel_effects::*;
///
/// let mut model = Formula::new(2, |row: &[f64]| row[0] + 10.0 * row[1]);
/// let data = Table::new(&[0.0, 0.0, 1.0, 0.0, 2.0, 1.0, 3.0, 0.0, 4.0, 1.0], 2).unwrap();
/// let question = Question {
///     row: &[0.0, 0.0],
///     data,
///     kinds: &[Kind::Number, Kind::Category],
///     actions: &[
///         Action::Number { direction: Direction::Up, least: 0.0, most: 3.0, step: Some(0.5), weight: 1.0 },
///         Action::Fixed,
///     ],
///     target: Target::AtLeast(2.2),
/// };
/// let found = counterfactuals(&mut model, &question, &SearchOptions::default()).unwrap();
/// assert_eq!(found.found[0].row, [2.5, 0.0]);
/// assert_eq!(found.found[0].cost, 2.5); // the median absolute deviation is 1
/// ```
pub fn counterfactuals<M: Model>(
    model: &mut M,
    question: &Question<'_>,
    options: &SearchOptions,
) -> Scored<Search, M> {
    check(question, options)?;
    if options.budget_rows == 0 {
        return Err(EffectError::Budget { budget: 0, needed: 1 });
    }
    let gower = Gower::new(question.data, question.kinds, Scaling::Range)?;
    let levers = levers(question, options.values_per_column)?;
    let mut meter = Meter::new(model, question.data.columns())?;
    let prediction = meter.score(1, |_, row| row.copy_from_slice(question.row))?[0];
    let ended = |end| Search { prediction, found: Vec::new(), end, effort: meter.effort() };
    if question.target.gap(prediction) == 0.0 {
        return Ok(ended(SearchEnd::AlreadyMet));
    }
    let mut asker = Asker {
        meter,
        row: question.row,
        levers: &levers,
        target: question.target,
        budget: options.budget_rows,
        was_short: false,
    };
    let met = explore::explore(&mut asker, prediction, options)?;
    let drafts = refine::refine(&mut asker, &met, options)?;
    let mut found = Vec::with_capacity(drafts.len());
    for draft in refine::diverse(drafts, &levers, options.count) {
        found.push(finished(&asker, draft, &gower, question.data)?);
    }
    let end = if asker.was_short { SearchEnd::BudgetSpent } else { SearchEnd::Complete };
    Ok(Search { prediction, found, end, effort: asker.meter.effort() })
}

fn finished<M: Model>(
    asker: &Asker<'_, M>,
    draft: Draft,
    gower: &Gower,
    data: Table<'_>,
) -> Result<Counterfactual, InputError> {
    let mut row = asker.row.to_vec();
    draft.write(asker.levers, &mut row);
    let mut changes: Vec<Change> = draft
        .changes
        .iter()
        .map(|(lever, to)| {
            let lever = &asker.levers[*lever];
            Change { column: lever.column, from: lever.from, to: *to, cost: lever.cost(*to) }
        })
        .collect();
    changes.sort_by_key(|change| change.column);
    let cost = changes.iter().map(|change| change.cost).sum();
    let nearest = gower.nearest(data, &row, 1)?.first().copied().ok_or(InputError::NoRows)?;
    Ok(Counterfactual { row, changes, prediction: draft.output, cost, nearest })
}

fn check(question: &Question<'_>, options: &SearchOptions) -> Result<(), InputError> {
    let columns = question.data.columns();
    check_row(question.row, columns)?;
    question.data.check_kinds(question.kinds)?;
    if question.actions.len() != columns {
        let found = question.actions.len();
        return Err(InputError::Count { what: "actions", found, expected: columns });
    }
    question.target.check()?;
    let least = [
        ("the number of counterfactuals", options.count, 1, "one or more"),
        ("the number of columns that change", options.most_changes, 1, "one or more"),
        ("the beam", options.beam, 1, "one or more"),
        ("the number of values per column", options.values_per_column, 2, "two or more"),
    ];
    match least.into_iter().find(|(_, found, least, _)| found < least) {
        Some((what, found, _, rule)) => Err(InputError::Setting { what, found: found as f64, rule }),
        None => Ok(()),
    }
}
