//! The verbs of the registry.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform_auth::Principal;
use platform_db::{Db, Tx, args};
use platform_events::{Event, EventFilter, Events, NewEvent};
use serde_json::{Value, json};

use crate::model::*;
use crate::ports::LoggedModels;
use crate::{CHAMPION, RegistryError, kinds, store};

type Result<T> = std::result::Result<T, RegistryError>;

#[derive(Clone)]
pub struct Registry {
    db: Db,
    events: Events,
    logged_models: Arc<dyn LoggedModels>,
}

#[derive(Debug, Clone, Default)]
pub struct NewVersion {
    pub model: String,
    pub source: String,
    pub run_id: String,
    pub logged_model_id: String,
    pub description: String,
    pub tags: BTreeMap<String, String>,
}

impl Registry {
    pub fn new(db: Db, events: Events, logged_models: Arc<dyn LoggedModels>) -> Self {
        Self { db, events, logged_models }
    }

    // Models

    pub(crate) async fn create_model(
        &self,
        actor: &str,
        name: &str,
        description: &str,
        tags: BTreeMap<String, String>,
    ) -> Result<RegisteredModel> {
        check_model_name(name)?;
        let now = self.events.now();
        let model = RegisteredModel {
            name: name.to_owned(),
            description: description.to_owned(),
            project: String::new(),
            created: now,
            updated: now,
            tags,
            aliases: BTreeMap::new(),
        };
        let (actor, events, row) = (actor.to_owned(), self.events.clone(), model.clone());
        self.db
            .write(move |tx| {
                store::insert_model(tx, &row)?;
                events
                    .append(tx, NewEvent::new(kinds::MODEL_CREATED, actor, format!("model:{}", row.name)))?;
                Ok::<_, RegistryError>(())
            })
            .await?;
        Ok(model)
    }

    /// Makes `project` the owner of the model, which is created if there is none.
    pub async fn claim_model(&self, actor: &str, name: &str, project: &str) -> Result<()> {
        match self.create_model(actor, name, "", BTreeMap::new()).await {
            Ok(_) | Err(RegistryError::ModelExists { .. }) => {}
            Err(error) => return Err(error),
        }
        let project = project.to_owned();
        self.change_model(actor, name, move |model| model.project = project).await
    }

    pub async fn get_model(&self, name: &str) -> Result<RegisteredModel> {
        let missing = || RegistryError::ModelNotFound { name: name.to_owned() };
        store::model(&self.db, name).await?.ok_or_else(missing)
    }

