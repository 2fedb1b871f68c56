use platform_db::{Db, Tx, args};
use platform_primitives::Timestamp;

use crate::LoopError;
use crate::model::{Attempt, LoopState};

type Result<T> = std::result::Result<T, LoopError>;

pub(crate) fn put_loop(
    tx: &mut Tx<'_>,
    project: &str,
    endpoint: &str,
    state: &LoopState,
    now: Timestamp,
) -> Result<()> {
    let json = serde_json::to_string(state).expect("a loop's state is plain data");
    tx.execute(
        "INSERT INTO loops (project, endpoint, state, updated_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (project) DO UPDATE SET state = excluded.state, updated_ms = excluded.updated_ms",
        args![project, endpoint, json, now.as_millis()],
    )?;
    Ok(())
}

pub(crate) fn put_attempt(tx: &mut Tx<'_>, attempt: &Attempt) -> Result<()> {
    let json = serde_json::to_string(attempt).expect("an attempt is plain data");
    tx.execute(
        "INSERT INTO loop_attempts (id, project, number, phase, record) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (id) DO UPDATE SET phase = excluded.phase, record = excluded.record",
        args![&attempt.id, &attempt.project, attempt.number, attempt.phase.name(), json],
    )?;
    Ok(())
}

/// Endpoint and state.
pub(crate) async fn find(db: &Db, project: &str) -> Result<Option<(String, LoopState)>> {
    let row = db.read_one("SELECT endpoint, state FROM loops WHERE project = $1", args![project]).await?;
    let Some(row) = row else { return Ok(None) };
    let corrupt = |_| LoopError::Corrupt { project: project.to_owned() };
    Ok(Some((row.string(0)?, serde_json::from_str(row.text(1)?).map_err(corrupt)?)))
}

/// Names of projects with a loop, at most 1,000.
pub(crate) async fn projects(db: &Db) -> Result<Vec<String>> {
    let rows = db.read("SELECT project FROM loops ORDER BY project LIMIT 1000", args![]).await?;
    rows.iter().map(|row| Ok(row.string(0)?)).collect()
}

/// All attempts of a project, oldest first. Bounded by the budget times the project's age.
pub(crate) async fn attempts(db: &Db, project: &str) -> Result<Vec<Attempt>> {
    let rows = db
        .read("SELECT record FROM loop_attempts WHERE project = $1 ORDER BY number", args![project])
        .await?;
    let corrupt = |_| LoopError::Corrupt { project: project.to_owned() };
    rows.iter().map(|row| serde_json::from_str(row.text(0)?).map_err(corrupt)).collect()
}
