use std::collections::BTreeMap;

use platform_events::NewEvent;
use platform_primitives::new_id;
use platform_web::mlflow::search::Ask;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Evaluation, Result, check_name};
use crate::model::{EvaluationDataset, EvaluationRecord};
use crate::record::{self, NewRecord};
use crate::{EvaluationError, kinds, store};

/// Experiments that a search names; the statement has a place for each.
const EXPERIMENTS_MAX: usize = 10_000;

impl Evaluation {
    pub(crate) async fn create_dataset(
        &self,
        actor: &str,
        name: String,
        tags: BTreeMap<String, String>,
        experiments: Vec<String>,
    ) -> Result<EvaluationDataset> {
        check_name(&name)?;
        for experiment in &experiments {
            self.experiments.exists(experiment).await?;
        }
        let now = self.events.now();
        let user = Some(tags.get("mlflow.user").cloned().unwrap_or_else(|| actor.to_owned()));
        let dataset = EvaluationDataset {
            id: format!("d-{}", new_id()),
            digest: new_digest(),
            name,
            schema: None,
            records: 0,
            created: now,
            updated: now,
            created_by: user.clone(),
            updated_by: user,
            tags,
            experiments,
        };
        let (events, actor, new) = (self.events.clone(), actor.to_owned(), dataset.clone());
        let workspace = self.home().to_owned();
        self.db
            .write(move |tx| {
                store::insert_dataset(tx, &workspace, &new)?;
                let event = NewEvent::new(kinds::DATASET_CREATED, actor, new.subject());
                events.append(tx, event.payload(json!({"name": new.name})))?;
                Ok(dataset)
            })
            .await
    }

    pub(crate) async fn get_dataset(&self, id: &str) -> Result<EvaluationDataset> {
        store::dataset_by_id(&self.db, self.workspace.as_deref(), id).await
    }

    pub(crate) async fn search_datasets(
        &self,
        experiments: &[String],
        ask: &Ask,
    ) -> Result<(Vec<EvaluationDataset>, Option<String>)> {
        if experiments.len() > EXPERIMENTS_MAX {
            let rule = format!("at most {EXPERIMENTS_MAX} experiments are searched at a time");
            return Err(EvaluationError::invalid("experiment_ids", experiments.len().to_string(), rule));
        }
        store::search_datasets(&self.db, self.workspace.as_deref(), experiments, ask).await
    }

    /// One that is not there is deleted already.
    pub(crate) async fn delete_dataset(&self, actor: &str, id: &str) -> Result<()> {
        let (events, actor, id) = (self.events.clone(), actor.to_owned(), id.to_owned());
        let workspace = self.workspace.clone();
        self.db
            .write(move |tx| {
                if store::delete_dataset(tx, workspace.as_deref(), &id)? {
                    let subject = format!("evaluation_dataset:{id}");
                    events.append(tx, NewEvent::new(kinds::DATASET_DELETED, actor, subject))?;
                }
                Ok(())
            })
            .await
    }

    pub(crate) async fn set_dataset_tags(
        &self,
        actor: &str,
        id: &str,
        tags: BTreeMap<String, String>,
    ) -> Result<()> {
        self.change_dataset(actor, id, move |tx, dataset| {
            for (key, value) in &tags {
                store::put_tag(tx, &dataset.id, key, value)?;
            }
            Ok(())
        })
        .await
    }

    pub(crate) async fn delete_dataset_tag(&self, actor: &str, id: &str, key: String) -> Result<()> {
        self.change_dataset(actor, id, move |tx, dataset| store::delete_tag(tx, &dataset.id, &key)).await
    }

    pub(crate) async fn add_experiments(
        &self,
        actor: &str,
        id: &str,
        experiments: Vec<String>,
    ) -> Result<EvaluationDataset> {
        for experiment in &experiments {
            self.experiments.exists(experiment).await?;
        }
        self.change_dataset(actor, id, move |tx, dataset| {
            for experiment in &experiments {
                store::link_experiment(tx, &dataset.id, experiment)?;
            }
            Ok(())
        })
        .await?;
        self.get_dataset(id).await
    }

