use platform_db::Tx;
use serde_json::json;

use super::{Registry, Result, locked_model, locked_version};
use crate::model::{ModelVersion, RegisteredModel};
use crate::names::{check_alias, check_new_alias, is_latest};
use crate::{CHAMPION, RegistryError, kinds, store};

impl Registry {
    /// The version that an alias stands for; `latest` is the newest one.
    pub async fn version_by_alias(&self, model: &str, alias: &str) -> Result<ModelVersion> {
        check_alias(alias)?;
        let record = self.get_model(model).await?;
        if is_latest(alias) {
            let newest = self.list_versions(model, 1).await?.pop();
            return newest.ok_or(RegistryError::NoVersion { model: record.name });
        }
        let version = record.aliases.get(alias);
        let version = version.ok_or_else(|| RegistryError::AliasNotFound { alias: alias.to_owned() })?;
        self.get_version(model, *version).await
    }

    /// Moves or, without a version, removes an alias. One that is not there is removed all the same.
    pub(crate) async fn set_alias(
        &self,
        actor: &str,
        model: &str,
        alias: &str,
        version: Option<i64>,
    ) -> Result<()> {
        match version {
            Some(_) => check_new_alias(alias)?,
            None => check_alias(alias)?,
        }
        let (registry, actor) = (self.clone(), actor.to_owned());
        let (name, alias) = (model.to_owned(), alias.to_owned());
        self.db
            .write(move |tx| {
                let model = locked_model(tx, &name)?;
                let is_champion = alias == CHAMPION;
                if is_champion && (!model.project.is_empty() || store::gate_policy(tx, &name)?.is_some()) {
                    return Err(RegistryError::GuardedAlias { alias, model: model.name });
                }
                if let Some(version) = version {
                    locked_version(tx, &name, version)?;
                }
                registry.write_alias(tx, &actor, &model, &alias, version)
            })
            .await
    }

    /// Moves an alias of a locked model.
    pub(super) fn write_alias(
        &self,
        tx: &mut Tx<'_>,
        actor: &str,
        model: &RegisteredModel,
        alias: &str,
        version: Option<i64>,
    ) -> Result<()> {
        let before = model.aliases.get(alias).copied();
        let kind = match version {
            Some(version) => {
                store::put_alias(tx, &model.name, alias, version)?;
                kinds::ALIAS_SET
            }
            None => {
                store::delete_alias(tx, &model.name, alias)?;
                kinds::ALIAS_DELETED
            }
        };
        let payload = json!({"name": model.name, "alias": alias, "version": version.or(before),
            "before": before, "prompt": model.is_prompt()});
        self.announce(tx, model, (kind, model.subject()), actor, payload)
    }
}
