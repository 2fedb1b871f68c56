use std::collections::BTreeMap;

use platform_db::Tx;
use serde_json::{Value, json};

use super::{Registry, Result, locked_model, locked_version, no_version};
use crate::full_name::{full_name, split_name};
use crate::model::{ModelVersion, RegisteredModel, Stage, VersionState};
use crate::names::{PROMPT_TAG, check_full_name, check_tag, check_tag_key, check_tags, is_reserved};
use crate::source::{ModelUri, check_source, model_uri};
use crate::{RegistryError, kinds, store};

/// Most versions that one run is asked for.
const VERSIONS_OF_RUN: usize = 100;

#[derive(Debug, Clone, Default)]
pub struct NewVersion {
    pub model: String,
    pub source: String,
    pub run_id: String,
    pub run_link: String,
    pub logged_model_id: String,
    pub description: String,
    pub tags: BTreeMap<String, String>,
}

impl NewVersion {
    fn is_prompt(&self) -> bool {
        self.tags.contains_key(PROMPT_TAG)
    }
}

impl Registry {
    pub(crate) async fn create_version(&self, actor: &str, new: NewVersion) -> Result<ModelVersion> {
        check_full_name("name", &new.model)?;
        if self.source_pattern.as_ref().is_some_and(|pattern| !pattern.is_match(&new.source)) {
            let rule = "It is not among the sources that this server takes";
            return Err(RegistryError::Source { source_uri: new.source, rule });
        }
        check_source(&new.source, new.is_prompt(), !new.logged_model_id.is_empty())?;
        // What is noted on the logged model is what the client named, not what the source led to.
        let named = if new.is_prompt() { String::new() } else { new.logged_model_id.clone() };
        let mut version = self.placed(actor, new).await?;
        check_tags(&version.tags)?;
        let registry = self.clone();
        let version: Result<ModelVersion> = self
            .db
            .write(move |tx| {
                let model = locked_model(tx, &version.model)?;
                store::insert_version(tx, &mut version)?;
                let payload = json!({"name": version.model, "version": version.version,
                    "source": version.source, "run_id": version.run_id, "run": version.run_id,
                    "description": version.description, "tags": version.tags,
                    "state": version.state.name(), "prompt": model.is_prompt()});
                let event = (kinds::VERSION_REGISTERED, version.subject());
                registry.announce(tx, &model, event, &version.author, payload)?;
                Ok(version)
            })
            .await;
        let version = version?;
        self.scan_later(&version);
        if !named.is_empty() {
            let noted = self.logged_models.registered(&named, &version.model, version.version).await;
            if let Err(error) = noted {
                // The version stands; to say otherwise would make the client register it twice.
                let subject = version.subject();
                tracing::warn!(%error, logged_model = %named, %subject, "the logged model does not know its version");
            }
        }
        Ok(version)
    }

    /// The version to be, with its files, its run and its logged model found.
    async fn placed(&self, actor: &str, new: NewVersion) -> Result<ModelVersion> {
        let now = self.events.now();
        let mut version = ModelVersion {
            model: new.model,
            version: 0,
            state: VersionState::Registered,
            stage: Stage::Unstaged,
            location: new.source.clone(),
            source: new.source,
            run_id: new.run_id,
            run_link: new.run_link,
            logged_model_id: new.logged_model_id,
            description: new.description,
            author: actor.to_owned(),
            digest: None,
            manifest: None,
            approval_expires: None,
            created: now,
            updated: now,
            tags: new.tags,
            aliases: Vec::new(),
        };
        match model_uri(&version.source)? {
            Some(ModelUri::LoggedModel(id)) if version.logged_model_id.is_empty() => {
                version.logged_model_id = id.to_owned();
            }
            Some(ModelUri::Version(name, number)) => {
                // A source names a model of the version's own workspace.
                let named = full_name(split_name(&version.model).0, name);
                let original = self.get_version(&named, number).await?;
                version.location = original.location;
                if version.logged_model_id.is_empty() {
                    version.logged_model_id = original.logged_model_id;
                }
                if version.run_id.is_empty() {
                    version.run_id = original.run_id;
                }
                // A client copies every tag it sees; what was decided on the original does not hold for the copy.
                version.tags.retain(|key, _| !is_reserved(key));
            }
            _ => {}
        }
        // A client that registers a logged model names no run: the logged model knows it.
        if version.run_id.is_empty() && !version.logged_model_id.is_empty() {
            version.run_id = self.logged_models.run_of(&version.model, &version.logged_model_id).await?;
        }
        Ok(version)
    }

    pub async fn get_version(&self, model: &str, version: i64) -> Result<ModelVersion> {
        let name = model.to_owned();
        let found: Result<_> = self.db.snapshot(move |reader| store::version(reader, &name, version)).await;
        found?.ok_or_else(|| no_version(model, version))
    }

    /// Versions of a model, newest first, at most `limit`.
    pub async fn list_versions(&self, model: &str, limit: usize) -> Result<Vec<ModelVersion>> {
        self.newest_versions(vec![model.to_owned()], limit).await
    }

