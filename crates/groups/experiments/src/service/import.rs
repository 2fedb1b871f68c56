//! Takes over what another tracking server holds: ids, names, times and states stay what they were there.
//!
//! Every verb may be repeated. What is here already is kept; only a run or a logged model that was not finished when it was
//! taken over is brought up to date. What the rules of this server refuse is taken out by `take_refused` first, and named:
//! nothing is shortened. What is taken over is seen whatever the workspace of the handle: only `loopwright import` does it.

use std::collections::BTreeMap;
use std::fmt::Display;

use bytes::Bytes;
use futures_util::Stream;
use kernel_series::{Point, encode_batch};
use platform_db::Tx;
use platform_events::NewEvent;
use platform_primitives::Timestamp;
use serde_json::json;

use super::{Experiments, Result, StoredFile};
use crate::artifacts::ArtifactPath;
use crate::model::*;
use crate::{ExperimentError, fold, kinds, store};

/// Ids that other tracking servers give runs and logged models.
const MAX_ID: usize = 256;

/// What became of a thing that was to be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    New,
    /// It was here, not finished, and has been brought up to date.
    Updated,
    /// It was here and stays as it is.
    Kept,
}

impl Experiment {
    /// Takes out what this server refuses, and says why.
    pub fn take_refused(&mut self) -> Vec<ExperimentError> {
        let mut refused = Vec::new();
        keep_allowed(&mut self.tags, check_experiment_tag, &mut refused);
        refused
    }
}

impl RunRecord {
    /// Takes out what this server refuses, and says why.
    pub fn take_refused(&mut self) -> Vec<ExperimentError> {
        let mut refused = Vec::new();
        keep_allowed(&mut self.params, check_param, &mut refused);
        keep_allowed(&mut self.tags, check_tag, &mut refused);
        self.inputs.retain(|input| match check_dataset(input) {
            Ok(()) => true,
            Err(error) => {
                refused.push(error);
                false
            }
        });
        refused
    }

    fn check(&self) -> Result<()> {
        check_id("run_id", &self.run.id)?;
        self.params.iter().try_for_each(|(key, value)| check_param(key, value))?;
        self.tags.iter().try_for_each(|(key, value)| check_tag(key, value))?;
        self.inputs.iter().try_for_each(check_dataset)
    }
}

impl LoggedModel {
    /// Takes out what this server refuses, and says why.
    pub fn take_refused(&mut self) -> Vec<ExperimentError> {
        let mut refused = Vec::new();
        keep_allowed(&mut self.params, check_param, &mut refused);
        keep_allowed(&mut self.tags, check_tag, &mut refused);
        refused
    }

    fn check(&self) -> Result<()> {
        check_id("model_id", &self.id)?;
        self.params.iter().try_for_each(|(key, value)| check_param(key, value))?;
        self.tags.iter().try_for_each(|(key, value)| check_tag(key, value))
    }
}

fn keep_allowed(
    fields: &mut BTreeMap<String, String>,
    check: impl Fn(&str, &str) -> Result<()>,
    refused: &mut Vec<ExperimentError>,
) {
    fields.retain(|key, value| match check(key, value) {
        Ok(()) => true,
        Err(error) => {
            refused.push(error);
            false
        }
    });
}

fn check_param(key: &str, value: &str) -> Result<()> {
    check_key("param name", key)?;
    check_length("param value", value, MAX_PARAM)
}

fn check_experiment_tag(key: &str, value: &str) -> Result<()> {
    check_length("key", key, MAX_KEY)?;
    check_length("value", value, MAX_EXPERIMENT_TAG)
}

/// Word characters and hyphens, the first a letter or a digit: an id is part of artifact paths.
fn check_id(field: &'static str, id: &str) -> Result<()> {
    let first = id.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let plain = id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if first && plain && id.len() <= MAX_ID {
        return Ok(());
    }
    let shown: String = id.chars().take(32).collect();
    Err(ExperimentError::invalid(field, shown, "expected 1 to 256 letters, digits, _ and -"))
}

/// Larger ids of other servers are not kept: counting goes on behind the largest one.
const FOREIGN_IDS: i64 = 1_000_000_000_000_000;

impl Experiments {
    /// Whether points may be logged under this key.
    pub fn check_metric_key(key: &str) -> Result<()> {
        check_key("metric name", key)
    }

