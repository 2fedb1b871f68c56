//! SQL of this group. Methods that write take the caller's transaction; the others read one page at most.

use std::collections::BTreeMap;

use platform_db::{ColumnKind, Db, Row, Tx, Value, args};
use platform_primitives::Timestamp;
use platform_web::mlflow::search::{self, Domain, Side};

use crate::ExperimentError;
use crate::artifacts::ArtifactPath;
use crate::model::*;

type Result<T> = std::result::Result<T, ExperimentError>;

pub(crate) const RUNS: Domain = Domain {
    attributes: &[
        ("run_id", "r.id", false),
        ("run_name", "r.name", false),
        ("run name", "r.name", false),
        ("status", "r.status", false),
        ("user_id", "r.user_name", false),
        ("start_time", "r.start_ms", true),
        ("created", "r.start_ms", true),
        ("end_time", "r.end_ms", true),
    ],
    sides: &[
        Side {
            names: &["metrics", "metric"],
            table: "metric_latest",
            join: "s.run_id = r.id",
            numeric: true,
            missing_differs: false,
        },
        Side {
            names: &["params", "param", "parameters", "parameter"],
            table: "run_params",
            join: "s.run_id = r.id",
            numeric: false,
            missing_differs: false,
        },
        Side {
            names: &["tags", "tag"],
            table: "run_tags",
            join: "s.run_id = r.id",
            numeric: false,
            missing_differs: false,
        },
        Side {
            names: &["dataset", "datasets"],
            table: "(SELECT run_id, 'name' AS key, name AS value FROM run_inputs \
                    UNION ALL SELECT run_id, 'digest', digest FROM run_inputs \
                    UNION ALL SELECT run_id, 'context', context FROM run_inputs)",
            join: "s.run_id = r.id",
            numeric: false,
            missing_differs: false,
        },
    ],
};

pub(crate) const EXPERIMENTS: Domain = Domain {
    attributes: &[
        ("name", "e.name", false),
        ("creation_time", "e.created_ms", true),
        ("last_update_time", "e.updated_ms", true),
    ],
    sides: &[Side {
        names: &["tags", "tag"],
        table: "experiment_tags",
        join: "s.experiment_id = e.id",
        numeric: false,
        missing_differs: false,
    }],
};

pub(crate) const LOGGED_MODELS: Domain = Domain {
    attributes: &[
        ("name", "m.name", false),
        ("model_id", "m.id", false),
        ("model_type", "m.model_type", false),
        ("status", "m.status", false),
        ("source_run_id", "m.run_id", false),
        ("creation_timestamp", "m.created_ms", true),
        ("last_updated_timestamp", "m.updated_ms", true),
    ],
    sides: &[
        Side {
            names: &["tags", "tag"],
            table: "logged_model_fields",
            join: "s.model_id = m.id AND s.kind = 'tag'",
            numeric: false,
            missing_differs: false,
        },
        Side {
            names: &["params", "param"],
            table: "logged_model_fields",
            join: "s.model_id = m.id AND s.kind = 'param'",
            numeric: false,
            missing_differs: false,
        },
    ],
};

// Experiments

const EXPERIMENT: &str = "e.id, e.name, e.deleted, e.created_ms, e.updated_ms";

