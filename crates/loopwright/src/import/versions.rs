//! Registered models and their versions, the oldest version first: a copy comes after its original.

use std::collections::{BTreeMap, BTreeSet};

use group_experiments::ExperimentError;
use group_registry::{ForeignVersion, RegisteredModel};
use platform_primitives::{ErrorKind, Fault as _};

use super::Import;
use super::report::Kind;
use super::source::Owner;
use crate::cli::CommandError;

impl Import {
    /// How many versions were taken over or were here already.
    pub(super) async fn registry_entries(&self) -> Result<usize, CommandError> {
        let models = self.models().await?;
        let mut placed = BTreeSet::new();
        if !self.partial {
            for model in models.values() {
                self.place_model(model, &mut placed).await?;
            }
        }
        let (mut found, mut cursor) = (0, None);
        loop {
            let (versions, next) = self.source.versions(cursor).await?;
            for version in versions {
                let Some(model) = models.get(&version.model) else { continue };
                if self.partial && !self.is_of_wanted(&version).await? {
                    continue;
                }
                if self.partial {
                    self.place_model(model, &mut placed).await?;
                }
                if placed.contains(&version.model) {
                    self.version(version, model).await?;
                    found += 1;
                }
            }
            cursor = next;
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    /// Names, tags and aliases of all models: a line each.
    async fn models(&self) -> Result<BTreeMap<String, RegisteredModel>, CommandError> {
        let mut models = BTreeMap::new();
        let mut cursor = None;
        loop {
            let (page, next) = self.source.models(cursor).await?;
            models.extend(page.into_iter().map(|model| (model.name.clone(), model)));
            cursor = next;
            if cursor.is_none() {
                return Ok(models);
            }
        }
    }

    /// Whether the version's run or logged model is here.
    async fn is_of_wanted(&self, version: &ForeignVersion) -> Result<bool, CommandError> {
        let run = &version.run_id;
        if !run.is_empty() && here(self.experiments.get_run(run).await)?.is_some() {
            return Ok(true);
        }
        let model = logged_model_of(version);
        Ok(!model.is_empty() && here(self.experiments.get_logged_model(model).await)?.is_some())
    }

    async fn place_model(
        &self,
        model: &RegisteredModel,
        placed: &mut BTreeSet<String>,
    ) -> Result<(), CommandError> {
        if placed.contains(&model.name) {
            return Ok(());
        }
        let mut model = model.clone();
        let what = format!("model {}", model.name);
        for error in model.take_refused() {
            self.refused(Kind::Models, &what, error)?;
        }
        let (name, tags) = (model.name.clone(), model.tags.clone());
        match self.registry.import_model(&self.actor, model).await {
            Ok(new) => self.report().add(Kind::Models, 1, new),
            Err(error) => {
                self.report().count(Kind::Models).source += 1;
                return self.refused(Kind::Models, &what, error);
            }
        }
        let own = self.registry.get_model(&name).await?;
        if let Some((key, _)) = tags.iter().find(|(key, value)| own.tags.get(*key) != Some(*value)) {
            self.report().mismatch(Kind::Models, &what, format!("tag {key} differs"));
        }
        placed.insert(name);
        Ok(())
    }

    async fn version(
        &self,
        mut version: ForeignVersion,
        model: &RegisteredModel,
    ) -> Result<(), CommandError> {
        let what = format!("version {}/{}", version.model, version.version);
        let pointing = model.aliases.iter().filter(|(_, number)| **number == version.version);
        version.aliases = pointing.map(|(alias, _)| alias.clone()).collect();
        let aliases = version.aliases.len();
        self.report().count(Kind::Aliases).source += aliases as u64;
        for error in version.take_refused() {
            self.refused(Kind::Versions, &what, error)?;
        }
        version.source = self.source_here(&version).await?;
        let wanted = version.clone();
        let new = match self.registry.import_version(&self.actor, version).await {
            Ok(new) => new,
            Err(error) => {
                self.report().count(Kind::Versions).source += 1;
                return self.refused(Kind::Versions, &what, error);
            }
        };
        let own = self.registry.get_version(&wanted.model, wanted.version).await?;
        let mut report = self.report();
        report.add(Kind::Versions, 1, new);
        let moved = wanted.aliases.len() as u64;
        let count = report.count(Kind::Aliases);
        if new {
            count.imported += moved;
        } else {
            count.skipped += moved;
        }
        let same = (&own.source, own.stage, &own.description, own.created)
            == (&wanted.source, wanted.stage, &wanted.description, wanted.created);
        if !same {
            report.mismatch(Kind::Versions, &what, "source, stage, description or time differ");
        }
        if let Some((key, _)) = wanted.tags.iter().find(|(key, value)| own.tags.get(*key) != Some(*value)) {
            report.mismatch(Kind::Versions, &what, format!("tag {key} differs"));
        }
        if let Some(alias) = wanted.aliases.iter().find(|alias| !own.aliases.contains(*alias)) {
            report.mismatch(Kind::Aliases, &what, format!("alias {alias} stands for another version here"));
        }
        Ok(())
    }

    /// Where the version's files are here, when they lie in a folder that was imported; else what the source says.
    async fn source_here(&self, version: &ForeignVersion) -> Result<String, CommandError> {
        let source = &version.source;
        if source.starts_with("models:") || source.starts_with("runs:") || source.is_empty() {
            return Ok(source.clone());
        }
        let mut owners = Vec::new();
        if !version.run_id.is_empty() {
            owners.push(Owner::Run(version.run_id.clone()));
        }
        // The folder of a logged model bears its id.
        let id = source.trim_end_matches("/artifacts").rsplit('/').find(|part| part.starts_with("m-"));
        owners.extend(id.map(|id| Owner::LoggedModel(id.to_owned())));
        for owner in owners {
            let Some(root) = self.source.root(&owner).await? else { continue };
            let Some(rest) = source.strip_prefix(root.trim_end_matches('/')) else { continue };
            if !rest.is_empty() && !rest.starts_with('/') {
                continue;
            }
            let folder = match &owner {
                Owner::Run(id) => {
                    here(self.experiments.get_run(id).await)?.and_then(|run| run.artifact_folder().ok())
                }
                Owner::LoggedModel(id) => here(self.experiments.get_logged_model(id).await)?
                    .and_then(|model| model.artifact_folder().ok()),
            };
            let Some(folder) = folder else { continue };
            let place = format!("{folder}{rest}");
            if !self.experiments.list_artifacts(place.trim_end_matches('/')).await?.is_empty() {
                return Ok(format!("mlflow-artifacts:/{place}"));
            }
        }
        Ok(source.clone())
    }
}

/// What was found, or none when it is not here. A database that does not answer is no answer.
fn here<T>(found: Result<T, ExperimentError>) -> Result<Option<T>, CommandError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The id in `models:/m-…`, or none.
fn logged_model_of(version: &ForeignVersion) -> &str {
    if !version.logged_model_id.is_empty() {
        return &version.logged_model_id;
    }
    version.source.strip_prefix("models:/").filter(|rest| !rest.contains('/')).unwrap_or_default()
}
