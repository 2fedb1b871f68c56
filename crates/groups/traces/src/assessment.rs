//! What a person, a judge or a check says of a trace.

use std::collections::BTreeMap;

use platform_primitives::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::TraceError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssessmentKind {
    Feedback,
    Expectation,
    Issue,
}

impl AssessmentKind {
    const ALL: [Self; 3] = [Self::Feedback, Self::Expectation, Self::Issue];

    pub fn name(self) -> &'static str {
        match self {
            Self::Feedback => "feedback",
            Self::Expectation => "expectation",
            Self::Issue => "issue",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceType {
    Unspecified,
    Human,
    LlmJudge,
    Code,
}

impl SourceType {
    const ALL: [Self; 4] = [Self::Unspecified, Self::Human, Self::LlmJudge, Self::Code];

    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "SOURCE_TYPE_UNSPECIFIED",
            Self::Human => "HUMAN",
            Self::LlmJudge => "LLM_JUDGE",
            Self::Code => "CODE",
        }
    }

    /// `AI_JUDGE` is what old clients say for `LLM_JUDGE`.
    pub fn parse(name: &str) -> Option<Self> {
        let name = if name == "AI_JUDGE" { "LLM_JUDGE" } else { name };
        Self::ALL.into_iter().find(|source| source.name() == name)
    }
}

/// Why a judge has no value to give.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JudgeFailure {
    pub error_code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack_trace: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Feedback { value: Value, failure: Option<JudgeFailure> },
    Expectation { value: Value },
    Issue { issue_name: String },
}

impl Verdict {
    pub fn kind(&self) -> AssessmentKind {
        match self {
            Self::Feedback { .. } => AssessmentKind::Feedback,
            Self::Expectation { .. } => AssessmentKind::Expectation,
            Self::Issue { .. } => AssessmentKind::Issue,
        }
    }

    /// The value as it is stored and searched.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Feedback { value, .. } | Self::Expectation { value } => value.clone(),
            Self::Issue { issue_name } => json!({"issue_name": issue_name}),
        }
    }

    pub(crate) fn failure(&self) -> Option<&JudgeFailure> {
        match self {
            Self::Feedback { failure, .. } => failure.as_ref(),
            Self::Expectation { .. } | Self::Issue { .. } => None,
        }
    }

    pub(crate) fn stored(kind: AssessmentKind, value: Value, failure: Option<JudgeFailure>) -> Self {
        match kind {
            AssessmentKind::Feedback => Self::Feedback { value, failure },
            AssessmentKind::Expectation => Self::Expectation { value },
            AssessmentKind::Issue => {
                let name = value.get("issue_name").and_then(Value::as_str);
                Self::Issue { issue_name: name.unwrap_or_default().to_owned() }
            }
        }
    }

    /// The value as a number, for averages: yes and true count 1, no and false 0, other texts and lists nothing.
    pub(crate) fn number(&self) -> Option<f64> {
        match self.value() {
            Value::Bool(value) => Some(f64::from(u8::from(value))),
            Value::Number(number) => number.as_f64(),
            Value::String(text) if text == "yes" => Some(1.0),
            Value::String(text) if text == "no" => Some(0.0),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    pub assessment_id: String,
    pub trace_id: String,
    pub name: String,
    pub verdict: Verdict,
    pub source_type: SourceType,
    pub source_id: String,
    pub run_id: Option<String>,
    pub span_id: Option<String>,
    pub rationale: Option<String>,
    pub metadata: BTreeMap<String, String>,
    /// The assessment that this one replaces, which is no longer valid.
    pub overrides: Option<String>,
    pub valid: bool,
    pub created: Timestamp,
    pub updated: Timestamp,
}

/// What is to change; the source, the span and the kind never do.
#[derive(Debug, Clone, Default)]
pub(crate) struct AssessmentChange {
    pub name: Option<String>,
    pub verdict: Option<Verdict>,
    pub rationale: Option<String>,
    pub metadata: Option<BTreeMap<String, String>>,
    pub valid: Option<bool>,
}

impl Assessment {
    pub(crate) fn apply(&mut self, change: AssessmentChange, now: Timestamp) -> Result<(), TraceError> {
        if let Some(verdict) = change.verdict {
            let (old, new) = (self.verdict.kind(), verdict.kind());
            if old != new {
                let rule = format!("cannot update the value of a {} with this", old.name());
                return Err(TraceError::invalid("assessment", new.name(), rule));
            }
            self.verdict = verdict;
        }
        if let Some(name) = change.name {
            self.name = name;
        }
        if let Some(rationale) = change.rationale {
            self.rationale = Some(rationale);
        }
        // New keys join the old ones.
        self.metadata.extend(change.metadata.unwrap_or_default());
        self.valid = change.valid.unwrap_or(self.valid);
        self.updated = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_count_as_numbers_where_they_mean_one() {
        for (value, number) in [
            (json!(true), Some(1.0)),
            (json!("no"), Some(0.0)),
            (json!(4), Some(4.0)),
            (json!("good"), None),
            (json!(null), None),
            (json!([1]), None),
        ] {
            let verdict = Verdict::Feedback { value: value.clone(), failure: None };
            assert_eq!(verdict.number(), number, "{value}");
        }
    }
}
