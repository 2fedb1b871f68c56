//! Explanations of models as SVG made on the server: what readers of shap and shapash know, for screen and paper.
//!
//! Each chart is a plain struct, and its `svg` is one `<svg role="img">` with `<title>` and `<desc>`. Nothing needs a
//! pointer: numbers that matter are written, and the description repeats them for those who hear the page. Colours are
//! classes of the style sheet; where they carry meaning, a shape, a sign or a word says the same. The same input gives
//! the same bytes. A number that is not finite is drawn as missing, and a chart without numbers says so.

mod axis;
mod bars;
mod beeswarm;
mod canvas;
mod cohorts;
mod curves;
mod decision;
mod digits;
mod diverging;
mod dots;
mod frame;
mod interactions;
mod intervals;
mod label;
mod outline;
mod piles;
mod scatter;
mod shade;
mod waterfall;
#[cfg(test)]
mod well_formed;

pub use bars::{Bar, ImportanceBars};
pub use beeswarm::{Beeswarm, SwarmRow};
pub use cohorts::{CohortBar, CohortBars};
pub use curves::EffectCurves;
pub use decision::DecisionPath;
pub use diverging::{DivergingBar, DivergingBars};
pub use interactions::InteractionGrid;
pub use intervals::{IntervalRow, IntervalRows};
pub use scatter::DependenceScatter;
pub use waterfall::{Factor, Waterfall};
