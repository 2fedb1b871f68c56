//! The prediction log, labels that come late, accuracy, drift, and training sets made from what was seen.
//!
//! Everything here is a function of the durable log and the clock it is advanced with: reading the log again gives
//! the same assessments.

mod assess;
mod baseline;
mod error;
mod http;
mod log;
mod model;
mod outcomes;
mod service;
mod store;
mod training_set;
mod ui;

use platform_db::{MigrationSet, migrations};
use platform_ui::Ui;
use platform_web::Group;

pub use error::MonitoringError;
pub use model::*;
pub use service::{Monitoring, NewBaseline};
pub use training_set::{TrainingSet, TrainingWindow};

pub const MIGRATIONS: MigrationSet = migrations!("monitoring", 1 => "0001_monitoring");

/// Event kinds of this group; the subject is `endpoint:NAME`.
pub mod kinds {
    pub const CONFIGURED: &str = "monitoring.configured";
    pub const BASELINE_SET: &str = "monitoring.baseline_set";
    pub const DRIFT_FOUND: &str = "monitoring.drift_found";
    pub const DRIFT_ENDED: &str = "monitoring.drift_ended";
    pub const TRAINING_SET_MADE: &str = "monitoring.training_set_made";
}

pub fn group(service: &Monitoring, ui: &Ui) -> Group {
    Group {
        name: "monitoring",
        migrations: Some(MIGRATIONS),
        surfaces: vec![http::surface(service), ui::surface(service, ui)],
        templates: ui::TEMPLATES,
    }
}
