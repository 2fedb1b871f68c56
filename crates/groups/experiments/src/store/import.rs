//! Rows as another server had them.

use platform_db::{Tx, args};

use super::{Result, put_experiment_tag};
use crate::model::Experiment;

/// By the unique index on names; deleted experiments keep theirs.
pub(crate) fn experiment_named(tx: &mut Tx<'_>, workspace: &str, name: &str) -> Result<Option<i64>> {
    let sql = "SELECT id FROM experiments WHERE workspace = $1 AND name = $2";
    let row = tx.query_one(sql, args![workspace, name])?;
    row.map(|row| Ok(row.int(0)?)).transpose()
}

/// With its id, its times and its tags; its files come to this server's store.
pub(crate) fn insert_imported_experiment(tx: &mut Tx<'_>, experiment: &Experiment) -> Result<()> {
    tx.execute(
        "INSERT INTO experiments (id, name, deleted, created_ms, updated_ms, workspace) VALUES ($1, $2, $3, $4, $5, $6)",
        args![
            experiment.id,
            &experiment.name,
            experiment.deleted,
            experiment.created.as_millis(),
            experiment.updated.as_millis(),
            &experiment.workspace
        ],
    )?;
    for (key, value) in &experiment.tags {
        put_experiment_tag(tx, experiment.id, key, value)?;
    }
    Ok(())
}

/// How many tags were added: one that is there keeps its value.
pub(crate) fn add_experiment_tag(tx: &mut Tx<'_>, id: i64, key: &str, value: &str) -> Result<u64> {
    Ok(tx.execute(
        "INSERT INTO experiment_tags (experiment_id, key, value) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        args![id, key, value],
    )?)
}

/// A number for a batch of a run that the caller has locked, behind all that wait.
pub(crate) fn next_batch(tx: &mut Tx<'_>, run: &str) -> Result<i64> {
    let sql = "SELECT COALESCE(MAX(seq), 0) + 1 FROM metric_tail WHERE run_id = $1";
    Ok(tx.query_one(sql, args![run])?.map_or(Ok(1), |row| row.int(0))?)
}
