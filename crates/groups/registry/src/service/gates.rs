//! The gate of a model: its policy, and its judgement on a version.

use std::collections::BTreeMap;

use platform_primitives::Fault as _;
use platform_signing::is_unsignable;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::files::{hex, manifest};
use super::versions::state_change;
use super::{Registry, Result, locked_model};
use crate::gate::{self, ComparisonFact, Evidence, EvidenceFact, GateFacts, GatePolicy};
use crate::model::{Approval, Decision, FileScan, ModelVersion, VersionState};
use crate::ports::{RunFact, VersionFile};
use crate::{CHAMPION, RegistryError, card, kinds, store};

/// Any of them says which packages the model needs.
const ENVIRONMENTS: [&str; 3] = ["requirements.txt", "conda.yaml", "python_env.yaml"];

impl Registry {
    /// The policy of the model; none: its versions need no gate.
    pub async fn gate_policy(&self, model: &str) -> Result<Option<GatePolicy>> {
        let name = model.to_owned();
        let found: Result<_> = self.db.snapshot(move |reader| store::gate_policy(reader, &name)).await;
        found?.map(|(text, _)| stored(&text)).transpose()
    }

    /// Whether versions of the model serve only after somebody approved them.
    pub async fn is_guarded(&self, model: &str) -> Result<bool> {
        Ok(!self.get_model(model).await?.project.is_empty() || self.gate_policy(model).await?.is_some())
    }

    /// A model of a project has its gate in the loop file.
    pub(crate) async fn set_gate_policy(
        &self,
        actor: &str,
        model: &str,
        policy: Value,
    ) -> Result<GatePolicy> {
        let policy = GatePolicy::parse(policy)?;
        let text = json!(policy).to_string();
        let (registry, actor, name, kept) =
            (self.clone(), actor.to_owned(), model.to_owned(), policy.clone());
        self.db
            .write(move |tx| {
                let model = locked_model(tx, &name)?;
                if !model.project.is_empty() {
                    return Err(RegistryError::Owned { model: model.name, project: model.project });
                }
                let before = store::gate_policy(tx, &name)?.map(|(_, digest)| digest);
                let digest = digest(&text);
                let now = registry.events.now();
                store::put_gate_policy(tx, &name, (&text, &digest), &actor, now)?;
                store::put_policy_setter(tx, &name, &actor, now)?;
                let payload = json!({"policy": kept, "before": before, "after": digest});
                registry.announce(tx, &model, (kinds::GATES_SET, model.subject()), &actor, payload)?;
                Ok(policy)
            })
            .await
    }

    /// From now on the model's versions need no gate.
    pub(crate) async fn delete_gate_policy(&self, actor: &str, model: &str) -> Result<()> {
        let (registry, actor, name) = (self.clone(), actor.to_owned(), model.to_owned());
        self.db
            .write(move |tx| {
                let model = locked_model(tx, &name)?;
                if !store::delete_gate_policy(tx, &name)? {
                    return Err(RegistryError::NoPolicy { model: name });
                }
                store::put_policy_setter(tx, &name, &actor, registry.events.now())?;
                let payload = json!({"policy": null});
                registry.announce(tx, &model, (kinds::GATES_SET, model.subject()), &actor, payload)
            })
            .await
    }

    /// Judges the version by its model's policy on what is recorded now, and keeps all that was used.
    pub async fn gate(&self, actor: &str, model: &str, version: i64) -> Result<ModelVersion> {
        let row = self.get_version(model, version).await?;
        let owner = self.get_model(model).await?;
        if !owner.project.is_empty() {
            return Err(RegistryError::Owned { model: owner.name, project: owner.project });
        }
        let policy = self.gate_policy(model).await?;
        let policy = policy.ok_or_else(|| RegistryError::NoPolicy { model: model.to_owned() })?;
        let facts = self.gate_facts(&row, &policy, owner.aliases.get(CHAMPION).copied()).await?;
        let text = json!(policy).to_string();
        if row.state == VersionState::AwaitingApproval
            && is_judged(&self.decisions(model, version).await?, &digest(&text), &facts)
        {
            // Nothing to judge anew; approvals that were given stay.
            return Ok(row);
        }
        let checks = gate::judge(&policy, &facts);
        let passed = checks.iter().all(|check| check.passed);
        let (to, kind) = match passed {
            true => (VersionState::AwaitingApproval, kinds::GATE_PASSED),
            false => (VersionState::Refused, kinds::GATE_REFUSED),
        };
        let evidence = json!({"checks": checks, "policy": policy, "policy_digest": digest(&text),
            "facts": facts, "manifest": facts.manifest});
        let mut decision = self.decision("gate", to, actor, &gate::reason(&checks), evidence);
        let card = self.card(&row).await?;
        self.change_version(actor, model, version, move |registry, tx, actor, model, row| {
            let (before, now) = (row.state, registry.events.now());
            row.regate(passed)?;
            row.manifest = facts.manifest;
            row.updated = now;
            store::update_version(tx, row)?;
            // An approval holds for what it was given on.
            store::delete_approvals(tx, row)?;
            decision.digest = row.manifest.clone();
            store::insert_decision(tx, row, &decision)?;
            let occasion = if passed { "gate passed" } else { "gate refused" };
            let card = card::with_state(card::with_gate(card, &decision), row);
            store::insert_card(tx, row, occasion, &card, now)?;
            let mut payload = state_change(before, row.state);
            payload["reason"] = decision.reason.into();
            payload["evidence"] = decision.evidence;
            registry.announce(tx, model, (kind, row.subject()), actor, payload)
        })
        .await
    }