/// Gives the next free number; experiment 0 is the default one.
pub(crate) fn insert_experiment(tx: &mut Tx<'_>, name: &str, now: Timestamp) -> Result<i64> {
    let row = tx.query_one("SELECT COALESCE(MAX(id), -1) + 1 FROM experiments", args![])?;
    let id = row.map_or(Ok(0), |row| row.int(0))?;
    let inserted = tx.execute(
        "INSERT INTO experiments (id, name, deleted, created_ms, updated_ms) VALUES ($1, $2, $3, $4, $4) \
         ON CONFLICT (name) DO NOTHING",
        args![id, name, false, now.as_millis()],
    )?;
    if inserted == 0 {
        return Err(ExperimentError::ExperimentExists { name: name.to_owned() });
    }
    Ok(id)
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

pub(crate) async fn experiment_by(db: &Db, column: &'static str, value: Value) -> Result<Option<Experiment>> {
    let sql = format!("SELECT {EXPERIMENT} FROM experiments e WHERE e.{column} = $1");
    let Some(row) = db.read_one(sql, vec![value]).await? else { return Ok(None) };
    let mut experiment = experiment(&row)?;
    experiment.tags = pairs(db, "experiment_tags", "experiment_id", experiment.id.into()).await?;
    Ok(Some(experiment))
}

/// Newest first unless `order_by` says otherwise; offset paging as MLflow's tokens are opaque.
pub(crate) async fn search_experiments(db: &Db, query: &Query) -> Result<Vec<Experiment>> {
    let mut arguments = args![query.limit as i64, query.offset as i64];
    let mut sql = format!("SELECT {EXPERIMENT} FROM experiments e WHERE 1 = 1{}", query.view.condition("e"));
    sql.push_str(&search::conditions(&EXPERIMENTS, &query.filter, &mut arguments)?);
    let mut order = search::order_terms(&EXPERIMENTS, &query.order_by, &mut arguments)?;
    order.push("e.updated_ms DESC, e.id DESC".to_owned());
    sql.push_str(&format!(" ORDER BY {} LIMIT $1 OFFSET $2", order.join(", ")));
    let mut found = Vec::new();
    for row in db.read(sql, arguments).await? {
        let mut experiment = experiment(&row)?;
        experiment.tags = pairs(db, "experiment_tags", "experiment_id", experiment.id.into()).await?;
        found.push(experiment);
    }
    Ok(found)
}

fn experiment(row: &Row) -> Result<Experiment> {
    Ok(Experiment {
        id: row.int(0)?,
        name: row.string(1)?,
        deleted: row.bool(2)?,
        created: Timestamp::from_millis(row.int(3)?),
        updated: Timestamp::from_millis(row.int(4)?),
        tags: BTreeMap::new(),
    })
}

// Runs

const RUN: &str = "r.id, r.experiment_id, r.name, r.status, r.user_name, r.deleted, r.start_ms, r.end_ms";

pub(crate) fn insert_run(tx: &mut Tx<'_>, run: &Run) -> Result<()> {
    tx.execute(
        "INSERT INTO runs (id, experiment_id, name, status, user_name, deleted, start_ms, end_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        args![
            &run.id,
            run.experiment_id,
            &run.name,
            run.status.name(),
            &run.user,
            run.deleted,
            run.start.as_millis(),
            run.end.map(Timestamp::as_millis)
        ],
    )?;
    Ok(())
}

pub(crate) fn update_run(tx: &mut Tx<'_>, run: &Run) -> Result<()> {
    tx.execute(
        "UPDATE runs SET name = $2, status = $3, deleted = $4, end_ms = $5 WHERE id = $1",
        args![&run.id, &run.name, run.status.name(), run.deleted, run.end.map(Timestamp::as_millis)],
    )?;
    Ok(())
}

/// The run, locked until the commit.
pub(crate) fn lock_run(tx: &mut Tx<'_>, id: &str) -> Result<Option<Run>> {
    let lock = tx.for_update();
    let sql = format!("SELECT {RUN} FROM runs r WHERE r.id = $1{lock}");
    tx.query_one(&sql, args![id])?.as_ref().map(run).transpose()
}

pub(crate) async fn run_by_id(db: &Db, id: &str) -> Result<Option<Run>> {
    let sql = format!("SELECT {RUN} FROM runs r WHERE r.id = $1");
    db.read_one(sql, args![id]).await?.as_ref().map(run).transpose()
}

/// Ties: newest start first, then id.
pub(crate) async fn search_runs(db: &Db, experiments: &[i64], query: &Query) -> Result<Vec<Run>> {
    let mut arguments = args![query.limit as i64, query.offset as i64];
    let ids: Vec<String> = experiments
        .iter()
        .map(|id| {
            arguments.push(Value::Int(*id));
            format!("${}", arguments.len())
        })
        .collect();
    let mut sql = format!(
        "SELECT {RUN} FROM runs r WHERE r.experiment_id IN ({}){}",
        ids.join(", "),
        query.view.condition("r")
    );
    sql.push_str(&search::conditions(&RUNS, &query.filter, &mut arguments)?);
    let mut order = search::order_terms(&RUNS, &query.order_by, &mut arguments)?;
    order.push("r.start_ms DESC, r.id".to_owned());
    sql.push_str(&format!(" ORDER BY {} LIMIT $1 OFFSET $2", order.join(", ")));
    db.read(sql, arguments).await?.iter().map(run).collect()
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
    })
}

pub(crate) fn put_run_tag(tx: &mut Tx<'_>, run: &str, key: &str, value: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO run_tags (run_id, key, value) VALUES ($1, $2, $3) \
         ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value",
        args![run, key, value],
    )?;
    Ok(())
}

