//! The verbs of monitoring.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use platform_blobs::{BlobDigest, Blobs};
use platform_db::Db;
use platform_events::{Events, NewEvent};
use platform_primitives::Timestamp;
use platform_tables::{Table, read_parquet};
use serde_json::json;
use tokio::sync::Mutex;

use crate::baseline::Baseline;
use crate::model::*;
use crate::outcomes::Outcomes;
use crate::store::{self, BaselineRow, Segment};
use crate::training_set::{self, TrainingSet, TrainingWindow};
use crate::{MonitoringError, assess, kinds, log};

type Result<T> = std::result::Result<T, MonitoringError>;

const PAGE: i64 = 64;
const LABEL_PAGE: i64 = 20_000;
const MOST_LABELS: usize = 50_000;

#[derive(Clone)]
pub struct Monitoring {
    db: Db,
    events: Events,
    blobs: Blobs,
    watched: Arc<Mutex<HashMap<String, Arc<Mutex<Watched>>>>>,
}

/// An endpoint under watch, in memory.
struct Watched {
    project: String,
    outcomes: Outcomes,
    /// Ids taken, with the time of their request.
    seen: HashMap<String, i64>,
    baselines: HashMap<i64, Baseline>,
    last_drift: Option<Timestamp>,
    drifted: BTreeSet<String>,
}

/// What a champion is measured against.
#[derive(Debug, Clone)]
pub struct NewBaseline {
    pub revision: i64,
    pub training_digest: String,
    /// Parquet with a column `prediction`: the champion's own on its hold-out.
    pub predictions_digest: String,
    pub mae: f64,
    pub since: Timestamp,
}

impl Monitoring {
    pub fn new(db: Db, events: Events, blobs: Blobs) -> Self {
        Self { db, events, blobs, watched: Arc::default() }
    }

    /// Says what is watched about an endpoint; the stream in memory is built anew from the log.
    pub async fn configure(
        &self,
        actor: &str,
        project: &str,
        endpoint: &str,
        spec: MonitorSpec,
    ) -> Result<()> {
        let (owned, owner, actor, events) =
            (endpoint.to_owned(), project.to_owned(), actor.to_owned(), self.events.clone());
        self.db
            .write(move |tx| {
                store::put_monitor(tx, &owned, &owner, &spec, events.now())?;
                let event = NewEvent::new(kinds::CONFIGURED, actor, format!("endpoint:{owned}"));
                events.append(tx, event.project(owner).payload(json!(spec)))?;
                Ok::<_, MonitoringError>(())
            })
            .await?;
        self.watched.lock().await.remove(endpoint);
        Ok(())
    }

    pub async fn set_baseline(&self, endpoint: &str, new: NewBaseline) -> Result<()> {
        let (owned, events) = (endpoint.to_owned(), self.events.clone());
        let project = self.spec(endpoint).await?.0;
        let row = BaselineRow {
            training_digest: new.training_digest,
            predictions_digest: new.predictions_digest,
            mae: new.mae,
        };
        self.db
            .write(move |tx| {
                store::put_baseline(tx, &owned, new.revision, &row, new.since)?;
                let payload =
                    json!({"revision": new.revision, "training": row.training_digest, "mae": row.mae});
                let event =
                    NewEvent::new(kinds::BASELINE_SET, "platform:monitoring", format!("endpoint:{owned}"));
                events.append(tx, event.project(project).payload(payload))?;
                Ok(())
            })
            .await
    }

    /// Appends answered rows to the log; returns once they are durable.
    pub async fn append(&self, endpoint: &str, rows: Vec<LoggedPrediction>) -> Result<()> {
        let Some((_, spec)) = store::monitor(&self.db, endpoint).await? else {
            // Nobody asked for this endpoint to be watched.
            return Ok(());
        };
        let times = || rows.iter().map(|row| row.at.as_millis());
        let segment = Segment {
            rows: rows.len() as i64,
            first_ms: times().min().unwrap_or(0),
            last_ms: times().max().unwrap_or(0),
            bytes: log::encode(&spec.features, &rows)?,
        };
        let endpoint = endpoint.to_owned();
        self.db.write(move |tx| store::append_segment(tx, &endpoint, segment)).await
    }

