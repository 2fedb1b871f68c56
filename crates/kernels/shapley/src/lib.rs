//! Exact Shapley values of tree ensembles.
//!
//! Source: Lundberg et al., "From local explanations to global understanding with explainable AI for trees" (2020), for both
//! games; the Shapley weight of a set as a Beta integral, integrated exactly by Gauss–Legendre quadrature. Both also give the interactions of
//! pairs of features.

mod alone;
mod background;
mod block;
mod interactions;
mod path;
mod quadrature;
mod sums;

pub use background::Interventional;
pub use path::{ExplainError, PathDependent};
