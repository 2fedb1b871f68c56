use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Path;
use platform_primitives::{Timestamp, new_id};
use platform_web::mlflow::{MlflowJson, Scoped};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, render, required, wire};
use crate::assessment::{Assessment, AssessmentChange, JudgeFailure, SourceType, Verdict};
use crate::names::ASSESSMENT_RUN;
use crate::{TraceError, Traces};

/// An assessment as a client sends it.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct AssessmentBody {
    assessment_id: Option<String>,
    assessment_name: Option<String>,
    span_id: Option<String>,
    source: Option<Source>,
    create_time: Option<String>,
    last_update_time: Option<String>,
    feedback: Option<Feedback>,
    expectation: Option<Expectation>,
    issue: Option<Issue>,
    rationale: Option<String>,
    error: Option<JudgeFailure>,
    metadata: Option<BTreeMap<String, String>>,
    overrides: Option<String>,
    valid: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Source {
    source_type: Option<String>,
    source_id: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Feedback {
    value: Value,
    error: Option<JudgeFailure>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Expectation {
    value: Option<Value>,
    serialized_value: Option<Serialized>,
}

#[derive(Deserialize)]
struct Serialized {
    serialization_format: Option<String>,
    value: String,
}

#[derive(Deserialize)]
struct Issue {
    issue_name: String,
}

impl Expectation {
    fn value(self) -> Result<Value, TraceError> {
        let wrong = |rule: &str| TraceError::invalid("expectation", "", rule);
        if let Some(serialized) = self.serialized_value {
            if serialized.serialization_format.as_deref() != Some("JSON_FORMAT") {
                return Err(wrong("Unknown serialization format: only JSON_FORMAT is supported"));
            }
            return serde_json::from_str(&serialized.value)
                .map_err(|error| wrong(&format!("the value is not JSON: {error}")));
        }
        self.value.ok_or_else(|| wrong("The `value` field must be specified."))
    }
}

impl AssessmentBody {
    /// Exactly one of feedback, expectation and issue.
    fn verdict(&mut self) -> Result<Option<Verdict>, TraceError> {
        let error = self.error.take();
        match (self.feedback.take(), self.expectation.take(), self.issue.take()) {
            (None, None, None) => Ok(None),
            (Some(feedback), None, None) => {
                Ok(Some(Verdict::Feedback { value: feedback.value, failure: feedback.error.or(error) }))
            }
            (None, Some(expectation), None) => Ok(Some(Verdict::Expectation { value: expectation.value()? })),
            (None, None, Some(issue)) => Ok(Some(Verdict::Issue { issue_name: issue.issue_name })),
            _ => Err(TraceError::invalid(
                "assessment",
                "",
                "Exactly one of `expectation`, `feedback`, or `issue` should be specified.",
            )),
        }
    }

    pub(super) fn assessment(mut self, trace_id: &str, now: Timestamp) -> Result<Assessment, TraceError> {
        let Some(verdict) = self.verdict()? else {
            let rule = "Exactly one of `expectation`, `feedback`, or `issue` should be specified.";
            return Err(TraceError::invalid("assessment", "", rule));
        };
        let source = self.source.unwrap_or_default();
        let source_type = match source.source_type.as_deref() {
            None => SourceType::Unspecified,
            Some(name) => SourceType::parse(&name.to_ascii_uppercase()).ok_or_else(|| {
                TraceError::invalid("source_type", name, "expected HUMAN, LLM_JUDGE or CODE")
            })?,
        };
        let time = |field: &'static str, text: &Option<String>| match text {
            Some(text) => wire::parse_time(field, text),
            None => Ok(now),
        };
        let metadata = self.metadata.unwrap_or_default();
        let not_empty = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Assessment {
            assessment_id: not_empty(self.assessment_id).unwrap_or_else(|| format!("a-{}", new_id())),
            trace_id: trace_id.to_owned(),
            name: required(self.assessment_name, "assessment_name")?,
            verdict,
            source_type,
            source_id: not_empty(source.source_id).unwrap_or_else(|| "default".to_owned()),
            run_id: metadata.get(ASSESSMENT_RUN).cloned(),
            span_id: not_empty(self.span_id),
            rationale: not_empty(self.rationale),
            overrides: not_empty(self.overrides),
            valid: true,
            created: time("create_time", &self.create_time)?,
            updated: time("last_update_time", &self.last_update_time)?,
            metadata,
        })
    }

    /// What the mask names; names come in snake case and in protobuf's camel case.
    fn change(mut self, mask: &str) -> Result<AssessmentChange, TraceError> {
        let verdict = self.verdict()?;
        let mut change = AssessmentChange::default();
        for path in mask.split(',').map(str::trim) {
            match path {
                "assessmentName" | "assessment_name" => {
                    change.name = Some(required(self.assessment_name.clone(), "assessment_name")?);
                }
                "feedback" | "expectation" => change.verdict = verdict.clone(),
                "rationale" => change.rationale = Some(self.rationale.clone().unwrap_or_default()),
                "metadata" => change.metadata = Some(self.metadata.clone().unwrap_or_default()),
                "valid" => change.valid = Some(self.valid.unwrap_or(true)),
                _ => {}
            }
        }
        Ok(change)
    }
}

#[derive(Deserialize)]
pub(super) struct Create {
    assessment: AssessmentBody,
}

pub(super) async fn create(
    Scoped(service): Scoped<Traces>,
    Path(trace_id): Path<String>,
    MlflowJson(body): MlflowJson<Create>,
) -> Answer {
    let assessment = body.assessment.assessment(&trace_id, service.now())?;
    let assessment = service.create_assessment(assessment).await?;
    Ok(Json(json!({"assessment": render::assessment(&assessment)})))
}

pub(super) async fn get(
    Scoped(service): Scoped<Traces>,
    Path((trace_id, assessment_id)): Path<(String, String)>,
) -> Answer {
    let assessment = service.get_assessment(&trace_id, &assessment_id).await?;
    Ok(Json(json!({"assessment": render::assessment(&assessment)})))
}

#[derive(Deserialize)]
pub(super) struct Update {
    assessment: AssessmentBody,
    #[serde(alias = "updateMask")]
    update_mask: String,
}

pub(super) async fn update(
    Scoped(service): Scoped<Traces>,
    Path((trace_id, assessment_id)): Path<(String, String)>,
    MlflowJson(body): MlflowJson<Update>,
) -> Answer {
    let change = body.assessment.change(&body.update_mask)?;
    let assessment = service.change_assessment(&trace_id, &assessment_id, change).await?;
    Ok(Json(json!({"assessment": render::assessment(&assessment)})))
}

pub(super) async fn delete(
    Scoped(service): Scoped<Traces>,
    Path((trace_id, assessment_id)): Path<(String, String)>,
) -> Answer {
    service.delete_assessment(&trace_id, &assessment_id).await?;
    Ok(Json(json!({})))
}