    /// Takes truths. The answer tells how many were new.
    pub async fn add_labels(&self, endpoint: &str, labels: Vec<(String, f64, Timestamp)>) -> Result<u64> {
        self.spec(endpoint).await?;
        if labels.len() > MOST_LABELS {
            return Err(MonitoringError::TooManyLabels { found: labels.len(), most: MOST_LABELS });
        }
        if let Some((id, value, _)) = labels.iter().find(|(_, value, _)| !value.is_finite()) {
            return Err(MonitoringError::LabelValue { id: id.clone(), value: *value });
        }
        let rows: Vec<(String, f64, i64)> =
            labels.into_iter().map(|(id, value, observed)| (id, value, observed.as_millis())).collect();
        let endpoint = endpoint.to_owned();
        self.db.write(move |tx| store::append_labels(tx, &endpoint, &rows)).await
    }

    async fn spec(&self, endpoint: &str) -> Result<(String, MonitorSpec)> {
        let missing = || MonitoringError::NotMonitored { endpoint: endpoint.to_owned() };
        store::monitor(&self.db, endpoint).await?.ok_or_else(missing)
    }

    async fn watched(&self, endpoint: &str) -> Result<Arc<Mutex<Watched>>> {
        let mut all = self.watched.lock().await;
        if let Some(found) = all.get(endpoint) {
            return Ok(Arc::clone(found));
        }
        let (project, spec) = self.spec(endpoint).await?;
        let newest = store::drift_scores(&self.db, endpoint, 200).await?;
        let last_drift = newest.first().map(|score| score.at);
        let drifted = newest
            .iter()
            .filter(|score| Some(score.at) == last_drift && score.drifted())
            .map(|score| score.column.clone())
            .collect();
        let watched = Watched {
            project,
            outcomes: Outcomes::new(spec),
            seen: HashMap::new(),
            baselines: HashMap::new(),
            last_drift,
            drifted,
        };
        let watched = Arc::new(Mutex::new(watched));
        all.insert(endpoint.to_owned(), Arc::clone(&watched));
        Ok(watched)
    }

    /// Reads what the log has gained and joins every label due by `now`.
    async fn catch_up(&self, endpoint: &str, watched: &mut Watched, now: Timestamp) -> Result<()> {
        loop {
            let segments = store::segments(&self.db, endpoint, watched.outcomes.last_chunk, PAGE).await?;
            let last = segments.len() < PAGE as usize;
            for (seq, bytes) in segments {
                let rows = log::decode(&watched.outcomes.spec().features, &bytes)?;
                watched.outcomes.add_predictions(rows, &mut watched.seen);
                watched.outcomes.last_chunk = seq;
            }
            if last {
                break;
            }
        }
        loop {
            let labels = store::labels(&self.db, endpoint, watched.outcomes.last_label, LABEL_PAGE).await?;
            let last = labels.len() < LABEL_PAGE as usize;
            for (seq, id, value, observed) in labels {
                watched.outcomes.add_label(id, value, observed);
                watched.outcomes.last_label = seq;
            }
            if last {
                break;
            }
        }
        if now > watched.outcomes.now {
            watched.outcomes.advance(now);
            let oldest = now.plus_millis(-watched.outcomes.spec().retention_ms).as_millis();
            watched.seen.retain(|_, at| *at >= oldest);
        }
        Ok(())
    }