    /// The id under which the experiment is here. One of the same name is the same experiment: it gets the tags that it lacks.
    /// Another one keeps its id, unless that is taken, negative or 10^15 and more, or files lie below it; then it gets the next one.
    pub async fn import_experiment(&self, actor: &str, foreign: Experiment) -> Result<(i64, Imported)> {
        if foreign.name.trim().is_empty() {
            return Err(ExperimentError::invalid("name", foreign.name, "must not be empty"));
        }
        check_length("name", &foreign.name, 500)?;
        foreign.tags.iter().try_for_each(|(key, value)| check_experiment_tag(key, value))?;
        let (actor, events) = (actor.to_owned(), self.events.clone());
        let workspace = self.home().to_owned();
        self.db
            .write(move |tx| {
                if let Some(id) = store::experiment_named(tx, &workspace, &foreign.name)? {
                    let mut added = 0;
                    for (key, value) in &foreign.tags {
                        added += store::add_experiment_tag(tx, id, key, value)?;
                    }
                    return Ok((id, if added == 0 { Imported::Kept } else { Imported::Updated }));
                }
                let mut experiment = Experiment { workspace, ..foreign };
                let there = experiment.id;
                // Files that lie below a number without an experiment are nobody's who comes later.
                let is_number =
                    (0..FOREIGN_IDS).contains(&there) && !store::has_files(tx, &there.to_string())?;
                if is_number {
                    store::pass_experiment_id(tx, there)?;
                }
                if !is_number || store::lock_experiment(tx, there, true)?.is_some() {
                    experiment.id = store::next_experiment_id(tx)?;
                }
                store::insert_imported_experiment(tx, &experiment)?;
                let id = experiment.id;
                let event = NewEvent::new(kinds::EXPERIMENT_IMPORTED, actor, format!("experiment:{id}"));
                events.append(tx, event.payload(json!({"name": experiment.name, "id_there": there})))?;
                Ok((id, Imported::New))
            })
            .await
    }

    /// A run with everything but its points and files, whole or not at all. Its experiment must be here.
    pub async fn import_run(&self, actor: &str, record: RunRecord) -> Result<Imported> {
        record.check()?;
        let (service, actor, now) = (self.clone(), actor.to_owned(), self.now());
        self.db
            .write(move |tx| {
                let experiment = record.run.experiment_id;
                let outcome = match store::lock_run(tx, &record.run.id, false)? {
                    None => {
                        if store::lock_experiment(tx, experiment, true)?.is_none() {
                            return Err(ExperimentError::ExperimentNotFound { id: experiment.to_string() });
                        }
                        insert_run(tx, &record, now)?;
                        Imported::New
                    }
                    Some(own) if own.experiment_id != experiment => {
                        let rule = format!("a run of experiment {} has this id here", own.experiment_id);
                        return Err(ExperimentError::invalid("run_id", own.id, rule));
                    }
                    Some(own) if own.status.is_finished() => Imported::Kept,
                    Some(own) => bring_up_to_date(tx, &own, &record, now)?,
                };
                if outcome != Imported::Kept {
                    let event = NewEvent::new(kinds::RUN_IMPORTED, actor, format!("run:{}", record.run.id));
                    let payload = json!({"name": record.run.name, "experiment": experiment,
                        "status": record.run.status.name(), "updated": outcome == Imported::Updated});
                    service.events.append(tx, event.payload(payload))?;
                    tx.after_commit(service.changed(experiment, &record.run.id));
                }
                Ok(outcome)
            })
            .await
    }

    /// Points of series of one run, in one write. The caller leaves out those that are here.
    pub async fn import_points(&self, run: &str, series: Vec<(String, Vec<Point>)>) -> Result<()> {
        for (key, _) in &series {
            Self::check_metric_key(key)?;
        }
        let bytes = {
            let mut flat: Vec<(&str, Point)> = Vec::new();
            for (key, points) in &series {
                flat.extend(points.iter().map(|point| (key.as_str(), *point)));
            }
            encode_batch(flat.iter().copied())
        };
        drop(series);
        let (id, service) = (run.to_owned(), self.clone());
        self.db
            .write(move |tx| {
                let missing = || ExperimentError::RunNotFound { id: id.clone() };
                let run = store::lock_run(tx, &id, true)?.ok_or_else(missing)?;
                let seq = store::next_batch(tx, &id)?;
                store::append_tail(tx, &id, seq, bytes)?;
                tx.after_commit(service.changed(run.experiment_id, &id));
                Ok(())
            })
            .await
    }

    /// Folds what was imported of the run's points. Memory grows with the points since the last call.
    pub async fn settle_points(&self, run: &str) -> Result<()> {
        fold::fold(self, std::slice::from_ref(&run.to_owned())).await
    }

    /// Points of one metric behind `after`, ascending by time, step and value; at most `limit`, and whether there are more.
    pub async fn points_after(
        &self,
        run: &str,
        key: &str,
        after: Option<Point>,
        limit: usize,
    ) -> Result<(Vec<Point>, bool)> {
        self.history_page(run, key, after, limit).await
    }

