//! The verbs of the registry.

mod aliases;
mod cards;
mod decisions;
mod evaluations;
mod files;
mod gates;
mod import;
mod models;
mod search;
mod versions;

use std::sync::Arc;

use platform_db::{Db, Tx};
use platform_events::{Events, NewEvent};
use platform_web::mlflow::Within;
use regex::Regex;
use serde_json::Value;

use crate::model::{ModelVersion, RegisteredModel};
use crate::ports::LoggedModels;
use crate::{RegistryError, store};

pub use files::{FileScans, Governance, is_scanned_at_upload};
pub(crate) use search::Search;
pub use versions::NewVersion;

pub(crate) type Result<T> = std::result::Result<T, RegistryError>;

#[derive(Clone)]
pub struct Registry {
    db: Db,
    events: Events,
    logged_models: Arc<dyn LoggedModels>,
    source_pattern: Option<Regex>,
    governing: Option<Arc<files::Governing>>,
    /// Searches find only its models; without one, all.
    workspace: Option<Arc<str>>,
}

impl Within for Registry {
    fn within(&self, workspace: &str) -> Self {
        Self { workspace: Some(workspace.into()), ..self.clone() }
    }
}

impl Registry {
    pub fn new(db: Db, events: Events, logged_models: Arc<dyn LoggedModels>) -> Self {
        Self { db, events, logged_models, source_pattern: None, governing: None, workspace: None }
    }

    /// Takes only versions in whose source the pattern is found.
    pub fn with_source_pattern(self, pattern: Regex) -> Self {
        Self { source_pattern: Some(pattern), ..self }
    }

    fn announce(
        &self,
        tx: &mut Tx<'_>,
        model: &RegisteredModel,
        (kind, subject): (&'static str, String),
        actor: &str,
        payload: Value,
    ) -> Result<()> {
        let event = NewEvent::new(kind, actor, subject).project(model.project.clone()).payload(payload);
        self.events.append(tx, event)?;
        Ok(())
    }
}

/// The model, locked before any of its versions.
fn locked_model(tx: &mut Tx<'_>, name: &str) -> Result<RegisteredModel> {
    let missing = || RegistryError::ModelNotFound { name: name.to_owned() };
    store::lock_model(tx, name)?.ok_or_else(missing)
}

fn locked_version(tx: &mut Tx<'_>, model: &str, version: i64) -> Result<ModelVersion> {
    store::lock_version(tx, model, version)?.ok_or_else(|| no_version(model, version))
}

fn no_version(model: &str, version: i64) -> RegistryError {
    RegistryError::VersionNotFound { model: model.to_owned(), version: version.to_string() }
}
