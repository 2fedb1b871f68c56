use platform_events::NewEvent;
use serde_json::{Value, json};

use super::{Evaluation, Result, check_name};
use crate::model::ScorerVersion;
use crate::{EvaluationError, kinds, store};

impl Evaluation {
    /// Keeps a scorer as the client serialized it, under the next version.
    pub(crate) async fn register_scorer(
        &self,
        actor: &str,
        experiment: String,
        name: String,
        serialized: String,
    ) -> Result<ScorerVersion> {
        check_name(&name)?;
        if let Err(error) = serde_json::from_str::<Value>(&serialized) {
            let rule = format!("it is not JSON: {error}");
            return Err(EvaluationError::invalid("serialized_scorer", serialized, rule));
        }
        self.experiments.exists(&experiment).await?;
        let created = self.events.now();
        let mut new =
            ScorerVersion { scorer: String::new(), experiment, name, version: 0, serialized, created };
        let (events, actor) = (self.events.clone(), actor.to_owned());
        self.db
            .write(move |tx| {
                store::insert_scorer_version(tx, &mut new)?;
                let event = NewEvent::new(kinds::SCORER_REGISTERED, actor, format!("scorer:{}", new.scorer));
                events.append(tx, event.payload(json!({"name": new.name, "version": new.version})))?;
                Ok(new)
            })
            .await
    }

    /// The newest version of each; without an experiment, of all.
    pub(crate) async fn scorers(&self, experiment: Option<&str>) -> Result<Vec<ScorerVersion>> {
        if let Some(experiment) = experiment {
            self.experiments.exists(experiment).await?;
        }
        let scorers = store::scorers(&self.db, experiment).await?;
        let mut experiments: Vec<String> = scorers.iter().map(|scorer| scorer.experiment.clone()).collect();
        experiments.dedup();
        let seen = self.seen(experiments).await?;
        Ok(scorers.into_iter().filter(|scorer| seen.contains(&scorer.experiment)).collect())
    }

    /// All versions of one, oldest first.
    pub(crate) async fn scorer_versions(&self, experiment: &str, name: &str) -> Result<Vec<ScorerVersion>> {
        self.experiments.exists(experiment).await?;
        let versions = store::scorer_versions(&self.db, experiment, name).await?;
        match versions.is_empty() {
            true => Err(not_found(experiment, name, None)),
            false => Ok(versions),
        }
    }

    /// One version; without a number the newest.
    pub(crate) async fn get_scorer(
        &self,
        experiment: &str,
        name: &str,
        version: Option<i64>,
    ) -> Result<ScorerVersion> {
        let mut versions = self.scorer_versions(experiment, name).await?;
        let found = match version {
            Some(number) => versions.into_iter().find(|own| own.version == number),
            None => versions.pop(),
        };
        found.ok_or_else(|| not_found(experiment, name, version))
    }

    pub(crate) async fn delete_scorer(
        &self,
        actor: &str,
        experiment: String,
        name: String,
        version: Option<i64>,
    ) -> Result<()> {
        self.experiments.exists(&experiment).await?;
        let (events, actor) = (self.events.clone(), actor.to_owned());
        self.db
            .write(move |tx| {
                let gone = store::delete_scorer(tx, &experiment, &name, version)?;
                let id = gone.ok_or_else(|| not_found(&experiment, &name, version))?;
                let event = NewEvent::new(kinds::SCORER_DELETED, actor, format!("scorer:{id}"));
                events.append(tx, event.payload(json!({"name": name, "version": version})))?;
                Ok(())
            })
            .await
    }
}

fn not_found(experiment: &str, name: &str, version: Option<i64>) -> EvaluationError {
    let (experiment, name) = (experiment.to_owned(), name.to_owned());
    EvaluationError::ScorerNotFound { experiment, name, version }
}
