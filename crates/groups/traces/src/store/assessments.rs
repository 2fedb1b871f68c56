//! Assessments of traces.

use std::collections::HashMap;

use platform_db::{Db, Row, Tx, args};
use platform_primitives::Timestamp;
use serde::de::DeserializeOwned;

use super::{Result, holes};
use crate::TraceError;
use crate::assessment::{Assessment, AssessmentKind, SourceType, Verdict};
use crate::json::{dumped, loaded};

const ASSESSMENT: &str = "assessment_id, trace_id, kind, name, value, error, source_type, source_id, run_id, \
     span_id, rationale, overrides, valid, metadata, created_ms, updated_ms";

/// Writes it under its trace and id, whether it is new or not.
pub(crate) fn put_assessment(tx: &mut Tx<'_>, assessment: &Assessment) -> Result<()> {
    let failure = assessment.verdict.failure().map(text_of).transpose()?;
    let metadata = match assessment.metadata.is_empty() {
        true => None,
        false => Some(text_of(&assessment.metadata)?),
    };
    tx.execute(
        "INSERT INTO trace_assessments (assessment_id, trace_id, kind, name, value, number, error, source_type, \
         source_id, run_id, span_id, rationale, overrides, valid, metadata, created_ms, updated_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) \
         ON CONFLICT (trace_id, assessment_id) DO UPDATE SET name = excluded.name, value = excluded.value, \
         number = excluded.number, error = excluded.error, rationale = excluded.rationale, \
         valid = excluded.valid, metadata = excluded.metadata, updated_ms = excluded.updated_ms",
        args![
            &assessment.assessment_id,
            &assessment.trace_id,
            assessment.verdict.kind().name(),
            &assessment.name,
            dumped(&assessment.verdict.value()),
            assessment.verdict.number(),
            failure,
            assessment.source_type.name(),
            &assessment.source_id,
            assessment.run_id.clone(),
            assessment.span_id.clone(),
            assessment.rationale.clone(),
            assessment.overrides.clone(),
            assessment.valid,
            metadata,
            assessment.created.as_millis(),
            assessment.updated.as_millis()
        ],
    )?;
    Ok(())
}

fn text_of(value: &impl serde::Serialize) -> Result<String> {
    let value = serde_json::to_value(value)
        .map_err(|source| TraceError::Unreadable { what: "part of an assessment", source })?;
    Ok(dumped(&value))
}

/// False when the trace has no such assessment.
pub(crate) fn set_valid(tx: &mut Tx<'_>, trace_id: &str, assessment_id: &str, valid: bool) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE trace_assessments SET valid = $3 WHERE trace_id = $1 AND assessment_id = $2",
        args![trace_id, assessment_id, valid],
    )?;
    Ok(changed == 1)
}

pub(crate) fn delete_assessment(tx: &mut Tx<'_>, trace_id: &str, assessment_id: &str) -> Result<()> {
    let sql = "DELETE FROM trace_assessments WHERE trace_id = $1 AND assessment_id = $2";
    tx.execute(sql, args![trace_id, assessment_id])?;
    Ok(())
}

/// Locked until the commit.
pub(crate) fn lock_assessment(
    tx: &mut Tx<'_>,
    trace_id: &str,
    assessment_id: &str,
) -> Result<Option<Assessment>> {
    let lock = tx.for_update();
    let sql = format!(
        "SELECT {ASSESSMENT} FROM trace_assessments WHERE trace_id = $1 AND assessment_id = $2{lock}"
    );
    tx.query_one(&sql, args![trace_id, assessment_id])?.as_ref().map(assessment).transpose()
}

pub(crate) async fn assessment_by_id(
    db: &Db,
    trace_id: &str,
    assessment_id: &str,
) -> Result<Option<Assessment>> {
    let sql =
        format!("SELECT {ASSESSMENT} FROM trace_assessments WHERE trace_id = $1 AND assessment_id = $2");
    db.read_one(sql, args![trace_id, assessment_id]).await?.as_ref().map(assessment).transpose()
}

/// Oldest first, by trace.
pub(super) async fn assessments_of(db: &Db, ids: &[String]) -> Result<HashMap<String, Vec<Assessment>>> {
    let mut arguments = Vec::new();
    let list = holes(&mut arguments, ids);
    let sql = format!(
        "SELECT {ASSESSMENT} FROM trace_assessments WHERE trace_id IN {list} ORDER BY created_ms, assessment_id"
    );
    let mut all: HashMap<String, Vec<Assessment>> = HashMap::new();
    for row in db.read(sql, arguments).await? {
        let assessment = assessment(&row)?;
        all.entry(assessment.trace_id.clone()).or_default().push(assessment);
    }
    Ok(all)
}

fn assessment(row: &Row) -> Result<Assessment> {
    let kind = AssessmentKind::parse(row.text(2)?).unwrap_or(AssessmentKind::Feedback);
    Ok(Assessment {
        assessment_id: row.string(0)?,
        trace_id: row.string(1)?,
        verdict: Verdict::stored(kind, loaded(row.text(4)?), parsed(row, 5)?),
        name: row.string(3)?,
        source_type: SourceType::parse(row.text(6)?).unwrap_or(SourceType::Unspecified),
        source_id: row.string(7)?,
        run_id: row.opt_string(8)?,
        span_id: row.opt_string(9)?,
        rationale: row.opt_string(10)?,
        overrides: row.opt_string(11)?,
        valid: row.bool(12)?,
        metadata: parsed(row, 13)?.unwrap_or_default(),
        created: Timestamp::from_millis(row.int(14)?),
        updated: Timestamp::from_millis(row.int(15)?),
    })
}

fn parsed<T: DeserializeOwned>(row: &Row, column: usize) -> Result<Option<T>> {
    let Some(text) = row.opt_string(column)? else { return Ok(None) };
    let read = serde_json::from_str(&text);
    read.map(Some).map_err(|source| TraceError::Unreadable { what: "assessment", source })
}