    pub(crate) async fn list_models(
        &self,
        filter: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<RegisteredModel>> {
        store::models(&self.db, filter, after, limit).await
    }

    pub(crate) async fn change_model(
        &self,
        actor: &str,
        name: &str,
        change: impl FnOnce(&mut RegisteredModel) + Send,
    ) -> Result<()> {
        let mut model = self.get_model(name).await?;
        change(&mut model);
        let (actor, events) = (actor.to_owned(), self.events.clone());
        self.db
            .write(move |tx| {
                store::update_model(tx, &model, events.now())?;
                let after = json!({"description": model.description, "project": model.project});
                let event = NewEvent::new(kinds::MODEL_CHANGED, actor, format!("model:{}", model.name));
                events.append(tx, event.payload(after))?;
                Ok(())
            })
            .await
    }

    pub(crate) async fn rename_model(
        &self,
        actor: &str,
        name: &str,
        new_name: &str,
    ) -> Result<RegisteredModel> {
        check_model_name(new_name)?;
        let model = self.get_model(name).await?;
        if !model.project.is_empty() {
            return Err(RegistryError::Owned { model: model.name, project: model.project });
        }
        let (actor, target, events) = (actor.to_owned(), new_name.to_owned(), self.events.clone());
        self.db
            .write(move |tx| {
                store::rename_model(tx, &model.name, &target, events.now())?;
                let event = NewEvent::new(kinds::MODEL_CHANGED, actor, format!("model:{target}"));
                events.append(tx, event.payload(json!({"before": model.name, "after": target})))?;
                Ok::<_, RegistryError>(())
            })
            .await?;
        self.get_model(new_name).await
    }

    pub(crate) async fn delete_model(&self, actor: &str, name: &str) -> Result<()> {
        let model = self.get_model(name).await?;
        if !model.project.is_empty() {
            return Err(RegistryError::Owned { model: model.name, project: model.project });
        }
        let (actor, events) = (actor.to_owned(), self.events.clone());
        self.db
            .write(move |tx| {
                store::delete_model(tx, &model.name)?;
                let event = NewEvent::new(kinds::MODEL_CHANGED, actor, format!("model:{}", model.name));
                events.append(tx, event.payload(json!({"deleted": true})))?;
                Ok(())
            })
            .await
    }

    pub(crate) async fn set_model_tag(&self, name: &str, key: String, value: Option<String>) -> Result<()> {
        self.get_model(name).await?;
        let name = name.to_owned();
        self.db
            .write(move |tx| match value {
                Some(value) => store::put_model_tag(tx, &name, &key, &value),
                None => store::delete_model_tag(tx, &name, &key),
            })
            .await
    }

    // Versions

    pub(crate) async fn create_version(&self, actor: &str, new: NewVersion) -> Result<ModelVersion> {
        let model = self.get_model(&new.model).await?;
        let now = self.events.now();
        // A client that registers a logged model names no run: the logged model knows it.
        let run_id = match new.run_id.is_empty() && !new.logged_model_id.is_empty() {
            true => self.logged_models.run_of(&new.logged_model_id).await?,
            false => new.run_id,
        };
        let mut version = ModelVersion {
            model: new.model,
            version: 0,
            state: VersionState::Registered,
            source: new.source,
            run_id,
            logged_model_id: new.logged_model_id,
            description: new.description,
            author: actor.to_owned(),
            digest: None,
            created: now,
            updated: now,
            tags: new.tags,
            aliases: Vec::new(),
        };
        let events = self.events.clone();
        self.db
            .write(move |tx| {
                store::insert_version(tx, &mut version)?;
                let payload =
                    json!({"run": version.run_id, "source": version.source, "state": version.state.name()});
                let event =
                    NewEvent::new(kinds::VERSION_REGISTERED, version.author.clone(), version.subject())
                        .project(model.project)
                        .payload(payload);
                events.append(tx, event)?;
                Ok(version)
            })
            .await
    }

    pub async fn get_version(&self, model: &str, version: i64) -> Result<ModelVersion> {
        let missing =
            || RegistryError::VersionNotFound { model: model.to_owned(), version: version.to_string() };
        store::version_by_number(&self.db, model, version).await?.ok_or_else(missing)
    }

    /// Versions of a model, newest first, at most `limit`.
    pub async fn list_versions(&self, model: &str, limit: usize) -> Result<Vec<ModelVersion>> {
        store::versions_where(&self.db, "v.model = $1", args![model], limit).await
    }

    /// Versions that a run made, newest first.
    pub async fn versions_of_run(&self, run: &str) -> Result<Vec<ModelVersion>> {
        store::versions_where(&self.db, "v.run_id = $1", args![run], 100).await
    }

    pub(crate) async fn search_versions(&self, filter: &str, limit: usize) -> Result<Vec<ModelVersion>> {
        store::search_versions(&self.db, filter, limit).await
    }

    pub(crate) async fn describe_version(
        &self,
        actor: &str,
        model: &str,
        version: i64,
        description: String,
    ) -> Result<ModelVersion> {
        self.change_version(model, version, kinds::VERSION_CHANGED, actor, None, move |version| {
            version.description = description;
            Ok(())
        })
        .await?;
        self.get_version(model, version).await
    }

    pub(crate) async fn delete_version(&self, actor: &str, model: &str, version: i64) -> Result<()> {
        let row = self.get_version(model, version).await?;
        if matches!(row.state, VersionState::Serving | VersionState::Approved) {
            return Err(RegistryError::Transition {
                model: row.model,
                version,
                from: row.state.name(),
                to: "deleted",
            });
        }
        let (actor, events) = (actor.to_owned(), self.events.clone());
        self.db
            .write(move |tx| {
                store::delete_version(tx, &row.model, row.version)?;
                let event = NewEvent::new(kinds::VERSION_CHANGED, actor, row.subject());
                events.append(tx, event.payload(json!({"deleted": true})))?;
                Ok(())
            })
            .await
    }

    pub(crate) async fn set_version_tag(
        &self,
        model: &str,
        version: i64,
        key: String,
        value: Option<String>,
    ) -> Result<()> {
        self.get_version(model, version).await?;
        let model = model.to_owned();
        self.db
            .write(move |tx| match value {
                Some(value) => store::put_version_tag(tx, &model, version, &key, &value),
                None => store::delete_version_tag(tx, &model, version, &key),
            })
            .await
    }

    // Aliases

    pub async fn version_by_alias(&self, model: &str, alias: &str) -> Result<ModelVersion> {
        let record = self.get_model(model).await?;
        let version = record.aliases.get(alias);
        let version = version.ok_or_else(|| RegistryError::AliasNotFound { alias: alias.to_owned() })?;
        self.get_version(model, *version).await
    }

    /// Moves or, without a version, removes an alias.
    pub(crate) async fn set_alias(
        &self,
        actor: &str,
        model: &str,
        alias: &str,
        version: Option<i64>,
    ) -> Result<()> {
        check_alias(alias)?;
        let record = self.get_model(model).await?;
        if alias == CHAMPION && !record.project.is_empty() {
            return Err(RegistryError::GuardedAlias { alias: alias.to_owned(), model: record.name });
        }
        if let Some(version) = version {
            self.get_version(model, version).await?;
        }
        let (actor, alias, events) = (actor.to_owned(), alias.to_owned(), self.events.clone());
        self.db
            .write(move |tx| {
                match version {
                    Some(version) => store::put_alias(tx, &record.name, &alias, version)?,
                    None => store::delete_alias(tx, &record.name, &alias)?,
                }
                let payload = json!({"alias": alias, "before": record.aliases.get(&alias), "after": version});
                let event = NewEvent::new(kinds::ALIAS_MOVED, actor, format!("model:{}", record.name));
                events.append(tx, event.payload(payload))?;
                Ok(())
            })
            .await
    }

    // Decisions

    /// Records a gate's verdict on the bytes with this digest.
    pub async fn record_gate(
        &self,
        model: &str,
        version: i64,
        passed: bool,
        digest: &str,
        reason: &str,
        evidence: Value,
    ) -> Result<ModelVersion> {
        let (to, kind) = match passed {
            true => (VersionState::AwaitingApproval, kinds::GATE_PASSED),
            false => (VersionState::Refused, kinds::GATE_REFUSED),
        };
        let digest = digest.to_owned();
        let decision = self.decision("gate", to, "platform:gate", reason, evidence);
        self.change_version(model, version, kind, "platform:gate", Some(decision), move |version| {
            version.digest = Some(digest);
            version.advance(to)
        })
        .await
    }

    /// A person's yes. `digest` is that of the bytes at hand: they must be the gated ones.
    pub async fn approve(
        &self,
        approver: &Principal,
        model: &str,
        version: i64,
        digest: Option<&str>,
        reason: &str,
    ) -> Result<ModelVersion> {
        self.decide(approver, model, version, VersionState::Approved, kinds::APPROVED, digest, reason).await
    }

    pub async fn reject(
        &self,
        approver: &Principal,
        model: &str,
        version: i64,
        reason: &str,
    ) -> Result<ModelVersion> {
        self.decide(approver, model, version, VersionState::Rejected, kinds::REJECTED, None, reason).await
    }

    #[allow(clippy::too_many_arguments)] // one private verb behind two public ones
    async fn decide(
        &self,
        approver: &Principal,
        model: &str,
        version: i64,
        to: VersionState,
        kind: &'static str,
        digest: Option<&str>,
        reason: &str,
    ) -> Result<ModelVersion> {
        if reason.trim().is_empty() {
            let rule = "a decision needs a reason".to_owned();
            return Err(RegistryError::Invalid { field: "reason", value: reason.to_owned(), rule });
        }
        let decision = self.decision("approval", to, &approver.name, reason, Value::Null);
        let (actor, digest) = (approver.name.clone(), digest.map(str::to_owned));
        self.change_version(model, version, kind, &approver.name, Some(decision), move |version| {
            if version.author == actor {
                let (model, version) = (version.model.clone(), version.version);
                return Err(RegistryError::OwnModel { actor, model, version });
            }
            if digest.is_some() && digest != version.digest {
                return Err(RegistryError::DigestChanged {
                    model: version.model.clone(),
                    version: version.version,
                });
            }
            version.advance(to)
        })
        .await
    }

    /// The version took over all traffic: it becomes champion and the one before retires.
    pub async fn promote(
        &self,
        model: &str,
        version: i64,
        reason: &str,
        evidence: Value,
    ) -> Result<ModelVersion> {
        let decision = self.decision("rollout", VersionState::Serving, "platform:rollout", reason, evidence);
        let events = self.events.clone();
        let (model, project) = (model.to_owned(), self.get_model(model).await?.project);
        self.db
            .write(move |tx| {
                let before = store::lock_alias(tx, &model, CHAMPION)?;
                let mut row = locked(tx, &model, version)?;
                row.advance(VersionState::Serving)?;
                store::update_version(tx, &row, events.now())?;
                store::insert_decision(tx, &row, &decision)?;
                if let Some(old) = before.filter(|old| *old != version) {
                    let mut old = locked(tx, &model, old)?;
                    if old.advance(VersionState::Retired).is_ok() {
                        store::update_version(tx, &old, events.now())?;
                    }
                }
                store::put_alias(tx, &model, CHAMPION, version)?;
                let payload = json!({"before": before, "after": version, "reason": decision.reason,
                    "evidence": decision.evidence});
                let event = NewEvent::new(kinds::PROMOTED, "platform:rollout", row.subject());
                events.append(tx, event.project(project).payload(payload))?;
                Ok(row)
            })
            .await
    }

    pub async fn roll_back(
        &self,
        model: &str,
        version: i64,
        reason: &str,
        evidence: Value,
    ) -> Result<ModelVersion> {
        let to = VersionState::RolledBack;
        let decision = self.decision("rollout", to, "platform:rollout", reason, evidence);
        let kind = kinds::ROLLED_BACK;
        self.change_version(model, version, kind, "platform:rollout", Some(decision), move |version| {
            version.advance(to)
        })
        .await
    }

    /// Gate verdicts, approvals and rollouts of a version, oldest first.
    pub async fn decisions(&self, model: &str, version: i64) -> Result<Vec<Decision>> {
        store::decisions(&self.db, model, version).await
    }

    pub(crate) async fn history(&self, version: &ModelVersion) -> Result<Vec<Event>> {
        let filter = EventFilter { subject: Some(version.subject()), ..EventFilter::default() };
        Ok(self.events.list(filter, 0, 100).await?)
    }

    fn decision(&self, kind: &str, to: VersionState, actor: &str, reason: &str, evidence: Value) -> Decision {
        Decision {
            kind: kind.to_owned(),
            outcome: to.name().to_owned(),
            actor: actor.to_owned(),
            reason: reason.to_owned(),
            evidence,
            digest: None,
            at: self.events.now(),
        }
    }

    async fn change_version(
        &self,
        model: &str,
        version: i64,
        kind: &'static str,
        actor: &str,
        decision: Option<Decision>,
        change: impl FnOnce(&mut ModelVersion) -> Result<()> + Send + 'static,
    ) -> Result<ModelVersion> {
        let project = self.get_model(model).await?.project;
        let (model, actor, events) = (model.to_owned(), actor.to_owned(), self.events.clone());
        self.db
            .write(move |tx| {
                let mut row = locked(tx, &model, version)?;
                let before = row.state;
                change(&mut row)?;
                store::update_version(tx, &row, events.now())?;
                let mut payload = json!({"before": before.name(), "after": row.state.name()});
                if let Some(mut decision) = decision {
                    decision.digest = row.digest.clone();
                    store::insert_decision(tx, &row, &decision)?;
                    payload["reason"] = decision.reason.into();
                    payload["evidence"] = decision.evidence;
                }
                let event = NewEvent::new(kind, actor, row.subject()).project(project).payload(payload);
                events.append(tx, event)?;
                Ok(row)
            })
            .await
    }
}

fn locked(tx: &mut Tx<'_>, model: &str, version: i64) -> Result<ModelVersion> {
    let missing = || RegistryError::VersionNotFound { model: model.to_owned(), version: version.to_string() };
    store::lock_version(tx, model, version)?.ok_or_else(missing)
}
