//! Pipelines: stages with declared inputs and outputs, run as jobs, cached by content.
//!
//! A stage sees only the files it declares, in a folder of its own run; its outputs count once it succeeded and their
//! bytes are stored. A half-written output of a killed stage is never taken for a whole one.

mod error;
mod http;
mod model;
mod plan;
mod ports;
mod service;
mod store;
mod workspace;

use platform_db::{MigrationSet, migrations};
use platform_web::Group;

pub use error::PipelineError;
pub use model::*;
pub use plan::{EnvironmentRef, Plan, StagePlan};
pub use ports::{TrainingRun, TrainingRuns};
pub use service::Pipelines;

pub const MIGRATIONS: MigrationSet = migrations!("pipelines", 1 => "0001_pipelines");

/// Event kinds of this group; the subject is `pipeline_run:ID`.
pub mod kinds {
    pub const STARTED: &str = "pipelines.started";
    pub const STEP_STARTED: &str = "pipelines.step_started";
    pub const STEP_ENDED: &str = "pipelines.step_ended";
    pub const SUCCEEDED: &str = "pipelines.succeeded";
    pub const FAILED: &str = "pipelines.failed";
}

pub fn group(service: &Pipelines) -> Group {
    Group {
        name: "pipelines",
        migrations: Some(MIGRATIONS),
        surfaces: vec![http::surface(service)],
        templates: &[],
    }
}