    /// A logged model with everything but its files. Its experiment must be here.
    pub async fn import_logged_model(&self, actor: &str, model: LoggedModel) -> Result<Imported> {
        model.check()?;
        let told = |updated: bool| {
            let payload = json!({"run": model.run_id, "name": model.name, "status": model.status.name(),
                "updated": updated});
            NewEvent::new(kinds::MODEL_IMPORTED, actor, format!("logged_model:{}", model.id)).payload(payload)
        };
        if let Some(own) = store::logged_model(&self.db, &model.id).await? {
            if own.status != LoggedModelStatus::Pending || model.status == LoggedModelStatus::Pending {
                return Ok(Imported::Kept);
            }
            let status = own.status.advance(model.status)?;
            let (events, event, now) = (self.events.clone(), told(true), self.now());
            self.db
                .write(move |tx| {
                    store::set_model_status(tx, &own.id, status, &model.status_message, now)?;
                    events.append(tx, event)?;
                    Ok::<_, ExperimentError>(())
                })
                .await?;
            return Ok(Imported::Updated);
        }
        let (service, event) = (self.clone(), told(false));
        self.db
            .write(move |tx| {
                let experiment = model.experiment_id;
                if store::lock_experiment(tx, experiment, true)?.is_none() {
                    return Err(ExperimentError::ExperimentNotFound { id: experiment.to_string() });
                }
                store::insert_logged_model(tx, &model)?;
                store::set_model_status(tx, &model.id, model.status, &model.status_message, model.updated)?;
                for metric in &model.metrics {
                    store::put_model_metric(tx, &model.id, metric)?;
                }
                if let Some(run) = store::lock_run(tx, &model.run_id, true)? {
                    tx.after_commit(service.changed(run.experiment_id, &model.run_id));
                }
                service.events.append(tx, event)?;
                Ok(Imported::New)
            })
            .await
    }

    /// A file under its path here, where the caller has found none.
    pub async fn import_artifact<S, E>(&self, path: &str, bytes: S) -> Result<StoredFile>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Unpin,
        E: Display,
    {
        let path = ArtifactPath::parse(path)?;
        let blob = self.blobs.put_stream(bytes).await?;
        let (digest, size_bytes) = (blob.digest.to_string(), blob.size_bytes);
        let stored = StoredFile { path: path.as_str().to_owned(), digest: digest.clone(), size_bytes };
        let size = i64::try_from(size_bytes).unwrap_or(i64::MAX);
        self.db.write(move |tx| store::put_artifact(tx, &path, &digest, size)).await?;
        Ok(stored)
    }

    /// The file under a path, if there is one.
    pub async fn stored_file(&self, path: &str) -> Result<Option<StoredFile>> {
        let path = ArtifactPath::parse(path)?;
        let found = store::artifact(&self.db, &path).await?;
        Ok(found.map(|(digest, size)| StoredFile {
            path: path.as_str().to_owned(),
            digest,
            size_bytes: u64::try_from(size).unwrap_or(0),
        }))
    }
}

fn insert_run(tx: &mut Tx<'_>, record: &RunRecord, now: Timestamp) -> Result<()> {
    store::insert_run(tx, &record.run, &record.tags)?;
    store::put_params(tx, &record.run.id, &record.params)?;
    if record.run.deleted {
        // When it was deleted counts from here on: a purge gives it the whole time of grace.
        store::update_run(tx, &record.run, now)?;
    }
    link(tx, record)
}

fn bring_up_to_date(tx: &mut Tx<'_>, own: &Run, record: &RunRecord, now: Timestamp) -> Result<Imported> {
    let id = &record.run.id;
    let (own_params, own_tags) = store::run_texts(tx, id)?;
    let (mut params, mut tags) = (own_params.clone(), own_tags.clone());
    params.extend(record.params.clone());
    tags.extend(record.tags.clone());
    let state = |run: &Run| (run.name.clone(), run.status, run.user.clone(), run.deleted, run.start, run.end);
    if state(own) == state(&record.run) && params == own_params && tags == own_tags {
        return Ok(Imported::Kept);
    }
    store::update_run(tx, &record.run, now)?;
    store::put_params(tx, id, &params)?;
    store::put_tags(tx, id, &tags)?;
    link(tx, record)?;
    Ok(Imported::Updated)
}

/// Data sets and logged models that the run read and made.
fn link(tx: &mut Tx<'_>, record: &RunRecord) -> Result<()> {
    let id = &record.run.id;
    for input in &record.inputs {
        store::put_input(tx, id, input)?;
    }
    for model in &record.model_inputs {
        store::put_model_input(tx, id, model)?;
    }
    for output in &record.outputs {
        store::put_model_output(tx, id, &output.model_id, output.step)?;
    }
    Ok(())
}
