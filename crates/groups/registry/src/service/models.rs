use std::collections::BTreeMap;

use platform_db::Tx;
use platform_primitives::Timestamp;
use serde_json::json;

use super::{Registry, Result, locked_model};
use crate::model::{ModelEntry, ModelVersion, RegisteredModel, Stage};
use crate::names::{check_full_name, check_tag, check_tag_key, check_tags};
use crate::{RegistryError, kinds, store};

impl Registry {
    pub(crate) async fn create_model(
        &self,
        actor: &str,
        name: &str,
        description: &str,
        tags: BTreeMap<String, String>,
    ) -> Result<RegisteredModel> {
        check_full_name("name", name)?;
        check_tags(&tags)?;
        let model = new_model(name, description, tags, self.events.now());
        let (registry, actor) = (self.clone(), actor.to_owned());
        self.db
            .write(move |tx| match registry.insert_model(tx, &actor, &model)? {
                true => Ok(model),
                false => Err(RegistryError::ModelExists { name: model.name }),
            })
            .await
    }

    fn insert_model(&self, tx: &mut Tx<'_>, actor: &str, model: &RegisteredModel) -> Result<bool> {
        let new = store::insert_model(tx, model)?;
        if new {
            let payload = json!({"name": model.name, "description": model.description, "tags": model.tags,
                "prompt": model.is_prompt()});
            self.announce(tx, model, (kinds::MODEL_CREATED, model.subject()), actor, payload)?;
        }
        Ok(new)
    }

    /// Makes `project` the owner of the model, which is created if there is none.
    pub async fn claim_model(&self, actor: &str, name: &str, project: &str) -> Result<()> {
        check_full_name("name", name)?;
        let (registry, actor) = (self.clone(), actor.to_owned());
        let (name, project) = (name.to_owned(), project.to_owned());
        self.db
            .write(move |tx| {
                let new = new_model(&name, "", BTreeMap::new(), registry.events.now());
                registry.insert_model(tx, &actor, &new)?;
                let mut model = locked_model(tx, &name)?;
                if model.project == project {
                    return Ok(());
                }
                model.project = project;
                registry.write_model(tx, &actor, &model)
            })
            .await
    }

    pub async fn get_model(&self, name: &str) -> Result<RegisteredModel> {
        let wanted = name.to_owned();
        let found: Result<_> = self.db.snapshot(move |reader| store::model(reader, &wanted)).await;
        found?.ok_or_else(|| RegistryError::ModelNotFound { name: name.to_owned() })
    }

    /// The model with the newest version of each stage.
    pub(crate) async fn get_model_entry(&self, name: &str) -> Result<ModelEntry> {
        let wanted = name.to_owned();
        let found: Result<_> = self.db.snapshot(move |reader| store::model_entry(reader, &wanted)).await;
        found?.ok_or_else(|| RegistryError::ModelNotFound { name: name.to_owned() })
    }

    /// The newest version of each of these stages; without any, of every stage.
    pub(crate) async fn latest_versions(&self, name: &str, stages: &[Stage]) -> Result<Vec<ModelVersion>> {
        let mut latest = self.get_model_entry(name).await?.latest;
        latest.retain(|version| stages.is_empty() || stages.contains(&version.stage));
        Ok(latest)
    }

    pub(crate) async fn describe_model(&self, actor: &str, name: &str, description: String) -> Result<()> {
        let (registry, actor, name) = (self.clone(), actor.to_owned(), name.to_owned());
        self.db
            .write(move |tx| {
                let mut model = locked_model(tx, &name)?;
                model.description = description;
                registry.write_model(tx, &actor, &model)
            })
            .await
    }

    fn write_model(&self, tx: &mut Tx<'_>, actor: &str, model: &RegisteredModel) -> Result<()> {
        store::update_model(tx, model, self.events.now())?;
        let payload = json!({"description": model.description, "project": model.project});
        self.announce(tx, model, (kinds::MODEL_CHANGED, model.subject()), actor, payload)
    }

    pub(crate) async fn rename_model(&self, actor: &str, name: &str, new_name: &str) -> Result<ModelEntry> {
        check_full_name("new_name", new_name)?;
        let (registry, actor) = (self.clone(), actor.to_owned());
        let (name, target) = (name.to_owned(), new_name.to_owned());
        self.db
            .write(move |tx| {
                let mut model = unowned(tx, &name)?;
                store::rename_model(tx, &model.name, &target, registry.events.now())?;
                let payload = json!({"before": model.name, "after": target});
                model.name = target;
                registry.announce(tx, &model, (kinds::MODEL_CHANGED, model.subject()), &actor, payload)
            })
            .await?;
        self.get_model_entry(new_name).await
    }

    pub(crate) async fn delete_model(&self, actor: &str, name: &str) -> Result<()> {
        let (registry, actor, name) = (self.clone(), actor.to_owned(), name.to_owned());
        self.db
            .write(move |tx| {
                let model = unowned(tx, &name)?;
                store::delete_model(tx, &model.name)?;
                let payload = json!({"deleted": true});
                registry.announce(tx, &model, (kinds::MODEL_CHANGED, model.subject()), &actor, payload)
            })
            .await
    }

    /// Sets or, without a value, deletes a tag. One that is not there is deleted all the same.
    pub(crate) async fn set_model_tag(
        &self,
        actor: &str,
        name: &str,
        key: String,
        value: Option<String>,
    ) -> Result<()> {
        match &value {
            Some(value) => check_tag(&key, value)?,
            None => check_tag_key(&key)?,
        }
        let (registry, actor, name) = (self.clone(), actor.to_owned(), name.to_owned());
        self.db
            .write(move |tx| {
                let mut model = locked_model(tx, &name)?;
                let kind = match &value {
                    Some(value) => {
                        store::put_model_tag(tx, &name, &key, value)?;
                        model.tags.insert(key.clone(), value.clone());
                        kinds::MODEL_TAG_SET
                    }
                    None => {
                        store::delete_model_tag(tx, &name, &key)?;
                        model.tags.remove(&key);
                        kinds::MODEL_TAG_DELETED
                    }
                };
                let payload = json!({"name": name, "key": key, "value": value, "prompt": model.is_prompt()});
                registry.announce(tx, &model, (kind, model.subject()), &actor, payload)
            })
            .await
    }
}

fn new_model(
    name: &str,
    description: &str,
    tags: BTreeMap<String, String>,
    now: Timestamp,
) -> RegisteredModel {
    RegisteredModel {
        name: name.to_owned(),
        description: description.to_owned(),
        project: String::new(),
        created: now,
        updated: now,
        tags,
        aliases: BTreeMap::new(),
    }
}

/// The model, locked, if neither a loop nor a gate depends on its name.
fn unowned(tx: &mut Tx<'_>, name: &str) -> Result<RegisteredModel> {
    let model = locked_model(tx, name)?;
    if !model.project.is_empty() {
        return Err(RegistryError::Owned { model: model.name, project: model.project });
    }
    match store::gate_policy(tx, name)? {
        Some(_) => Err(RegistryError::Gated { model: model.name }),
        None => Ok(model),
    }
}
