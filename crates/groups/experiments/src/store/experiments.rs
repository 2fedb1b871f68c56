use platform_db::{Db, Row, Tx, Value, args};
use platform_primitives::Timestamp;
use platform_web::mlflow::search::{self, Ask, Domain, Side};

use super::{LIST_MAX, Result, View, holes, pairs};
use crate::ExperimentError;
use crate::model::Experiment;

const EXPERIMENTS: Domain<'static> = Domain {
    attributes: &[
        ("name", "e.name", false),
        ("experiment_id", "CAST(e.id AS TEXT)", false),
        ("creation_time", "e.created_ms", true),
        ("last_update_time", "e.updated_ms", true),
    ],
    sides: &[Side {
        names: &["tag", "tags"],
        table: "experiment_tags",
        join: "s.experiment_id = e.id",
        numeric: false,
        missing_differs: false,
    }],
    tie: &[("e.created_ms", false, true), ("e.id", true, true)],
};

const EXPERIMENT: &str =
    "e.id, e.name, e.deleted, e.created_ms, e.updated_ms, e.workspace, e.artifact_location";
const EXPERIMENT_COLUMNS: usize = 7;

/// The next number; whoever else wants one waits until the commit, and gets this one if there is none.
pub(crate) fn next_experiment_id(tx: &mut Tx<'_>) -> Result<i64> {
    let row = tx.query_one("UPDATE experiment_ids SET next = next + 1 RETURNING next - 1", args![])?;
    Ok(row.expect("the migration makes the one row, and nothing deletes it").int(0)?)
}

/// From the commit on only numbers above this one are given out; until then none is. Who gives an experiment another number than
/// the next one asks this first.
pub(crate) fn pass_experiment_id(tx: &mut Tx<'_>, id: i64) -> Result<()> {
    // Numbers that were passed already change nothing, but lock the row.
    let sql = "UPDATE experiment_ids SET next = CASE WHEN next > $1 THEN next ELSE $1 + 1 END";
    tx.execute(sql, args![id])?;
    Ok(())
}

/// No number is given out until the commit.
pub(crate) fn lock_experiment_ids(tx: &mut Tx<'_>) -> Result<()> {
    let sql = format!("SELECT next FROM experiment_ids{}", tx.for_update());
    tx.query_one(&sql, args![])?;
    Ok(())
}

/// Gives the next number; experiment 0 is the default one.
pub(crate) fn insert_experiment(
    tx: &mut Tx<'_>,
    workspace: &str,
    name: &str,
    location: &str,
    now: Timestamp,
) -> Result<i64> {
    let id = next_experiment_id(tx)?;
    let inserted = tx.execute(
        "INSERT INTO experiments (id, name, deleted, created_ms, updated_ms, workspace, artifact_location) \
         VALUES ($1, $2, $3, $4, $4, $5, $6) ON CONFLICT (workspace, name) DO NOTHING",
        args![id, name, false, now.as_millis(), workspace, location],
    )?;
    if inserted == 0 {
        return Err(ExperimentError::ExperimentExists { name: name.to_owned() });
    }
    Ok(id)
}

/// The folders of this server's store that other experiments chose. Whoever chooses one holds the row of the counter already.
pub(crate) fn chosen_folders(tx: &mut Tx<'_>, but: i64) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT artifact_location FROM experiments \
               WHERE artifact_location LIKE 'mlflow-artifacts:%' AND id <> $1";
    tx.query(sql, args![but])?.iter().map(|row| Ok(row.string(0)?)).collect()
}

/// The experiment without its tags, locked until the commit; `shared` against changes of the experiment only.
pub(crate) fn lock_experiment(tx: &mut Tx<'_>, id: i64, shared: bool) -> Result<Option<Experiment>> {
    let lock = match tx.for_update() {
        "" => "",
        _ if shared => " FOR SHARE",
        lock => lock,
    };
    let sql = format!("SELECT {EXPERIMENT} FROM experiments e WHERE e.id = $1{lock}");
    tx.query_one(&sql, args![id])?.as_ref().map(experiment).transpose()
}

pub(crate) fn update_experiment(tx: &mut Tx<'_>, experiment: &Experiment, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE experiments SET name = $2, deleted = $3, updated_ms = $4 WHERE id = $1",
        args![experiment.id, &experiment.name, experiment.deleted, now.as_millis()],
    )
    .map_err(|error| match error.is_unique_violation() {
        true => ExperimentError::ExperimentExists { name: experiment.name.clone() },
        false => error.into(),
    })?;
    Ok(())
}

pub(crate) fn put_experiment_tag(tx: &mut Tx<'_>, id: i64, key: &str, value: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO experiment_tags (experiment_id, key, value) VALUES ($1, $2, $3) \
         ON CONFLICT (experiment_id, key) DO UPDATE SET value = excluded.value",
        args![id, key, value],
    )?;
    Ok(())
}

