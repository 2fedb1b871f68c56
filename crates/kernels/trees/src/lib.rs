//! Tree ensembles: reading the model files of LightGBM, XGBoost and CatBoost, ONNX models of trees, and those that our Python
//! package makes of scikit-learn's estimators, and predicting exactly what they predict.
//!
//! Source: LightGBM 4.7.0, `src/io/tree.cpp` (text format, decisions), `src/objective/*.hpp` (`ConvertOutput`); XGBoost 3.4.1,
//! `src/tree/io_utils.h` and `src/tree/tree_model.cc` (format), `src/common/categorical.h` (categories), `src/objective`
//! (`PredTransform`, `ProbToMargin`); UBJSON draft 12; CatBoost 1.2.10, `catboost/libs/model` (`flatbuffers/*.fbs`, `model.cpp` and
//! `model_export/json_model_helpers.cpp` for the formats, `cpu/` and `scale_and_bias.cpp` for the scores) and
//! `catboost/libs/eval_result/eval_helpers.cpp` (predictions); scikit-learn 1.9.1, `sklearn/tree/_tree.pyx` (`_apply_dense`),
//! `sklearn/ensemble/_forest.py`, `_gb.py`, `_gradient_boosting.pyx` and `_hist_gradient_boosting/_predictor.pyx`, `sklearn/_loss/link.py`
//! (inverse links), for the format in `docs/reference/trees-format.md`; ONNX 1.23, `onnx.proto` and `docs/Operators-ml.md`, with
//! onnxruntime 1.23.2, `core/providers/cpu/ml` (`tree_ensemble_common.h`, `tree_ensemble_aggregator.h`, `ml_common.h`). Golden rows from those versions are in `tests/golden`.

mod catboost;
mod ensemble;
mod error;
mod format;
mod interchange;
mod layout;
mod lightgbm;
mod objective;
mod onnx;
mod packed;
mod parts;
mod path;
mod ubjson;
mod xgboost;

pub use ensemble::{Ensemble, Step, Tree};
pub use error::ModelError;
pub use format::Format;
pub use layout::Vectors;
pub use objective::Objective;
pub use parts::{Arithmetic, LinkFloats, Question, Reading, ZERO_THRESHOLD};
