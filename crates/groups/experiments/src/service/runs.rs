use std::collections::BTreeMap;
use std::sync::Arc;

use platform_events::NewEvent;
use platform_primitives::{Timestamp, new_id};
use platform_web::mlflow::search::Ask;
use serde_json::json;

use super::{Experiments, Result};
use crate::index::{Plan, Token};
use crate::model::*;
use crate::store::{self, View};
use crate::{ExperimentError, kinds};

/// A run to be created; empty names are filled in.
#[derive(Debug, Clone, Default)]
pub struct NewRun {
    pub experiment_id: i64,
    pub name: String,
    pub user: String,
    pub start: Option<Timestamp>,
    pub tags: BTreeMap<String, String>,
}

/// What a client wants changed of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunChange {
    pub status: Option<RunStatus>,
    pub end: Option<Timestamp>,
    pub name: Option<String>,
    pub user: Option<String>,
}

/// The tag in which MLflow keeps a run's name.
pub(super) const NAME_TAG: &str = "mlflow.runName";

impl Experiments {
    pub async fn create_run(&self, actor: &str, new: NewRun) -> Result<RunRecord> {
        let id = new_id();
        let name = if new.name.is_empty() { format!("run-{}", &id[24..]) } else { new.name };
        let mut tags = new.tags;
        tags.entry(NAME_TAG.to_owned()).or_insert_with(|| name.clone());
        for (key, value) in &tags {
            check_tag(key, value)?;
        }
        let mut run = Run {
            id,
            experiment_id: new.experiment_id,
            name,
            status: RunStatus::Running,
            user: if new.user.is_empty() { actor.to_owned() } else { new.user },
            deleted: false,
            start: new.start.unwrap_or_else(|| self.now()),
            end: None,
            artifact_root: String::new(),
        };
        let (actor, service) = (actor.to_owned(), self.clone());
        self.db
            .write(move |tx| {
                match service.lock_experiment(tx, run.experiment_id, true)? {
                    None => {
                        return Err(ExperimentError::ExperimentNotFound {
                            id: run.experiment_id.to_string(),
                        });
                    }
                    Some(experiment) if experiment.deleted => {
                        return Err(ExperimentError::ExperimentDeleted { id: experiment.id });
                    }
                    Some(experiment) => run.artifact_root = experiment.artifact_location,
                }
                store::insert_run(tx, &run, &tags)?;
                let project = tags.get("loopwright.project").cloned().unwrap_or_default();
                let event =
                    NewEvent::new(kinds::RUN_CREATED, actor, format!("run:{}", run.id)).project(project);
                let payload = json!({"name": run.name, "experiment": run.experiment_id});
                service.events.append(tx, event.payload(payload))?;
                tx.after_commit(service.changed(run.experiment_id, &run.id));
                Ok(RunRecord {
                    run,
                    tags,
                    params: BTreeMap::new(),
                    metrics: Default::default(),
                    inputs: Vec::new(),
                    model_inputs: Vec::new(),
                    outputs: Vec::new(),
                })
            })
            .await
    }

    pub async fn get_run(&self, id: &str) -> Result<Run> {
        let missing = || ExperimentError::RunNotFound { id: id.to_owned() };
        let run = store::run_by_id(&self.db, id).await?.ok_or_else(missing)?;
        match self.sees(run.experiment_id).await? {
            true => Ok(run),
            false => Err(missing()),
        }
    }

    pub async fn get_record(&self, id: &str) -> Result<Arc<RunRecord>> {
        let missing = || ExperimentError::RunNotFound { id: id.to_owned() };
        self.records(vec![id.to_owned()]).await?.pop().ok_or_else(missing)
    }

    /// Records of the runs that exist for this handle, in the order of `ids`.
    pub(crate) async fn records(&self, ids: Vec<String>) -> Result<Vec<Arc<RunRecord>>> {
        let mut found: Vec<Option<Arc<RunRecord>>> = Vec::with_capacity(ids.len());
        let mut wanted = Vec::new();
        for (place, id) in ids.iter().enumerate() {
            match self.cache.get(id) {
                Ok(record) => found.push(Some(record)),
                Err(epoch) => {
                    wanted.push((place, epoch));
                    found.push(None);
                }
            }
        }
        if !wanted.is_empty() {
            let missing: Vec<String> = wanted.iter().map(|(place, _)| ids[*place].clone()).collect();
            let read = self.db.snapshot(move |rows| store::records(rows, &missing)).await?;
            let mut wanted = wanted.into_iter();
            for record in read {
                // Records come in the order of the ids; an id without one is passed over.
                let place = wanted.find(|(place, _)| ids[*place] == record.run.id);
                let Some((place, epoch)) = place else { continue };
                let record = Arc::new(record);
                self.cache.put(epoch, &record);
                found[place] = Some(record);
            }
        }
        self.seen_records(found.into_iter().flatten().collect()).await
    }

