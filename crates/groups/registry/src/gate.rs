//! A model's gate: rules as data, and their judgement on recorded facts. Pure, so that it can be repeated years later.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::RegistryError;
use crate::evaluation::{Loss, Paired};

const MAX_QUORUM: usize = 10;
const MAX_RULES: usize = 100;
const MAX_APPROVAL_DAYS: i64 = 3_650;

/// A bound on a metric of the version's run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricRule {
    pub key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
}

/// The upper bound of the mean difference of losses, version minus champion, is at most the tolerance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparisonRule {
    pub dataset: String,
    pub loss: Loss,
    #[serde(default)]
    pub tolerance: f64,
    #[serde(default = "usual_confidence")]
    pub confidence: f64,
}

fn usual_confidence() -> f64 {
    0.95
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// `MLmodel` says what goes in and what comes out.
    Signature,
    /// `requirements.txt`, `conda.yaml` or `python_env.yaml` is among the files.
    Environment,
    /// The run names a data set that it read.
    Lineage,
    /// People said what the model is for, where it ends and who owns it.
    Card,
    /// Every file was scanned, and would import nothing unknown.
    Scan,
    /// Every file lies on this server, so that the approval signs them.
    Signed,
}

impl Evidence {
    pub fn name(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Environment => "environment",
            Self::Lineage => "lineage",
            Self::Card => "card",
            Self::Scan => "scan",
            Self::Signed => "signed",
        }
    }
}

/// What a version of a model must show before people decide on it, and how many must.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatePolicy {
    pub metrics: Vec<MetricRule>,
    pub not_worse_than_champion: Vec<ComparisonRule>,
    pub business_value: Option<MetricRule>,
    pub evidence: Vec<Evidence>,
    /// Different people who must approve.
    pub quorum: usize,
    /// How long an approval lasts when the approvers say nothing; none: it does not end.
    pub approval_days: Option<i64>,
}

impl Default for GatePolicy {
    fn default() -> Self {
        Self {
            metrics: Vec::new(),
            not_worse_than_champion: Vec::new(),
            business_value: None,
            evidence: Vec::new(),
            quorum: 1,
            approval_days: None,
        }
    }
}

impl GatePolicy {
    pub(crate) fn parse(value: Value) -> Result<Self, RegistryError> {
        let policy: Self =
            serde_json::from_value(value).map_err(|error| RegistryError::Policy(error.to_string()))?;
        policy.check().map_err(RegistryError::Policy)?;
        Ok(policy)
    }

    fn check(&self) -> Result<(), String> {
        if self.metrics.len() + self.not_worse_than_champion.len() > MAX_RULES {
            return Err(format!("at most {MAX_RULES} rules are taken"));
        }
        for rule in self.metrics.iter().chain(&self.business_value) {
            if rule.key.trim().is_empty() {
                return Err("a metric without a key".to_owned());
            }
            if rule.at_most.is_none() && rule.at_least.is_none() {
                return Err(format!("metric {:?} has neither at_most nor at_least", rule.key));
            }
        }
        for rule in &self.not_worse_than_champion {
            if !(0.5..1.0).contains(&rule.confidence) || rule.tolerance < 0.0 {
                return Err(format!(
                    "data set {:?}: confidence is 0.5 to 1, tolerance at least 0",
                    rule.dataset
                ));
            }
        }
        if !(1..=MAX_QUORUM).contains(&self.quorum) {
            return Err(format!("quorum is {}, expected 1 to {MAX_QUORUM}", self.quorum));
        }
        match self.approval_days {
            Some(days) if !(1..=MAX_APPROVAL_DAYS).contains(&days) => {
                Err(format!("approval_days is {days}, expected 1 to {MAX_APPROVAL_DAYS}"))
            }
            _ => Ok(()),
        }
    }
}

/// Two versions on one data set, or why they were not compared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ComparisonFact {
    pub paired: Option<Paired>,
    pub missing: String,
    /// Ids of the evaluations that were compared: the version's and the champion's.
    #[serde(default)]
    pub evaluations: Vec<String>,
}

impl ComparisonFact {
    pub(crate) fn missing(why: &str) -> Self {
        Self { missing: why.to_owned(), ..Self::default() }
    }
}

/// Whether something is there, and what was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceFact {
    pub is_there: bool,
    pub seen: String,
}

/// Everything a judgement uses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GateFacts {
    pub metrics: BTreeMap<String, f64>,
    pub champion: Option<i64>,
    pub champion_metrics: BTreeMap<String, f64>,
    /// One for each rule of `not_worse_than_champion`, in its order.
    pub comparisons: Vec<ComparisonFact>,
    pub evidence: BTreeMap<Evidence, EvidenceFact>,
    pub manifest: Option<String>,
    /// Who made the version's run, as it says and as this server knows: no approvers of it.
    pub run_author: String,
    #[serde(default)]
    pub run_creator: String,
}

/// One line of the gate's report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    pub rule: String,
    pub candidate: Option<f64>,
    pub champion: Option<f64>,
    pub passed: bool,
    pub evidence: String,
}

