use platform_db::{Db, Row, Tx, Value, args};
use platform_primitives::Timestamp;
use platform_web::mlflow::search::{self, Ask, Domain, Side};

use super::{LIST_MAX, Result, holes, nan_as_null};
use crate::model::{DatasetKey, LoggedModel, LoggedModelStatus, ModelDatasets, ModelMetric};

const METRICS: Side<'static> = Side {
    names: &["metrics", "metric"],
    table: "logged_model_metrics",
    join: "s.model_id = m.id",
    numeric: true,
    missing_differs: false,
};

const LOGGED_MODELS: Domain<'static> = Domain {
    attributes: &[
        ("name", "m.name", false),
        ("model_id", "m.id", false),
        ("model_type", "m.model_type", false),
        ("status", "m.status", false),
        ("source_run_id", "m.run_id", false),
        ("experiment_id", "CAST(m.experiment_id AS TEXT)", false),
        ("creation_timestamp", "m.created_ms", true),
        ("creation_time", "m.created_ms", true),
        ("last_updated_timestamp", "m.updated_ms", true),
        ("last_updated_time", "m.updated_ms", true),
    ],
    sides: &[
        METRICS,
        Side {
            names: &["params", "param"],
            table: "logged_model_fields",
            join: "s.model_id = m.id AND s.kind = 'param'",
            numeric: false,
            missing_differs: false,
        },
        Side {
            names: &["tags", "tag"],
            table: "logged_model_fields",
            join: "s.model_id = m.id AND s.kind = 'tag'",
            numeric: false,
            missing_differs: false,
        },
    ],
    tie: &[("m.created_ms", false, true), ("m.id", true, false)],
};

const LOGGED_MODEL: &str = "m.id, m.experiment_id, m.run_id, m.name, m.model_type, m.status, m.status_message, \
                            m.created_ms, m.updated_ms, m.artifact_root";
const LOGGED_MODEL_COLUMNS: usize = 10;

pub(crate) fn insert_logged_model(tx: &mut Tx<'_>, model: &LoggedModel) -> Result<()> {
    tx.execute(
        "INSERT INTO logged_models (id, experiment_id, run_id, name, model_type, status, status_message, deleted, \
         created_ms, updated_ms, artifact_root) VALUES ($1, $2, $3, $4, $5, $6, '', $7, $8, $9, $10)",
        args![
            &model.id,
            model.experiment_id,
            &model.run_id,
            &model.name,
            &model.model_type,
            model.status.name(),
            false,
            model.created.as_millis(),
            model.updated.as_millis(),
            &model.artifact_root
        ],
    )?;
    for (kind, fields) in [("tag", &model.tags), ("param", &model.params)] {
        for (key, value) in fields {
            put_model_field(tx, &model.id, kind, key, value)?;
        }
    }
    Ok(())
}

pub(crate) fn set_model_status(
    tx: &mut Tx<'_>,
    id: &str,
    status: LoggedModelStatus,
    message: &str,
    now: Timestamp,
) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE logged_models SET status = $2, status_message = $3, updated_ms = $4 WHERE id = $1",
        args![id, status.name(), message, now.as_millis()],
    )?;
    Ok(changed == 1)
}

pub(crate) fn delete_logged_model(tx: &mut Tx<'_>, id: &str, now: Timestamp) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE logged_models SET deleted = $2, updated_ms = $3 WHERE id = $1 AND NOT (deleted <> (1 = 0))",
        args![id, true, now.as_millis()],
    )?;
    Ok(changed == 1)
}

/// The experiment of a logged model, deleted or not.
pub(crate) fn experiment_of_model(tx: &mut Tx<'_>, id: &str) -> Result<Option<i64>> {
    let row = tx.query_one("SELECT experiment_id FROM logged_models WHERE id = $1", args![id])?;
    row.map(|row| Ok(row.int(0)?)).transpose()
}

pub(crate) fn put_model_field(tx: &mut Tx<'_>, id: &str, kind: &str, key: &str, value: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO logged_model_fields (model_id, kind, key, value) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (model_id, kind, key) DO UPDATE SET value = excluded.value",
        args![id, kind, key, value],
    )?;
    Ok(())
}

pub(crate) fn delete_model_tag(tx: &mut Tx<'_>, id: &str, key: &str) -> Result<bool> {
    let sql = "DELETE FROM logged_model_fields WHERE model_id = $1 AND kind = 'tag' AND key = $2";
    Ok(tx.execute(sql, args![id, key])? == 1)
}

/// Newest point per metric, data set and run.
pub(crate) fn put_model_metric(tx: &mut Tx<'_>, model: &str, metric: &ModelMetric) -> Result<()> {
    tx.execute(
        "INSERT INTO logged_model_metrics (model_id, key, dataset_name, dataset_digest, run_id, step, at_ms, value) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (model_id, key, dataset_name, dataset_digest, run_id) DO UPDATE SET step = excluded.step, \
         at_ms = excluded.at_ms, value = excluded.value WHERE excluded.step > logged_model_metrics.step \
         OR (excluded.step = logged_model_metrics.step AND excluded.at_ms >= logged_model_metrics.at_ms)",
        args![
            model,
            &metric.key,
            &metric.dataset_name,
            &metric.dataset_digest,
            &metric.run_id,
            metric.step,
            metric.at.as_millis(),
            nan_as_null(metric.value.clamp(f64::MIN, f64::MAX))
        ],
    )?;
    Ok(())
}

