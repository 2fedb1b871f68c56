//! The verbs: where a transaction, its rules and its event meet.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use platform_blobs::{BlobDigest, BlobError, Blobs};
use platform_db::Db;
use platform_events::{Events, NewEvent};
use platform_primitives::{Timestamp, new_id};
use serde_json::json;

use crate::artifacts::ArtifactPath;
use crate::model::*;
use crate::store::{self, Query, View};
use crate::{ExperimentError, kinds};

type Result<T> = std::result::Result<T, ExperimentError>;

#[derive(Clone)]
pub struct Experiments {
    db: Db,
    events: Events,
    blobs: Blobs,
}

/// A run to be created; empty names are filled in.
#[derive(Debug, Clone, Default)]
pub struct NewRun {
    pub experiment_id: i64,
    pub name: String,
    pub user: String,
    pub start: Option<Timestamp>,
    pub tags: BTreeMap<String, String>,
}

/// What one `log-batch` carries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    pub metrics: Vec<MetricPoint>,
    pub params: Vec<(String, String)>,
    pub tags: Vec<(String, String)>,
}

impl Experiments {
    pub fn new(db: Db, events: Events, blobs: Blobs) -> Self {
        Self { db, events, blobs }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.events.now()
    }

    // Experiments

    pub(crate) async fn create_experiment(
        &self,
        actor: &str,
        name: &str,
        tags: BTreeMap<String, String>,
    ) -> Result<i64> {
        check_length("name", name, 500)?;
        if name.trim().is_empty() {
            return Err(ExperimentError::invalid("name", name, "must not be empty"));
        }
        let (actor, name, events, now) = (actor.to_owned(), name.to_owned(), self.events.clone(), self.now());
        self.db
            .write(move |tx| {
                let id = store::insert_experiment(tx, &name, now)?;
                for (key, value) in &tags {
                    store::put_experiment_tag(tx, id, key, value)?;
                }
                let event = NewEvent::new(kinds::EXPERIMENT_CREATED, actor, format!("experiment:{id}"));
                events.append(tx, event.payload(json!({"name": name})))?;
                Ok(id)
            })
            .await
    }

    /// The id of the experiment with this name, created if there is none.
    pub async fn ensure_experiment(&self, actor: &str, name: &str) -> Result<i64> {
        if let Some(found) = self.find_experiment(name).await? {
            return Ok(found.id);
        }
        match self.create_experiment(actor, name, BTreeMap::new()).await {
            Err(ExperimentError::ExperimentExists { .. }) => Ok(self.get_experiment_by_name(name).await?.id),
            other => other,
        }
    }

    pub async fn find_experiment(&self, name: &str) -> Result<Option<Experiment>> {
        store::experiment_by(&self.db, "name", name.into()).await
    }

    pub(crate) async fn get_experiment_by_name(&self, name: &str) -> Result<Experiment> {
        let missing = || ExperimentError::ExperimentNameNotFound { name: name.to_owned() };
        self.find_experiment(name).await?.ok_or_else(missing)
    }

    pub(crate) async fn get_experiment(&self, id: &str) -> Result<Experiment> {
        let missing = || ExperimentError::ExperimentNotFound { id: id.to_owned() };
        let number: i64 = id.parse().map_err(|_| missing())?;
        store::experiment_by(&self.db, "id", number.into()).await?.ok_or_else(missing)
    }

    pub(crate) async fn search_experiments(&self, query: &Query) -> Result<Vec<Experiment>> {
        store::search_experiments(&self.db, query).await
    }

    /// Renames, deletes or restores: `change` edits the record.
    pub(crate) async fn change_experiment(
        &self,
        actor: &str,
        id: &str,
        change: impl FnOnce(&mut Experiment) + Send,
    ) -> Result<()> {
        let mut experiment = self.get_experiment(id).await?;
        change(&mut experiment);
        check_length("new_name", &experiment.name, 500)?;
        let (actor, events, now) = (actor.to_owned(), self.events.clone(), self.now());
        self.db
            .write(move |tx| {
                store::update_experiment(tx, &experiment, now)?;
                let event =
                    NewEvent::new(kinds::EXPERIMENT_CHANGED, actor, format!("experiment:{}", experiment.id));
                let after = json!({"name": experiment.name, "deleted": experiment.deleted});
                events.append(tx, event.payload(after))?;
                Ok(())
            })
            .await
    }

