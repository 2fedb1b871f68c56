//! Explanations: how much each value of a row moved a prediction, exactly, for the models behind endpoints and for model files.

mod actions;
#[cfg(test)]
mod bench;
mod cohorts;
mod counterfactuals;
mod drift;
mod effects;
mod error;
mod explainer;
mod fairness;
mod http;
mod intervals;
mod kserve;
mod model;
mod nearest;
mod path;
mod population;
mod ports;
mod reasons;
mod reference;
mod report;
mod rows;
mod sampled;
mod service;
mod settings;
mod slices;
mod store;
mod stored;
mod told;
mod ui;
mod whole;
mod wording;

use platform_db::{MigrationSet, migrations};
use platform_ui::Ui;
use platform_web::Group;

pub use actions::{InputAction, Movement};
pub use cohorts::{Cohort, Comparison, Condition, FeatureGap, Side, compare};
pub use effects::Permutation;
pub use error::ExplainError;
pub use explainer::Explainer;
pub use fairness::{
    Fairness, Figure, FourFifths, Kind, LEAST, Measure, Slice, Slicing, Summary, THRESHOLD, fairness,
};
pub use http::{add_reasons, json};
pub use intervals::{Estimate, Moments, Share, benjamini_hochberg};
pub use kernel_effects::Metric;
pub use model::{Attributions, Explanations, Method};
pub use population::{Population, Values};
pub use ports::{Endpoints, Input, Served, TrainingData, TrainingTable};
pub use reasons::{Direction, Reason, ReasonFactor, reasons};
pub use reference::{Reference, ReferenceSource, ReferenceSummary};
pub use report::{Report, html, text};
pub use rows::{Table, parse_csv};
pub use service::Explain;
pub use settings::{CatalogueEntry, Settings, Texts};
pub use slices::Level;
pub use stored::LoggedRow;
pub use wording::Wording;

pub const MIGRATIONS: MigrationSet = migrations!("explain", 1 => "0001_explanations");

/// Event kinds of this group; the subject is `endpoint:NAME`.
pub mod kinds {
    pub const SETTINGS_CHANGED: &str = "explain.settings_changed";
    pub const REFERENCE_PUT: &str = "explain.reference_put";
    pub const REFERENCE_DELETED: &str = "explain.reference_deleted";
}

pub fn group(service: &Explain, ui: &Ui) -> Group {
    let whole = whole::Whole::new(service);
    Group {
        name: "explain",
        migrations: Some(MIGRATIONS),
        surfaces: vec![
            http::surface(service),
            http::settings::surface(service),
            http::reference::surface(service),
            http::stored::surface(&whole),
            ui::drift::surface(&whole, ui),
            counterfactuals::surface(service),
            kserve::surface(service),
            ui::surface(service, ui),
            whole.api(),
            whole.pages(ui),
        ],
        templates: ui::TEMPLATES,
    }
}