pub(crate) async fn logged_model(db: &Db, id: &str) -> Result<Option<LoggedModel>> {
    let sql =
        format!("SELECT {LOGGED_MODEL} FROM logged_models m WHERE m.id = $1 AND NOT (m.deleted <> (1 = 0))");
    let Some(row) = db.read_one(sql, args![id]).await? else { return Ok(None) };
    Ok(with_fields(db, vec![model(&row)?]).await?.pop())
}

/// The entity in an order whose metric was measured on the data set with this number.
pub(crate) fn ordered_entity(number: usize) -> String {
    format!("metrics_on_{number}")
}

/// Newest first unless the order says otherwise; the token of the next page. With data sets only models that were measured on
/// one of them, and the filter's metrics are those on them.
pub(crate) async fn search_logged_models(
    db: &Db,
    experiments: &[i64],
    datasets: &ModelDatasets,
    ask: &Ask,
) -> Result<(Vec<LoggedModel>, Option<String>)> {
    let mut arguments: Vec<Value> = Vec::new();
    let list = holes(experiments, &mut arguments);
    let mut on = |sets: &[DatasetKey]| {
        let mut parts = Vec::new();
        for DatasetKey { name, digest } in sets {
            arguments.extend(args![name, digest]);
            let (name, digest) = (arguments.len() - 1, arguments.len());
            // A data set without a digest is any version of it.
            parts.push(format!(
                "(s.dataset_name = ${name} AND (${digest} = '' OR s.dataset_digest = ${digest}))"
            ));
        }
        format!("s.model_id = m.id AND ({})", parts.join(" OR "))
    };
    let measured = (!datasets.searched.is_empty()).then(|| on(&datasets.searched));
    let ordered: Vec<(String, String)> = datasets
        .ordered
        .iter()
        .enumerate()
        .map(|(number, set)| (ordered_entity(number), on(std::slice::from_ref(set))))
        .collect();
    let must = measured.as_ref().map_or(String::new(), |join| {
        format!(" AND EXISTS (SELECT 1 FROM logged_model_metrics s WHERE {join})")
    });
    let mut sides = LOGGED_MODELS.sides.to_vec();
    if let Some(join) = &measured {
        sides[0].join = join;
    }
    let names: Vec<[&str; 1]> = ordered.iter().map(|(name, _)| [name.as_str()]).collect();
    sides.extend(ordered.iter().zip(&names).map(|((_, join), names)| Side { names, join, ..METRICS }));
    let domain = Domain { sides: &sides, ..LOGGED_MODELS };
    let from = format!(
        "FROM logged_models m WHERE m.experiment_id IN ({list}) AND NOT (m.deleted <> (1 = 0)){must}"
    );
    let paged = search::paged(&domain, (LOGGED_MODEL, LOGGED_MODEL_COLUMNS), &from, arguments, ask)?;
    let mut rows = db.read(paged.sql.clone(), paged.arguments.clone()).await?;
    let token = paged.cut(&mut rows);
    let models: Vec<LoggedModel> = rows.iter().map(model).collect::<Result<_>>()?;
    Ok((with_fields(db, models).await?, token))
}

async fn with_fields(db: &Db, mut models: Vec<LoggedModel>) -> Result<Vec<LoggedModel>> {
    for page in models.chunks_mut(LIST_MAX) {
        let ids: Vec<String> = page.iter().map(|model| model.id.clone()).collect();
        let mut arguments = Vec::new();
        let list = holes(&ids, &mut arguments);
        let place = |id: &str| ids.iter().position(|own| own == id).expect("only these were asked for");
        let sql =
            format!("SELECT model_id, kind, key, value FROM logged_model_fields WHERE model_id IN ({list})");
        for row in db.read(sql, arguments.clone()).await? {
            let model = &mut page[place(row.text(0)?)];
            let fields = if row.text(1)? == "tag" { &mut model.tags } else { &mut model.params };
            fields.insert(row.string(2)?, row.string(3)?);
        }
        let sql = format!(
            "SELECT model_id, key, dataset_name, dataset_digest, run_id, step, at_ms, value FROM logged_model_metrics \
             WHERE model_id IN ({list}) ORDER BY model_id, key, dataset_name, dataset_digest, run_id"
        );
        for row in db.read(sql, arguments).await? {
            page[place(row.text(0)?)].metrics.push(ModelMetric {
                key: row.string(1)?,
                dataset_name: row.string(2)?,
                dataset_digest: row.string(3)?,
                run_id: row.string(4)?,
                step: row.int(5)?,
                at: Timestamp::from_millis(row.int(6)?),
                value: row.opt_real(7)?.unwrap_or(f64::NAN),
            });
        }
    }
    Ok(models)
}

fn model(row: &Row) -> Result<LoggedModel> {
    Ok(LoggedModel {
        id: row.string(0)?,
        experiment_id: row.int(1)?,
        run_id: row.string(2)?,
        name: row.string(3)?,
        model_type: row.string(4)?,
        status: LoggedModelStatus::parse(row.text(5)?)?,
        status_message: row.string(6)?,
        created: Timestamp::from_millis(row.int(7)?),
        updated: Timestamp::from_millis(row.int(8)?),
        tags: Default::default(),
        params: Default::default(),
        metrics: Vec::new(),
        artifact_root: row.string(9)?,
    })
}
