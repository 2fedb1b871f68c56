//! Endpoints and the way of a prediction. The hot path reads one snapshot and takes no lock.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use kernel_trees::Ensemble;
use platform_db::Db;
use platform_events::{Events, NewEvent};
use platform_primitives::{Timestamp, new_id};
use platform_telemetry::Metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use serde_json::json;

use crate::model::{Endpoint, Signature, Traffic};
use crate::package::{Package, in_feature_order};
use crate::ports::{ModelSource, PredictionSink, RowExplainer, RowExplanations};
use crate::recorder::{Answered, Recorder};
use crate::runtime::Runtime;
use crate::{ServingError, kinds, store};

type Result<T> = std::result::Result<T, ServingError>;

/// What an endpoint is at one moment. Requests hold on to the one they began with.
pub(crate) struct Snapshot {
    pub endpoint: String,
    pub champion: Arc<Runtime>,
    pub candidate: Option<(Arc<Runtime>, f64)>,
    pub reference: Arc<Runtime>,
}

impl Snapshot {
    /// The revision for a request: by the hash of its id, so that the same id always meets the same one.
    fn choose(&self, id: &str) -> &Arc<Runtime> {
        match &self.candidate {
            Some((candidate, share)) if unit_hash(id, candidate.revision) < *share => candidate,
            _ => &self.champion,
        }
    }

    fn revision(&self, version: &str) -> Option<&Arc<Runtime>> {
        let loaded = [Some(&self.champion), self.candidate.as_ref().map(|(runtime, _)| runtime)];
        loaded.into_iter().flatten().find(|runtime| runtime.revision.to_string() == version)
    }
}

