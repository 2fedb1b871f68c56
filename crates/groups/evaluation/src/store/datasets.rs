use platform_db::{Db, Row, Tx, Value, args};
use platform_primitives::Timestamp;
use platform_web::mlflow::search::{self, Ask, Domain, Side};

use super::Result;
use crate::EvaluationError;
use crate::model::{EvaluationDataset, EvaluationRecord};

const DATASET: &str = "d.id, d.name, d.digest, d.schema_json, d.records, d.created_ms, d.updated_ms, d.created_by, \
                       d.updated_by";
const DATASET_COLUMNS: usize = 9;

const DATASETS: Domain<'static> = Domain {
    attributes: &[
        ("name", "d.name", false),
        ("created_time", "d.created_ms", true),
        ("last_update_time", "d.updated_ms", true),
        ("created_by", "d.created_by", false),
        ("last_updated_by", "d.updated_by", false),
    ],
    sides: &[Side {
        names: &["tags", "tag"],
        table: "evaluation_dataset_tags",
        join: "s.dataset_id = d.id",
        numeric: false,
        missing_differs: false,
    }],
    tie: &[("d.created_ms", false, true), ("d.id", true, false)],
};

pub(crate) fn insert_dataset(tx: &mut Tx<'_>, workspace: &str, dataset: &EvaluationDataset) -> Result<()> {
    tx.execute(
        "INSERT INTO evaluation_datasets (id, name, digest, schema_json, records, created_ms, updated_ms, created_by, \
         updated_by, workspace) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        args![
            &dataset.id,
            &dataset.name,
            &dataset.digest,
            dataset.schema.as_ref().map(ToString::to_string),
            dataset.records,
            dataset.created.as_millis(),
            dataset.updated.as_millis(),
            dataset.created_by.clone(),
            dataset.updated_by.clone(),
            workspace
        ],
    )?;
    for (key, value) in &dataset.tags {
        put_tag(tx, &dataset.id, key, value)?;
    }
    for experiment in &dataset.experiments {
        link_experiment(tx, &dataset.id, experiment)?;
    }
    Ok(())
}

pub(crate) fn update_dataset(tx: &mut Tx<'_>, dataset: &EvaluationDataset) -> Result<()> {
    tx.execute(
        "UPDATE evaluation_datasets SET digest = $2, schema_json = $3, records = $4, updated_ms = $5, updated_by = $6 \
         WHERE id = $1",
        args![
            &dataset.id,
            &dataset.digest,
            dataset.schema.as_ref().map(ToString::to_string),
            dataset.records,
            dataset.updated.as_millis(),
            dataset.updated_by.clone()
        ],
    )?;
    Ok(())
}

/// The condition that a data set lies in the workspace, if there is one, with its argument.
fn within(workspace: Option<&str>, arguments: &mut Vec<Value>) -> String {
    let Some(workspace) = workspace else { return String::new() };
    arguments.push(workspace.into());
    format!(" AND d.workspace = ${}", arguments.len())
}

pub(crate) async fn count_datasets(db: &Db, workspace: &str) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM evaluation_datasets WHERE workspace = $1";
    Ok(db.read_one(sql, args![workspace]).await?.map_or(Ok(0), |row| row.int(0))?)
}

/// Without tags and experiments; the row is locked until the commit.
pub(crate) fn lock_dataset(tx: &mut Tx<'_>, workspace: Option<&str>, id: &str) -> Result<EvaluationDataset> {
    let mut arguments = args![id];
    let within = within(workspace, &mut arguments);
    let lock = tx.for_update();
    let sql = format!("SELECT {DATASET} FROM evaluation_datasets d WHERE d.id = $1{within}{lock}");
    let row = tx.query_one(&sql, arguments)?;
    dataset(&row.ok_or_else(|| EvaluationError::DatasetNotFound { id: id.to_owned() })?)
}

pub(crate) fn put_tag(tx: &mut Tx<'_>, id: &str, key: &str, value: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO evaluation_dataset_tags (dataset_id, key, value) VALUES ($1, $2, $3) \
         ON CONFLICT (dataset_id, key) DO UPDATE SET value = excluded.value",
        args![id, key, value],
    )?;
    Ok(())
}

