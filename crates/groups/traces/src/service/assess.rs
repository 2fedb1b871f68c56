//! Assessments: made, replaced, changed, taken back.

use super::{Result, Traces};
use crate::TraceError;
use crate::assessment::{Assessment, AssessmentChange};
use crate::store;

impl Traces {
    /// One that overrides another makes that one invalid.
    pub(crate) async fn create_assessment(&self, assessment: Assessment) -> Result<Assessment> {
        let judged = self.judged(std::slice::from_ref(&assessment.trace_id)).await?;
        let (trace_id, id) = (assessment.trace_id.clone(), assessment.assessment_id.clone());
        self.db
            .write(move |tx| {
                judged.lock(tx, &assessment.trace_id)?;
                if store::lock_assessment(tx, &assessment.trace_id, &assessment.assessment_id)?.is_some() {
                    let rule = "an assessment with this id exists already";
                    return Err(TraceError::invalid("assessment_id", &assessment.assessment_id, rule));
                }
                if let Some(old) = &assessment.overrides
                    && !store::set_valid(tx, &assessment.trace_id, old, false)?
                {
                    return Err(missing(&assessment.trace_id, old));
                }
                store::put_assessment(tx, &assessment)
            })
            .await?;
        self.get_assessment(&trace_id, &id).await
    }

    pub(crate) async fn get_assessment(&self, trace_id: &str, assessment_id: &str) -> Result<Assessment> {
        let found = store::assessment_by_id(&self.db, trace_id, assessment_id).await?;
        // After the look: what began elsewhere in between is not shown.
        self.refuse_foreign(trace_id).await?;
        if let Some(found) = found {
            return Ok(found);
        }
        // Says which of the two is missing.
        self.get(trace_id).await?;
        Err(missing(trace_id, assessment_id))
    }

    pub(crate) async fn change_assessment(
        &self,
        trace_id: &str,
        assessment_id: &str,
        change: AssessmentChange,
    ) -> Result<Assessment> {
        let now = self.now();
        self.get_assessment(trace_id, assessment_id).await?;
        let (trace_id, id) = (trace_id.to_owned(), assessment_id.to_owned());
        let judged = self.judged(std::slice::from_ref(&trace_id)).await?;
        self.db
            .write(move |tx| {
                judged.lock(tx, &trace_id)?;
                let found = store::lock_assessment(tx, &trace_id, &id)?;
                let mut assessment = found.ok_or_else(|| missing(&trace_id, &id))?;
                assessment.apply(change, now)?;
                store::put_assessment(tx, &assessment)?;
                Ok(assessment)
            })
            .await
    }

    /// Deleting what is not there is no error; what the deleted one replaced is valid again.
    pub(crate) async fn delete_assessment(&self, trace_id: &str, assessment_id: &str) -> Result<()> {
        let (trace_id, id) = (trace_id.to_owned(), assessment_id.to_owned());
        let judged = self.judged(std::slice::from_ref(&trace_id)).await?;
        self.db
            .write(move |tx| {
                judged.lock(tx, &trace_id)?;
                let Some(assessment) = store::lock_assessment(tx, &trace_id, &id)? else { return Ok(()) };
                if let Some(old) = &assessment.overrides {
                    store::set_valid(tx, &trace_id, old, true)?;
                }
                store::delete_assessment(tx, &trace_id, &id)
            })
            .await
    }
}

fn missing(trace_id: &str, assessment_id: &str) -> TraceError {
    TraceError::AssessmentNotFound { trace_id: trace_id.to_owned(), assessment_id: assessment_id.to_owned() }
}
