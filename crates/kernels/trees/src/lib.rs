//! Tree ensembles: reading the model files of LightGBM and XGBoost, and predicting exactly what they predict.
//!
//! Source: LightGBM 4.7.0, `src/io/tree.cpp` (text format, decisions), `src/objective/*.hpp` (`ConvertOutput`); XGBoost 3.4.1,
//! `src/tree/io_utils.h` and `src/tree/tree_model.cc` (format), `src/common/categorical.h` (categories), `src/objective`
//! (`PredTransform`, `ProbToMargin`); UBJSON draft 12. Golden rows from those versions are in `tests/golden`.

mod ensemble;
mod error;
mod layout;
mod lightgbm;
mod objective;
mod ubjson;
mod xgboost;

pub use ensemble::{Ensemble, Step, Tree};
pub use error::ModelError;
pub use objective::Objective;
