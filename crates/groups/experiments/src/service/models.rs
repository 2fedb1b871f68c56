use std::collections::BTreeMap;

use platform_events::NewEvent;
use platform_web::mlflow::search::Ask;
use serde_json::json;

use super::{Experiments, Result};
use crate::model::*;
use crate::store;
use crate::{ExperimentError, kinds};

impl Experiments {
    pub(crate) async fn create_logged_model(&self, actor: &str, model: LoggedModel) -> Result<LoggedModel> {
        let experiment = self.get_experiment(&model.experiment_id.to_string()).await?;
        let model = LoggedModel { artifact_root: experiment.artifact_location, ..model };
        for (key, value) in &model.params {
            check_key("param name", key)?;
            check_length("param value", value, MAX_PARAM)?;
        }
        model.tags.iter().try_for_each(|(key, value)| check_tag(key, value))?;
        let (actor, events, row) = (actor.to_owned(), self.events.clone(), model.clone());
        let service = self.clone();
        self.db
            .write(move |tx| {
                store::insert_logged_model(tx, &row)?;
                if let Some(run) = service.lock_run(tx, &row.run_id, true)? {
                    tx.after_commit(service.changed(run.experiment_id, &row.run_id));
                }
                let event = NewEvent::new(kinds::MODEL_LOGGED, actor, format!("logged_model:{}", row.id));
                events.append(tx, event.payload(json!({"run": row.run_id, "name": row.name})))?;
                Ok::<_, ExperimentError>(())
            })
            .await?;
        Ok(model)
    }

    pub async fn get_logged_model(&self, id: &str) -> Result<LoggedModel> {
        let missing = || ExperimentError::LoggedModelNotFound { id: id.to_owned() };
        let model = store::logged_model(&self.db, id).await?.ok_or_else(missing)?;
        match self.sees(model.experiment_id).await? {
            true => Ok(model),
            false => Err(missing()),
        }
    }

    pub(crate) async fn set_logged_model_status(
        &self,
        id: &str,
        to: LoggedModelStatus,
        message: String,
    ) -> Result<LoggedModel> {
        let status = self.get_logged_model(id).await?.status.advance(to)?;
        let (owned, now) = (id.to_owned(), self.now());
        self.db.write(move |tx| store::set_model_status(tx, &owned, status, &message, now)).await?;
        self.get_logged_model(id).await
    }

    pub(crate) async fn delete_logged_model(&self, actor: &str, id: &str) -> Result<()> {
        self.get_logged_model(id).await?;
        let (actor, owned, events, now) = (actor.to_owned(), id.to_owned(), self.events.clone(), self.now());
        self.db
            .write(move |tx| {
                if !store::delete_logged_model(tx, &owned, now)? {
                    return Err(ExperimentError::LoggedModelNotFound { id: owned });
                }
                let event = NewEvent::new(kinds::MODEL_DELETED, actor, format!("logged_model:{owned}"));
                events.append(tx, event)?;
                Ok(())
            })
            .await
    }

    pub(crate) async fn put_logged_model_fields(
        &self,
        id: &str,
        kind: &'static str,
        fields: BTreeMap<String, String>,
    ) -> Result<LoggedModel> {
        fields.iter().try_for_each(|(key, value)| check_tag(key, value))?;
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

    /// Notes on the model that it was registered, in the tag where MLflow's clients look for it.
    pub async fn note_registered(&self, id: &str, model: &str, version: i64) -> Result<()> {
        const VERSIONS_TAG: &str = "mlflow.modelVersions";
        let tags = self.get_logged_model(id).await?.tags;
        let mut versions: Vec<serde_json::Value> =
            tags.get(VERSIONS_TAG).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        versions.push(json!({"name": model, "version": version}));
        // Spaced as Python writes it: clients compare the text.
        let text =
            serde_json::Value::from(versions).to_string().replace("\":", "\": ").replace(",\"", ", \"");
        let text = text.replace("},{", "}, {");
        let owned = id.to_owned();
        self.db.write(move |tx| store::put_model_field(tx, &owned, "tag", VERSIONS_TAG, &text)).await
    }

    pub(crate) async fn delete_logged_model_tag(&self, id: &str, key: &str) -> Result<()> {
        self.get_logged_model(id).await?;
        let (owned, tag) = (id.to_owned(), key.to_owned());
        let found = self.db.write(move |tx| store::delete_model_tag(tx, &owned, &tag)).await?;
        match found {
            true => Ok(()),
            false => Err(ExperimentError::ModelTagNotFound { model: id.to_owned(), key: key.to_owned() }),
        }
    }

    pub(crate) async fn search_logged_models(
        &self,
        experiments: &[i64],
        datasets: &ModelDatasets,
        ask: &Ask,
    ) -> Result<(Vec<LoggedModel>, Option<String>)> {
        let experiments = self.seen(experiments).await?;
        if experiments.is_empty() {
            return Ok((Vec::new(), None));
        }
        store::search_logged_models(&self.db, &experiments, datasets, ask).await
    }
}
