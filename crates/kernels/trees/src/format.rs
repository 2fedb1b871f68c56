//! Which of the formats a file is in, told by its first bytes.

use crate::{Ensemble, ModelError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// LightGBM's text.
    LightGbm,
    /// XGBoost's JSON or UBJSON.
    XgBoost,
    /// CatBoost's JSON or `cbm`.
    CatBoost,
    /// ONNX's `ModelProto`.
    Onnx,
    /// `loopwright-trees`, which the Python package writes.
    Trees,
    /// `lwtrees`, which [`Ensemble::to_packed`] writes.
    Packed,
}

impl Format {
    /// The framework's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::LightGbm => "lightgbm",
            Self::XgBoost => "xgboost",
            Self::CatBoost => "catboost",
            Self::Onnx => "onnx",
            Self::Trees => "loopwright-trees",
            Self::Packed => "lwtrees",
        }
    }

    /// `None` when no reader would begin with this file.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"tree") {
            return Some(Self::LightGbm);
        }
        if bytes.starts_with(b"CBM1") {
            return Some(Self::CatBoost);
        }
        if bytes.starts_with(b"lwtrees") {
            return Some(Self::Packed);
        }
        // The version of the format, then the tag of one of the model's other fields.
        if let [0x08, 1..=0x7f, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42 | 0x72, ..] = bytes {
            return Some(Self::Onnx);
        }
        let inside = bytes.strip_prefix(b"{")?;
        let text = inside.trim_ascii_start();
        let Some(text) = text.strip_prefix(b"\"") else { return Some(Self::XgBoost) };
        // The first key of each framework's JSON.
        match text.split(|byte| *byte == b'"').next()? {
            b"learner" | b"version" | b"Config" => Some(Self::XgBoost),
            b"format" => Some(Self::Trees),
            _ => Some(Self::CatBoost),
        }
    }
}

impl Ensemble {
    /// Reads a model file of any of the formats.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Self, Format), ModelError> {
        let format = Format::of(bytes).ok_or(ModelError::Unknown)?;
        let ensemble = match format {
            Format::LightGbm => {
                let text = std::str::from_utf8(bytes).map_err(|error| ModelError::NotLightGbm {
                    found: format!("text up to byte {}", error.valid_up_to()),
                })?;
                Self::from_lightgbm_text(text)
            }
            Format::XgBoost => Self::from_xgboost(bytes),
            Format::CatBoost => Self::from_catboost(bytes),
            Format::Onnx => Self::from_onnx(bytes),
            Format::Trees => Self::from_trees_json(bytes),
            Format::Packed => Self::from_packed(bytes),
        };
        Ok((ensemble?, format))
    }
}