/// FNV-1a with a final mix (SplitMix64's), as a number in [0, 1). The salt gives every canary other users.
fn unit_hash(id: &str, salt: i64) -> f64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64 ^ salt.unsigned_abs();
    for byte in id.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((hash ^ (hash >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// Rows to predict, column by column as they came in.
pub(crate) struct Batch {
    pub columns: Vec<(String, Vec<f64>)>,
    pub id: Option<String>,
    pub at: Option<Timestamp>,
    /// Columns beyond the signature are an error, or passed over (MLflow's way).
    pub extra_is_error: bool,
    /// Whether the answer says why.
    pub explain: bool,
}

/// What metadata say of an endpoint.
pub(crate) struct Description {
    pub signature: Signature,
    /// The champion, then the candidate.
    pub versions: Vec<String>,
    /// Numbers per row.
    pub outputs: usize,
    pub platform: &'static str,
}

pub(crate) struct Predictions {
    pub revision: i64,
    pub values: Vec<f64>,
    pub outputs: usize,
    pub rows: usize,
    pub explanations: Option<RowExplanations>,
}

#[derive(Clone)]
pub struct Serving {
    db: Db,
    events: Events,
    source: Arc<dyn ModelSource>,
    recorder: Recorder,
    snapshots: Arc<ArcSwap<HashMap<String, Arc<Snapshot>>>>,
    rows: Counter,
    failures: Counter,
    latency: Histogram,
    explainer: Arc<OnceLock<Arc<dyn RowExplainer>>>,
}

impl Serving {
    pub fn new(
        db: Db,
        events: Events,
        source: Arc<dyn ModelSource>,
        sink: Arc<dyn PredictionSink>,
        metrics: &Metrics,
    ) -> Self {
        let rows = Counter::default();
        let failures = Counter::default();
        let latency = Histogram::new(exponential_buckets(10e-6, 2.0, 16));
        metrics.register("serving_rows", "Rows predicted", rows.clone());
        metrics.register("serving_failures", "Requests refused or failed", failures.clone());
        metrics.register("serving_latency_seconds", "Time to answer, without the network", latency.clone());
        let recorder = Recorder::start(sink);
        Self {
            db,
            events,
            source,
            recorder,
            snapshots: Arc::default(),
            rows,
            failures,
            latency,
            explainer: Arc::default(),
        }
    }

    /// Answers may be explained from now on. Once, at the start.
    pub fn explain_by(&self, explainer: Arc<dyn RowExplainer>) {
        self.explainer.get_or_init(|| explainer);
    }

    /// Loads every endpoint as the database has it. Call it once at start.
    pub async fn load_all(&self) -> Result<()> {
        for endpoint in store::all(&self.db).await? {
            // One endpoint that cannot be loaded must not keep the others from serving.
            if let Err(error) = self.load(&endpoint).await {
                tracing::error!(%error, endpoint = endpoint.name, "cannot load endpoint");
            }
        }
        Ok(())
    }

    pub async fn list(&self) -> Result<Vec<Endpoint>> {
        store::all(&self.db).await
    }

    pub async fn get(&self, name: &str) -> Result<Endpoint> {
        let missing = || ServingError::EndpointNotFound { name: name.to_owned() };
        store::find(&self.db, name).await?.ok_or_else(missing)
    }

    pub async fn find(&self, name: &str) -> Result<Option<Endpoint>> {
        store::find(&self.db, name).await
    }

    /// Puts a version behind an endpoint with all traffic, at an operator's word.
    pub(crate) async fn deploy(
        &self,
        actor: &str,
        name: &str,
        model: &str,
        version: i64,
        reason: &str,
    ) -> Result<Endpoint> {
        if reason.trim().is_empty() {
            return Err(ServingError::request("reason is empty: a deployment needs a reason"));
        }
        self.source.check_deployable(model, version).await?;
        let before = self.find(name).await?;
        if let Some(owned) = before.as_ref().filter(|endpoint| !endpoint.project.is_empty()) {
            return Err(ServingError::Owned { endpoint: name.to_owned(), project: owned.project.clone() });
        }
        let reference = before.map_or(version, |endpoint| endpoint.traffic.reference);
        let traffic = Traffic { champion: version, candidate: None, reference, note: reason.to_owned() };
        self.set_traffic(actor, name, model, "", traffic).await
    }

    /// Loads what the traffic names, records it, then swaps the snapshot: no request sees a half of it.
    pub async fn set_traffic(
        &self,
        actor: &str,
        name: &str,
        model: &str,
        project: &str,
        traffic: Traffic,
    ) -> Result<Endpoint> {
        let before = self.find(name).await?;
        let now = self.events.now();
        let endpoint = Endpoint {
            name: name.to_owned(),
            model: model.to_owned(),
            project: project.to_owned(),
            created: before.as_ref().map_or(now, |endpoint| endpoint.created),
            updated: now,
            traffic,
        };
        let (snapshot, digests) = self.build(&endpoint).await?;
        let (row, actor, events) = (endpoint.clone(), actor.to_owned(), self.events.clone());
        self.db
            .write(move |tx| {
                store::put(tx, &row)?;
                for (revision, digest) in &digests {
                    store::put_revision(tx, &row.name, *revision, digest, now)?;
                }
                let payload = json!({"before": before.map(|endpoint| endpoint.traffic), "after": row.traffic,
                    "model": row.model, "digests": digests});
                let event = NewEvent::new(kinds::TRAFFIC_CHANGED, actor, format!("endpoint:{}", row.name));
                events.append(tx, event.project(row.project).payload(payload))?;
                Ok::<_, ServingError>(())
            })
            .await?;
        self.publish(snapshot);
        Ok(endpoint)
    }

    async fn load(&self, endpoint: &Endpoint) -> Result<()> {
        let (snapshot, _) = self.build(endpoint).await?;
        self.publish(snapshot);
        Ok(())
    }

    fn publish(&self, snapshot: Snapshot) {
        let snapshot = Arc::new(snapshot);
        self.snapshots.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.insert(snapshot.endpoint.clone(), Arc::clone(&snapshot));
            all
        });
    }

    async fn build(&self, endpoint: &Endpoint) -> Result<(Snapshot, BTreeMap<i64, String>)> {
        let traffic = &endpoint.traffic;
        let mut loaded: HashMap<i64, Arc<Runtime>> = HashMap::new();
        let mut digests = BTreeMap::new();
        let wanted =
            [Some(traffic.champion), traffic.candidate.as_ref().map(|c| c.revision), Some(traffic.reference)];
        for revision in wanted.into_iter().flatten() {
            if let Entry::Vacant(place) = loaded.entry(revision) {
                let (runtime, digest) = self.load_runtime(&endpoint.model, revision).await?;
                place.insert(runtime);
                digests.insert(revision, digest);
            }
        }
        let take = |revision: i64| Arc::clone(&loaded[&revision]);
        let snapshot = Snapshot {
            endpoint: endpoint.name.clone(),
            champion: take(traffic.champion),
            candidate: traffic
                .candidate
                .as_ref()
                .map(|candidate| (take(candidate.revision), candidate.share)),
            reference: take(traffic.reference),
        };
        Ok((snapshot, digests))
    }

    /// A version as a runtime, and the SHA-256 of its model file.
    pub async fn load_runtime(&self, model: &str, version: i64) -> Result<(Arc<Runtime>, String)> {
        let (_, bytes) = self.source.read_file(model, version, "MLmodel").await?;
        let refuse = |rule: String| ServingError::from((model, version, rule));
        let package = Package::parse(&String::from_utf8_lossy(&bytes)).map_err(refuse)?;
        let (digest, bytes) = self.source.read_file(model, version, &package.data).await?;
        let refused = |source| ServingError::Model { model: model.to_owned(), version, source };
        let (ensemble, format) = Ensemble::from_bytes(&bytes).map_err(refused)?;
        if format != package.format {
            let (said, found) = (package.format.name(), format.name());
            return Err(refuse(format!("its flavour is {said}, its file is one of {found}")));
        }
        ensemble.prepare();
        let names = ensemble.feature_names();
        let signature = in_feature_order(&package.inputs, names, ensemble.features()).map_err(refuse)?;
        let (platform, ensemble) = (format.name(), Arc::new(ensemble));
        Ok((Arc::new(Runtime { revision: version, platform, signature, ensemble }), digest))
    }

    pub(crate) fn describe(&self, name: &str) -> Result<Description> {
        let snapshot = self.snapshot(name)?;
        let candidate = snapshot.candidate.as_ref().map(|(runtime, _)| runtime.revision.to_string());
        let champion = &snapshot.champion;
        Ok(Description {
            signature: champion.signature.clone(),
            versions: std::iter::once(champion.revision.to_string()).chain(candidate).collect(),
            outputs: champion.outputs(),
            platform: champion.platform,
        })
    }

    /// What answers on the endpoint: the champion, or a version that is served there.
    pub fn runtime(&self, name: &str, version: Option<&str>) -> Result<Arc<Runtime>> {
        let snapshot = self.snapshot(name)?;
        match version {
            None => Ok(Arc::clone(&snapshot.champion)),
            Some(version) => snapshot.revision(version).cloned().ok_or_else(|| not_served(name, version)),
        }
    }

    /// Whether this version answers on the endpoint.
    pub(crate) fn check_version(&self, name: &str, version: &str) -> Result<()> {
        self.snapshot(name)?.revision(version).map(|_| ()).ok_or_else(|| not_served(name, version))
    }

    /// Names of endpoints that are loaded.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.snapshots.load().keys().cloned().collect();
        names.sort();
        names
    }

    fn snapshot(&self, name: &str) -> Result<Arc<Snapshot>> {
        let missing = || ServingError::EndpointNotFound { name: name.to_owned() };
        self.snapshots.load().get(name).cloned().ok_or_else(missing)
    }

    /// Checks, routes, predicts and queues the record. Never waits.
    pub(crate) fn predict(&self, name: &str, version: Option<&str>, batch: Batch) -> Result<Predictions> {
        let outcome = self.predict_checked(name, version, batch);
        match &outcome {
            Ok(predictions) => self.rows.inc_by(predictions.rows as u64),
            Err(_) => self.failures.inc(),
        };
        outcome
    }

    fn predict_checked(&self, name: &str, version: Option<&str>, batch: Batch) -> Result<Predictions> {
        let started = Instant::now();
        let snapshot = self.snapshot(name)?;
        let signature = &snapshot.champion.signature;
        let (columns, rows) = arrange(signature, &batch)?;
        let forced = match version {
            Some(version) => Some(snapshot.revision(version).ok_or_else(|| not_served(name, version))?),
            None => None,
        };
        let id = batch.id.clone().unwrap_or_else(new_id);
        let at = batch.at.unwrap_or_else(|| self.events.now());
        let outputs = snapshot.champion.outputs();
        let width = columns.len();
        let mut inputs = Vec::with_capacity(rows * width);
        let mut chosen = Vec::with_capacity(rows);
        for row in 0..rows {
            for (index, column) in columns.iter().enumerate() {
                signature.check(index, row, column[row])?;
                inputs.push(column[row]);
            }
            let row_id = if rows == 1 { id.clone() } else { format!("{id}/{row}") };
            let runtime = forced.unwrap_or_else(|| snapshot.choose(&row_id));
            chosen.push((row_id, runtime));
        }
        let mut values = vec![0.0; rows * outputs];
        let mut explanations = batch.explain.then(RowExplanations::default);
        let mut first = 0;
        for own in chosen.chunk_by(|(_, one), (_, other)| one.revision == other.revision) {
            let (runtime, last) = (own[0].1, first + own.len());
            let inputs = &inputs[first * width..last * width];
            if runtime.outputs() != outputs {
                let (revision, own) = (runtime.revision, runtime.outputs());
                let rule = format!("version {revision} answers {own} numbers a row, the champion {outputs}");
                return Err(ServingError::request(rule));
            }
            runtime.ensemble.predict(inputs, &mut values[first * outputs..last * outputs]);
            if let Some(explanations) = &mut explanations {
                let found = self.explain(name, runtime.revision, inputs)?;
                explanations.outputs = found.outputs;
                explanations.values.extend(found.values);
                explanations.bases.extend(found.bases);
            }
            first = last;
        }
        let elapsed = started.elapsed();
        self.latency.observe(elapsed.as_secs_f64());
        let revision = chosen.last().map_or(snapshot.champion.revision, |(_, runtime)| runtime.revision);
        for (row, (id, runtime)) in chosen.into_iter().enumerate() {
            self.recorder.record(Answered {
                snapshot: Arc::clone(&snapshot),
                id,
                at,
                inputs: inputs[row * width..][..width].to_vec(),
                revision: runtime.revision,
                prediction: values[row * outputs],
                latency_us: u32::try_from(elapsed.as_micros()).unwrap_or(u32::MAX),
            });
        }
        Ok(Predictions { revision, values, outputs, rows, explanations })
    }

    fn explain(&self, endpoint: &str, revision: i64, inputs: &[f64]) -> Result<RowExplanations> {
        let explainer = self.explainer.get().ok_or_else(|| {
            ServingError::request("parameter explain is true, and this server explains nothing")
        })?;
        Ok(explainer.explain(endpoint, revision, inputs)?)
    }

    /// Waits until every prediction answered before is in the log.
    pub(crate) async fn flush(&self) {
        self.recorder.flush().await;
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.recorder.dropped()
    }

    pub(crate) fn rows_served(&self) -> u64 {
        self.rows.get()
    }
}

