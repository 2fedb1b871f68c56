//! Distances between a reference sample and a current one, and what they are when nothing drifted.
//!
//! Samples are finite numbers: drop NaN first (and count it: a null explosion is a finding of its own).
//! Same input and seed, same bits.

mod calibrate;
mod categorical;
mod numeric;

pub use calibrate::{calibrate_categorical, calibrate_numeric};
pub use categorical::{ChiSquare, chi_square, jensen_shannon, population_stability};
pub use numeric::{
    QuantileBins, kolmogorov_smirnov, sorted, standard_deviation, wasserstein, wasserstein_normed,
};