pub(crate) fn delete_tag(tx: &mut Tx<'_>, id: &str, key: &str) -> Result<()> {
    tx.execute("DELETE FROM evaluation_dataset_tags WHERE dataset_id = $1 AND key = $2", args![id, key])?;
    Ok(())
}

/// Behind those that are there; one that is there stays where it is.
pub(crate) fn link_experiment(tx: &mut Tx<'_>, id: &str, experiment: &str) -> Result<()> {
    let sql = "SELECT COALESCE(MAX(place), -1) + 1 FROM evaluation_dataset_experiments WHERE dataset_id = $1";
    let place = tx.query_one(sql, args![id])?.map_or(Ok(0), |row| row.int(0))?;
    tx.execute(
        "INSERT INTO evaluation_dataset_experiments (dataset_id, experiment_id, place) VALUES ($1, $2, $3) \
         ON CONFLICT DO NOTHING",
        args![id, experiment, place],
    )?;
    Ok(())
}

pub(crate) fn unlink_experiment(tx: &mut Tx<'_>, id: &str, experiment: &str) -> Result<()> {
    let sql = "DELETE FROM evaluation_dataset_experiments WHERE dataset_id = $1 AND experiment_id = $2";
    tx.execute(sql, args![id, experiment])?;
    Ok(())
}

/// With its records; whether it was there.
pub(crate) fn delete_dataset(tx: &mut Tx<'_>, workspace: Option<&str>, id: &str) -> Result<bool> {
    let mut arguments = args![id];
    let within = within(workspace, &mut arguments);
    // Whoever puts records holds this row.
    let sql = format!("SELECT d.id FROM evaluation_datasets d WHERE d.id = $1{within}{}", tx.for_update());
    if tx.query_one(&sql, arguments)?.is_none() {
        return Ok(false);
    }
    for table in ["evaluation_dataset_tags", "evaluation_dataset_experiments", "evaluation_records"] {
        tx.execute(&format!("DELETE FROM {table} WHERE dataset_id = $1"), args![id])?;
    }
    Ok(tx.execute("DELETE FROM evaluation_datasets WHERE id = $1", args![id])? > 0)
}

pub(crate) async fn dataset_by_id(db: &Db, workspace: Option<&str>, id: &str) -> Result<EvaluationDataset> {
    let mut arguments = args![id];
    let within = within(workspace, &mut arguments);
    let sql = format!("SELECT {DATASET} FROM evaluation_datasets d WHERE d.id = $1{within}");
    let row = db.read_one(sql, arguments).await?;
    let found = dataset(&row.ok_or_else(|| EvaluationError::DatasetNotFound { id: id.to_owned() })?)?;
    with_fields(db, found).await
}

pub(crate) async fn search_datasets(
    db: &Db,
    workspace: Option<&str>,
    experiments: &[String],
    ask: &Ask,
) -> Result<(Vec<EvaluationDataset>, Option<String>)> {
    let mut arguments: Vec<Value> = Vec::new();
    let within = within(workspace, &mut arguments);
    let mut from = format!("FROM evaluation_datasets d WHERE 1 = 1{within}");
    if !experiments.is_empty() {
        let mut holes = Vec::new();
        for experiment in experiments {
            arguments.push(experiment.as_str().into());
            holes.push(format!("${}", arguments.len()));
        }
        from.push_str(&format!(
            " AND d.id IN (SELECT dataset_id FROM evaluation_dataset_experiments WHERE experiment_id IN ({}))",
            holes.join(", ")
        ));
    }
    let paged = search::paged(&DATASETS, (DATASET, DATASET_COLUMNS), &from, arguments, ask)?;
    let mut rows = db.read(paged.sql.clone(), paged.arguments.clone()).await?;
    let token = paged.cut(&mut rows);
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        found.push(with_fields(db, dataset(row)?).await?);
    }
    Ok((found, token))
}

