//! Registered models, their versions, aliases, gates and approvals.
//!
//! An approval is bound to the digest of the bytes that were gated, is never given by the version's author, and is the
//! only way to the alias `champion` of a model that a project owns.

mod bom;
mod card;
mod error;
mod evaluation;
mod foreign;
mod full_name;
mod gate;
mod http;
mod mlflow;
mod model;
mod names;
mod ports;
mod service;
mod source;
mod store;
mod ui;

use platform_db::{MigrationSet, migrations};
use platform_ui::Ui;
use platform_web::Group;

pub use error::RegistryError;
pub use evaluation::{Evaluation, EvaluationKind, Loss, Paired};
pub use foreign::ForeignVersion;
pub use full_name::{full_name, split_name};
pub use gate::{Check, ComparisonRule, Evidence, GatePolicy, MetricRule};
pub use model::*;
pub use ports::{DatasetFact, LoggedModels, RunFact, RunFacts, SOURCE_ELSEWHERE, VersionFile, VersionFiles};
pub use service::{FileScans, Governance, NewVersion, Registry, is_scanned_at_upload};

pub const MIGRATIONS: MigrationSet = migrations!(
    "registry",
    1 => "0001_models",
    2 => "0002_governance",
    3 => "0003_policy_setters"
);

/// The alias of the version that serves.
pub const CHAMPION: &str = "champion";

/// Event kinds of this group; the subject is `model:NAME` or `model_version:NAME/N`.
pub mod kinds {
    pub const MODEL_CREATED: &str = "registry.model_created";
    pub const MODEL_IMPORTED: &str = "registry.model_imported";
    pub const MODEL_CHANGED: &str = "registry.model_changed";
    pub const VERSION_REGISTERED: &str = "registry.version_registered";
    pub const VERSION_IMPORTED: &str = "registry.version_imported";
    pub const VERSION_CHANGED: &str = "registry.version_changed";
    pub const GATE_PASSED: &str = "registry.gate_passed";
    pub const GATE_REFUSED: &str = "registry.gate_refused";
    pub const APPROVED: &str = "registry.approved";
    pub const REJECTED: &str = "registry.rejected";
    pub const PROMOTED: &str = "registry.promoted";
    pub const ROLLED_BACK: &str = "registry.rolled_back";
    pub const APPROVAL_GIVEN: &str = "registry.approval_given";
    pub const GATES_SET: &str = "registry.gates_set";
    pub const EVALUATED: &str = "registry.evaluated";
    pub const CARD_CHANGED: &str = "registry.card_changed";
    pub const SIGNED: &str = "registry.signed";
    pub const ALIAS_SET: &str = "registry.alias_set";
    pub const ALIAS_DELETED: &str = "registry.alias_deleted";
    pub const MODEL_TAG_SET: &str = "registry.model_tag_set";
    pub const MODEL_TAG_DELETED: &str = "registry.model_tag_deleted";
    pub const VERSION_TAG_SET: &str = "registry.version_tag_set";
    pub const VERSION_TAG_DELETED: &str = "registry.version_tag_deleted";
}

pub fn group(service: &Registry, ui: &Ui) -> Group {
    Group {
        name: "registry",
        migrations: Some(MIGRATIONS),
        surfaces: vec![
            mlflow::surface(service),
            http::surface(service),
            http::governance_surface(service),
            http::verify_surface(service),
            http::evaluation_surface(service),
            ui::surface(service, ui),
            ui::champion_surface(service, ui),
            ui::card_surface(service),
        ],
        templates: ui::TEMPLATES,
    }
}