    /// Approvals that count towards the quorum, oldest first.
    pub async fn approvals(&self, model: &str, version: i64) -> Result<Vec<Approval>> {
        let name = model.to_owned();
        self.db.snapshot(move |reader| store::approvals(reader, &name, version)).await
    }

    async fn gate_facts(
        &self,
        version: &ModelVersion,
        policy: &GatePolicy,
        champion: Option<i64>,
    ) -> Result<GateFacts> {
        let run = self.run_fact(version).await?;
        let champion = champion.filter(|champion| *champion != version.version);
        let champion_run = match champion {
            Some(champion) => self.run_fact(&self.get_version(&version.model, champion).await?).await?,
            None => None,
        };
        let mut comparisons = Vec::new();
        for rule in &policy.not_worse_than_champion {
            let fact = match champion {
                None => ComparisonFact::missing("there is no champion yet"),
                Some(champion) => {
                    let numbers = (version.version, champion);
                    let paired = self
                        .compare(&version.model, numbers, &rule.dataset, rule.loss, rule.confidence)
                        .await;
                    let fact = compared(paired)?;
                    self.on_all_rows(&version.model, numbers, &rule.dataset, fact).await?
                }
            };
            comparisons.push(fact);
        }
        let files = self.files_here(version).await?;
        let scans = match policy.evidence.contains(&Evidence::Scan) {
            true => self.scan_files(files.clone()).await?,
            false => Vec::new(),
        };
        let mut evidence = BTreeMap::new();
        for kind in &policy.evidence {
            evidence.insert(*kind, self.evidence(*kind, version, &files, &scans, run.as_ref()).await?);
        }
        let (metrics, run_author, run_creator) =
            run.map(|run| (run.metrics, run.user, run.created_by)).unwrap_or_default();
        Ok(GateFacts {
            metrics,
            champion,
            champion_metrics: champion_run.map(|run| run.metrics).unwrap_or_default(),
            comparisons,
            evidence,
            manifest: (!files.is_empty()).then(|| manifest(&files)),
            run_author,
            run_creator,
        })
    }

    /// A comparison counts when every row of the champion's evaluation was predicted, and says which evaluations it is of.
    async fn on_all_rows(
        &self,
        model: &str,
        (version, champion): (i64, i64),
        dataset: &str,
        fact: ComparisonFact,
    ) -> Result<ComparisonFact> {
        let Some(paired) = &fact.paired else { return Ok(fact) };
        let newest = async |of: i64| -> Result<_> {
            Ok(self.evaluations(model, of).await?.into_iter().find(|one| one.dataset == dataset))
        };
        let (own, champion) = (newest(version).await?, newest(champion).await?);
        let expected = champion.as_ref().map_or(0, |evaluation| evaluation.rows);
        if i64::try_from(paired.rows).unwrap_or(i64::MAX) < expected {
            let missing = format!("{} of the champion's {expected} rows were predicted", paired.rows);
            return Ok(ComparisonFact::missing(&missing));
        }
        let evaluations = own.into_iter().chain(champion).map(|evaluation| evaluation.id).collect();
        Ok(ComparisonFact { evaluations, ..fact })
    }