async fn with_fields(db: &Db, mut dataset: EvaluationDataset) -> Result<EvaluationDataset> {
    let sql = "SELECT key, value FROM evaluation_dataset_tags WHERE dataset_id = $1";
    for row in db.read(sql, args![&dataset.id]).await? {
        dataset.tags.insert(row.string(0)?, row.string(1)?);
    }
    let sql = "SELECT experiment_id FROM evaluation_dataset_experiments WHERE dataset_id = $1 ORDER BY place";
    for row in db.read(sql, args![&dataset.id]).await? {
        dataset.experiments.push(row.string(0)?);
    }
    Ok(dataset)
}

fn dataset(row: &Row) -> Result<EvaluationDataset> {
    let schema = row.opt_string(3)?.map(|text| serde_json::from_str(&text)).transpose();
    Ok(EvaluationDataset {
        id: row.string(0)?,
        name: row.string(1)?,
        digest: row.string(2)?,
        schema: schema.map_err(|source| EvaluationError::Unreadable { what: "schema", source })?,
        records: row.int(4)?,
        created: Timestamp::from_millis(row.int(5)?),
        updated: Timestamp::from_millis(row.int(6)?),
        created_by: row.opt_string(7)?,
        updated_by: row.opt_string(8)?,
        tags: Default::default(),
        experiments: Vec::new(),
    })
}

const RECORD: &str = "id, dataset_id, input_hash, body, created_ms, updated_ms";

pub(crate) fn record_by_inputs(
    tx: &mut Tx<'_>,
    dataset: &str,
    hash: &str,
) -> Result<Option<EvaluationRecord>> {
    let sql = format!("SELECT {RECORD} FROM evaluation_records WHERE dataset_id = $1 AND input_hash = $2");
    tx.query_one(&sql, args![dataset, hash])?.as_ref().map(record).transpose()
}

pub(crate) fn put_record(tx: &mut Tx<'_>, record: &EvaluationRecord) -> Result<()> {
    let body = serde_json::Value::Object(record.body.clone()).to_string();
    tx.execute(
        &format!(
            "INSERT INTO evaluation_records ({RECORD}) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (id) DO UPDATE SET body = excluded.body, updated_ms = excluded.updated_ms"
        ),
        args![
            &record.id,
            &record.dataset,
            &record.input_hash,
            body,
            record.created.as_millis(),
            record.updated.as_millis()
        ],
    )?;
    Ok(())
}

/// How many of them were there.
pub(crate) fn delete_records(tx: &mut Tx<'_>, dataset: &str, ids: &[String]) -> Result<i64> {
    let mut gone = 0;
    for id in ids {
        let sql = "DELETE FROM evaluation_records WHERE dataset_id = $1 AND id = $2";
        gone += tx.execute(sql, args![dataset, id])?;
    }
    Ok(i64::try_from(gone).unwrap_or(i64::MAX))
}

/// Records behind `after` in the order they came.
pub(crate) async fn records(
    db: &Db,
    dataset: &str,
    after: Option<(i64, String)>,
    limit: usize,
) -> Result<Vec<EvaluationRecord>> {
    let (created, id) = after.unwrap_or((i64::MIN, String::new()));
    let sql = format!(
        "SELECT {RECORD} FROM evaluation_records WHERE dataset_id = $1 \
         AND (created_ms > $2 OR (created_ms = $2 AND id > $3)) ORDER BY created_ms, id LIMIT $4"
    );
    let rows = db.read(sql, args![dataset, created, id, limit as i64]).await?;
    rows.iter().map(record).collect()
}

fn record(row: &Row) -> Result<EvaluationRecord> {
    let body = serde_json::from_str(row.text(3)?);
    Ok(EvaluationRecord {
        id: row.string(0)?,
        dataset: row.string(1)?,
        input_hash: row.string(2)?,
        body: body.map_err(|source| EvaluationError::Unreadable { what: "record", source })?,
        created: Timestamp::from_millis(row.int(4)?),
        updated: Timestamp::from_millis(row.int(5)?),
    })
}
