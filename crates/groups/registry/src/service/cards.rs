//! Model cards: from what is recorded, and what people say.

use serde_json::{Map, Value, json};

use super::{Registry, Result};
use crate::bom;
use crate::card::{self, Difference, NEEDED};
use crate::model::ModelVersion;
use crate::ports::VersionFile;
use crate::{RegistryError, kinds, store};

/// Larger descriptions of models are not read.
const MAX_TEXT_BYTES: u64 = 4 << 20;
/// Version 0 stands for the model itself.
const MODEL_ITSELF: i64 = 0;

impl Registry {
    /// The card as it would be kept now.
    pub(crate) async fn card(&self, version: &ModelVersion) -> Result<Value> {
        let (model, number) = (version.model.as_str(), version.version);
        let run = self.run_fact(version).await?;
        let files = self.files_here(version).await?;
        let mlmodel = self.mlmodel(&files).await?;
        let flavors: Vec<&String> =
            mlmodel.get("flavors").and_then(Value::as_object).into_iter().flat_map(Map::keys).collect();
        let requirements = self.requirements(&files).await?;
        let scans = self.scan_files(files).await?;
        let decisions = self.decisions(model, number).await?;
        let commit = run.as_ref().and_then(|run| run.tags.get("mlflow.source.git.commit").cloned());
        let mut body = json!({
            "model": model,
            "version": number,
            "description": version.description,
            "state": version.state,
            "author": version.author,
            "registered": version.created,
            "source": version.source,
            "manifest": version.manifest,
            "people": self.card_answers(model, number).await?,
            "run": run,
            "commit": commit,
            "signature": mlmodel.get("signature"),
            "flavors": flavors,
            "environment": requirements,
            "evaluations": self.evaluations(model, number).await?,
            "approvals": self.approvals(model, number).await?,
            "files": scans,
        });
        if let Some(gate) = decisions.iter().rfind(|decision| decision.kind == "gate") {
            body = card::with_gate(body, gate);
        }
        Ok(body)
    }

    pub(crate) async fn card_of(&self, model: &str, version: i64) -> Result<Value> {
        let row = self.get_version(model, version).await?;
        let mut body = self.card(&row).await?;
        let revisions = store::card_revisions(&self.db, model, version).await?;
        body["revisions"] = revisions
            .into_iter()
            .map(|(revision, occasion, at)| json!({"revision": revision, "occasion": occasion, "at": at}))
            .collect();
        Ok(body)
    }

    /// A card as it was kept at a gate or an approval.
    pub(crate) async fn kept_card(&self, model: &str, version: i64, revision: i64) -> Result<Value> {
        self.get_version(model, version).await?;
        let missing = || RegistryError::Invalid {
            field: "revision",
            value: revision.to_string(),
            rule: "there is no such card of this version".to_owned(),
        };
        store::card(&self.db, model, version, revision).await?.ok_or_else(missing)
    }

    pub(crate) async fn card_diff(&self, model: &str, (a, b): (i64, i64)) -> Result<Vec<Difference>> {
        let before = self.card(&self.get_version(model, a).await?).await?;
        let after = self.card(&self.get_version(model, b).await?).await?;
        Ok(card::diff(&before, &after))
    }

    /// The CycloneDX document of the version.
    pub(crate) async fn bom(&self, model: &str, version: i64) -> Result<Value> {
        let row = self.get_version(model, version).await?;
        let files = self.files_here(&row).await?;
        let manifest = (!files.is_empty()).then(|| super::files::manifest(&files));
        Ok(bom::document(&self.card(&row).await?, manifest.as_deref(), row.created))
    }

    /// What people say of a model, or of one version of it; it replaces what they said there before.
    pub(crate) async fn put_card_fields(
        &self,
        actor: &str,
        model: &str,
        version: Option<i64>,
        fields: Value,
    ) -> Result<Value> {
        card::check_fields(&fields)?;
        if let Some(version) = version {
            self.get_version(model, version).await?;
        }
        let (registry, actor, name) = (self.clone(), actor.to_owned(), model.to_owned());
        let number = version.unwrap_or(MODEL_ITSELF);
        self.db
            .write(move |tx| {
                let model = super::locked_model(tx, &name)?;
                store::put_card_fields(tx, &name, number, &fields, (&actor, registry.events.now()))?;
                let subject = match version {
                    Some(version) => format!("model_version:{name}/{version}"),
                    None => model.subject(),
                };
                let payload = json!({"fields": fields});
                registry.announce(tx, &model, (kinds::CARD_CHANGED, subject), &actor, payload)?;
                Ok(fields)
            })
            .await
    }

    pub(super) async fn card_answers(&self, model: &str, version: i64) -> Result<Value> {
        let of_model = store::card_fields(&self.db, model, MODEL_ITSELF).await?;
        Ok(card::answers(of_model, store::card_fields(&self.db, model, version).await?))
    }

    /// Questions that a gate asks for and nobody answered.
    pub(super) async fn card_questions(&self, model: &str, version: i64) -> Result<Vec<&'static str>> {
        let answers = self.card_answers(model, version).await?;
        let is_open = |question: &&str| answers[*question].as_str().is_none_or(|text| text.trim().is_empty());
        Ok(NEEDED.into_iter().filter(|question| is_open(question)).collect())
    }

    /// `MLmodel` as JSON; null when there is none that can be read.
    pub(super) async fn mlmodel(&self, files: &[VersionFile]) -> Result<Value> {
        let Some(text) = self.text_of(files, "MLmodel").await? else { return Ok(Value::Null) };
        Ok(serde_saphyr::from_str::<Value>(&text).unwrap_or(Value::Null))
    }

    /// Lines of `requirements.txt` without comments and options.
    async fn requirements(&self, files: &[VersionFile]) -> Result<Vec<String>> {
        let text = self.text_of(files, "requirements.txt").await?.unwrap_or_default();
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        Ok(lines.filter(|line| !line.is_empty() && !line.starts_with('-')).map(str::to_owned).collect())
    }

    async fn text_of(&self, files: &[VersionFile], path: &str) -> Result<Option<String>> {
        let file = files.iter().find(|file| file.path == path && file.size_bytes <= MAX_TEXT_BYTES);
        let Some(file) = file else { return Ok(None) };
        let bytes = self.governed("files")?.files.read(&file.digest).await?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}