/// `false` when there was no such tag.
pub(crate) fn delete_experiment_tag(tx: &mut Tx<'_>, id: i64, key: &str) -> Result<bool> {
    let gone =
        tx.execute("DELETE FROM experiment_tags WHERE experiment_id = $1 AND key = $2", args![id, key])?;
    Ok(gone == 1)
}

pub(crate) async fn experiment_by_id(db: &Db, id: i64) -> Result<Option<Experiment>> {
    one_experiment(db, "e.id = $1", args![id]).await
}

/// By the unique index on names.
pub(crate) async fn experiment_by_name(db: &Db, workspace: &str, name: &str) -> Result<Option<Experiment>> {
    one_experiment(db, "e.workspace = $1 AND e.name = $2", args![workspace, name]).await
}

async fn one_experiment(
    db: &Db,
    condition: &'static str,
    arguments: Vec<Value>,
) -> Result<Option<Experiment>> {
    let sql = format!("SELECT {EXPERIMENT} FROM experiments e WHERE {condition}");
    let Some(row) = db.read_one(sql, arguments).await? else { return Ok(None) };
    let mut experiment = experiment(&row)?;
    experiment.tags = pairs(db, "experiment_tags", "experiment_id", experiment.id.into()).await?;
    Ok(Some(experiment))
}

/// Newest first unless the order says otherwise; the token of the next page.
pub(crate) async fn search_experiments(
    db: &Db,
    workspace: Option<&str>,
    view: View,
    ask: &Ask,
) -> Result<(Vec<Experiment>, Option<String>)> {
    let (within, arguments) = match workspace {
        Some(workspace) => ("e.workspace = $1", args![workspace]),
        None => ("1 = 1", args![]),
    };
    let from = format!("FROM experiments e WHERE {within}{}", view.condition("e"));
    let paged = search::paged(&EXPERIMENTS, (EXPERIMENT, EXPERIMENT_COLUMNS), &from, arguments, ask)?;
    let mut rows = db.read(paged.sql.clone(), paged.arguments.clone()).await?;
    let token = paged.cut(&mut rows);
    let mut found: Vec<Experiment> = rows.iter().map(experiment).collect::<Result<_>>()?;
    for page in found.chunks_mut(LIST_MAX) {
        let ids: Vec<i64> = page.iter().map(|experiment| experiment.id).collect();
        let mut arguments = Vec::new();
        let list = holes(&ids, &mut arguments);
        let sql =
            format!("SELECT experiment_id, key, value FROM experiment_tags WHERE experiment_id IN ({list})");
        for row in db.read(sql, arguments).await? {
            let id = row.int(0)?;
            if let Some(experiment) = page.iter_mut().find(|experiment| experiment.id == id) {
                experiment.tags.insert(row.string(1)?, row.string(2)?);
            }
        }
    }
    Ok((found, token))
}

/// The workspace of an experiment, deleted or not.
pub(crate) async fn home_of(db: &Db, id: i64) -> Result<Option<String>> {
    let row = db.read_one("SELECT workspace FROM experiments WHERE id = $1", args![id]).await?;
    row.map(|row| Ok(row.string(0)?)).transpose()
}

/// The workspaces of those of the experiments that exist.
pub(crate) async fn homes_of(db: &Db, ids: &[i64]) -> Result<Vec<(i64, String)>> {
    let mut homes = Vec::with_capacity(ids.len());
    for page in ids.chunks(LIST_MAX) {
        let mut arguments = Vec::new();
        let list = holes(page, &mut arguments);
        let rows =
            db.read(format!("SELECT id, workspace FROM experiments WHERE id IN ({list})"), arguments).await?;
        for row in rows {
            homes.push((row.int(0)?, row.string(1)?));
        }
    }
    Ok(homes)
}

pub(crate) fn home_within(tx: &mut Tx<'_>, id: i64) -> Result<Option<String>> {
    let row = tx.query_one("SELECT workspace FROM experiments WHERE id = $1", args![id])?;
    row.map(|row| Ok(row.string(0)?)).transpose()
}

pub(crate) async fn count_experiments(db: &Db, workspace: &str) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM experiments WHERE workspace = $1";
    Ok(db.read_one(sql, args![workspace]).await?.map_or(Ok(0), |row| row.int(0))?)
}

fn experiment(row: &Row) -> Result<Experiment> {
    Ok(Experiment {
        id: row.int(0)?,
        name: row.string(1)?,
        deleted: row.bool(2)?,
        created: Timestamp::from_millis(row.int(3)?),
        updated: Timestamp::from_millis(row.int(4)?),
        workspace: row.string(5)?,
        artifact_location: row.string(6)?,
        tags: Default::default(),
    })
}
