//! What a column may become.

use super::Question;
use crate::quantile::{ascending, linear, median, median_deviation};
use crate::table::same;
use crate::{InputError, Table};

/// Which way a number may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Either,
    Up,
    Down,
}

/// What may be done about a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// It stays as it is.
    Fixed,
    /// It moves between bounds (infinite when there are none), by multiples of a step from the row's value where
    /// there is one. The weight says how dear a change is, 1 being usual.
    Number { direction: Direction, least: f64, most: f64, step: Option<f64>, weight: f64 },
    /// It takes one of the values, or with an empty list any level of the data.
    Level { values: Vec<f64>, weight: f64 },
}

impl Action {
    /// A number that may become anything observed.
    pub fn number() -> Self {
        let (least, most) = (f64::NEG_INFINITY, f64::INFINITY);
        Self::Number { direction: Direction::Either, least, most, step: None, weight: 1.0 }
    }

    /// A category that may become any level of the data.
    pub fn level() -> Self {
        Self::Level { values: Vec::new(), weight: 1.0 }
    }

    fn check(&self) -> Result<(), InputError> {
        let (weight, bounds, step) = match self {
            Self::Fixed => return Ok(()),
            Self::Number { least, most, step, weight, .. } => (*weight, [*least, *most], *step),
            Self::Level { values, weight } => {
                if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                    return Err(InputError::Setting { what: "a level", found: *value, rule: "finite" });
                }
                (*weight, [0.0, 0.0], None)
            }
        };
        if !weight.is_finite() || weight < 0.0 {
            return Err(InputError::Setting {
                what: "a weight",
                found: weight,
                rule: "finite and 0 or more",
            });
        }
        if bounds[0].is_nan() || bounds[1].is_nan() || bounds[0] > bounds[1] {
            return Err(InputError::Setting {
                what: "an upper bound",
                found: bounds[1],
                rule: "at or above the lower one",
            });
        }
        match step {
            Some(step) if !step.is_finite() || step <= 0.0 => {
                Err(InputError::Setting { what: "a step", found: step, rule: "finite and above 0" })
            }
            _ => Ok(()),
        }
    }
}

/// A column that can be changed in this row, and to what.
pub(super) struct Lever {
    pub column: usize,
    pub from: f64,
    /// Values to try first, cheapest first.
    pub candidates: Vec<f64>,
    weight: f64,
    /// What a level lacks.
    number: Option<Number>,
}

struct Number {
    low: f64,
    high: f64,
    step: Option<f64>,
    /// A change of so much costs the weight.
    unit: f64,
}

impl Lever {
    pub fn cost(&self, to: f64) -> f64 {
        match &self.number {
            _ if same(self.from, to) => 0.0,
            Some(number) => self.weight * (to - self.from).abs() / number.unit,
            None => self.weight,
        }
    }

    /// Whether two values are hardly the same change: levels, or numbers a tenth of a unit apart.
    pub fn differs(&self, a: f64, b: f64) -> bool {
        match &self.number {
            Some(number) => (a - b).abs() > 0.1 * number.unit,
            None => !same(a, b),
        }
    }

    /// Where the way from the row to a value begins to be allowed; none for levels.
    pub fn start(&self) -> Option<f64> {
        self.number.as_ref().map(|number| self.from.clamp(number.low, number.high))
    }

    /// At most seven allowed values strictly between, from `inner` to `outer`: eighths of the way, or whole steps
    /// near them.
    pub fn between(&self, inner: f64, outer: f64) -> Vec<f64> {
        let Some(number) = &self.number else { return Vec::new() };
        let eighths = (1..8).map(|part| inner + (outer - inner) * f64::from(part) / 8.0);
        let mut values: Vec<f64> = eighths.map(|value| number.stepped(self.from, value)).collect();
        values.retain(|value| {
            let (low, high) = if inner < outer { (inner, outer) } else { (outer, inner) };
            *value > low && *value < high && number.allows(*value)
        });
        values.dedup();
        values
    }
}

impl Number {
    fn allows(&self, value: f64) -> bool {
        value >= self.low && value <= self.high
    }

    /// The last whole step on the way to a value; rounding errors do not cost a step.
    fn stepped(&self, from: f64, value: f64) -> f64 {
        let Some(step) = self.step else { return value };
        let steps = ((value - from).abs() / step + 1e-9).floor();
        let moved = from + (value - from).signum() * steps * step;
        // Within the value, which is within the bounds.
        if value >= from { moved.min(value) } else { moved.max(value) }
    }
}

/// The columns that can change, in order.
pub(super) fn levers(question: &Question<'_>, values_per_column: usize) -> Result<Vec<Lever>, InputError> {
    let mut levers = Vec::new();
    for (column, action) in question.actions.iter().enumerate() {
        action.check()?;
        let from = question.row[column];
        let lever = match action {
            Action::Fixed => None,
            Action::Number { .. } => number_lever(question.data, column, from, action, values_per_column)?,
            Action::Level { values, weight } => {
                let mut candidates =
                    if values.is_empty() { ascending(question.data.column(column)?) } else { values.clone() };
                candidates.retain(|value| *value != from);
                candidates.sort_by(f64::total_cmp);
                candidates.dedup();
                Some(Lever { column, from, candidates, weight: *weight, number: None })
            }
        };
        levers.extend(lever.filter(|lever| !lever.candidates.is_empty()));
    }
    Ok(levers)
}

fn number_lever(
    data: Table<'_>,
    column: usize,
    from: f64,
    action: &Action,
    values_per_column: usize,
) -> Result<Option<Lever>, InputError> {
    let Action::Number { direction, least, most, step, weight } = action else { return Ok(None) };
    let sorted = ascending(data.column(column)?);
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else { return Ok(None) };
    if from.is_nan() {
        return Ok(None);
    }
    let (mut low, mut high) = (least.max(*first), most.min(*last));
    match direction {
        Direction::Either => {}
        Direction::Up => low = low.max(from),
        Direction::Down => high = high.min(from),
    }
    if low > high {
        return Ok(None);
    }
    let number = Number { low, high, step: *step, unit: unit(&sorted) };
    let last_part = (values_per_column - 1) as f64;
    let quantiles = (0..values_per_column).map(|part| linear(&sorted, part as f64 / last_part));
    let mut candidates: Vec<f64> = quantiles
        .chain([low, high])
        .map(|value| number.stepped(from, value.clamp(low, high)))
        .filter(|value| number.allows(*value) && *value != from)
        .collect();
    candidates.sort_by(|a, b| (a - from).abs().total_cmp(&(b - from).abs()).then(a.total_cmp(b)));
    candidates.dedup();
    Ok(Some(Lever { column, from, candidates, weight: *weight, number: Some(number) }))
}

fn unit(sorted: &[f64]) -> f64 {
    let deviation = median_deviation(sorted);
    if deviation > 0.0 {
        return deviation;
    }
    let centre = median(sorted);
    let mean = sorted.iter().map(|value| (value - centre).abs()).sum::<f64>() / sorted.len() as f64;
    if mean > 0.0 { mean } else { 1.0 }
}
