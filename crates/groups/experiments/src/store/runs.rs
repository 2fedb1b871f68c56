use std::collections::{BTreeMap, HashMap};

use kernel_series::Summaries;
use platform_db::{Db, Row, Tx, args};
use platform_primitives::Timestamp;

use super::{LIST_MAX, Result, Rows, holes, inputs_of, models_of_runs, tail_of};
use crate::ExperimentError;
use crate::model::{Run, RunRecord, RunStatus};

pub(super) const RUN: &str = "r.id, r.experiment_id, r.name, r.status, r.user_name, r.deleted, r.start_ms, r.end_ms, \
                   r.artifact_root";
const FIELDS: &str = "r.linked, r.params, r.tags, r.metrics";

/// A run with its texts as they are stored.
struct StoredRun {
    run: Run,
    linked: bool,
    params: String,
    tags: String,
    metrics: Summaries,
}

pub(crate) fn insert_run(tx: &mut Tx<'_>, run: &Run, tags: &BTreeMap<String, String>) -> Result<()> {
    tx.execute_later(
        "INSERT INTO runs (id, experiment_id, name, status, user_name, deleted, deleted_ms, start_ms, end_ms, \
         linked, params, tags, metrics, artifact_root) \
         VALUES ($1, $2, $3, $4, $5, $6, NULL, $7, $8, $6, '{}', $9, $10, $11)",
        args![
            &run.id,
            run.experiment_id,
            &run.name,
            run.status.name(),
            &run.user,
            run.deleted,
            run.start.as_millis(),
            run.end.map(Timestamp::as_millis),
            texts(tags),
            Vec::<u8>::new(),
            &run.artifact_root
        ],
    )?;
    Ok(())
}

pub(crate) fn update_run(tx: &mut Tx<'_>, run: &Run, now: Timestamp) -> Result<()> {
    tx.execute_later(
        "UPDATE runs SET name = $2, status = $3, deleted = $4, end_ms = $5, user_name = $6, start_ms = $7, \
         deleted_ms = $8 WHERE id = $1",
        args![
            &run.id,
            &run.name,
            run.status.name(),
            run.deleted,
            run.end.map(Timestamp::as_millis),
            &run.user,
            run.start.as_millis(),
            run.deleted.then(|| now.as_millis())
        ],
    )?;
    Ok(())
}

/// The run, locked until the commit: against every change, or (`shared`) against changes of the run itself.
pub(crate) fn lock_run(tx: &mut Tx<'_>, id: &str, shared: bool) -> Result<Option<Run>> {
    let lock = match tx.for_update() {
        "" => "",
        _ if shared => " FOR SHARE",
        lock => lock,
    };
    let sql = format!("SELECT {RUN} FROM runs r WHERE r.id = $1{lock}");
    tx.query_one(&sql, args![id])?.as_ref().map(|row| run(row, 0)).transpose()
}

/// Params and tags of a run that the caller has locked.
pub(crate) fn run_texts(
    tx: &mut Tx<'_>,
    id: &str,
) -> Result<(BTreeMap<String, String>, BTreeMap<String, String>)> {
    let row = tx.query_one("SELECT params, tags FROM runs WHERE id = $1", args![id])?;
    let row = row.ok_or_else(|| ExperimentError::RunNotFound { id: id.to_owned() })?;
    Ok((parse_texts(row.text(0)?), parse_texts(row.text(1)?)))
}

pub(crate) fn put_params(tx: &mut Tx<'_>, id: &str, params: &BTreeMap<String, String>) -> Result<()> {
    tx.execute_later("UPDATE runs SET params = $2 WHERE id = $1", args![id, texts(params)])?;
    Ok(())
}

pub(crate) fn put_tags(tx: &mut Tx<'_>, id: &str, tags: &BTreeMap<String, String>) -> Result<()> {
    tx.execute_later("UPDATE runs SET tags = $2 WHERE id = $1", args![id, texts(tags)])?;
    Ok(())
}

pub(crate) fn set_linked(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    tx.execute_later("UPDATE runs SET linked = $2 WHERE id = $1", args![id, true])?;
    Ok(())
}

/// Removes a run and everything that belongs to it, except the bytes of its files.
pub(crate) fn purge_run(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    for table in ["metric_tail", "metric_chunks", "run_inputs", "run_models"] {
        tx.execute(&format!("DELETE FROM {table} WHERE run_id = $1"), args![id])?;
    }
    tx.execute("DELETE FROM runs WHERE id = $1", args![id])?;
    Ok(())
}

fn texts(map: &BTreeMap<String, String>) -> String {
    serde_json::to_string(map).expect("a map of texts is JSON")
}

fn parse_texts(json: &str) -> BTreeMap<String, String> {
    serde_json::from_str(json).expect("the column holds what `texts` wrote")
}

