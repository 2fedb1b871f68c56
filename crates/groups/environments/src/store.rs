use std::path::Path;

use platform_db::{Db, Row, Tx, args};
use platform_primitives::Timestamp;

use crate::{Environment, EnvironmentError, EnvironmentState};

type Result<T> = std::result::Result<T, EnvironmentError>;

const COLUMNS: &str = "id, project, state, job_id, lock_digest, error";

pub(crate) fn put(tx: &mut Tx<'_>, environment: &Environment, now: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO environments (id, project, state, job_id, lock_digest, error, created_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET state = excluded.state, \
         job_id = excluded.job_id, error = excluded.error",
        args![
            &environment.id,
            &environment.project,
            environment.state.name(),
            &environment.job_id,
            &environment.lock_digest,
            environment.error.clone(),
            now.as_millis()
        ],
    )?;
    Ok(())
}

pub(crate) async fn find(db: &Db, root: &Path, id: &str) -> Result<Option<Environment>> {
    let sql = format!("SELECT {COLUMNS} FROM environments WHERE id = $1");
    db.read_one(sql, args![id]).await?.map(|row| environment(&row, root)).transpose()
}

/// Environments still being built; a handful.
pub(crate) async fn building(db: &Db, root: &Path) -> Result<Vec<Environment>> {
    let sql = format!("SELECT {COLUMNS} FROM environments WHERE state = 'building'");
    db.read(sql, args![]).await?.iter().map(|row| environment(row, root)).collect()
}

fn environment(row: &Row, root: &Path) -> Result<Environment> {
    let (id, value) = (row.string(0)?, row.string(2)?);
    let state = EnvironmentState::parse(&value)
        .ok_or_else(|| EnvironmentError::Corrupt { id: id.clone(), value: value.clone() })?;
    Ok(Environment {
        project: row.string(1)?,
        state,
        job_id: row.string(3)?,
        lock_digest: row.string(4)?,
        error: row.opt_string(5)?,
        directory: root.join(&id).join("venv"),
        id,
    })
}
