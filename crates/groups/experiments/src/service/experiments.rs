use std::collections::BTreeMap;

use platform_events::NewEvent;
use platform_web::mlflow::DEFAULT_WORKSPACE;
use platform_web::mlflow::search::Ask;
use serde_json::json;

use super::{Experiments, Result};
use crate::location::Location;
use crate::model::*;
use crate::store::{self, LIST_MAX, View};
use crate::{ExperimentError, kinds};

impl Experiments {
    pub(crate) async fn create_experiment(
        &self,
        actor: &str,
        name: &str,
        location: &str,
        tags: BTreeMap<String, String>,
    ) -> Result<i64> {
        let location = self.placed(location)?;
        if name.trim().is_empty() {
            return Err(ExperimentError::invalid("name", name, "must not be empty"));
        }
        check_length("name", name, 500)?;
        for (key, value) in &tags {
            check_length("key", key, MAX_KEY)?;
            check_length("value", value, MAX_EXPERIMENT_TAG)?;
        }
        let (actor, name, events, now) = (actor.to_owned(), name.to_owned(), self.events.clone(), self.now());
        let workspace = self.home().to_owned();
        self.db
            .write(move |tx| {
                let id = store::insert_experiment(tx, &workspace, &name, &location.root, now)?;
                location.check_number(id)?;
                if location.is_folder() {
                    location.check_apart(&store::chosen_folders(tx, id)?)?;
                }
                for (key, value) in &tags {
                    store::put_experiment_tag(tx, id, key, value)?;
                }
                let event = NewEvent::new(kinds::EXPERIMENT_CREATED, actor, format!("experiment:{id}"));
                events.append(tx, event.payload(json!({"name": name})))?;
                Ok(id)
            })
            .await
    }

    /// Paths of this server's store that do not begin with a number are the default workspace's.
    fn placed(&self, location: &str) -> Result<Location> {
        let placed = Location::parse(location)?;
        if placed.is_folder() && self.home() != DEFAULT_WORKSPACE {
            let rule = "folders of this server's store are chosen in the workspace 'default' only";
            return Err(ExperimentError::invalid("artifact_location", location, rule));
        }
        Ok(placed)
    }

    /// The id of the experiment with this name, created if there is none.
    pub async fn ensure_experiment(&self, actor: &str, name: &str) -> Result<i64> {
        if let Some(found) = self.find_experiment(name).await? {
            return Ok(found.id);
        }
        match self.create_experiment(actor, name, "", BTreeMap::new()).await {
            Err(ExperimentError::ExperimentExists { .. }) => Ok(self.get_experiment_by_name(name).await?.id),
            other => other,
        }
    }

    /// By name, in this handle's workspace or the default one.
    pub async fn find_experiment(&self, name: &str) -> Result<Option<Experiment>> {
        store::experiment_by_name(&self.db, self.home(), name).await
    }

    pub(crate) async fn get_experiment_by_name(&self, name: &str) -> Result<Experiment> {
        let missing = || ExperimentError::ExperimentNameNotFound { name: name.to_owned() };
        self.find_experiment(name).await?.ok_or_else(missing)
    }

    pub async fn get_experiment(&self, id: &str) -> Result<Experiment> {
        let missing = || ExperimentError::ExperimentNotFound { id: id.to_owned() };
        let number: i64 = id.parse().map_err(|_| missing())?;
        let found = store::experiment_by_id(&self.db, number).await?;
        found.filter(|experiment| self.covers(&experiment.workspace)).ok_or_else(missing)
    }

    pub(crate) async fn search_experiments(
        &self,
        view: View,
        ask: &Ask,
    ) -> Result<(Vec<Experiment>, Option<String>)> {
        store::search_experiments(&self.db, self.workspace.as_deref(), view, ask).await
    }

    pub(crate) async fn rename_experiment(&self, actor: &str, id: &str, name: &str) -> Result<()> {
        check_length("new_name", name, 500)?;
        let name = name.to_owned();
        self.change_experiment(actor, id, false, move |experiment| experiment.name = name).await.map(drop)
    }

