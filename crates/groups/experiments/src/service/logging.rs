use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kernel_series::encode_batch;

use super::runs::NAME_TAG;
use super::{Experiments, Result};
use crate::ExperimentError;
use crate::model::*;
use crate::store;

/// What one `log-batch` carries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    pub metrics: Vec<MetricPoint>,
    pub params: Vec<(String, String)>,
    pub tags: Vec<(String, String)>,
}

impl Batch {
    fn check(&self) -> Result<()> {
        let sizes = [
            ("metrics", self.metrics.len(), 1_000),
            ("params", self.params.len(), 100),
            ("tags", self.tags.len(), 100),
            ("metrics, params, and tags", self.metrics.len() + self.params.len() + self.tags.len(), 1_000),
        ];
        for (what, found, most) in sizes {
            if found > most {
                return Err(ExperimentError::BatchTooLarge { what, found, most });
            }
        }
        let mut last = None;
        for point in &self.metrics {
            // Batches repeat their keys.
            if last != Some(&point.key) {
                check_key("metric name", &point.key)?;
                last = Some(&point.key);
            }
        }
        for (key, value) in &self.params {
            check_key("param name", key)?;
            check_length("param value", value, MAX_PARAM)?;
        }
        self.tags.iter().try_for_each(|(key, value)| check_tag(key, value))
    }
}

impl Experiments {
    /// All of the batch or nothing.
    pub(crate) async fn log_batch(&self, id: &str, batch: Batch) -> Result<()> {
        batch.check()?;
        let points = encode_batch(batch.metrics.iter().map(|metric| (metric.key.as_str(), metric.point)));
        let count = batch.metrics.len();
        let of_models: Vec<MetricPoint> =
            batch.metrics.into_iter().filter(|metric| !metric.model_id.is_empty()).collect();
        let (params, tags) = (batch.params, batch.tags);
        let (id, service, seq) = (id.to_owned(), self.clone(), self.next_seq());
        self.db
            .write(move |tx| {
                let points_only = params.is_empty() && tags.is_empty();
                let mut run = service.active_run(tx, &id, false, points_only)?;
                if !points_only {
                    let (mut own_params, mut own_tags) = store::run_texts(tx, &id)?;
                    if !params.is_empty() {
                        merge_params(&id, &mut own_params, params)?;
                        store::put_params(tx, &id, &own_params)?;
                    }
                    if !tags.is_empty() {
                        own_tags.extend(tags);
                        store::put_tags(tx, &id, &own_tags)?;
                        if let Some(name) = own_tags.get(NAME_TAG).filter(|name| **name != run.name) {
                            run.name = name.clone();
                            store::update_run(tx, &run, service.now())?;
                        }
                    }
                }
                if count > 0 {
                    store::append_tail(tx, &id, seq, points)?;
                    for metric in service.own_metrics(tx, of_models)? {
                        let newest = ModelMetric {
                            value: metric.point.value,
                            step: metric.point.step,
                            at: platform_primitives::Timestamp::from_millis(metric.point.at_ms),
                            key: metric.key,
                            dataset_name: metric.dataset_name,
                            dataset_digest: metric.dataset_digest,
                            run_id: id.clone(),
                        };
                        store::put_model_metric(tx, &metric.model_id, &newest)?;
                    }
                    let (waiting, id) = (Arc::clone(&service.waiting), id.clone());
                    tx.after_commit(move || waiting.note(&id, count));
                }
                tx.after_commit(service.changed(run.experiment_id, &id));
                Ok(())
            })
            .await
    }

    /// Grows in this process; ahead of every number that an earlier process gave, because that one looked at the clock too.
    fn next_seq(&self) -> i64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let floor = i64::try_from(now.as_micros()).unwrap_or(i64::MAX / 1024).saturating_mul(1024);
        let step = |last: i64| Some((last + 1).max(floor));
        match self.seq.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step) {
            Ok(last) | Err(last) => (last + 1).max(floor),
        }
    }

    pub(crate) async fn delete_tag(&self, id: &str, key: &str) -> Result<()> {
        let (id, key, service) = (id.to_owned(), key.to_owned(), self.clone());
        self.db
            .write(move |tx| {
                let run = service.active_run(tx, &id, false, false)?;
                let (_, mut tags) = store::run_texts(tx, &id)?;
                if tags.remove(&key).is_none() {
                    return Err(ExperimentError::TagNotFound { run: id, key });
                }
                store::put_tags(tx, &id, &tags)?;
                tx.after_commit(service.changed(run.experiment_id, &id));
                Ok(())
            })
            .await
    }
}

/// Params never change: the same value again is fine, another one is refused.
fn merge_params(run: &str, own: &mut BTreeMap<String, String>, new: Vec<(String, String)>) -> Result<()> {
    for (key, value) in new {
        match own.get(&key) {
            None => drop(own.insert(key, value)),
            Some(old) if *old == value => {}
            Some(old) => {
                let (run, old) = (run.to_owned(), old.clone());
                return Err(ExperimentError::ParamChanged { run, key, old, new: value });
            }
        }
    }
    Ok(())
}
