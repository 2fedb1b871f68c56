use platform_db::{Db, Row, Tx, args};
use platform_primitives::Timestamp;

use crate::model::{Job, JobSpec, JobState};
use crate::JobError;

const COLUMNS: &str =
    "id, spec, state, attempt, created_ms, started_ms, ended_ms, exit_code, error, log_digest";

pub(crate) fn insert(tx: &mut Tx<'_>, id: &str, spec: &JobSpec, now: Timestamp) -> Result<(), JobError> {
    let json = serde_json::to_string(spec).expect("a job spec is plain data");
    tx.execute(
        "INSERT INTO jobs (id, project, name, state, attempt, spec, created_ms) \
         VALUES ($1, $2, $3, 'queued', 0, $4, $5)",
        args![id, &spec.project, &spec.name, json, now.as_millis()],
    )?;
    Ok(())
}

pub(crate) async fn find(db: &Db, id: &str) -> Result<Option<Job>, JobError> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = $1");
    db.read_one(sql, args![id]).await?.as_ref().map(job).transpose()
}

/// Jobs in `state`, oldest first, at most `limit`; index `jobs_by_state`.
pub(crate) async fn in_state(db: &Db, state: JobState, limit: usize) -> Result<Vec<Job>, JobError> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE state = $1 ORDER BY id LIMIT $2");
    db.read(sql, args![state.name(), limit as i64]).await?.iter().map(job).collect()
}

/// Takes a job for `owner` when it is queued, or when its holder let the lease run out.
/// `false` if another server was quicker.
pub(crate) fn lease(
    tx: &mut Tx<'_>,
    id: &str,
    owner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, JobError> {
    let changed = tx.execute(
        "UPDATE jobs SET lease_owner = $2, lease_until_ms = $4 WHERE id = $1 AND state IN ('queued', 'running') \
         AND (lease_owner IS NULL OR lease_owner = $2 OR lease_until_ms < $3)",
        args![id, owner, now.as_millis(), until.as_millis()],
    )?;
    Ok(changed == 1)
}

/// Moves a job to `to`; the caller has checked the change with [`JobState::advance`].
pub(crate) fn set_state(tx: &mut Tx<'_>, job: &Job, to: JobState, now: Timestamp) -> Result<(), JobError> {
    let state = job.state.advance(to)?;
    let (started, ended) = match state {
        JobState::Running => (Some(now), None),
        JobState::Queued => (None, None),
        JobState::Succeeded | JobState::Failed => (job.started, Some(now)),
    };
    tx.execute(
        "UPDATE jobs SET state = $2, attempt = $3, started_ms = $4, ended_ms = $5, exit_code = $6, error = $7, \
         log_digest = $8 WHERE id = $1",
        args![
            &job.id,
            state.name(),
            i64::from(job.attempt),
            started.map(Timestamp::as_millis),
            ended.map(Timestamp::as_millis),
            job.exit_code,
            job.error.clone(),
            job.log_digest.clone()
        ],
    )?;
    if state == JobState::Queued {
        tx.execute("UPDATE jobs SET lease_owner = NULL WHERE id = $1", args![&job.id])?;
    }
    Ok(())
}

fn job(row: &Row) -> Result<Job, JobError> {
    let id = row.string(0)?;
    let corrupt = |what| JobError::Corrupt { id: id.clone(), what };
    Ok(Job {
        spec: serde_json::from_str(row.text(1)?).map_err(|_| corrupt("spec"))?,
        state: JobState::parse(row.text(2)?).ok_or_else(|| corrupt("state"))?,
        attempt: u32::try_from(row.int(3)?).map_err(|_| corrupt("attempt"))?,
        created: Timestamp::from_millis(row.int(4)?),
        started: row.opt_int(5)?.map(Timestamp::from_millis),
        ended: row.opt_int(6)?.map(Timestamp::from_millis),
        exit_code: row.opt_int(7)?,
        error: row.opt_string(8)?,
        log_digest: row.opt_string(9)?,
        id,
    })
}