    /// Deletes or restores an experiment and all of its runs with it.
    pub(crate) async fn set_experiment_deleted(&self, actor: &str, id: &str, deleted: bool) -> Result<()> {
        let number =
            self.change_experiment(actor, id, true, move |experiment| experiment.deleted = deleted).await?;
        let mut after = String::new();
        loop {
            let (service, from, now) = (self.clone(), after, self.now());
            let page = self
                .db
                .write(move |tx| {
                    let page = store::run_ids(tx, number, &from, LIST_MAX)?;
                    for id in &page {
                        if let Some(mut run) = store::lock_run(tx, id, false)?
                            && run.deleted != deleted
                        {
                            run.deleted = deleted;
                            store::update_run(tx, &run, now)?;
                            tx.after_commit(service.changed(number, id));
                        }
                    }
                    Ok::<_, ExperimentError>(page)
                })
                .await?;
            match page.last() {
                Some(last) => after = last.clone(),
                None => return Ok(()),
            }
        }
    }

    /// `change` edits the record under its lock.
    async fn change_experiment(
        &self,
        actor: &str,
        id: &str,
        even_deleted: bool,
        change: impl FnOnce(&mut Experiment) + Send + 'static,
    ) -> Result<i64> {
        let missing = ExperimentError::ExperimentNotFound { id: id.to_owned() };
        let Ok(number) = id.parse::<i64>() else { return Err(missing) };
        let (actor, service, now) = (actor.to_owned(), self.clone(), self.now());
        self.db
            .write(move |tx| {
                let mut experiment = service.lock_experiment(tx, number, false)?.ok_or(missing)?;
                if experiment.deleted && !even_deleted {
                    return Err(ExperimentError::ExperimentDeleted { id: number });
                }
                change(&mut experiment);
                store::update_experiment(tx, &experiment, now)?;
                let event = NewEvent::new(kinds::EXPERIMENT_CHANGED, actor, format!("experiment:{number}"));
                let after = json!({"name": experiment.name, "deleted": experiment.deleted});
                service.events.append(tx, event.payload(after))?;
                Ok(number)
            })
            .await
    }

    pub(crate) async fn set_experiment_tag(&self, id: &str, key: String, value: String) -> Result<()> {
        check_length("key", &key, MAX_KEY)?;
        check_length("value", &value, MAX_EXPERIMENT_TAG)?;
        self.change_experiment_tag(id, key, Some(value)).await
    }

    pub(crate) async fn delete_experiment_tag(&self, id: &str, key: String) -> Result<()> {
        self.change_experiment_tag(id, key, None).await
    }

    async fn change_experiment_tag(&self, id: &str, key: String, value: Option<String>) -> Result<()> {
        let missing = ExperimentError::ExperimentNotFound { id: id.to_owned() };
        let Ok(number) = id.parse::<i64>() else { return Err(missing) };
        let (service, now) = (self.clone(), self.now());
        self.db
            .write(move |tx| {
                let experiment = service.lock_experiment(tx, number, false)?.ok_or(missing)?;
                if experiment.deleted {
                    return Err(ExperimentError::ExperimentDeleted { id: number });
                }
                match value {
                    Some(value) => store::put_experiment_tag(tx, number, &key, &value)?,
                    None if store::delete_experiment_tag(tx, number, &key)? => {}
                    None => {
                        return Err(ExperimentError::ExperimentTagNotFound { experiment: number, key });
                    }
                }
                store::update_experiment(tx, &experiment, now)
            })
            .await
    }

    /// Experiment 0, which every MLflow client expects.
    pub async fn ensure_default_experiment(&self) -> Result<()> {
        let ask = Ask { limit: 1, ..Ask::default() };
        if self.search_experiments(View::All, &ask).await?.0.is_empty() {
            self.ensure_experiment("platform", "Default").await?;
        }
        Ok(())
    }

    /// How many experiments, deleted ones too, lie in a workspace.
    pub async fn count_in(&self, workspace: &str) -> Result<i64> {
        store::count_experiments(&self.db, workspace).await
    }
}
