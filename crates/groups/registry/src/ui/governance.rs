//! What the page of a version shows of its governance.

use platform_ui::{number, short_time};
use serde::Serialize;
use serde_json::Value;

use crate::evaluation::{Evaluation, Loss};
use crate::gate::GatePolicy;
use crate::model::{FileScan, ModelVersion, RegisteredModel, VersionState};
use crate::service::Result;
use crate::{CHAMPION, Registry, RegistryError};

#[derive(Serialize)]
pub(super) struct GovernanceView {
    has_policy: bool,
    can_be_gated: bool,
    can_be_champion: bool,
    given: Vec<ApprovalLine>,
    quorum: usize,
    key_fingerprint: Option<String>,
    files: Vec<FileLine>,
    evaluations: Vec<EvaluationLine>,
    champion: Option<i64>,
    comparisons: Vec<ComparisonLine>,
}

#[derive(Serialize)]
struct ApprovalLine {
    by: String,
    at: String,
    reason: String,
}

#[derive(Serialize)]
struct FileLine {
    path: String,
    digest: String,
    verdict: String,
    tone: &'static str,
    imports: String,
}

#[derive(Serialize)]
struct EvaluationLine {
    dataset: String,
    rows: i64,
    metrics: String,
    at: String,
}

#[derive(Serialize)]
struct ComparisonLine {
    dataset: String,
    loss: &'static str,
    rows: usize,
    difference: String,
    wins: usize,
    ties: usize,
    losses: usize,
}

impl GovernanceView {
    pub(super) async fn of(
        service: &Registry,
        model: &RegisteredModel,
        version: &ModelVersion,
    ) -> Result<Self> {
        let (name, number) = (version.model.as_str(), version.version);
        let policy = service.gate_policy(name).await?;
        let evaluations = service.evaluations(name, number).await?;
        let champion = model.aliases.get(CHAMPION).copied().filter(|champion| *champion != number);
        let comparisons = comparisons(service, version, champion, policy.as_ref(), &evaluations).await;
        let signature = match service.signature(name, number).await {
            Ok(signature) => Some(signature),
            Err(RegistryError::NotSigned { .. }) => None,
            Err(error) => return Err(error),
        };
        // What cannot be scanned now says so when somebody asks for it; the page is still of use.
        let scans = service.scan_version(version).await.unwrap_or_default();
        let given = service.approvals(name, number).await?;
        let is_free = model.project.is_empty();
        Ok(Self {
            has_policy: policy.is_some(),
            can_be_gated: policy.is_some() && is_free && version.state.can_be_gated(),
            can_be_champion: is_free && version.state == VersionState::Approved,
            given: given
                .into_iter()
                .map(|approval| ApprovalLine {
                    by: approval.approver,
                    at: short_time(approval.at),
                    reason: approval.reason,
                })
                .collect(),
            quorum: policy.map_or(1, |policy| policy.quorum),
            key_fingerprint: signature.map(|signature| signature.key_fingerprint),
            files: scans.into_iter().map(file_line).collect(),
            evaluations: evaluations.into_iter().map(evaluation_line).collect(),
            champion,
            comparisons,
        })
    }
}

/// On the data sets of the policy, or else on those that this version was evaluated on.
async fn comparisons(
    service: &Registry,
    version: &ModelVersion,
    champion: Option<i64>,
    policy: Option<&GatePolicy>,
    evaluations: &[Evaluation],
) -> Vec<ComparisonLine> {
    const SHOWN: usize = 5;
    let Some(champion) = champion else { return Vec::new() };
    let rules = policy.map(|policy| policy.not_worse_than_champion.as_slice()).unwrap_or_default();
    let mut wanted: Vec<(String, Loss)> =
        rules.iter().map(|rule| (rule.dataset.clone(), rule.loss)).collect();
    for evaluation in evaluations.iter().filter(|_| rules.is_empty()) {
        let losses = [Loss::AbsoluteError, Loss::LogLoss, Loss::ZeroOne];
        let loss = losses.into_iter().rfind(|loss| loss.fits(evaluation.kind));
        wanted.extend(loss.map(|loss| (evaluation.dataset.clone(), loss)));
    }
    let mut lines = Vec::new();
    for (dataset, loss) in wanted.into_iter().take(SHOWN) {
        let numbers = (version.version, champion);
        let Ok(paired) = service.compare(&version.model, numbers, &dataset, loss, 0.95).await else {
            continue;
        };
        lines.push(ComparisonLine {
            dataset,
            loss: loss.name(),
            rows: paired.rows,
            difference: format!("{:.4} ({:.4} to {:.4})", paired.mean_difference, paired.lower, paired.upper),
            wins: paired.wins,
            ties: paired.ties,
            losses: paired.losses,
        });
    }
    lines
}

fn file_line(scan: FileScan) -> FileLine {
    let globals = scan.findings["globals"].as_array().into_iter().flatten();
    let unknown: Vec<String> = globals
        .filter(|global| global["known"] == false)
        .map(|global| {
            let text = |key: &str| global[key].as_str().unwrap_or_default();
            format!("{}.{}", text("module"), text("name"))
        })
        .take(5)
        .collect();
    let reasons = scan.findings["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let said: Vec<String> = unknown.into_iter().chain(reasons.take(2).map(str::to_owned)).collect();
    FileLine {
        path: scan.path,
        digest: scan.digest,
        tone: if scan.is_clean { "good" } else { "bad" },
        verdict: scan.verdict.replace('_', " "),
        imports: said.join(", "),
    }
}

fn evaluation_line(evaluation: Evaluation) -> EvaluationLine {
    let metrics: Vec<String> =
        evaluation.metrics.iter().map(|(key, value)| format!("{key} {}", number(*value))).collect();
    EvaluationLine {
        dataset: evaluation.dataset,
        rows: evaluation.rows,
        metrics: metrics.join(", "),
        at: short_time(evaluation.at),
    }
}
