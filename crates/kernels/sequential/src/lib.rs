//! Statistics that stay valid however often one looks.
//!
//! Detectors of change in a stream, confidence sequences for means and for differences of means, and what a rollout is judged
//! by: e-processes for failures, latencies, late labels and paired predictions, a judge of them all, and bandits.

mod adwin;
mod bandit;
mod bernoulli;
mod bernstein;
mod confidence;
mod error;
mod histogram;
mod judge;
mod mixture;
mod moments;
mod paired;
mod proportion;
mod quantile;
mod random;

pub use adwin::{Adwin, Change};
pub use bandit::{Bandit, Choice, Reward};
pub use bernoulli::{Arm, Claim, RateComparison, Tally};
pub use confidence::{ConfidenceSequence, Interval, difference_of_means};
pub use error::InputError;
pub use histogram::LatencyHistogram;
pub use judge::{Evidence, Judge, Kind, Margins, Metric, Plan, Request, Verdict};
pub use moments::Moments;
pub use paired::{Disagreements, PairedShift};
pub use quantile::LatencyComparison;
