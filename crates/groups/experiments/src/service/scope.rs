//! What a handle sees. One that is scoped to a workspace answers for everything outside of it as if it were not there.

use std::sync::Arc;

use platform_db::Tx;
use platform_web::mlflow::{DEFAULT_WORKSPACE, Within};

use super::{Experiments, Result};
use crate::ExperimentError;
use crate::artifacts::ArtifactPath;
use crate::model::*;
use crate::store;

/// Experiments that a search names.
const EXPERIMENTS_MAX: usize = 10_000;

impl Within for Experiments {
    fn within(&self, workspace: &str) -> Self {
        let mut scoped = self.clone();
        scoped.workspace = Some(workspace.into());
        scoped
    }
}

impl Experiments {
    /// The workspace in which this handle makes and names experiments.
    pub(crate) fn home(&self) -> &str {
        self.workspace.as_deref().unwrap_or(DEFAULT_WORKSPACE)
    }

    pub(super) fn is_scoped(&self) -> bool {
        self.workspace.is_some()
    }

    pub(crate) fn covers(&self, workspace: &str) -> bool {
        self.workspace.as_deref().is_none_or(|own| own == workspace)
    }

    /// Whether this handle sees the experiment, deleted or not.
    pub async fn sees(&self, experiment: i64) -> Result<bool> {
        let Some(own) = &self.workspace else { return Ok(true) };
        if let Some(is_in) = self.homes.is_in(experiment, own) {
            return Ok(is_in);
        }
        let Some(home) = store::home_of(&self.db, experiment).await? else { return Ok(false) };
        self.homes.put(experiment, &home);
        Ok(*home == **own)
    }

    /// The same within a transaction. What it reads may never be committed, so it is noted only after the commit.
    pub(super) fn sees_in(&self, tx: &mut Tx<'_>, experiment: i64) -> Result<bool> {
        let Some(own) = &self.workspace else { return Ok(true) };
        if let Some(is_in) = self.homes.is_in(experiment, own) {
            return Ok(is_in);
        }
        let Some(home) = store::home_within(tx, experiment)? else { return Ok(false) };
        let is_in = *home == **own;
        let homes = Arc::clone(&self.homes);
        tx.after_commit(move || homes.put(experiment, &home));
        Ok(is_in)
    }

    /// Those of the experiments that this handle sees.
    pub(super) async fn seen(&self, experiments: &[i64]) -> Result<Vec<i64>> {
        if experiments.len() > EXPERIMENTS_MAX {
            let rule = format!("at most {EXPERIMENTS_MAX} experiments are searched at a time");
            let count = i64::try_from(experiments.len()).unwrap_or(i64::MAX);
            return Err(ExperimentError::invalid_number("experiment_ids", count, rule));
        }
        let Some(own) = &self.workspace else { return Ok(experiments.to_vec()) };
        let unknown: Vec<i64> = experiments
            .iter()
            .copied()
            .filter(|experiment| self.homes.is_in(*experiment, own).is_none())
            .collect();
        for (experiment, home) in store::homes_of(&self.db, &unknown).await? {
            self.homes.put(experiment, &home);
        }
        let is_seen = |experiment: &i64| self.homes.is_in(*experiment, own) == Some(true);
        Ok(experiments.iter().copied().filter(is_seen).collect())
    }

    /// Those of the records that this handle sees.
    pub(super) async fn seen_records(&self, records: Vec<Arc<RunRecord>>) -> Result<Vec<Arc<RunRecord>>> {
        if self.workspace.is_none() {
            return Ok(records);
        }
        let mut seen = Vec::with_capacity(records.len());
        // Neighbours are of one experiment, mostly.
        let mut last: Option<(i64, bool)> = None;
        for record in records {
            let experiment = record.run.experiment_id;
            let is_seen = match last {
                Some((same, is_seen)) if same == experiment => is_seen,
                _ => self.sees(experiment).await?,
            };
            last = Some((experiment, is_seen));
            if is_seen {
                seen.push(record);
            }
        }
        Ok(seen)
    }

    pub(super) fn lock_experiment(
        &self,
        tx: &mut Tx<'_>,
        id: i64,
        shared: bool,
    ) -> Result<Option<Experiment>> {
        let found = store::lock_experiment(tx, id, shared)?;
        Ok(found.filter(|experiment| self.covers(&experiment.workspace)))
    }

    pub(super) fn lock_run(&self, tx: &mut Tx<'_>, id: &str, shared: bool) -> Result<Option<Run>> {
        let Some(run) = store::lock_run(tx, id, shared)? else { return Ok(None) };
        Ok(self.sees_in(tx, run.experiment_id)?.then_some(run))
    }

