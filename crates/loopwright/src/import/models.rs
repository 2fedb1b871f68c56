//! Logged models: the record, then the files.

use futures_util::{StreamExt, TryStreamExt, stream};
use group_experiments::{Imported, LoggedModelStatus};

use super::report::Kind;
use super::source::{ForeignModel, Owner, Root};
use super::{FETCHERS, Import};
use crate::cli::CommandError;

impl Import {
    /// How many logged models the experiment has at the source.
    pub(super) async fn logged_models_of(&self, there: &str, here: i64) -> Result<usize, CommandError> {
        let mut cursor = None;
        let mut found = 0;
        loop {
            let (models, next) = self.source.logged_models(there, here, cursor).await?;
            found += models.len();
            let moves = stream::iter(models).map(|model| self.logged_model(model)).buffer_unordered(FETCHERS);
            moves.try_for_each(|()| async { Ok(()) }).await?;
            cursor = next;
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    async fn logged_model(&self, foreign: ForeignModel) -> Result<(), CommandError> {
        let ForeignModel { mut model, artifact_uri } = foreign;
        let what = format!("logged model {}", model.id);
        for error in model.take_refused() {
            self.refused(Kind::LoggedModels, &what, error)?;
        }
        let outcome = match self.experiments.import_logged_model(&self.actor, model.clone()).await {
            Ok(outcome) => outcome,
            Err(error) => {
                self.report().count(Kind::LoggedModels).source += 1;
                return self.refused(Kind::LoggedModels, &what, error);
            }
        };
        self.report().add(Kind::LoggedModels, 1, outcome != Imported::Kept);
        let root = Root { owner: Owner::LoggedModel(model.id.clone()), uri: artifact_uri };
        let files = self.files_of(&root, &model.artifact_folder()?).await?;
        let own = self.experiments.get_logged_model(&model.id).await?;
        let mut report = self.report();
        if files == 0 && model.status == LoggedModelStatus::Ready {
            // A finished model has files: an artifact root that is not theirs would go unnoticed.
            report.refuse(Kind::Files, &what, format!("no files at {}", root.uri));
        }
        if (&own.name, &own.run_id, own.status, own.experiment_id)
            != (&model.name, &model.run_id, model.status, model.experiment_id)
            || own.params != model.params
        {
            report.mismatch(Kind::LoggedModels, &what, "name, run, status, experiment or params differ");
        }
        // Registering a model here adds to its tags.
        if let Some((key, _)) = model.tags.iter().find(|(key, _)| !own.tags.contains_key(*key)) {
            report.mismatch(Kind::LoggedModels, &what, format!("tag {key} is missing"));
        }
        Ok(())
    }
}
