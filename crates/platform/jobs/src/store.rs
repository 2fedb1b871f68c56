use platform_db::{Db, Row, Tx, args};
use platform_primitives::Timestamp;

use crate::JobError;
use crate::model::{Job, JobSpec, JobState, Lease};

const COLUMNS: &str = "id, spec, state, attempt, created_ms, started_ms, ended_ms, exit_code, error, log_digest, \
     lease_owner, lease_until_ms";

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

/// Jobs in `state`, oldest first, at most `limit`; index `jobs_by_state`. A row that cannot be read is an
/// error of its own, so that the others can be worked on.
pub(crate) async fn in_state(
    db: &Db,
    state: JobState,
    limit: usize,
) -> Result<Vec<Result<Job, JobError>>, JobError> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE state = $1 ORDER BY id LIMIT $2");
    Ok(db.read(sql, args![state.name(), limit as i64]).await?.iter().map(job).collect())
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

/// Replaces `old` by `new`, if `owner` still has the lease and nobody has moved the job since it was read.
/// `false` if somebody has: the outcome is theirs to tell.
pub(crate) fn set_state(tx: &mut Tx<'_>, owner: &str, old: &Job, new: &Job) -> Result<bool, JobError> {
    let state = old.state.advance(new.state)?;
    // A job that is queued again may be taken by any server.
    let next_owner = (state != JobState::Queued).then_some(owner);
    let changed = tx.execute(
        "UPDATE jobs SET state = $5, attempt = $6, started_ms = $7, ended_ms = $8, exit_code = $9, error = $10, \
         log_digest = $11, lease_owner = $12 \
         WHERE id = $1 AND lease_owner = $2 AND state = $3 AND attempt = $4",
        args![
            &old.id,
            owner,
            old.state.name(),
            i64::from(old.attempt),
            state.name(),
            i64::from(new.attempt),
            new.started.map(Timestamp::as_millis),
            new.ended.map(Timestamp::as_millis),
            new.exit_code,
            new.error.clone(),
            new.log_digest.clone(),
            next_owner
        ],
    )?;
    Ok(changed == 1)
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
        lease: match (row.opt_string(10)?, row.opt_int(11)?) {
            (Some(owner), Some(until)) => Some(Lease { owner, until: Timestamp::from_millis(until) }),
            _ => None,
        },
        id,
    })
}
