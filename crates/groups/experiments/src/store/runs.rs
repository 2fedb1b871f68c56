use std::collections::{BTreeMap, HashMap};

use kernel_series::Summaries;
use platform_db::{Db, Row, Tx, args};
use platform_primitives::Timestamp;

use super::{LIST_MAX, Result, Rows, holes, inputs_of, models_of_runs, tail_of};
use crate::ExperimentError;
use crate::model::{Run, RunRecord, RunStatus};

const RUN: &str = "r.id, r.experiment_id, r.name, r.status, r.user_name, r.deleted, r.start_ms, r.end_ms, \
                   r.artifact_root";
const FIELDS: &str = "r.linked, r.params, r.tags, r.metrics";

/// A run with its texts as they are stored: searches decode only what they look at.
pub(crate) struct StoredRun {
    pub run: Run,
    pub linked: bool,
    pub params: String,
    pub tags: String,
    pub metrics: Summaries,
}

impl StoredRun {
    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        512 + self.run.artifact_root.len()
            + self.params.len()
            + self.tags.len()
            + self.metrics.iter().map(|(key, _)| key.len() + 80).sum::<usize>()
    }
}

pub(crate) fn insert_run(tx: &mut Tx<'_>, run: &Run, tags: &BTreeMap<String, String>) -> Result<()> {
    tx.execute(
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
    tx.execute(
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
    tx.query_one(&sql, args![id])?.as_ref().map(run).transpose()
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
    tx.execute("UPDATE runs SET params = $2 WHERE id = $1", args![id, texts(params)])?;
    Ok(())
}

pub(crate) fn put_tags(tx: &mut Tx<'_>, id: &str, tags: &BTreeMap<String, String>) -> Result<()> {
    tx.execute("UPDATE runs SET tags = $2 WHERE id = $1", args![id, texts(tags)])?;
    Ok(())
}

pub(crate) fn set_linked(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    tx.execute("UPDATE runs SET linked = $2 WHERE id = $1", args![id, true])?;
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

pub(crate) fn parse_texts(json: &str) -> BTreeMap<String, String> {
    serde_json::from_str(json).expect("the column holds what `texts` wrote")
}

pub(crate) async fn run_by_id(db: &Db, id: &str) -> Result<Option<Run>> {
    let sql = format!("SELECT {RUN} FROM runs r WHERE r.id = $1");
    db.read_one(sql, args![id]).await?.as_ref().map(run).transpose()
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
pub(crate) fn stored_runs(rows: &mut impl Rows, ids: &[String]) -> Result<Vec<StoredRun>> {
    let mut arguments = Vec::new();
    let list = holes(ids, &mut arguments);
    let sql = format!("SELECT {RUN}, {FIELDS} FROM runs r WHERE r.id IN ({list})");
    let answer = rows.rows(&sql, arguments)?;
    with_tail(rows, &answer)
}

/// One page of all runs of an experiment, behind `after` (start and id); index `runs_by_experiment`.
pub(crate) fn runs_of_experiment(
    rows: &mut impl Rows,
    experiment: i64,
    after: &(i64, String),
    limit: usize,
) -> Result<Vec<StoredRun>> {
    let sql = format!(
        "SELECT {RUN}, {FIELDS} FROM runs r WHERE r.experiment_id = $1 AND (r.start_ms, r.id) > ($2, $3) \
         ORDER BY r.start_ms, r.id LIMIT $4"
    );
    let answer = rows.rows(&sql, args![experiment, after.0, &after.1, limit as i64])?;
    with_tail(rows, &answer)
}

fn with_tail(rows: &mut impl Rows, answer: &[Row]) -> Result<Vec<StoredRun>> {
    let mut found = Vec::with_capacity(answer.len());
    for row in answer {
        found.push(StoredRun {
            run: run(row)?,
            linked: row.bool(9)?,
            params: row.string(10)?,
            tags: row.string(11)?,
            metrics: Summaries::decode(row.bytes(12)?)?,
        });
    }
    for page in found.chunks_mut(LIST_MAX) {
        let ids: Vec<String> = page.iter().map(|stored| stored.run.id.clone()).collect();
        let tail = tail_of(rows, &ids)?;
        for stored in page {
            if let Some(summaries) = tail.get(&stored.run.id) {
                stored.metrics.merge(summaries);
            }
        }
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

fn run(row: &Row) -> Result<Run> {
    Ok(Run {
        id: row.string(0)?,
        experiment_id: row.int(1)?,
        name: row.string(2)?,
        status: RunStatus::parse(row.text(3)?)?,
        user: row.string(4)?,
        deleted: row.bool(5)?,
        start: Timestamp::from_millis(row.int(6)?),
        end: row.opt_int(7)?.map(Timestamp::from_millis),
        artifact_root: row.string(8)?,
    })
}

/// Ids of the runs of an experiment, for a change of all of them; at most `limit` behind `after`.
pub(crate) fn run_ids(tx: &mut Tx<'_>, experiment: i64, after: &str, limit: usize) -> Result<Vec<String>> {
    let sql = "SELECT id FROM runs WHERE experiment_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    let rows = tx.query(sql, args![experiment, after, limit as i64])?;
    rows.iter().map(|row| Ok(row.string(0)?)).collect()
}
