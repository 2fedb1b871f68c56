//! Projects: which repositories are under the loop, who takes part, what the decision is worth. Workspaces.
//! And the audit log's page.

mod error;
mod http;
mod mlflow;
mod model;
mod ports;
mod service;
mod store;
mod ui;

use platform_db::{MigrationSet, migrations};
use platform_ui::Ui;
use platform_web::Group;

pub use error::ProjectError;
pub use model::{Project, Workspace};
pub use ports::WorkspaceContents;
pub use service::Projects;

pub const MIGRATIONS: MigrationSet = migrations!("projects", 1 => "0001_projects", 2 => "0002_workspaces");

/// Name of the loop file in a repository.
pub const LOOP_FILE: &str = "loopwright.yaml";

/// Event kinds of this group; the subject is `project:NAME` or `workspace:NAME`.
pub mod kinds {
    pub const APPLIED: &str = "projects.applied";
    pub const WORKSPACE_CREATED: &str = "projects.workspace_created";
    pub const WORKSPACE_CHANGED: &str = "projects.workspace_changed";
    pub const WORKSPACE_DELETED: &str = "projects.workspace_deleted";
}

pub fn group(service: &Projects, ui: &Ui) -> Group {
    Group {
        name: "projects",
        migrations: Some(MIGRATIONS),
        surfaces: vec![http::surface(service), mlflow::surface(service), ui::surface(service, ui)],
        templates: ui::TEMPLATES,
    }
}