    /// Brings the stream to `now` and says how the champion does; keeps the statement, and drift when it is due.
    pub async fn assess(&self, endpoint: &str, champion: i64, now: Timestamp) -> Result<Assessment> {
        let watched = self.watched(endpoint).await?;
        let mut watched = watched.lock().await;
        self.catch_up(endpoint, &mut watched, now).await?;
        self.load_baseline(endpoint, &mut watched, champion).await?;
        let baseline_mae = watched.baselines.get(&champion).map_or(f64::NAN, |baseline| baseline.mae);
        let assessment = assess::assess(&watched.outcomes, champion, baseline_mae);
        let every = watched.outcomes.spec().watch.drift.every.as_millis();
        let due = watched.last_drift.is_none_or(|last| now.since(last) >= every);
        let scores = if due { self.drift(&mut watched, champion, now) } else { Vec::new() };
        self.keep(endpoint, &mut watched, assessment.clone(), scores).await?;
        Ok(assessment)
    }

    async fn load_baseline(&self, endpoint: &str, watched: &mut Watched, revision: i64) -> Result<()> {
        if watched.baselines.contains_key(&revision) {
            return Ok(());
        }
        let missing = || MonitoringError::NoBaseline { endpoint: endpoint.to_owned(), revision };
        let row = store::baseline(&self.db, endpoint, revision).await?.ok_or_else(missing)?;
        let training = self.table(&row.training_digest).await?;
        let predictions = self.table(&row.predictions_digest).await?;
        let baseline = Baseline::new(&watched.outcomes.spec().features, &training, &predictions, row.mae)?;
        // One champion at a time is watched; an older baseline is read again if it comes back.
        watched.baselines.clear();
        watched.baselines.insert(revision, baseline);
        Ok(())
    }

    /// The digest of the table that a revision was trained on, and the name of its label; `None` where no baseline is kept.
    pub async fn training_table(&self, endpoint: &str, revision: i64) -> Result<Option<(String, String)>> {
        let Some((_, spec)) = store::monitor(&self.db, endpoint).await? else { return Ok(None) };
        let row = store::baseline(&self.db, endpoint, revision).await?;
        Ok(row.map(|row| (row.training_digest, spec.label)))
    }

    async fn table(&self, digest: &str) -> Result<Table> {
        Ok(read_parquet(self.blobs.get_bytes(&BlobDigest::parse(digest)?).await?)?)
    }

    /// Scores of the window that ends now; none while it holds no full look.
    fn drift(&self, watched: &mut Watched, champion: i64, now: Timestamp) -> Vec<DriftScore> {
        let spec = watched.outcomes.spec().clone();
        let from = now.plus_millis(-spec.watch.drift.window.as_millis());
        let mut window: Vec<Vec<f64>> = vec![Vec::new(); spec.features.len() + 1];
        for outcome in
            watched.outcomes.labelled.iter().filter(|outcome| outcome.row.at >= from && outcome.sound)
        {
            for (column, value) in window.iter_mut().zip(outcome.row.inputs.iter()) {
                column.push(*value);
            }
            window[spec.features.len()].push(outcome.row.champion_prediction);
        }
        let rows = window.last().map_or(0, Vec::len) as u64;
        let Some(baseline) = watched.baselines.get_mut(&champion) else { return Vec::new() };
        if rows < spec.watch.min_rows {
            return Vec::new();
        }
        watched.last_drift = Some(now);
        baseline.scores(now, &spec.watch.drift, &window)
    }

    async fn keep(
        &self,
        endpoint: &str,
        watched: &mut Watched,
        assessment: Assessment,
        scores: Vec<DriftScore>,
    ) -> Result<()> {
        let mut found = Vec::new();
        let mut ended = Vec::new();
        for score in &scores {
            if score.drifted() && watched.drifted.insert(score.column.clone()) {
                found.push(score.clone());
            }
            if !score.drifted() && watched.drifted.remove(&score.column) {
                ended.push(score.clone());
            }
        }
        let (endpoint, project, events) = (endpoint.to_owned(), watched.project.clone(), self.events.clone());
        self.db
            .write(move |tx| {
                if assessment.rows > 0 {
                    store::put_assessment(tx, &endpoint, &assessment)?;
                }
                for score in &scores {
                    store::put_drift(tx, &endpoint, score)?;
                }
                for (kind, list) in [(kinds::DRIFT_FOUND, found), (kinds::DRIFT_ENDED, ended)] {
                    for score in list {
                        let event =
                            NewEvent::new(kind, "platform:monitoring", format!("endpoint:{endpoint}"));
                        events.append(tx, event.project(project.clone()).payload(json!(score)))?;
                    }
                }
                Ok(())
            })
            .await
    }

