use platform_auth::Principal;
use platform_events::{Event, EventFilter};
use platform_primitives::Timestamp;
use serde_json::{Value, json};

use super::versions::state_change;
use super::{Registry, Result, locked_model, locked_version};
use crate::model::{Decision, ModelVersion, VersionState};
use crate::{CHAMPION, RegistryError, kinds, store};

const GATE: &str = "platform:gate";
const ROLLOUT: &str = "platform:rollout";

/// A person's yes or no.
struct Verdict {
    to: VersionState,
    /// Digest of the bytes at hand.
    digest: Option<String>,
    expires: Option<Timestamp>,
    reason: String,
}

impl Registry {
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
        let decision = self.decision("gate", to, GATE, reason, evidence);
        self.record(model, version, kind, decision, move |version, _| {
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
        self.approve_until(approver, model, version, digest, reason, None).await
    }

    /// A yes that lets the version be promoted until `expires`.
    pub async fn approve_until(
        &self,
        approver: &Principal,
        model: &str,
        version: i64,
        digest: Option<&str>,
        reason: &str,
        expires: Option<Timestamp>,
    ) -> Result<ModelVersion> {
        let (to, digest) = (VersionState::Approved, digest.map(str::to_owned));
        let verdict = Verdict { to, digest, expires, reason: reason.to_owned() };
        self.decide(approver, model, version, kinds::APPROVED, verdict).await
    }

    pub async fn reject(
        &self,
        approver: &Principal,
        model: &str,
        version: i64,
        reason: &str,
    ) -> Result<ModelVersion> {
        let to = VersionState::Rejected;
        let verdict = Verdict { to, digest: None, expires: None, reason: reason.to_owned() };
        self.decide(approver, model, version, kinds::REJECTED, verdict).await
    }

    async fn decide(
        &self,
        approver: &Principal,
        model: &str,
        version: i64,
        kind: &'static str,
        verdict: Verdict,
    ) -> Result<ModelVersion> {
        let Verdict { to, digest, expires, reason } = verdict;
        if reason.trim().is_empty() {
            let rule = "a decision needs a reason".to_owned();
            return Err(RegistryError::Invalid { field: "reason", value: reason, rule });
        }
        let evidence = expires.map_or(Value::Null, |expires| json!({"expires_at": expires}));
        let decision = self.decision("approval", to, &approver.name, &reason, evidence);
        let actor = approver.name.clone();
        self.record(model, version, kind, decision, move |version, now| {
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
            match to {
                VersionState::Approved => version.approve(now, expires),
                _ => version.advance(to),
            }
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
        let mut decision = self.decision("rollout", VersionState::Serving, ROLLOUT, reason, evidence);
        let (registry, name) = (self.clone(), model.to_owned());
        self.db
            .write(move |tx| {
                let now = registry.events.now();
                let model = locked_model(tx, &name)?;
                let before = model.aliases.get(CHAMPION).copied();
                let mut row = locked_version(tx, &name, version)?;
                row.check_approval(now)?;
                row.advance(VersionState::Serving)?;
                row.updated = now;
                store::update_version(tx, &row)?;
                decision.digest = row.digest.clone();
                store::insert_decision(tx, &row, &decision)?;
                if let Some(old) = before.filter(|old| *old != version) {
                    let mut old = locked_version(tx, &name, old)?;
                    if old.advance(VersionState::Retired).is_ok() {
                        old.updated = now;
                        store::update_version(tx, &old)?;
                    }
                }
                registry.write_alias(tx, ROLLOUT, &model, CHAMPION, Some(version))?;
                let payload = json!({"before": before, "after": version, "reason": decision.reason,
                    "evidence": decision.evidence});
                registry.announce(tx, &model, (kinds::PROMOTED, row.subject()), ROLLOUT, payload)?;
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
        let decision = self.decision("rollout", to, ROLLOUT, reason, evidence);
        self.record(model, version, kinds::ROLLED_BACK, decision, move |version, _| version.advance(to)).await
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

    /// State, decision and event, or none of them.
    async fn record(
        &self,
        model: &str,
        version: i64,
        kind: &'static str,
        mut decision: Decision,
        change: impl FnOnce(&mut ModelVersion, Timestamp) -> Result<()> + Send + 'static,
    ) -> Result<ModelVersion> {
        let actor = decision.actor.clone();
        self.change_version(&actor, model, version, move |registry, tx, actor, model, row| {
            let (before, now) = (row.state, registry.events.now());
            change(row, now)?;
            row.updated = now;
            store::update_version(tx, row)?;
            decision.digest = row.digest.clone();
            store::insert_decision(tx, row, &decision)?;
            let mut payload = state_change(before, row.state);
            payload["reason"] = decision.reason.into();
            payload["evidence"] = decision.evidence;
            registry.announce(tx, model, (kind, row.subject()), actor, payload)
        })
        .await
    }
}
