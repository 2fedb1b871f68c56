//! Tree ensembles: reading LightGBM's text model and predicting exactly what LightGBM predicts.
//!
//! Source: LightGBM 4.7.0, `src/io/tree.cpp` (text format, decisions), `src/objective/*.hpp`
//! (`ConvertOutput`). Golden rows from that version are in `tests/golden`.

mod ensemble;
mod error;
mod lightgbm;
mod objective;

pub use ensemble::Ensemble;
pub use error::ModelError;
pub use objective::Objective;