    /// The runs of a page and the token of the next one.
    pub(crate) async fn search_runs(
        &self,
        experiments: &[i64],
        view: View,
        ask: &Ask,
    ) -> Result<(Vec<Arc<RunRecord>>, Option<String>)> {
        let plan = Arc::new(Plan::new(&ask.filter, &ask.order_by)?);
        let token = ask.token.as_deref().filter(|token| !token.is_empty());
        let token = token.map(|token| Token::decode(token, &plan)).transpose()?;
        let experiments = self.seen(experiments).await?;
        let mut hits = self.index.search(&self.db, &experiments, view, &plan, token, ask.limit + 1).await?;
        let more = hits.len() > ask.limit;
        hits.truncate(ask.limit);
        let next = hits.last().filter(|_| more).map(Token::encode);
        let ids = hits.into_iter().map(|hit| hit.run_id).collect();
        Ok((self.records(ids).await?, next))
    }

    /// The newest runs of an experiment, at most `limit`.
    pub async fn recent_runs(&self, experiment: i64, limit: usize) -> Result<Vec<Arc<RunRecord>>> {
        let ask = Ask { limit, ..Ask::default() };
        Ok(self.search_runs(&[experiment], View::Active, &ask).await?.0)
    }

    /// Changes status, end or name.
    pub async fn update_run(
        &self,
        actor: &str,
        id: &str,
        status: Option<RunStatus>,
        end: Option<Timestamp>,
        name: Option<String>,
    ) -> Result<Run> {
        self.apply_run_change(actor, id, RunChange { status, end, name, user: None }).await
    }

    pub(crate) async fn apply_run_change(&self, actor: &str, id: &str, wanted: RunChange) -> Result<Run> {
        self.change_run(actor, id, false, move |run| {
            run.status = wanted.status.map_or(run.status, |status| run.status.advance(status));
            run.end = wanted.end.or(run.end);
            if let Some(name) = wanted.name {
                run.name = name;
            }
            if let Some(user) = wanted.user {
                run.user = user;
            }
        })
        .await
    }

    pub(crate) async fn set_run_deleted(&self, actor: &str, id: &str, deleted: bool) -> Result<Run> {
        self.change_run(actor, id, true, move |run| run.deleted = deleted).await
    }

    async fn change_run(
        &self,
        actor: &str,
        id: &str,
        even_deleted: bool,
        change: impl FnOnce(&mut Run) + Send + 'static,
    ) -> Result<Run> {
        let (actor, id, service, now) = (actor.to_owned(), id.to_owned(), self.clone(), self.now());
        self.db
            .write(move |tx| {
                let mut run = service.active_run(tx, &id, even_deleted, false)?;
                let before = run.clone();
                change(&mut run);
                store::update_run(tx, &run, now)?;
                if run.name != before.name {
                    let (_, mut tags) = store::run_texts(tx, &id)?;
                    tags.insert(NAME_TAG.to_owned(), run.name.clone());
                    store::put_tags(tx, &id, &tags)?;
                }
                let payload = json!({
                    "before": {"status": before.status.name(), "deleted": before.deleted},
                    "after": {"status": run.status.name(), "deleted": run.deleted},
                });
                let event = NewEvent::new(kinds::RUN_CHANGED, actor, format!("run:{}", run.id));
                service.events.append(tx, event.payload(payload))?;
                tx.after_commit(service.changed(run.experiment_id, &run.id));
                if run.status.is_finished() {
                    let (waiting, id) = (Arc::clone(&service.waiting), id.clone());
                    tx.after_commit(move || waiting.finished(&id));
                }
                Ok(run)
            })
            .await
    }

    /// Removes deleted runs for good, with their points; only those deleted before `before`. How many went.
    pub async fn purge_runs(&self, actor: &str, experiment: Option<i64>, before: Timestamp) -> Result<usize> {
        let mut gone = 0;
        loop {
            let page =
                store::purgeable_runs(&self.db, self.workspace.as_deref(), experiment, before, 64).await?;
            if page.is_empty() {
                return Ok(gone);
            }
            gone += page.len();
            let (actor, service) = (actor.to_owned(), self.clone());
            self.db
                .write(move |tx| {
                    for id in &page {
                        let Some(run) = service.lock_run(tx, id, false)?.filter(|run| run.deleted) else {
                            continue;
                        };
                        store::purge_run(tx, id)?;
                        // Files elsewhere are not this server's to delete.
                        if let Ok(folder) = run.artifact_folder() {
                            // First, so that one that is being completed is either gone or has its file here.
                            store::delete_uploads_below(tx, &folder)?;
                            store::delete_folder(tx, &folder)?;
                        }
                        tx.after_commit(service.changed(run.experiment_id, id));
                        let event = NewEvent::new(kinds::RUN_PURGED, actor.clone(), format!("run:{id}"));
                        service.events.append(tx, event.payload(json!({"experiment": run.experiment_id})))?;
                    }
                    Ok::<_, ExperimentError>(())
                })
                .await?;
        }
    }
}