/// `false` when there was no such tag.
pub(crate) fn delete_run_tag(tx: &mut Tx<'_>, run: &str, key: &str) -> Result<bool> {
    Ok(tx.execute("DELETE FROM run_tags WHERE run_id = $1 AND key = $2", args![run, key])? == 1)
}

/// Params never change: the same value again is fine, another one is refused.
pub(crate) fn put_param(tx: &mut Tx<'_>, run: &str, key: &str, value: &str) -> Result<()> {
    let inserted = tx.execute(
        "INSERT INTO run_params (run_id, key, value) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        args![run, key, value],
    )?;
    if inserted == 1 {
        return Ok(());
    }
    let row = tx.query_one("SELECT value FROM run_params WHERE run_id = $1 AND key = $2", args![run, key])?;
    let old = row.map_or(Ok(String::new()), |row| row.string(0))?;
    if old == value {
        return Ok(());
    }
    let (run, key, new) = (run.to_owned(), key.to_owned(), value.to_owned());
    Err(ExperimentError::ParamChanged { run, key, old, new })
}

/// Appends the points and moves the newest one per metric: the largest (step, time, value).
pub(crate) fn append_points(tx: &mut Tx<'_>, run: &str, points: &[MetricPoint]) -> Result<()> {
    let rows =
        points.iter().map(|p| args![run, &p.key, p.step, p.at.as_millis(), nan_as_null(p.value)]).collect();
    let columns = [
        ("run_id", ColumnKind::Text),
        ("key", ColumnKind::Text),
        ("step", ColumnKind::Int),
        ("at_ms", ColumnKind::Int),
        ("value", ColumnKind::Real),
    ];
    tx.append("metric_points", &columns, rows)?;
    let mut newest: BTreeMap<&str, &MetricPoint> = BTreeMap::new();
    let rank = |p: &MetricPoint| (p.step, p.at);
    for point in points {
        let slot = newest.entry(&point.key).or_insert(point);
        if (rank(point), point.value) > (rank(slot), slot.value) {
            *slot = point;
        }
    }
    for point in newest.into_values() {
        tx.execute(
            "INSERT INTO metric_latest (run_id, key, step, at_ms, value) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (run_id, key) DO UPDATE SET step = excluded.step, at_ms = excluded.at_ms, \
             value = excluded.value WHERE excluded.step > metric_latest.step OR (excluded.step = \
             metric_latest.step AND excluded.at_ms >= metric_latest.at_ms)",
            args![run, &point.key, point.step, point.at.as_millis(), nan_as_null(point.value)],
        )?;
    }
    Ok(())
}

/// SQLite keeps no NaN: it is NULL in both engines.
fn nan_as_null(value: f64) -> Value {
    if value.is_nan() { Value::Null } else { Value::Real(value.clamp(f64::MIN, f64::MAX)) }
}

pub(crate) async fn latest_metrics(db: &Db, run: &str) -> Result<Vec<MetricPoint>> {
    let sql = "SELECT key, step, at_ms, value FROM metric_latest WHERE run_id = $1 ORDER BY key";
    db.read(sql, args![run]).await?.iter().map(point).collect()
}

/// Ascending by step and time; index `metric_points_by_series`.
pub(crate) async fn history(
    db: &Db,
    run: &str,
    key: &str,
    offset: usize,
    limit: usize,
) -> Result<Vec<MetricPoint>> {
    let sql = "SELECT key, step, at_ms, value FROM metric_points WHERE run_id = $1 AND key = $2 \
               ORDER BY step, at_ms, value LIMIT $3 OFFSET $4";
    db.read(sql, args![run, key, limit as i64, offset as i64]).await?.iter().map(point).collect()
}

fn point(row: &Row) -> Result<MetricPoint> {
    Ok(MetricPoint {
        key: row.string(0)?,
        step: row.int(1)?,
        at: Timestamp::from_millis(row.int(2)?),
        value: row.opt_real(3)?.unwrap_or(f64::NAN),
    })
}

pub(crate) async fn run_pairs(db: &Db, table: &'static str, run: &str) -> Result<BTreeMap<String, String>> {
    pairs(db, table, "run_id", run.into()).await
}

async fn pairs(
    db: &Db,
    table: &'static str,
    owner: &'static str,
    id: Value,
) -> Result<BTreeMap<String, String>> {
    let rows = db.read(format!("SELECT key, value FROM {table} WHERE {owner} = $1"), vec![id]).await?;
    rows.iter().map(|row| Ok((row.string(0)?, row.string(1)?))).collect()
}