    pub(super) fn active_run(
        &self,
        tx: &mut Tx<'_>,
        id: &str,
        even_deleted: bool,
        shared: bool,
    ) -> Result<Run> {
        let missing = || ExperimentError::RunNotFound { id: id.to_owned() };
        let run = self.lock_run(tx, id, shared)?.ok_or_else(missing)?;
        if run.deleted && !even_deleted {
            return Err(ExperimentError::RunDeleted { id: id.to_owned() });
        }
        Ok(run)
    }

    /// The points that are not about a logged model of a workspace that this handle does not see.
    pub(super) fn own_metrics(&self, tx: &mut Tx<'_>, metrics: Vec<MetricPoint>) -> Result<Vec<MetricPoint>> {
        if self.workspace.is_none() {
            return Ok(metrics);
        }
        let mut own = Vec::with_capacity(metrics.len());
        // Neighbours are about one model, mostly.
        let mut last: Option<(String, bool)> = None;
        for metric in metrics {
            let is_own = match &last {
                Some((same, is_own)) if *same == metric.model_id => *is_own,
                _ => match store::experiment_of_model(tx, &metric.model_id)? {
                    Some(experiment) => self.sees_in(tx, experiment)?,
                    // One that is not there lies nowhere.
                    None => true,
                },
            };
            last = Some((metric.model_id.clone(), is_own));
            if is_own {
                own.push(metric);
            }
        }
        Ok(own)
    }

    /// Whether this handle sees files at a path: those below the number of an experiment are its own, all others the default
    /// workspace's. A number with files below it is given to no experiment.
    async fn sees_path(&self, path: &str) -> Result<bool> {
        let Some(own) = self.workspace.as_deref() else { return Ok(true) };
        let Some(experiment) = experiment_of_path(path) else { return Ok(own == DEFAULT_WORKSPACE) };
        if own == DEFAULT_WORKSPACE && !self.is_experiment(experiment).await? {
            return Ok(true);
        }
        self.sees(experiment).await
    }

    /// Whether there is one with this number, for this handle or another one.
    async fn is_experiment(&self, id: i64) -> Result<bool> {
        Ok(self.homes.has(id) || store::home_of(&self.db, id).await?.is_some())
    }

    /// The path, when there can be something to read at it.
    pub(super) async fn readable(&self, path: &str) -> Result<ArtifactPath> {
        let path = ArtifactPath::parse(path)?;
        match self.sees_path(path.as_str()).await? {
            true => Ok(path),
            false => Err(ExperimentError::ArtifactNotFound { path: path.as_str().to_owned() }),
        }
    }

    /// The path, when something may be written at it: nothing is, below a number that no experiment has yet.
    pub(super) async fn writable(&self, path: &str) -> Result<ArtifactPath> {
        let path = ArtifactPath::parse(path)?;
        let is_own = match experiment_of_path(path.as_str()) {
            Some(experiment) => self.sees(experiment).await?,
            None => self.sees_path(path.as_str()).await?,
        };
        match is_own {
            true => Ok(path),
            false => Err(no_experiment_of(&path)),
        }
    }

    /// The path, when what is at it may be deleted.
    pub(super) async fn deletable(&self, path: &str) -> Result<ArtifactPath> {
        let path = ArtifactPath::parse(path)?;
        match self.sees_path(path.as_str()).await? {
            true => Ok(path),
            false => Err(no_experiment_of(&path)),
        }
    }

    /// Whether the path is below a number that no experiment has, and none gets before the commit. When nothing is there, that
    /// is to be told as of a number that this handle does not see.
    pub(super) fn is_stray(&self, tx: &mut Tx<'_>, path: &ArtifactPath) -> Result<bool> {
        let Some(experiment) = experiment_of_path(path.as_str()) else { return Ok(false) };
        if self.sees_in(tx, experiment)? {
            return Ok(false);
        }
        store::lock_experiment_ids(tx)?;
        match store::home_within(tx, experiment)? {
            None => Ok(true),
            Some(_) => Err(no_experiment_of(path)),
        }
    }

    /// Of the entries of a folder, those that this handle sees.
    pub(super) async fn seen_entries(
        &self,
        folder: &str,
        entries: Vec<ArtifactEntry>,
    ) -> Result<Vec<ArtifactEntry>> {
        if self.workspace.is_none() || !folder.is_empty() {
            return Ok(entries);
        }
        let mut seen = Vec::with_capacity(entries.len());
        for entry in entries {
            if self.sees_path(&entry.name).await? {
                seen.push(entry);
            }
        }
        Ok(seen)
    }
}

/// The number that a path begins with, as this server writes it: `07` is a name like any other.
fn experiment_of_path(path: &str) -> Option<i64> {
    let first = path.split('/').next().unwrap_or_default();
    let number = first.parse::<i64>().ok()?;
    (number >= 0 && number.to_string() == first).then_some(number)
}

pub(super) fn no_experiment_of(path: &ArtifactPath) -> ExperimentError {
    let first = path.as_str().split('/').next().unwrap_or_default();
    ExperimentError::ExperimentNotFound { id: first.to_owned() }
}
