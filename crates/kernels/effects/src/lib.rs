//! What a model does, by asking it: effects of columns, importance, the reasons of one prediction, what would change
//! it, and how near a row is to the data.
//!
//! The model is a function of many rows ([`Model`]), in this process or behind a request; every result says how often
//! it was asked ([`Effort`]). Rows are `f64` with NaN for a missing value. Same input and seed, same bits.

mod accumulated;
mod attribution;
mod counterfactual;
mod error;
mod grid;
mod interaction;
mod medoids;
mod model;
mod neighbours;
mod partial;
mod permutation;
mod quantile;
mod random;
mod ranking;
mod table;

pub use accumulated::{
    AccumulatedEffect, AccumulatedLevels, AccumulatedPair, accumulated_effect, accumulated_levels,
    accumulated_pair, quantile_edges,
};
pub use attribution::{Attribution, AttributionOptions, Background, Method, attribute};
pub use counterfactual::{
    Action, Change, Counterfactual, Direction, Question, Search, SearchEnd, SearchOptions, Target,
    counterfactuals,
};
pub use error::{EffectError, InputError};
pub use grid::Grid;
pub use interaction::{Interaction, interaction};
pub use medoids::{Medoids, medoids};
pub use model::{Effort, Formula, Model, Scored};
pub use neighbours::{Gower, Neighbour, Neighbourhood, Outlyingness, Scaling, Spacing};
pub use partial::{
    IndividualCurves, JointDependence, PartialDependence, individual_curves, joint_dependence,
    partial_dependence,
};
pub use permutation::{
    Importance, Interval, Metric, PermutationImportance, PermutationOptions, permutation_importance,
    permutation_importance_with,
};
pub use random::sample_rows;
pub use ranking::{ShareChange, mean_absolute, ranking_ndcg, share_changes};
pub use table::{Kind, Table};