/// The input tag under which MLflow says what a dataset was for.
const CONTEXT_TAG: &str = "mlflow.data.context";

pub(crate) fn put_input(tx: &mut Tx<'_>, run: &str, input: &DatasetInput) -> Result<()> {
    let tags = serde_json::to_string(&input.tags).expect("a map of texts is JSON");
    tx.execute(
        "INSERT INTO run_inputs (run_id, name, digest, source_type, source, schema_json, profile_json, tags_json, \
         context) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        args![
            run,
            &input.name,
            &input.digest,
            &input.source_type,
            &input.source,
            input.schema.clone(),
            input.profile.clone(),
            tags,
            input.tags.get(CONTEXT_TAG).cloned().unwrap_or_default()
        ],
    )?;
    Ok(())
}

pub(crate) async fn inputs(db: &Db, run: &str) -> Result<Vec<DatasetInput>> {
    let sql = "SELECT name, digest, source_type, source, schema_json, profile_json, tags_json FROM run_inputs \
               WHERE run_id = $1 ORDER BY name, digest";
    let rows = db.read(sql, args![run]).await?;
    rows.iter()
        .map(|row| {
            Ok(DatasetInput {
                name: row.string(0)?,
                digest: row.string(1)?,
                source_type: row.string(2)?,
                source: row.string(3)?,
                schema: row.opt_string(4)?,
                profile: row.opt_string(5)?,
                tags: serde_json::from_str(row.text(6)?).unwrap_or_default(),
            })
        })
        .collect()
}

// Logged models

const LOGGED_MODEL: &str =
    "m.id, m.experiment_id, m.run_id, m.name, m.model_type, m.status, m.created_ms, m.updated_ms";

pub(crate) fn insert_logged_model(tx: &mut Tx<'_>, model: &LoggedModel) -> Result<()> {
    tx.execute(
        "INSERT INTO logged_models (id, experiment_id, run_id, name, model_type, status, created_ms, updated_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        args![
            &model.id,
            model.experiment_id,
            &model.run_id,
            &model.name,
            &model.model_type,
            &model.status,
            model.created.as_millis(),
            model.updated.as_millis()
        ],
    )?;
    for (kind, fields) in [("tag", &model.tags), ("param", &model.params)] {
        for (key, value) in fields {
            put_model_field(tx, &model.id, kind, key, value)?;
        }
    }
    Ok(())
}

pub(crate) fn set_model_status(tx: &mut Tx<'_>, id: &str, status: &str, now: Timestamp) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE logged_models SET status = $2, updated_ms = $3 WHERE id = $1",
        args![id, status, now.as_millis()],
    )?;
    Ok(changed == 1)
}

pub(crate) fn put_model_field(tx: &mut Tx<'_>, id: &str, kind: &str, key: &str, value: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO logged_model_fields (model_id, kind, key, value) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (model_id, kind, key) DO UPDATE SET value = excluded.value",
        args![id, kind, key, value],
    )?;
    Ok(())
}

pub(crate) async fn logged_model(db: &Db, id: &str) -> Result<Option<LoggedModel>> {
    let sql = format!("SELECT {LOGGED_MODEL} FROM logged_models m WHERE m.id = $1");
    let Some(row) = db.read_one(sql, args![id]).await? else { return Ok(None) };
    Ok(Some(with_fields(db, model(&row)?).await?))
}

pub(crate) async fn search_logged_models(
    db: &Db,
    experiments: &[i64],
    query: &Query,
) -> Result<Vec<LoggedModel>> {
    let mut arguments = args![query.limit as i64, query.offset as i64];
    let ids: Vec<String> = experiments
        .iter()
        .map(|id| {
            arguments.push(Value::Int(*id));
            format!("${}", arguments.len())
        })
        .collect();
    let mut sql =
        format!("SELECT {LOGGED_MODEL} FROM logged_models m WHERE m.experiment_id IN ({})", ids.join(", "));
    sql.push_str(&search::conditions(&LOGGED_MODELS, &query.filter, &mut arguments)?);
    let mut order = search::order_terms(&LOGGED_MODELS, &query.order_by, &mut arguments)?;
    order.push("m.created_ms DESC, m.id".to_owned());
    sql.push_str(&format!(" ORDER BY {} LIMIT $1 OFFSET $2", order.join(", ")));
    let mut found = Vec::new();
    for row in db.read(sql, arguments).await? {
        found.push(with_fields(db, model(&row)?).await?);
    }
    Ok(found)
}