pub(crate) async fn run_by_id(db: &Db, id: &str) -> Result<Option<Run>> {
    let sql = format!("SELECT {RUN} FROM runs r WHERE r.id = $1");
    db.read_one(sql, args![id]).await?.as_ref().map(|row| run(row, 0)).transpose()
}

/// Records of the runs that exist, in the order of `ids`; at most a few statements a hundred runs.
pub(crate) fn records(rows: &mut impl Rows, ids: &[String]) -> Result<Vec<RunRecord>> {
    let mut found = Vec::with_capacity(ids.len());
    for page in ids.chunks(LIST_MAX) {
        let mut by_id: HashMap<String, StoredRun> =
            stored_runs(rows, page)?.into_iter().map(|stored| (stored.run.id.clone(), stored)).collect();
        let linked: Vec<String> =
            by_id.values().filter(|stored| stored.linked).map(|stored| stored.run.id.clone()).collect();
        let (mut inputs, mut models) = match linked.is_empty() {
            true => Default::default(),
            false => (inputs_of(rows, &linked)?, models_of_runs(rows, &linked)?),
        };
        for id in page {
            let Some(stored) = by_id.remove(id) else { continue };
            let (model_inputs, outputs) = models.remove(id).unwrap_or_default();
            found.push(RunRecord {
                params: parse_texts(&stored.params),
                tags: parse_texts(&stored.tags),
                metrics: stored.metrics,
                inputs: inputs.remove(id).unwrap_or_default(),
                model_inputs,
                outputs,
                run: stored.run,
            });
        }
    }
    Ok(found)
}

/// At most [`LIST_MAX`] runs, in no order, with the points that are not folded yet.
fn stored_runs(rows: &mut impl Rows, ids: &[String]) -> Result<Vec<StoredRun>> {
    let mut arguments = Vec::new();
    let list = holes(ids, &mut arguments);
    let answer =
        rows.rows(&format!("SELECT {RUN}, {FIELDS} FROM runs r WHERE r.id IN ({list})"), arguments)?;
    let tail = tail_of(rows, ids)?;
    let mut found = Vec::with_capacity(answer.len());
    for mut row in answer {
        let mut metrics = Summaries::decode(row.bytes(12)?)?;
        let run = run(&row, 0)?;
        if let Some(summaries) = tail.get(&run.id) {
            metrics.merge(summaries);
        }
        let (params, tags) = (row.take_string(10)?, row.take_string(11)?);
        found.push(StoredRun { run, linked: row.bool(9)?, params, tags, metrics });
    }
    Ok(found)
}

/// Deleted runs whose deletion is older than `before`; at most `limit`.
pub(crate) async fn purgeable_runs(
    db: &Db,
    workspace: Option<&str>,
    experiment: Option<i64>,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<String>> {
    let mut only = String::new();
    if experiment.is_some() {
        only.push_str(" AND experiment_id = $3");
    }
    if workspace.is_some() {
        let hole = if experiment.is_some() { 4 } else { 3 };
        only.push_str(&format!(
            " AND experiment_id IN (SELECT id FROM experiments WHERE workspace = ${hole})"
        ));
    }
    let sql = format!(
        "SELECT id FROM runs WHERE deleted_ms IS NOT NULL AND deleted_ms <= $1{only} ORDER BY id LIMIT $2"
    );
    let mut arguments = args![before.as_millis(), limit as i64];
    arguments.extend(experiment.map(platform_db::Value::Int));
    arguments.extend(workspace.map(platform_db::Value::from));
    let rows = db.read(sql, arguments).await?;
    rows.iter().map(|row| Ok(row.string(0)?)).collect()
}

/// The run whose columns, [`RUN`], begin at `first`.
pub(super) fn run(row: &Row, first: usize) -> Result<Run> {
    Ok(Run {
        id: row.string(first)?,
        experiment_id: row.int(first + 1)?,
        name: row.string(first + 2)?,
        status: RunStatus::parse(row.text(first + 3)?)?,
        user: row.string(first + 4)?,
        deleted: row.bool(first + 5)?,
        start: Timestamp::from_millis(row.int(first + 6)?),
        end: row.opt_int(first + 7)?.map(Timestamp::from_millis),
        artifact_root: row.string(first + 8)?,
    })
}

/// Ids of the runs of an experiment, for a change of all of them; at most `limit` behind `after`.
pub(crate) fn run_ids(tx: &mut Tx<'_>, experiment: i64, after: &str, limit: usize) -> Result<Vec<String>> {
    let sql = "SELECT id FROM runs WHERE experiment_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    let rows = tx.query(sql, args![experiment, after, limit as i64])?;
    rows.iter().map(|row| Ok(row.string(0)?)).collect()
}
