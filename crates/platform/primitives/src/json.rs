//! Numbers that JSON cannot say: they are written as null, and read back as what the field means by it.

use serde::{Deserialize, Deserializer};

/// A number, or null for NaN.
pub fn nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// A lower bound, or null for none.
pub fn no_lower_bound<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NEG_INFINITY))
}

/// A threshold, or null for one that nothing exceeds.
pub fn no_upper_bound<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
}
