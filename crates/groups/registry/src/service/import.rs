//! Takes over what another registry holds: numbers, times, stages and aliases stay what they were there. No gate and no
//! approval is behind what comes in, so every version is `registered`, whatever its stage.
//!
//! Every verb may be repeated: a model or a version that is here already is kept, with what was decided on it since.

use serde_json::json;

use super::{Registry, Result, locked_model};
use crate::foreign::ForeignVersion;
use crate::model::{RegisteredModel, Stage, VersionState};
use crate::names::{PROMPT_TAG, check_model_name, check_new_alias, check_tags};
use crate::source::{ModelUri, check_source, model_uri};
use crate::{CHAMPION, RegistryError, kinds, store};

impl Registry {
    /// Whether the model was new. Its aliases come with their versions.
    pub async fn import_model(&self, actor: &str, mut model: RegisteredModel) -> Result<bool> {
        check_model_name("name", &model.name)?;
        check_tags(&model.tags)?;
        // Projects are this server's own.
        model.project.clear();
        let (registry, actor) = (self.clone(), actor.to_owned());
        self.db
            .write(move |tx| {
                let new = store::insert_model(tx, &model)?;
                if new {
                    store::update_model(tx, &model, model.updated)?;
                    let payload = json!({"name": model.name, "description": model.description,
                        "tags": model.tags, "prompt": model.is_prompt()});
                    registry.announce(
                        tx,
                        &model,
                        (kinds::MODEL_IMPORTED, model.subject()),
                        &actor,
                        payload,
                    )?;
                }
                Ok(new)
            })
            .await
    }

    /// Whether the version was new. Its model must be here. An alias that is here already stays where it is.
    pub async fn import_version(&self, actor: &str, mut version: ForeignVersion) -> Result<bool> {
        check_model_name("name", &version.model)?;
        if version.version < 1 {
            let rule = "expected a number from 1".to_owned();
            let value = version.version.to_string();
            return Err(RegistryError::Invalid { field: "version", value, rule });
        }
        let is_prompt = version.tags.contains_key(PROMPT_TAG);
        check_source(&version.source, is_prompt, !version.logged_model_id.is_empty())?;
        check_tags(&version.tags)?;
        version.aliases.iter().try_for_each(|alias| check_new_alias(alias))?;
        let location = self.follow(&mut version).await?;
        let (registry, actor) = (self.clone(), actor.to_owned());
        self.db
            .write(move |tx| {
                let model = locked_model(tx, &version.model)?;
                let guarded = !model.project.is_empty() || store::gate_policy(tx, &model.name)?.is_some();
                let new = store::lock_version(tx, &version.model, version.version)?.is_none();
                if new {
                    if guarded && version.stage == Stage::Production {
                        let state = VersionState::Registered.name();
                        let (model, version) = (version.model, version.version);
                        return Err(RegistryError::NeedsApproval { model, version, state });
                    }
                    store::insert_imported_version(tx, &version, &location)?;
                }
                for alias in &version.aliases {
                    if model.aliases.contains_key(alias) {
                        continue;
                    }
                    if alias == CHAMPION && guarded {
                        return Err(RegistryError::GuardedAlias { alias: alias.clone(), model: model.name });
                    }
                    store::put_alias(tx, &model.name, alias, version.version)?;
                }
                if new {
                    let payload = json!({"name": version.model, "version": version.version,
                        "source": version.source, "run_id": version.run_id, "stage": version.stage.name(),
                        "aliases": version.aliases, "prompt": model.is_prompt()});
                    let event = (kinds::VERSION_IMPORTED, version.subject());
                    registry.announce(tx, &model, event, &actor, payload)?;
                }
                Ok(new)
            })
            .await
    }

    /// Where the files are, with versions of models followed to theirs, and the logged model and the run that this tells. A
    /// version whose original is not here keeps its source as its place.
    async fn follow(&self, version: &mut ForeignVersion) -> Result<String> {
        let source = version.source.clone();
        match model_uri(&source)? {
            Some(ModelUri::LoggedModel(id)) if version.logged_model_id.is_empty() => {
                version.logged_model_id = id.to_owned();
            }
            Some(ModelUri::Version(name, number)) => match self.get_version(name, number).await {
                Ok(original) => {
                    if version.logged_model_id.is_empty() {
                        version.logged_model_id = original.logged_model_id;
                    }
                    if version.run_id.is_empty() {
                        version.run_id = original.run_id;
                    }
                    return Ok(original.location);
                }
                Err(RegistryError::VersionNotFound { .. }) => {}
                Err(error) => return Err(error),
            },
            _ => {}
        }
        Ok(source)
    }
}