    pub(crate) async fn set_experiment_tag(&self, id: &str, key: String, value: String) -> Result<()> {
        let experiment = self.get_experiment(id).await?;
        check_length("key", &key, MAX_KEY)?;
        check_length("value", &value, 20_000)?;
        self.db.write(move |tx| store::put_experiment_tag(tx, experiment.id, &key, &value)).await
    }

    // Runs

    pub async fn create_run(&self, actor: &str, new: NewRun) -> Result<RunRecord> {
        let experiment = self.get_experiment(&new.experiment_id.to_string()).await?;
        if experiment.deleted {
            return Err(ExperimentError::ExperimentDeleted { id: experiment.id });
        }
        let id = new_id();
        let name = if new.name.is_empty() { format!("run-{}", &id[24..]) } else { new.name };
        let mut tags = new.tags;
        tags.entry("mlflow.runName".to_owned()).or_insert_with(|| name.clone());
        for (key, value) in &tags {
            check_length("key", key, MAX_KEY)?;
            check_length("value", value, MAX_TAG)?;
        }
        let run = Run {
            id,
            experiment_id: experiment.id,
            name,
            status: RunStatus::Running,
            user: if new.user.is_empty() { actor.to_owned() } else { new.user },
            deleted: false,
            start: new.start.unwrap_or_else(|| self.now()),
            end: None,
        };
        let (actor, events) = (actor.to_owned(), self.events.clone());
        let project = tags.get("loopwright.project").cloned().unwrap_or_default();
        let record = RunRecord {
            run: run.clone(),
            tags: tags.clone(),
            params: BTreeMap::new(),
            metrics: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        self.db
            .write(move |tx| {
                store::insert_run(tx, &run)?;
                for (key, value) in &tags {
                    store::put_run_tag(tx, &run.id, key, value)?;
                }
                let event =
                    NewEvent::new(kinds::RUN_CREATED, actor, format!("run:{}", run.id)).project(project);
                let payload = json!({"name": run.name, "experiment": run.experiment_id});
                events.append(tx, event.payload(payload))?;
                Ok::<_, ExperimentError>(())
            })
            .await?;
        Ok(record)
    }

    pub async fn get_run(&self, id: &str) -> Result<Run> {
        let missing = || ExperimentError::RunNotFound { id: id.to_owned() };
        store::run_by_id(&self.db, id).await?.ok_or_else(missing)
    }

    pub async fn get_record(&self, id: &str) -> Result<RunRecord> {
        let run = self.get_run(id).await?;
        self.record(run).await
    }

    async fn record(&self, run: Run) -> Result<RunRecord> {
        Ok(RunRecord {
            tags: store::run_pairs(&self.db, "run_tags", &run.id).await?,
            params: store::run_pairs(&self.db, "run_params", &run.id).await?,
            metrics: store::latest_metrics(&self.db, &run.id).await?,
            inputs: store::inputs(&self.db, &run.id).await?,
            outputs: store::models_of_run(&self.db, &run.id).await?,
            run,
        })
    }

    pub(crate) async fn search_runs(&self, experiments: &[i64], query: &Query) -> Result<Vec<RunRecord>> {
        if experiments.is_empty() {
            return Ok(Vec::new());
        }
        let mut records = Vec::new();
        for run in store::search_runs(&self.db, experiments, query).await? {
            records.push(self.record(run).await?);
        }
        Ok(records)
    }

    /// The newest runs of an experiment, at most `limit`.
    pub async fn recent_runs(&self, experiment: i64, limit: usize) -> Result<Vec<RunRecord>> {
        self.search_runs(&[experiment], &Query { limit, ..Query::default() }).await
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
        self.change_run(actor, id, false, move |run| {
            run.status = status.map_or(run.status, |status| run.status.advance(status));
            run.end = end.or(run.end);
            if let Some(name) = name {
                run.name = name;
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
        let (actor, id, events) = (actor.to_owned(), id.to_owned(), self.events.clone());
        self.db
            .write(move |tx| {
                let mut run = active_run(tx, &id, even_deleted)?;
                let before = run.clone();
                change(&mut run);
                store::update_run(tx, &run)?;
                if run.name != before.name {
                    store::put_run_tag(tx, &run.id, "mlflow.runName", &run.name)?;
                }
                let payload = json!({
                    "before": {"status": before.status.name(), "deleted": before.deleted},
                    "after": {"status": run.status.name(), "deleted": run.deleted},
                });
                let event = NewEvent::new(kinds::RUN_CHANGED, actor, format!("run:{}", run.id));
                events.append(tx, event.payload(payload))?;
                Ok(run)
            })
            .await
    }

    pub(crate) async fn log_batch(&self, id: &str, batch: Batch) -> Result<()> {
        for (what, found, most) in [
            ("metrics", batch.metrics.len(), 1_000),
            ("params", batch.params.len(), 100),
            ("tags", batch.tags.len(), 100),
            ("metrics, params and tags", batch.metrics.len() + batch.params.len() + batch.tags.len(), 1_000),
        ] {
            if found > most {
                let rule =
                    format!("A batch logging request can contain at most {most} {what}. Got {found} {what}");
                return Err(ExperimentError::invalid("metrics", found.to_string(), rule));
            }
        }
        for point in &batch.metrics {
            check_key("metric name", &point.key)?;
        }
        for (key, value) in &batch.params {
            check_key("param name", key)?;
            check_length("param value", value, MAX_PARAM)?;
        }
        for (key, value) in &batch.tags {
            check_length("tag name", key, MAX_KEY)?;
            check_length("tag value", value, MAX_TAG)?;
        }
        let id = id.to_owned();
        self.db
            .write(move |tx| {
                active_run(tx, &id, false)?;
                for (key, value) in &batch.params {
                    store::put_param(tx, &id, key, value)?;
                }
                store::append_points(tx, &id, &batch.metrics)?;
                for (key, value) in &batch.tags {
                    store::put_run_tag(tx, &id, key, value)?;
                }
                Ok(())
            })
            .await
    }

    pub(crate) async fn delete_tag(&self, id: &str, key: &str) -> Result<()> {
        let (id, key) = (id.to_owned(), key.to_owned());
        self.db
            .write(move |tx| {
                active_run(tx, &id, false)?;
                match store::delete_run_tag(tx, &id, &key)? {
                    true => Ok(()),
                    false => Err(ExperimentError::TagNotFound { run: id, key }),
                }
            })
            .await
    }

    pub(crate) async fn log_inputs(&self, actor: &str, id: &str, inputs: Vec<DatasetInput>) -> Result<()> {
        for input in &inputs {
            check_length("dataset name", &input.name, 500)?;
            check_length("dataset digest", &input.digest, 64)?;
        }
        let (actor, id, events) = (actor.to_owned(), id.to_owned(), self.events.clone());
        self.db
            .write(move |tx| {
                active_run(tx, &id, false)?;
                for input in &inputs {
                    store::put_input(tx, &id, input)?;
                    let event = NewEvent::new(kinds::INPUT_LOGGED, actor.clone(), format!("run:{id}"));
                    let payload =
                        json!({"dataset": input.name, "digest": input.digest, "source": input.source});
                    events.append(tx, event.payload(payload))?;
                }
                Ok(())
            })
            .await
    }

    /// Points of one metric, ascending by step.
    pub async fn history(
        &self,
        id: &str,
        key: &str,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<MetricPoint>> {
        self.get_run(id).await?;
        store::history(&self.db, id, key, offset, limit).await
    }

    // Logged models

    pub(crate) async fn create_logged_model(&self, actor: &str, model: LoggedModel) -> Result<LoggedModel> {
        self.get_experiment(&model.experiment_id.to_string()).await?;
        let (actor, events, row) = (actor.to_owned(), self.events.clone(), model.clone());
        self.db
            .write(move |tx| {
                store::insert_logged_model(tx, &row)?;
                let event = NewEvent::new(kinds::MODEL_LOGGED, actor, format!("logged_model:{}", row.id));
                events.append(tx, event.payload(json!({"run": row.run_id, "name": row.name})))?;
                Ok::<_, ExperimentError>(())
            })
            .await?;
        Ok(model)
    }

    pub async fn get_logged_model(&self, id: &str) -> Result<LoggedModel> {
        let missing = || ExperimentError::LoggedModelNotFound { id: id.to_owned() };
        store::logged_model(&self.db, id).await?.ok_or_else(missing)
    }

    pub(crate) async fn set_logged_model_status(&self, id: &str, status: &str) -> Result<LoggedModel> {
        let known = ["LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"];
        if !known.contains(&status) {
            return Err(ExperimentError::invalid(
                "status",
                status,
                format!("expected one of {}", known.join(", ")),
            ));
        }
        let (owned, status, now) = (id.to_owned(), status.to_owned(), self.now());
        let found = self.db.write(move |tx| store::set_model_status(tx, &owned, &status, now)).await?;
        if !found {
            return Err(ExperimentError::LoggedModelNotFound { id: id.to_owned() });
        }
        self.get_logged_model(id).await
    }

    pub(crate) async fn put_logged_model_fields(
        &self,
        id: &str,
        kind: &'static str,
        fields: BTreeMap<String, String>,
    ) -> Result<LoggedModel> {
        self.get_logged_model(id).await?;
        let owned = id.to_owned();
        self.db
            .write(move |tx| {
                fields
                    .iter()
                    .try_for_each(|(key, value)| store::put_model_field(tx, &owned, kind, key, value))
            })
            .await?;
        self.get_logged_model(id).await
    }

    pub(crate) async fn search_logged_models(
        &self,
        experiments: &[i64],
        query: &Query,
    ) -> Result<Vec<LoggedModel>> {
        if experiments.is_empty() {
            return Ok(Vec::new());
        }
        store::search_logged_models(&self.db, experiments, query).await
    }

    // Artifacts

    pub(crate) async fn put_artifact<S, E>(&self, path: &str, bytes: S) -> Result<()>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Unpin,
        E: std::fmt::Display,
    {
        let path = ArtifactPath::parse(path)?;
        let blob = self.blobs.put_stream(bytes).await?;
        let size = i64::try_from(blob.size_bytes).unwrap_or(i64::MAX);
        self.db.write(move |tx| store::put_artifact(tx, &path, blob.digest.as_str(), size)).await
    }

    pub(crate) async fn get_artifact(
        &self,
        path: &str,
    ) -> Result<(u64, BoxStream<'static, std::result::Result<Bytes, BlobError>>)> {
        let digest = self.artifact_digest(path).await?;
        Ok(self.blobs.get_stream(&digest).await?)
    }

    /// A whole artifact and its digest; for files the server reads itself.
    pub async fn read_artifact(&self, path: &str) -> Result<(BlobDigest, Bytes)> {
        let digest = self.artifact_digest(path).await?;
        let bytes = self.blobs.get_bytes(&digest).await?;
        Ok((digest, bytes))
    }

    async fn artifact_digest(&self, path: &str) -> Result<BlobDigest> {
        let path = ArtifactPath::parse(path)?;
        let missing = || ExperimentError::ArtifactNotFound { path: path.as_str().to_owned() };
        let (digest, _) = store::artifact(&self.db, &path).await?.ok_or_else(missing)?;
        Ok(BlobDigest::parse(&digest)?)
    }

    /// Entries directly in `folder`; empty for a folder that does not exist.
    pub async fn list_artifacts(&self, folder: &str) -> Result<Vec<ArtifactEntry>> {
        let folder = folder.trim_end_matches('/');
        if !folder.is_empty() {
            ArtifactPath::parse(folder)?;
        }
        store::list_artifacts(&self.db, folder).await
    }

    pub(crate) async fn delete_artifacts(&self, path: &str) -> Result<()> {
        let path = ArtifactPath::parse(path)?;
        self.db.write(move |tx| store::delete_artifacts(tx, &path)).await.map(|_| ())
    }

    /// Experiment 0, which every MLflow client expects.
    pub async fn ensure_default_experiment(&self) -> Result<()> {
        let any = self.search_experiments(&Query { limit: 1, view: View::All, ..Query::default() }).await?;
        if any.is_empty() {
            self.ensure_experiment("platform", "Default").await?;
        }
        Ok(())
    }
}

fn active_run(tx: &mut platform_db::Tx<'_>, id: &str, even_deleted: bool) -> Result<Run> {
    let run = store::lock_run(tx, id)?.ok_or_else(|| ExperimentError::RunNotFound { id: id.to_owned() })?;
    if run.deleted && !even_deleted {
        return Err(ExperimentError::RunDeleted { id: id.to_owned() });
    }
    Ok(run)
}