/// Ids of the models a run logged, oldest first.
pub(crate) async fn models_of_run(db: &Db, run: &str) -> Result<Vec<String>> {
    let rows =
        db.read("SELECT id FROM logged_models WHERE run_id = $1 ORDER BY created_ms, id", args![run]).await?;
    rows.iter().map(|row| Ok(row.string(0)?)).collect()
}

async fn with_fields(db: &Db, mut model: LoggedModel) -> Result<LoggedModel> {
    let rows = db
        .read("SELECT kind, key, value FROM logged_model_fields WHERE model_id = $1", args![&model.id])
        .await?;
    for row in rows {
        let fields = if row.text(0)? == "tag" { &mut model.tags } else { &mut model.params };
        fields.insert(row.string(1)?, row.string(2)?);
    }
    Ok(model)
}

fn model(row: &Row) -> Result<LoggedModel> {
    Ok(LoggedModel {
        id: row.string(0)?,
        experiment_id: row.int(1)?,
        run_id: row.string(2)?,
        name: row.string(3)?,
        model_type: row.string(4)?,
        status: row.string(5)?,
        created: Timestamp::from_millis(row.int(6)?),
        updated: Timestamp::from_millis(row.int(7)?),
        tags: BTreeMap::new(),
        params: BTreeMap::new(),
    })
}

// Artifacts

pub(crate) fn put_artifact(
    tx: &mut Tx<'_>,
    path: &ArtifactPath,
    digest: &str,
    size_bytes: i64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO artifacts (path, folder, digest, size_bytes) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (path) DO UPDATE SET digest = excluded.digest, size_bytes = excluded.size_bytes",
        args![path.as_str(), path.folder(), digest, size_bytes],
    )?;
    for (folder, parent) in path.ancestors() {
        tx.execute(
            "INSERT INTO artifact_folders (path, parent) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            args![folder, parent],
        )?;
    }
    Ok(())
}

/// Removes a file, or a folder with all that is in it; how many files went.
pub(crate) fn delete_artifacts(tx: &mut Tx<'_>, path: &ArtifactPath) -> Result<u64> {
    let escaped = path.as_str().replace('!', "!!").replace('%', "!%").replace('_', "!_");
    let arguments = || args![path.as_str(), format!("{escaped}/%")];
    let under = "path = $1 OR path LIKE $2 ESCAPE '!'";
    let files = tx.execute(&format!("DELETE FROM artifacts WHERE {under}"), arguments())?;
    tx.execute(&format!("DELETE FROM artifact_folders WHERE {under}"), arguments())?;
    Ok(files)
}

pub(crate) async fn artifact(db: &Db, path: &ArtifactPath) -> Result<Option<(String, i64)>> {
    let row =
        db.read_one("SELECT digest, size_bytes FROM artifacts WHERE path = $1", args![path.as_str()]).await?;
    row.map(|row| Ok((row.string(0)?, row.int(1)?))).transpose()
}

/// Files and folders directly in `folder`, by path. Bounded by what a client can have logged into one folder.
pub(crate) async fn list_artifacts(db: &Db, folder: &str) -> Result<Vec<ArtifactEntry>> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let mut entries = Vec::new();
    let folders = "SELECT path FROM artifact_folders WHERE parent = $1 ORDER BY path";
    for row in db.read(folders, args![folder]).await? {
        entries.push(ArtifactEntry { name: name(row.text(0)?), is_folder: true, size_bytes: None });
    }
    let files = "SELECT path, size_bytes FROM artifacts WHERE folder = $1 ORDER BY path";
    for row in db.read(files, args![folder]).await? {
        let size_bytes = Some(row.int(1)?);
        entries.push(ArtifactEntry { name: name(row.text(0)?), is_folder: false, size_bytes });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Which rows a search sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum View {
    #[default]
    Active,
    Deleted,
    All,
}

impl View {
    fn condition(self, table: &str) -> String {
        match self {
            Self::Active => format!(" AND NOT ({table}.deleted <> {})", FALSE),
            Self::Deleted => format!(" AND {table}.deleted <> {}", FALSE),
            Self::All => String::new(),
        }
    }
}

/// A false that both engines compare with their booleans.
const FALSE: &str = "(1 = 0)";

#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pub filter: String,
    pub order_by: Vec<String>,
    pub view: View,
    pub limit: usize,
    pub offset: usize,
}
