//! Experiments, runs, metrics, params, artifacts, logged models, dataset inputs.
//!
//! Speaks MLflow 3 (`mlflow/`); the pages are in `ui/`.

mod artifacts;
mod aside;
mod cache;
mod error;
mod fold;
mod homes;
mod http;
mod index;
mod location;
mod mlflow;
mod model;
mod ports;
mod series;
mod service;
mod store;
mod turns;
mod ui;

use platform_db::{MigrationSet, migrations};
use platform_ui::Ui;
use platform_web::Group;

pub use error::ExperimentError;
pub use model::*;
pub use ports::Uploads;
pub use service::{Experiments, Imported, NewRun, StoredFile};

pub const MIGRATIONS: MigrationSet = migrations!(
    "experiments",
    1 => "0001_experiments",
    2 => "0002_uploads",
    3 => "0003_workspaces",
    4 => "0004_locations",
    5 => "0005_upload_ends",
);

/// Event kinds of this group.
pub mod kinds {
    pub const EXPERIMENT_CREATED: &str = "experiments.experiment_created";
    pub const EXPERIMENT_IMPORTED: &str = "experiments.experiment_imported";
    pub const EXPERIMENT_CHANGED: &str = "experiments.experiment_changed";
    pub const RUN_CREATED: &str = "experiments.run_created";
    pub const RUN_IMPORTED: &str = "experiments.run_imported";
    pub const RUN_CHANGED: &str = "experiments.run_changed";
    pub const RUN_PURGED: &str = "experiments.run_purged";
    pub const INPUT_LOGGED: &str = "experiments.input_logged";
    pub const MODEL_LOGGED: &str = "experiments.model_logged";
    pub const MODEL_IMPORTED: &str = "experiments.model_imported";
    pub const MODEL_DELETED: &str = "experiments.model_deleted";
}

pub fn group(service: &Experiments, ui: &Ui) -> Group {
    Group {
        name: "experiments",
        migrations: Some(MIGRATIONS),
        surfaces: vec![
            http::surface(service),
            mlflow::surface(service),
            mlflow::artifact_surface(service),
            mlflow::upload_surface(service),
            mlflow::part_surface(service),
            ui::surface(service, ui),
        ],
        templates: ui::TEMPLATES,
    }
}
