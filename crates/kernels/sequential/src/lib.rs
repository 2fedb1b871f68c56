//! Statistics that stay valid however often one looks.
//!
//! Detectors of change in a stream, and confidence sequences for means and for differences of means.

mod adwin;
mod confidence;
mod moments;

pub use adwin::{Adwin, Change};
pub use confidence::{ConfidenceSequence, Interval, difference_of_means};
pub use moments::Moments;