    /// The newest `limit` versions of each of these models, by model, newest first.
    pub(crate) async fn newest_versions(
        &self,
        models: Vec<String>,
        limit: usize,
    ) -> Result<Vec<ModelVersion>> {
        self.db.snapshot(move |reader| store::newest_versions(reader, &models, limit)).await
    }

    /// Versions that a run made, newest first.
    pub async fn versions_of_run(&self, run: &str) -> Result<Vec<ModelVersion>> {
        let run = run.to_owned();
        self.db.snapshot(move |reader| store::versions_of_run(reader, &run, VERSIONS_OF_RUN)).await
    }

    pub(crate) async fn describe_version(
        &self,
        actor: &str,
        model: &str,
        version: i64,
        description: String,
    ) -> Result<ModelVersion> {
        self.change_version(actor, model, version, move |registry, tx, actor, model, row| {
            row.description = description;
            row.updated = registry.events.now();
            store::update_version(tx, row)?;
            let payload = json!({"description": row.description});
            registry.announce(tx, model, (kinds::VERSION_CHANGED, row.subject()), actor, payload)
        })
        .await
    }

    /// Labels the version; with `archive`, the others in that stage are archived.
    pub(crate) async fn put_in_stage(
        &self,
        actor: &str,
        model: &str,
        version: i64,
        stage: &str,
        archive: bool,
    ) -> Result<ModelVersion> {
        let stage = Stage::parse(stage)?;
        if archive && !stage.is_active() {
            return Err(RegistryError::NothingToArchive { stage });
        }
        self.change_version(actor, model, version, move |registry, tx, actor, model, row| {
            let (before, now) = (row.stage, registry.events.now());
            let is_guarded = !model.project.is_empty() || store::gate_policy(tx, &model.name)?.is_some();
            row.put_in(stage, is_guarded, now)?;
            row.updated = now;
            store::update_version(tx, row)?;
            if archive {
                store::move_others(tx, row, stage, Stage::Archived, now)?;
            }
            store::update_model(tx, model, now)?;
            let payload =
                json!({"stage": {"before": before.name(), "after": stage.name()}, "archive": archive});
            registry.announce(tx, model, (kinds::VERSION_CHANGED, row.subject()), actor, payload)
        })
        .await
    }

    pub(crate) async fn delete_version(&self, actor: &str, model: &str, version: i64) -> Result<()> {
        self.change_version(actor, model, version, move |registry, tx, actor, model, row| {
            if matches!(row.state, VersionState::Serving | VersionState::Approved) {
                return Err(RegistryError::Transition {
                    model: row.model.clone(),
                    version,
                    from: row.state.name(),
                    to: "deleted",
                });
            }
            store::delete_version(tx, &row.model, version)?;
            store::update_model(tx, model, registry.events.now())?;
            let payload = json!({"deleted": true});
            registry.announce(tx, model, (kinds::VERSION_CHANGED, row.subject()), actor, payload)
        })
        .await?;
        Ok(())
    }

    /// Sets or, without a value, deletes a tag. One that is not there is deleted all the same.
    pub(crate) async fn set_version_tag(
        &self,
        actor: &str,
        model: &str,
        version: i64,
        key: String,
        value: Option<String>,
    ) -> Result<()> {
        match &value {
            Some(value) => check_tag(&key, value)?,
            None => check_tag_key(&key)?,
        }
        self.change_version(actor, model, version, move |registry, tx, actor, model, row| {
            let kind = match &value {
                Some(value) => {
                    store::put_version_tag(tx, &row.model, version, &key, value)?;
                    kinds::VERSION_TAG_SET
                }
                None => {
                    store::delete_version_tag(tx, &row.model, version, &key)?;
                    kinds::VERSION_TAG_DELETED
                }
            };
            let payload = json!({"name": row.model, "version": version, "key": key, "value": value,
                "prompt": model.is_prompt()});
            registry.announce(tx, model, (kind, row.subject()), actor, payload)
        })
        .await?;
        Ok(())
    }

    /// Locks the model and its version, and lets `change` write both and say so, in one transaction.
    pub(super) async fn change_version<F>(
        &self,
        actor: &str,
        model: &str,
        version: i64,
        change: F,
    ) -> Result<ModelVersion>
    where
        F: FnOnce(&Registry, &mut Tx<'_>, &str, &RegisteredModel, &mut ModelVersion) -> Result<()>
            + Send
            + 'static,
    {
        let (registry, actor, name) = (self.clone(), actor.to_owned(), model.to_owned());
        self.db
            .write(move |tx| {
                // A version of a model that is not there is not found either.
                let model = store::lock_model(tx, &name)?.ok_or_else(|| no_version(&name, version))?;
                let mut row = locked_version(tx, &name, version)?;
                change(&registry, tx, &actor, &model, &mut row)?;
                Ok(row)
            })
            .await
    }
}

/// What an event says of a change of state.
pub(super) fn state_change(before: VersionState, after: VersionState) -> Value {
    json!({"before": before.name(), "after": after.name()})
}