fn not_served(endpoint: &str, version: &str) -> ServingError {
    ServingError::VersionNotServed { endpoint: endpoint.to_owned(), version: version.to_owned() }
}

/// The batch's columns in signature order, and the number of rows.
fn arrange<'b>(signature: &Signature, batch: &'b Batch) -> Result<(Vec<&'b [f64]>, usize)> {
    if batch.extra_is_error {
        let unknown =
            batch.columns.iter().find(|(name, _)| !signature.inputs.iter().any(|c| c.name == *name));
        if let Some((name, _)) = unknown {
            return Err(ServingError::InputUnknown { name: name.clone(), expected: signature.names() });
        }
    }
    let mut columns = Vec::with_capacity(signature.inputs.len());
    let mut rows = None;
    for input in &signature.inputs {
        let mut found = batch.columns.iter().filter(|(name, _)| *name == input.name);
        let Some((_, values)) = found.next() else {
            return Err(ServingError::InputMissing { name: input.name.clone(), expected: signature.names() });
        };
        if found.next().is_some() {
            return Err(ServingError::request(format!("input {:?} is given twice", input.name)));
        }
        let expected = *rows.get_or_insert(values.len());
        if values.len() != expected {
            let rule =
                format!("has {} rows, but {:?} has {expected}", values.len(), signature.inputs[0].name);
            return Err(ServingError::InputValue { name: input.name.clone(), place: String::new(), rule });
        }
        columns.push(values.as_slice());
    }
    Ok((columns, rows.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_splits_evenly_and_differently_per_canary() {
        let share = |salt| {
            (0..20_000).filter(|n| unit_hash(&format!("trip-{n:07}"), salt) < 0.1).count() as f64 / 20_000.0
        };
        assert!((share(2) - 0.1).abs() < 0.01, "{}", share(2));
        let both = (0..20_000)
            .filter(|n| {
                let id = format!("trip-{n:07}");
                unit_hash(&id, 2) < 0.1 && unit_hash(&id, 3) < 0.1
            })
            .count() as f64
            / 20_000.0;
        assert!((both - 0.01).abs() < 0.004, "independent of each other: {both}");
    }
}
