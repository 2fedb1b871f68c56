//! What can go wrong: the arguments, the model, the budget.

/// What is wrong with the arguments.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InputError {
    #[error("the data has no rows")]
    NoRows,
    #[error("{found} numbers are not rows of {columns} columns")]
    Ragged { found: usize, columns: usize },
    #[error("row {row}, column {column} is infinite")]
    Infinite { row: usize, column: usize },
    #[error("there is no column {column} of {columns}")]
    NoColumn { column: usize, columns: usize },
    #[error("there is no row {row} of {rows}")]
    NoRow { row: usize, rows: usize },
    #[error("{found} {what} where {expected} belong")]
    Count { what: &'static str, found: usize, expected: usize },
    #[error("{what} is {found}, not {rule}")]
    Setting { what: &'static str, found: f64, rule: &'static str },
    #[error("column {column} has no values")]
    NoValues { column: usize },
    #[error("column {column} has one value only")]
    OneValue { column: usize },
    #[error("the labels have one value only, which {metric} cannot judge")]
    OneLabel { metric: &'static str },
}

/// Why a calculation that asks a model gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum EffectError<E> {
    #[error("the model did not score {rows} rows")]
    Model { rows: usize, source: E },
    #[error("the model's output {output} is no number to calculate with")]
    NotFinite { output: f64 },
    #[error("a budget of {budget} rows is too small, {needed} are needed")]
    Budget { budget: u64, needed: u64 },
    #[error(transparent)]
    Input(#[from] InputError),
}
