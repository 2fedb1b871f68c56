//! What teams keep to judge language-model programs: evaluation data sets, scorers, issues.
//!
//! Scorers are kept, never run: their code is the client's. Speaks MLflow 3 (`mlflow/`).

mod error;
mod mlflow;
mod model;
mod ports;
mod record;
mod service;
mod store;

use platform_db::{MigrationSet, migrations};
use platform_web::Group;

pub use error::EvaluationError;
pub use model::*;
pub use ports::Experiments;
pub use service::Evaluation;

pub const MIGRATIONS: MigrationSet =
    migrations!("evaluation", 1 => "0001_evaluation", 2 => "0002_workspaces");

/// Event kinds of this group; the subject is `evaluation_dataset:ID`, `scorer:ID` or `issue:ID`.
pub mod kinds {
    pub const DATASET_CREATED: &str = "evaluation.dataset_created";
    pub const DATASET_CHANGED: &str = "evaluation.dataset_changed";
    pub const DATASET_DELETED: &str = "evaluation.dataset_deleted";
    pub const SCORER_REGISTERED: &str = "evaluation.scorer_registered";
    pub const SCORER_DELETED: &str = "evaluation.scorer_deleted";
    pub const ISSUE_CREATED: &str = "evaluation.issue_created";
    pub const ISSUE_CHANGED: &str = "evaluation.issue_changed";
}

pub fn group(service: &Evaluation) -> Group {
    Group {
        name: "evaluation",
        migrations: Some(MIGRATIONS),
        surfaces: vec![mlflow::surface(service)],
        templates: &[],
    }
}
