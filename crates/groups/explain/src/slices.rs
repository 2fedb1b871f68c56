//! Rows by the levels of one column, or of several crossed. Pure.

use std::collections::BTreeMap;

use kernel_drift::{QuantileBins, sorted};
use serde::Serialize;

use crate::ExplainError;
use crate::population::{Population, Values};
use crate::report::shown;

type Result<T> = std::result::Result<T, ExplainError>;

/// Slices that can still be told apart.
pub(crate) const MOST_SLICES: usize = 50;
/// A column of numbers is cut into so many levels.
const QUARTERS: usize = 4;
const MISSING: &str = "missing";

/// A column, and what a slice's rows have there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Level {
    pub column: String,
    pub level: String,
}

/// Rows of the same levels.
pub(crate) struct Cut {
    pub levels: Vec<Level>,
    pub rows: Vec<usize>,
}

impl Cut {
    pub fn name(&self) -> String {
        let level = |level: &Level| format!("{}: {}", level.column, level.level);
        self.levels.iter().map(level).collect::<Vec<_>>().join(", ")
    }
}

/// A column's levels in order, and that of each row.
struct Leveled {
    names: Vec<String>,
    of_row: Vec<usize>,
}

/// Rows by the levels of the columns `by`, in the order of the levels; only what has rows. A column of texts has its values as levels. One
/// of numbers is cut at `edges`, which belong to the level above; without them at the quartiles of the rows (numpy's `quantile`), unless it has no
/// more than four values. What is missing is a level.
pub(crate) fn cut(
    population: &Population,
    by: &[String],
    edges: &BTreeMap<String, Vec<f64>>,
) -> Result<Vec<Cut>> {
    if by.is_empty() {
        return Err(ExplainError::request("by is empty, expected the columns to slice by"));
    }
    if let Some(twice) = by.iter().enumerate().find(|(place, name)| by[..*place].contains(name)) {
        return Err(ExplainError::request(format!("by names {:?} twice", twice.1)));
    }
    if let Some(name) = edges.keys().find(|name| !by.contains(name)) {
        return Err(ExplainError::request(format!("edges names {name:?}, which by does not")));
    }
    let mut columns = Vec::with_capacity(by.len());
    for name in by {
        let values = population.column(name)?;
        columns.push(leveled(name, &values, edges.get(name))?);
    }
    let mut rows: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    for row in 0..population.count() {
        rows.entry(columns.iter().map(|column| column.of_row[row]).collect()).or_default().push(row);
    }
    if rows.len() > MOST_SLICES {
        let (count, by) = (rows.len(), by.join(" and "));
        return Err(ExplainError::request(format!(
            "by {by} there are {count} slices, at most {MOST_SLICES}"
        )));
    }
    let level = |(column, place): (usize, usize)| Level {
        column: by[column].clone(),
        level: columns[column].names[place].clone(),
    };
    let cut = |(levels, rows): (Vec<usize>, Vec<usize>)| Cut {
        levels: levels.into_iter().enumerate().map(level).collect(),
        rows,
    };
    Ok(rows.into_iter().map(cut).collect())
}

fn leveled(name: &str, values: &Values, edges: Option<&Vec<f64>>) -> Result<Leveled> {
    match (values, edges) {
        (Values::Texts(_), Some(_)) => {
            Err(ExplainError::request(format!("edges names {name:?}, a column of texts")))
        }
        (Values::Texts(texts), None) => Ok(by_text(texts)),
        (Values::Numbers(numbers), Some(edges)) => {
            let ascend = edges.windows(2).all(|pair| pair[0] < pair[1]);
            if edges.is_empty() || !ascend || edges.iter().any(|edge| !edge.is_finite()) {
                let rule = format!("edges of {name:?} are {edges:?}, expected finite numbers that ascend");
                return Err(ExplainError::request(rule));
            }
            Ok(by_edges(numbers, edges))
        }
        (Values::Numbers(numbers), None) => {
            let ascending = sorted(numbers.iter().copied());
            let mut values = ascending.clone();
            values.dedup();
            if values.len() <= QUARTERS {
                return Ok(by_value(numbers, &values));
            }
            Ok(by_edges(numbers, QuantileBins::new(&ascending, QUARTERS).inner_edges()))
        }
    }
}

fn by_text(texts: &[Option<String>]) -> Leveled {
    let mut names: Vec<String> = texts.iter().flatten().filter(|text| *text != MISSING).cloned().collect();
    names.sort_unstable();
    names.dedup();
    let last = names.len();
    let place = |text: &Option<String>| match text {
        Some(text) if text != MISSING => names.partition_point(|name| name < text),
        _ => last,
    };
    let of_row = texts.iter().map(place).collect();
    names.push(MISSING.to_owned());
    Leveled { names, of_row }
}

fn by_value(numbers: &[f64], values: &[f64]) -> Leveled {
    let place = |number: &f64| values.iter().position(|value| value == number).unwrap_or(values.len());
    let names = values.iter().map(|value| shown(*value)).chain([MISSING.to_owned()]).collect();
    Leveled { names, of_row: numbers.iter().map(place).collect() }
}

fn by_edges(numbers: &[f64], edges: &[f64]) -> Leveled {
    let mut names = Vec::with_capacity(edges.len() + 2);
    for place in 0..=edges.len() {
        let (low, high) = (place.checked_sub(1).and_then(|below| edges.get(below)), edges.get(place));
        names.push(match (low, high) {
            (None, Some(high)) => format!("below {}", shown(*high)),
            (Some(low), Some(high)) => format!("{} to below {}", shown(*low), shown(*high)),
            (Some(low), None) => format!("{} or above", shown(*low)),
            (None, None) => "any".to_owned(),
        });
    }
    names.push(MISSING.to_owned());
    let place = |number: &f64| match number.is_nan() {
        true => edges.len() + 1,
        false => edges.partition_point(|edge| edge <= number),
    };
    Leveled { names, of_row: numbers.iter().map(place).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_cut_and_few_are_levels() {
        let levels = |values: Values, edges: Option<Vec<f64>>| {
            let found = leveled("x", &values, edges.as_ref()).unwrap();
            found.of_row.iter().map(|place| found.names[*place].clone()).collect::<Vec<_>>()
        };
        let numbers = |numbers: &[f64]| Values::Numbers(numbers.to_vec());
        let texts = vec![Some("b".to_owned()), None, Some("a".to_owned())];
        assert_eq!(levels(numbers(&[1.0, f64::NAN, 0.0]), None), ["1", "missing", "0"]);
        assert_eq!(levels(Values::Texts(texts), None), ["b", "missing", "a"]);
        // Quartiles are 2, 3 and 4; an edge belongs to the level above.
        assert_eq!(
            levels(numbers(&[1.0, 2.0, 3.0, 4.0, 5.0]), None),
            ["below 2", "2 to below 3", "3 to below 4", "4 or above", "4 or above"]
        );
        assert_eq!(
            levels(numbers(&[9.0, f64::NAN, 10.0]), Some(vec![10.0])),
            ["below 10", "missing", "10 or above"]
        );
        for (values, edges, message) in [
            (Values::Texts(vec![None]), vec![1.0], "a column of texts"),
            (numbers(&[1.0]), vec![2.0, 1.0], "expected finite numbers that ascend"),
            (numbers(&[1.0]), vec![], "expected finite numbers that ascend"),
            (numbers(&[1.0]), vec![f64::NAN], "expected finite numbers that ascend"),
        ] {
            let error = leveled("x", &values, Some(&edges)).err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| error.contains(message)), "{error:?}");
        }
    }
}
