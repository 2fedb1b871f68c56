use std::collections::BTreeMap;

use platform_primitives::Timestamp;
use serde_json::Value;

use crate::EvaluationError;

#[derive(Debug, Clone)]
pub struct EvaluationDataset {
    pub id: String,
    pub name: String,
    /// Changes whenever records do.
    pub digest: String,
    /// Field names and types of what the records hold; none before the first record.
    pub schema: Option<Value>,
    pub records: i64,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub created_by: Option<String>,
    pub updated_by: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub experiments: Vec<String>,
}

impl EvaluationDataset {
    pub fn subject(&self) -> String {
        format!("evaluation_dataset:{}", self.id)
    }
}

#[derive(Debug, Clone)]
pub struct EvaluationRecord {
    pub id: String,
    pub dataset: String,
    /// SHA-256 of the inputs.
    pub input_hash: String,
    /// `inputs`, `outputs`, `expectations`, `tags`, `source`, `created_by`, `last_updated_by`.
    pub body: serde_json::Map<String, Value>,
    pub created: Timestamp,
    pub updated: Timestamp,
}

/// One version of a scorer, as the client serialized it.
#[derive(Debug, Clone)]
pub struct ScorerVersion {
    pub scorer: String,
    pub experiment: String,
    pub name: String,
    pub version: i64,
    pub serialized: String,
    pub created: Timestamp,
}

/// A fault that was found in traces.
#[derive(Debug, Clone)]
pub struct Issue {
    pub id: String,
    pub experiment: String,
    pub name: String,
    pub description: String,
    pub status: IssueStatus,
    pub severity: Option<IssueSeverity>,
    pub root_causes: Vec<String>,
    pub categories: Vec<String>,
    pub source_run: Option<String>,
    pub created_by: Option<String>,
    pub created: Timestamp,
    pub updated: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueStatus {
    Pending,
    Rejected,
    Resolved,
}

impl IssueStatus {
    const ALL: [Self; 3] = [Self::Pending, Self::Rejected, Self::Resolved];

    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::Resolved => "resolved",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self, EvaluationError> {
        let found = Self::ALL.into_iter().find(|status| status.name() == name);
        let rule = "expected pending, rejected or resolved";
        found.ok_or_else(|| EvaluationError::invalid("status", name, rule))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueSeverity {
    NotAnIssue,
    Low,
    Medium,
    High,
}

impl IssueSeverity {
    const ALL: [Self; 4] = [Self::NotAnIssue, Self::Low, Self::Medium, Self::High];

    pub fn name(self) -> &'static str {
        match self {
            Self::NotAnIssue => "not_an_issue",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self, EvaluationError> {
        let found = Self::ALL.into_iter().find(|severity| severity.name() == name);
        let rule = "expected not_an_issue, low, medium or high";
        found.ok_or_else(|| EvaluationError::invalid("severity", name, rule))
    }
}

/// What a client wants changed of an issue.
#[derive(Debug, Clone, Default)]
pub struct IssueChange {
    pub name: Option<String>,
    pub description: Option<String>,
    pub status: Option<IssueStatus>,
    pub severity: Option<IssueSeverity>,
}