    async fn evidence(
        &self,
        kind: Evidence,
        version: &ModelVersion,
        files: &[VersionFile],
        scans: &[FileScan],
        run: Option<&RunFact>,
    ) -> Result<EvidenceFact> {
        let (is_there, seen) = match kind {
            Evidence::Signature => match self.mlmodel(files).await?.get("signature") {
                Some(Value::Object(_)) => (true, "MLmodel has a signature".to_owned()),
                _ => (false, "no MLmodel with a signature among the files".to_owned()),
            },
            Evidence::Environment => {
                let found = files.iter().find(|file| ENVIRONMENTS.contains(&file.path.as_str()));
                (found.is_some(), found.map_or("no list of packages".to_owned(), |file| file.path.clone()))
            }
            Evidence::Lineage => {
                let datasets = run.map_or(0, |run| run.datasets.len());
                (datasets > 0, format!("the run names {datasets} data sets"))
            }
            Evidence::Card => {
                let missing = self.card_questions(&version.model, version.version).await?;
                let seen = match missing.is_empty() {
                    true => "every question is answered".to_owned(),
                    false => format!("nobody said: {}", missing.join(", ")),
                };
                (missing.is_empty(), seen)
            }
            Evidence::Scan => scanned(scans),
            Evidence::Signed => match files.iter().find(|file| is_unsignable(&file.path)) {
                Some(file) => (false, format!("{} is a file that no signature covers", file.path)),
                None => (!files.is_empty(), format!("{} files that the approval signs", files.len())),
            },
        };
        Ok(EvidenceFact { is_there, seen })
    }
}

/// A comparison that cannot be made is a fact; a database that does not answer is not.
fn compared(outcome: Result<crate::evaluation::Paired>) -> Result<ComparisonFact> {
    match outcome {
        Ok(paired) => Ok(ComparisonFact { paired: Some(paired), ..ComparisonFact::default() }),
        Err(error @ (RegistryError::Evaluation { .. } | RegistryError::NotEvaluated { .. })) => {
            Ok(ComparisonFact::missing(&error.to_string()))
        }
        Err(error) => {
            tracing::debug!(code = error.code(), "a comparison failed");
            Err(error)
        }
    }
}

/// Which file would import what.
fn scanned(scans: &[FileScan]) -> (bool, String) {
    if scans.is_empty() {
        return (false, "no file was scanned".to_owned());
    }
    let mut bad = Vec::new();
    for scan in scans.iter().filter(|scan| !scan.is_clean) {
        let globals = scan.findings["globals"].as_array().into_iter().flatten();
        let unknown: Vec<String> = globals
            .filter(|global| global["known"] == false)
            .map(|global| {
                let text = |key: &str| global[key].as_str().unwrap_or_default().to_owned();
                format!("{}.{}", text("module"), text("name"))
            })
            .take(5)
            .collect();
        let reasons = scan.findings["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let said: Vec<String> = unknown.into_iter().chain(reasons.take(2).map(str::to_owned)).collect();
        bad.push(format!("{} is {} ({})", scan.path, scan.verdict, said.join(", ")));
    }
    match bad.is_empty() {
        true => (true, format!("{} files, nothing unknown", scans.len())),
        false => (false, bad.join("; ")),
    }
}

pub(super) fn stored(text: &str) -> Result<GatePolicy> {
    serde_json::from_str(text).map_err(|error| RegistryError::Policy(format!("the kept one: {error}")))
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn latest_gate(decisions: &[Decision]) -> Option<&Decision> {
    decisions.iter().rfind(|decision| decision.kind == "gate")
}

/// Whether the latest judgement was on these facts by this policy.
fn is_judged(decisions: &[Decision], policy: &str, facts: &GateFacts) -> bool {
    latest_gate(decisions).is_some_and(|gate| {
        gate.evidence["policy_digest"] == *policy && gate.evidence["facts"] == json!(facts)
    })
}

/// The digest of the policy that the version was judged by.
pub(super) fn gated_policy(decisions: &[Decision]) -> Option<String> {
    Some(latest_gate(decisions)?.evidence.get("policy_digest")?.as_str()?.to_owned())
}

/// Who made the run of a gated version, as the gate saw it.
pub(super) fn gated_run_authors(decisions: &[Decision]) -> Vec<String> {
    let facts = latest_gate(decisions).and_then(|gate| gate.evidence.get("facts"));
    let author = |field: &str| facts?.get(field)?.as_str().map(str::to_owned);
    ["run_author", "run_creator"].into_iter().filter_map(author).filter(|name| !name.is_empty()).collect()
}
