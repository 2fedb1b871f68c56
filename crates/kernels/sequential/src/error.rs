//! What can be wrong with an argument.

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InputError {
    #[error("{what} is {found}, not {rule}")]
    Setting { what: &'static str, found: f64, rule: &'static str },
    #[error("metric {metric:?}: {what} is {found}, not {rule}")]
    Metric { metric: String, what: &'static str, found: f64, rule: &'static str },
    #[error("{found} {what} where {expected} belong")]
    Count { what: &'static str, found: usize, expected: usize },
    #[error("share {share} comes after {limit} other shares, more are not kept apart")]
    TooManyShares { share: f64, limit: usize },
    #[error("no {what} was counted at share {share}, there is nothing to correct")]
    NothingToCorrect { what: &'static str, share: f64 },
    #[error("there is no metric of {what} in the plan")]
    NoMetric { what: &'static str },
    #[error("metric {name:?} is in the plan twice")]
    NameTwice { name: String },
}

/// An error that names the value and the rule, unless `holds`.
pub(crate) fn require(
    holds: bool,
    what: &'static str,
    found: f64,
    rule: &'static str,
) -> Result<(), InputError> {
    if holds { Ok(()) } else { Err(InputError::Setting { what, found, rule }) }
}
