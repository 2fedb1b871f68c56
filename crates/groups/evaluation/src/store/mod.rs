mod datasets;
mod issues;
mod scorers;

pub(crate) use datasets::*;
pub(crate) use issues::*;
pub(crate) use scorers::*;

pub(crate) type Result<T> = std::result::Result<T, crate::EvaluationError>;