    /// Paired evidence on a candidate up to the last assessment.
    pub async fn paired(
        &self,
        endpoint: &str,
        candidate: i64,
        step_since: Timestamp,
    ) -> Result<PairedEvidence> {
        let watched = self.watched(endpoint).await?;
        let watched = watched.lock().await;
        Ok(watched.outcomes.paired(candidate, step_since))
    }

    /// Labelled, sound rows whose request was made in [from, now).
    pub async fn labelled_rows(&self, endpoint: &str, from: Timestamp) -> Result<usize> {
        let watched = self.watched(endpoint).await?;
        let watched = watched.lock().await;
        Ok(watched.outcomes.labelled.iter().filter(|outcome| outcome.sound && outcome.row.at >= from).count())
    }

    /// A training set and its hold-out from the joined log, as it was at the last assessment.
    pub async fn training_set(
        &self,
        endpoint: &str,
        template_digest: &str,
        window: &TrainingWindow,
    ) -> Result<(TrainingSet, String, String)> {
        let template = self.table(template_digest).await?;
        let watched = self.watched(endpoint).await?;
        let (set, project) = {
            let watched = watched.lock().await;
            (training_set::build(&watched.outcomes, &template, window)?, watched.project.clone())
        };
        let training = self.blobs.put_bytes(Bytes::from(set.training.clone())).await?.digest.to_string();
        let holdout = self.blobs.put_bytes(Bytes::from(set.holdout.clone())).await?.digest.to_string();
        let payload = json!({
            "training": training, "holdout": holdout, "training_rows": set.training_rows,
            "holdout_rows": set.holdout_rows, "excluded": set.excluded, "first": set.first, "last": set.last,
        });
        let event =
            NewEvent::new(kinds::TRAINING_SET_MADE, "platform:monitoring", format!("endpoint:{endpoint}"));
        let (events, event) = (self.events.clone(), event.project(project).payload(payload));
        self.db
            .write(move |tx| {
                events.append(tx, event)?;
                Ok::<_, MonitoringError>(())
            })
            .await?;
        Ok((set, training, holdout))
    }

    /// The month table up to the last assessment.
    pub async fn months(&self, endpoint: &str) -> Result<Vec<MonthLine>> {
        let watched = self.watched(endpoint).await?;
        let watched = watched.lock().await;
        Ok(watched.outcomes.months())
    }

    /// Brings the stream to `now` without a statement; for reports after a restart.
    pub async fn catch_up_to(&self, endpoint: &str, now: Timestamp) -> Result<()> {
        let watched = self.watched(endpoint).await?;
        let mut watched = watched.lock().await;
        self.catch_up(endpoint, &mut watched, now).await
    }

    /// Newest first.
    pub async fn assessments(&self, endpoint: &str, limit: usize) -> Result<Vec<Assessment>> {
        store::assessments(&self.db, endpoint, limit as i64).await
    }

    /// Newest look first.
    pub async fn drift_scores(&self, endpoint: &str, limit: usize) -> Result<Vec<DriftScore>> {
        store::drift_scores(&self.db, endpoint, limit as i64).await
    }

    pub(crate) async fn endpoint_of_project(&self, project: &str) -> Result<String> {
        let missing = || MonitoringError::NotMonitored { endpoint: format!("of project {project}") };
        store::endpoint_of_project(&self.db, project).await?.ok_or_else(missing)
    }

    pub(crate) async fn currency(&self, endpoint: &str) -> Result<String> {
        Ok(self.spec(endpoint).await?.1.currency)
    }
}
