//! Python environments by content: the same `uv.lock` and `pyproject.toml` are the same environment.
//!
//! `uv` builds them, as a job; an environment is used only after that job succeeded.

mod error;
mod model;
mod service;
mod store;

use platform_db::{MigrationSet, migrations};
use platform_web::Group;

pub use error::EnvironmentError;
pub use model::{Environment, EnvironmentState};
pub use service::Environments;

pub const MIGRATIONS: MigrationSet = migrations!("environments", 1 => "0001_environments");

/// Event kinds of this group; the subject is `environment:ID`.
pub mod kinds {
    pub const REQUESTED: &str = "environments.requested";
    pub const READY: &str = "environments.ready";
    pub const FAILED: &str = "environments.failed";
}

pub fn group() -> Group {
    Group { name: "environments", migrations: Some(MIGRATIONS), surfaces: Vec::new(), templates: &[] }
}