/// Every rule of the policy, judged. A fact that is missing is a rule not met.
pub(crate) fn judge(policy: &GatePolicy, facts: &GateFacts) -> Vec<Check> {
    let mut checks: Vec<Check> = policy.metrics.iter().map(|rule| metric(rule, &rule.key, facts)).collect();
    for (place, rule) in policy.not_worse_than_champion.iter().enumerate() {
        checks.push(comparison(rule, facts.comparisons.get(place), facts.champion));
    }
    checks.extend(policy.business_value.iter().map(|rule| metric(rule, "business value", facts)));
    for evidence in &policy.evidence {
        let fact = facts.evidence.get(evidence);
        checks.push(Check {
            name: evidence.name().to_owned(),
            rule: "is there".to_owned(),
            candidate: None,
            champion: None,
            passed: fact.is_some_and(|fact| fact.is_there),
            evidence: fact.map_or_else(|| "nothing was recorded".to_owned(), |fact| fact.seen.clone()),
        });
    }
    checks
}

fn metric(rule: &MetricRule, name: &str, facts: &GateFacts) -> Check {
    let value = facts.metrics.get(&rule.key).copied();
    let most = rule.at_most.map(|bound| format!("at most {bound}"));
    let least = rule.at_least.map(|bound| format!("at least {bound}"));
    let met = |value: f64| {
        rule.at_most.is_none_or(|bound| value <= bound) && rule.at_least.is_none_or(|bound| value >= bound)
    };
    Check {
        name: name.to_owned(),
        rule: [least, most].into_iter().flatten().collect::<Vec<_>>().join(" and "),
        candidate: value,
        champion: facts.champion_metrics.get(&rule.key).copied(),
        passed: value.is_some_and(met),
        evidence: match value {
            Some(_) => format!("metric {} of the run", rule.key),
            None => format!("the run has no metric {}", rule.key),
        },
    }
}

fn comparison(rule: &ComparisonRule, fact: Option<&ComparisonFact>, champion: Option<i64>) -> Check {
    let paired = fact.and_then(|fact| fact.paired.as_ref());
    let (passed, evidence) = match (champion, paired) {
        (None, _) => (true, "there is no champion yet".to_owned()),
        (Some(_), Some(paired)) => (
            paired.upper <= rule.tolerance,
            format!(
                "mean difference {:.6} ({:.6} to {:.6}) on {} rows: {} better, {} equal, {} worse",
                paired.mean_difference,
                paired.lower,
                paired.upper,
                paired.rows,
                paired.wins,
                paired.ties,
                paired.losses
            ),
        ),
        (Some(_), None) => {
            (false, fact.map_or_else(|| "not compared".to_owned(), |fact| fact.missing.clone()))
        }
    };
    Check {
        name: format!("{} on {}", rule.loss.name(), rule.dataset),
        rule: format!(
            "worse than the champion by at most {} with {} % confidence",
            rule.tolerance,
            rule.confidence * 100.0
        ),
        candidate: paired.map(|paired| paired.mean_difference),
        champion: paired.map(|_| 0.0),
        passed,
        evidence,
    }
}

/// In a sentence, for the decision.
pub(crate) fn reason(checks: &[Check]) -> String {
    let failed: Vec<&str> =
        checks.iter().filter(|check| !check.passed).map(|check| check.name.as_str()).collect();
    match failed.is_empty() {
        true => format!("all {} checks passed", checks.len()),
        false => format!("{} of {} checks not passed: {}", failed.len(), checks.len(), failed.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_policy_does_not_know_is_refused_by_name() {
        for (policy, named) in [
            (json!({"metric": []}), "unknown field `metric`"),
            (json!({"evidence": ["blood"]}), "unknown variant `blood`"),
            (json!({"metrics": [{"key": "mae"}]}), "neither"),
            (json!({"metrics": [{"key": "mae", "below": 1}]}), "unknown field `below`"),
            (json!({"quorum": 0}), "quorum"),
            (json!({"approval_days": 0}), "approval_days"),
        ] {
            let refused = GatePolicy::parse(policy.clone()).unwrap_err().to_string();
            assert!(refused.contains(named), "{policy}: {refused}");
        }
    }

    #[test]
    fn the_same_facts_give_the_same_checks_after_a_round_trip() {
        let policy = json!({"metrics": [{"key": "mae", "at_most": 1.4}, {"key": "auc", "at_least": 0.8}],
            "not_worse_than_champion": [{"dataset": "holdout", "loss": "absolute_error"}],
            "evidence": ["scan"], "quorum": 2});
        let policy = GatePolicy::parse(policy).unwrap();
        let mut facts = GateFacts { champion: Some(1), ..GateFacts::default() };
        facts.metrics.insert("mae".to_owned(), 1.1);
        facts.evidence.insert(Evidence::Scan, EvidenceFact { is_there: true, seen: "2 files".to_owned() });
        let checks = judge(&policy, &facts);
        let passed: Vec<bool> = checks.iter().map(|check| check.passed).collect();
        assert_eq!(passed, [true, false, false, true]);
        let kept: GateFacts = serde_json::from_str(&serde_json::to_string(&facts).unwrap()).unwrap();
        let policy: GatePolicy = serde_json::from_value(serde_json::to_value(&policy).unwrap()).unwrap();
        assert_eq!(judge(&policy, &kept), checks);
    }
}