    pub(crate) async fn remove_experiments(
        &self,
        actor: &str,
        id: &str,
        experiments: Vec<String>,
    ) -> Result<EvaluationDataset> {
        self.change_dataset(actor, id, move |tx, dataset| {
            for experiment in &experiments {
                store::unlink_experiment(tx, &dataset.id, experiment)?;
            }
            Ok(())
        })
        .await?;
        self.get_dataset(id).await
    }

    /// Puts records; those with inputs that are there are merged. How many were new, and how many were there.
    pub(crate) async fn put_records(
        &self,
        actor: &str,
        id: &str,
        records: Vec<NewRecord>,
    ) -> Result<(i64, i64)> {
        let now = self.events.now();
        let updated_by = records.iter().rev().find_map(|new| record::user(&new.fields));
        self.change_dataset(actor, id, move |tx, dataset| {
            let (mut inserted, mut updated) = (0, 0);
            for NewRecord { input_hash, fields } in records {
                record::extend_schema(&mut dataset.schema, &fields);
                let stored = match store::record_by_inputs(tx, &dataset.id, &input_hash)? {
                    Some(mut stored) => {
                        updated += 1;
                        record::merge(&mut stored.body, fields);
                        EvaluationRecord { updated: now, ..stored }
                    }
                    None => {
                        inserted += 1;
                        EvaluationRecord {
                            id: format!("dr-{}", new_id()),
                            dataset: dataset.id.clone(),
                            input_hash,
                            body: record::body(fields),
                            created: now,
                            updated: now,
                        }
                    }
                };
                store::put_record(tx, &stored)?;
            }
            dataset.records += inserted;
            dataset.digest = new_digest();
            dataset.updated_by = updated_by.or(dataset.updated_by.take());
            Ok((inserted, updated))
        })
        .await
    }

    pub(crate) async fn delete_records(&self, actor: &str, id: &str, records: Vec<String>) -> Result<i64> {
        self.change_dataset(actor, id, move |tx, dataset| {
            let gone = store::delete_records(tx, &dataset.id, &records)?;
            if gone > 0 {
                dataset.records -= gone;
                dataset.digest = new_digest();
            }
            Ok(gone)
        })
        .await
    }

    /// Records in the order they came, behind `after`; at most `limit`, and whether there are more.
    pub(crate) async fn records(
        &self,
        id: &str,
        after: Option<(i64, String)>,
        limit: usize,
    ) -> Result<(Vec<EvaluationRecord>, bool)> {
        self.get_dataset(id).await?;
        let mut records = store::records(&self.db, id, after, limit + 1).await?;
        let more = records.len() > limit;
        records.truncate(limit);
        Ok((records, more))
    }

    async fn change_dataset<T: Send + 'static>(
        &self,
        actor: &str,
        id: &str,
        change: impl FnOnce(&mut platform_db::Tx<'_>, &mut EvaluationDataset) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (events, actor, id, now) =
            (self.events.clone(), actor.to_owned(), id.to_owned(), self.events.now());
        let workspace = self.workspace.clone();
        self.db
            .write(move |tx| {
                let mut dataset = store::lock_dataset(tx, workspace.as_deref(), &id)?;
                let outcome = change(tx, &mut dataset)?;
                dataset.updated = now;
                store::update_dataset(tx, &dataset)?;
                events.append(tx, NewEvent::new(kinds::DATASET_CHANGED, actor, dataset.subject()))?;
                Ok(outcome)
            })
            .await
    }
}

/// Eight digits that no earlier state of the data set had, as upstream's: not a digest of the records' bytes.
fn new_digest() -> String {
    record::hex(&Sha256::digest(new_id()))[..8].to_owned()
}
