use platform_auth::Principal;
use platform_db::Tx;
use platform_events::{Event, EventFilter};
use platform_primitives::Timestamp;
use serde_json::{Value, json};

use super::gates::{gated_policy, gated_run_authors, stored};
use super::versions::state_change;
use super::{Registry, Result, locked_model, locked_version};
use crate::model::{Approval, Decision, ModelVersion, RegisteredModel, StoredSignature, VersionState};
use crate::{CHAMPION, RegistryError, card, kinds, store};

const GATE: &str = "platform:gate";
const ROLLOUT: &str = "platform:rollout";

/// A person's yes, with what was read for it before the transaction.
struct Verdict {
    /// Digest of the bytes at hand.
    digest: Option<String>,
    expires: Option<Timestamp>,
    reason: String,
    run_authors: Vec<String>,
    /// The digest of the policy that the version was judged by; none: a loop judged it.
    judged_by: Option<String>,
    /// Over the files as they are now.
    signature: Option<StoredSignature>,
    card: Option<Value>,
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
        check_reason(reason)?;
        let row = self.get_version(model, version).await?;
        let signature = self.sign(&row).await?;
        let decisions = self.decisions(model, version).await?;
        let run_authors = self.run_authors(&row, &decisions).await?;
        let judged_by = gated_policy(&decisions);
        let card = match self.governing.is_some() {
            true => Some(self.card(&row).await?),
            false => None,
        };
        let digest = digest.map(str::to_owned);
        let reason = reason.to_owned();
        let verdict = Verdict { digest, expires, reason, run_authors, judged_by, signature, card };
        self.change_version(&approver.name, model, version, move |registry, tx, actor, model, row| {
            registry.approve_locked(tx, actor, model, row, verdict)
        })
        .await
    }

    /// One of the quorum says yes; the last one of it moves the state, and signs.
    fn approve_locked(
        &self,
        tx: &mut Tx<'_>,
        actor: &str,
        model: &RegisteredModel,
        row: &mut ModelVersion,
        verdict: Verdict,
    ) -> Result<()> {
        let (before, now) = (row.state, self.events.now());
        // Read here, where the model is locked: nobody changes the policy in between.
        let policy_setters = store::policy_setters(tx, &model.name, row.version)?;
        check_approver(actor, row, &verdict, &policy_setters)?;
        let policy = store::gate_policy(tx, &model.name)?;
        if policy.as_ref().is_some_and(|(_, digest)| verdict.judged_by.as_ref() != Some(digest)) {
            return Err(RegistryError::PolicyChanged { model: row.model.clone(), version: row.version });
        }
        let policy = policy.map(|(text, _)| stored(&text)).transpose()?;
        let quorum = policy.as_ref().map_or(1, |policy| policy.quorum);
        let usual = policy.and_then(|policy| policy.approval_days).map(|days| now.plus_days(days));
        let expires = verdict.expires.or(usual);
        let mut approved = row.clone();
        approved.approve(now, expires)?;
        let mut given = store::approvals(tx, &model.name, row.version)?;
        // What was said before the approval ended does not count for the next one.
        let is_over =
            |first: &Approval| row.state == VersionState::Approved && Some(first.at) < row.approval_expires;
        if given.first().is_some_and(is_over) {
            store::delete_approvals(tx, row)?;
            given.clear();
        }
        given.retain(|approval| approval.expires.is_none_or(|end| end > now));
        if given.iter().any(|approval| approval.approver == actor) {
            return Err(RegistryError::AlreadyApproved {
                actor: actor.to_owned(),
                model: row.model.clone(),
                version: row.version,
                missing: quorum.saturating_sub(given.len()),
            });
        }
        let approval =
            Approval { approver: actor.to_owned(), reason: verdict.reason.clone(), expires, at: now };
        store::insert_approval(tx, row, &approval)?;
        given.push(approval);
        let is_enough = given.len() >= quorum;
        let to = if is_enough { VersionState::Approved } else { VersionState::AwaitingApproval };
        let evidence = expires.map_or(Value::Null, |expires| json!({"expires_at": expires}));
        let mut decision = self.decision("approval", to, actor, &verdict.reason, evidence);
        if is_enough {
            *row = approved;
            row.approval_expires = given.iter().filter_map(|approval| approval.expires).min();
            if let Some(signature) = &verdict.signature {
                row.manifest = Some(signature.manifest.clone());
                store::put_signature(tx, row, signature, now)?;
            }
        }
        row.updated = now;
        store::update_version(tx, row)?;
        decision.digest = row.digest.clone().or_else(|| row.manifest.clone());
        store::insert_decision(tx, row, &decision)?;
        if !is_enough {
            let payload = json!({"given": given.len(), "quorum": quorum, "reason": decision.reason});
            return self.announce(tx, model, (kinds::APPROVAL_GIVEN, row.subject()), actor, payload);
        }
        if let Some(card) = verdict.card {
            let card = card::with_state(card::with_approvals(card, &given), row);
            store::insert_card(tx, row, "approved", &card, now)?;
        }
        let mut payload = state_change(before, row.state);
        payload["reason"] = decision.reason.into();
        payload["evidence"] = decision.evidence;
        self.announce(tx, model, (kinds::APPROVED, row.subject()), actor, payload)?;
        match verdict.signature {
            Some(signature) => {
                let payload = json!({"manifest": signature.manifest, "key": signature.key_fingerprint});
                self.announce(tx, model, (kinds::SIGNED, row.subject()), actor, payload)
            }
            None => Ok(()),
        }
    }

    pub async fn reject(
        &self,
        approver: &Principal,
        model: &str,
        version: i64,
        reason: &str,
    ) -> Result<ModelVersion> {
        check_reason(reason)?;
        let to = VersionState::Rejected;
        let decision = self.decision("approval", to, &approver.name, reason, Value::Null);
        let actor = approver.name.clone();
        self.record(model, version, kinds::REJECTED, decision, move |version, _| {
            check_author(&actor, version)?;
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
        self.promote_as(ROLLOUT, model, version, reason, evidence).await
    }

    /// A person makes an approved version champion where no loop does it.
    pub(crate) async fn make_champion(
        &self,
        person: &Principal,
        model: &str,
        version: i64,
        reason: &str,
    ) -> Result<ModelVersion> {
        check_reason(reason)?;
        let owner = self.get_model(model).await?;
        if !owner.project.is_empty() {
            return Err(RegistryError::GuardedAlias { alias: CHAMPION.to_owned(), model: owner.name });
        }
        // Four eyes here too: who made it does not put it where it serves.
        let row = self.get_version(model, version).await?;
        check_author(&person.name, &row)?;
        let authors = self.run_authors(&row, &self.decisions(model, version).await?).await?;
        check_run(&person.name, &row, &authors)?;
        self.check_signed(model, version).await?;
        self.promote_as(&person.name, model, version, reason, json!({"by": "a person"})).await
    }

    async fn promote_as(
        &self,
        actor: &str,
        model: &str,
        version: i64,
        reason: &str,
        evidence: Value,
    ) -> Result<ModelVersion> {
        let actor = actor.to_owned();
        let mut decision = self.decision("rollout", VersionState::Serving, &actor, reason, evidence);
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
                registry.write_alias(tx, &actor, &model, CHAMPION, Some(version))?;
                let payload = json!({"before": before, "after": version, "reason": decision.reason,
                    "evidence": decision.evidence});
                registry.announce(tx, &model, (kinds::PROMOTED, row.subject()), &actor, payload)?;
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

    /// Who made the version's run: as its gate saw it, and as it is recorded now.
    async fn run_authors(&self, version: &ModelVersion, decisions: &[Decision]) -> Result<Vec<String>> {
        let mut authors = gated_run_authors(decisions);
        if let Some(governing) = self.governing.as_ref().filter(|_| !version.run_id.is_empty()) {
            authors.extend(governing.parts.runs.authors(&version.run_id).await?);
        }
        Ok(authors)
    }

    /// Gate verdicts, approvals and rollouts of a version, oldest first.
    pub async fn decisions(&self, model: &str, version: i64) -> Result<Vec<Decision>> {
        store::decisions(&self.db, model, version).await
    }

    pub(crate) async fn history(&self, version: &ModelVersion) -> Result<Vec<Event>> {
        let filter = EventFilter { subject: Some(version.subject()), ..EventFilter::default() };
        Ok(self.events.list(filter, 0, 100).await?)
    }

    pub(super) fn decision(
        &self,
        kind: &str,
        to: VersionState,
        actor: &str,
        reason: &str,
        evidence: Value,
    ) -> Decision {
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

fn check_reason(reason: &str) -> Result<()> {
    if reason.trim().is_empty() {
        let rule = "a decision needs a reason".to_owned();
        return Err(RegistryError::Invalid { field: "reason", value: reason.to_owned(), rule });
    }
    Ok(())
}

fn check_author(actor: &str, version: &ModelVersion) -> Result<()> {
    if version.author == actor {
        let (actor, model) = (actor.to_owned(), version.model.clone());
        return Err(RegistryError::OwnModel { actor, model, version: version.version });
    }
    Ok(())
}

fn check_run(actor: &str, version: &ModelVersion, authors: &[String]) -> Result<()> {
    if authors.iter().any(|author| author == actor) {
        let (actor, model) = (actor.to_owned(), version.model.clone());
        return Err(RegistryError::OwnRun { actor, model, version: version.version });
    }
    Ok(())
}

/// Another person than made it or changed its gate, on the bytes that were gated.
fn check_approver(
    actor: &str,
    version: &ModelVersion,
    verdict: &Verdict,
    policy_setters: &[String],
) -> Result<()> {
    check_author(actor, version)?;
    check_run(actor, version, &verdict.run_authors)?;
    if policy_setters.iter().any(|setter| setter == actor) {
        let (actor, model) = (actor.to_owned(), version.model.clone());
        return Err(RegistryError::OwnPolicy { actor, model, version: version.version });
    }
    let named =
        verdict.digest.is_none() || verdict.digest == version.digest || verdict.digest == version.manifest;
    let found = verdict.signature.as_ref().map(|signature| &signature.manifest);
    // A loop's gate names the one file that it judged, and its manifest is not kept.
    let of_loop = version.manifest.is_none() && version.digest.is_some();
    let gated = of_loop || version.manifest.as_ref() == found;
    match named && gated {
        true => Ok(()),
        false => Err(RegistryError::DigestChanged { model: version.model.clone(), version: version.version }),
    }
}
