//! MLflow's own tables, read where they are: releases 2 and 3, SQLite and PostgreSQL. Nothing is written there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use group_experiments::{
    DatasetInput, Experiment, LoggedModel, LoggedModelStatus, ModelMetric, ModelOutput, Run, RunRecord,
    RunStatus,
};
use group_registry::{ForeignVersion, RegisteredModel, Stage};
use kernel_series::Point;
use platform_db::{DbLocation, Durability, ForeignDb, Row, Value, args};
use platform_primitives::Timestamp;
use platform_web::mlflow::DEFAULT_WORKSPACE;

use super::files::LocalFiles;
use super::source::{Cursor, ForeignExperiment, ForeignModel, ForeignRun, Owner, Page, logged_value};
use crate::cli::CommandError;

const EXPERIMENTS: usize = 500;
const RUNS: usize = 1_000;
const POINTS: usize = 25_000;
const LOGGED_MODELS: usize = 50;
const MODELS: usize = 500;
const VERSIONS: usize = 500;

pub struct Tables {
    db: ForeignDb,
    pub files: LocalFiles,
    /// Condition for tables with workspaces: the one that clients see without naming any.
    only_default: &'static str,
    has_inputs: bool,
    has_logged_models: bool,
    has_aliases: bool,
}

impl Tables {
    pub async fn open(address: &str, artifact_root: Option<PathBuf>) -> Result<Self, CommandError> {
        let db = ForeignDb::open(&location(address)?).await?;
        let has = async |sql: &str| db.read(sql, Vec::new()).await.is_ok();
        if !has("SELECT experiment_id FROM experiments LIMIT 1").await {
            return Err(
                format!("{} holds no table of MLflow's experiments", without_password(address)).into()
            );
        }
        let only_default = match has("SELECT workspace FROM experiments LIMIT 1").await {
            true => " AND workspace = 'default'",
            false => "",
        };
        let has_inputs = has("SELECT input_uuid FROM inputs LIMIT 1").await;
        let has_logged_models = has("SELECT model_id FROM logged_models LIMIT 1").await;
        let has_aliases = has("SELECT alias FROM registered_model_aliases LIMIT 1").await;
        let files = LocalFiles::new(artifact_root)?;
        Ok(Self { db, files, only_default, has_inputs, has_logged_models, has_aliases })
    }

    /// Rows of `(key, value)`.
    async fn pairs(&self, sql: &str, args: Vec<Value>) -> Result<BTreeMap<String, String>, CommandError> {
        let rows = self.db.read(sql, args).await?;
        let pairs = rows.iter().map(|row| Ok((row.string(0)?, row.opt_string(1)?.unwrap_or_default())));
        pairs.collect()
    }

    pub async fn experiments(&self, cursor: Option<Cursor>) -> Result<Page<ForeignExperiment>, CommandError> {
        let sql = format!(
            "SELECT experiment_id, name, lifecycle_stage, creation_time, last_update_time FROM experiments \
             WHERE experiment_id > $1{} ORDER BY experiment_id LIMIT {EXPERIMENTS}",
            self.only_default
        );
        let rows = self.db.read(sql, behind(cursor, || args![-1i64])).await?;
        let next = next(&rows, EXPERIMENTS, |row| Ok(args![row.int(0)?]))?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let id = row.int(0)?;
            let tags = "SELECT t.key, t.value FROM experiment_tags t WHERE t.experiment_id = $1";
            let experiment = Experiment {
                id,
                name: row.string(1)?,
                deleted: is_deleted(row, 2)?,
                created: time(row, 3)?,
                updated: time(row, 4)?,
                workspace: DEFAULT_WORKSPACE.to_owned(),
                artifact_location: String::new(),
                tags: self.pairs(tags, args![id]).await?,
            };
            found.push(ForeignExperiment { id: id.to_string(), experiment });
        }
        Ok((found, next))
    }

    pub async fn run_ids(
        &self,
        experiment: &str,
        cursor: Option<Cursor>,
    ) -> Result<Page<String>, CommandError> {
        let experiment: i64 = experiment.parse()?;
        let sql = format!(
            "SELECT run_uuid FROM runs WHERE run_uuid > $1 AND experiment_id = $2 ORDER BY run_uuid LIMIT {RUNS}"
        );
        let mut arguments = behind(cursor, || args![""]);
        arguments.push(experiment.into());
        let rows = self.db.read(sql, arguments).await?;
        let next = next(&rows, RUNS, |row| Ok(args![row.string(0)?]))?;
        let ids: Result<Vec<String>, _> = rows.iter().map(|row| row.string(0)).collect();
        Ok((ids?, next))
    }

    pub async fn run(&self, id: &str, target: i64) -> Result<Option<ForeignRun>, CommandError> {
        let sql = "SELECT name, user_id, status, start_time, end_time, lifecycle_stage, artifact_uri FROM runs \
                   WHERE run_uuid = $1";
        let Some(row) = self.db.read_one(sql, args![id]).await? else { return Ok(None) };
        let params = "SELECT p.key, p.value FROM params p WHERE p.run_uuid = $1";
        let tags = "SELECT t.key, t.value FROM tags t WHERE t.run_uuid = $1";
        let keys = "SELECT m.key, '' FROM latest_metrics m WHERE m.run_uuid = $1";
        let tags = self.pairs(tags, args![id]).await?;
        let name = row.opt_string(0)?.filter(|name| !name.is_empty());
        let name = name.or_else(|| tags.get("mlflow.runName").cloned()).unwrap_or_default();
        let run = Run {
            id: id.to_owned(),
            experiment_id: target,
            name,
            status: RunStatus::parse(row.opt_string(2)?.as_deref().unwrap_or("RUNNING"))?,
            user: row.opt_string(1)?.unwrap_or_default(),
            deleted: is_deleted(&row, 5)?,
            start: time(&row, 3)?,
            end: row.opt_int(4)?.filter(|end| *end != 0).map(Timestamp::from_millis),
            artifact_root: String::new(),
        };
        let (model_inputs, outputs) = self.models_of_run(id).await?;
        Ok(Some(ForeignRun {
            metric_keys: self.pairs(keys, args![id]).await?.into_keys().collect(),
            artifact_uri: row.opt_string(6)?.unwrap_or_default(),
            record: RunRecord {
                run,
                tags,
                params: self.pairs(params, args![id]).await?,
                metrics: Default::default(),
                inputs: self.inputs(id).await?,
                model_inputs,
                outputs,
            },
        }))
    }

    async fn inputs(&self, run: &str) -> Result<Vec<DatasetInput>, CommandError> {
        if !self.has_inputs {
            return Ok(Vec::new());
        }
        let sql = "SELECT i.input_uuid, d.name, d.digest, d.dataset_source_type, d.dataset_source, \
                   d.dataset_schema, d.dataset_profile FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id \
                   WHERE i.destination_type = 'RUN' AND i.destination_id = $1 AND i.source_type = 'DATASET' \
                   ORDER BY d.name, d.digest";
        let tags = "SELECT t.name, t.value FROM input_tags t WHERE t.input_uuid = $1";
        let mut inputs = Vec::new();
        for row in self.db.read(sql, args![run]).await? {
            inputs.push(DatasetInput {
                name: row.string(1)?,
                digest: row.string(2)?,
                source_type: row.string(3)?,
                source: row.string(4)?,
                schema: row.opt_string(5)?,
                profile: row.opt_string(6)?,
                tags: self.pairs(tags, args![row.text(0)?]).await?,
            });
        }
        Ok(inputs)
    }

    /// Logged models that a run read, and those that it made.
    async fn models_of_run(&self, run: &str) -> Result<(Vec<String>, Vec<ModelOutput>), CommandError> {
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        if !self.has_logged_models {
            return Ok((inputs, outputs));
        }
        let sql = "SELECT i.source_type, i.destination_id, i.step FROM inputs i WHERE i.source_id = $1 \
                   AND i.source_type IN ('RUN_INPUT', 'RUN_OUTPUT') ORDER BY i.destination_id";
        for row in self.db.read(sql, args![run]).await? {
            match row.text(0)? {
                "RUN_INPUT" => inputs.push(row.string(1)?),
                _ => outputs.push(ModelOutput { model_id: row.string(1)?, step: row.int(2)? }),
            }
        }
        Ok((inputs, outputs))
    }

    /// By step: that is how MLflow's index has them.
    pub async fn points(
        &self,
        run: &str,
        key: &str,
        cursor: Option<Cursor>,
    ) -> Result<Page<Point>, CommandError> {
        let sql = format!(
            "SELECT m.step, m.timestamp, m.value, m.is_nan FROM metrics m WHERE m.step >= $1 \
             AND (m.step, m.timestamp, m.value, m.is_nan) > ($1, $2, $3, $4) AND m.run_uuid = $5 AND m.key = $6 \
             ORDER BY m.step, m.timestamp, m.value, m.is_nan LIMIT {POINTS}"
        );
        let mut arguments = behind(cursor, || args![i64::MIN, i64::MIN, f64::NEG_INFINITY, false]);
        arguments.extend(args![run, key]);
        let rows = self.db.read(sql, arguments).await?;
        let next =
            next(&rows, POINTS, |row| Ok(args![row.int(0)?, row.int(1)?, row.real(2)?, row.bool(3)?]))?;
        let mut points = Vec::with_capacity(rows.len());
        for row in &rows {
            let value = if row.bool(3)? { f64::NAN } else { logged_value(row.real(2)?) };
            points.push(Point { at_ms: row.int(1)?, step: row.int(0)?, value });
        }
        Ok((points, next))
    }

    pub async fn logged_models(
        &self,
        experiment: &str,
        target: i64,
        cursor: Option<Cursor>,
    ) -> Result<Page<ForeignModel>, CommandError> {
        if !self.has_logged_models {
            return Ok((Vec::new(), None));
        }
        let experiment: i64 = experiment.parse()?;
        let sql = format!(
            "SELECT model_id, name, artifact_location, creation_timestamp_ms, last_updated_timestamp_ms, status, \
             model_type, source_run_id, status_message FROM logged_models WHERE model_id > $1 \
             AND experiment_id = $2 AND COALESCE(lifecycle_stage, 'active') <> 'deleted' \
             ORDER BY model_id LIMIT {LOGGED_MODELS}"
        );
        let mut arguments = behind(cursor, || args![""]);
        arguments.push(experiment.into());
        let rows = self.db.read(sql, arguments).await?;
        let next = next(&rows, LOGGED_MODELS, |row| Ok(args![row.string(0)?]))?;
        let params = "SELECT p.param_key, p.param_value FROM logged_model_params p WHERE p.model_id = $1";
        let tags = "SELECT t.tag_key, t.tag_value FROM logged_model_tags t WHERE t.model_id = $1";
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let id = row.string(0)?;
            let model = LoggedModel {
                experiment_id: target,
                run_id: row.opt_string(7)?.unwrap_or_default(),
                name: row.string(1)?,
                model_type: row.opt_string(6)?.unwrap_or_default(),
                status: match row.int(5)? {
                    2 => LoggedModelStatus::Ready,
                    3 => LoggedModelStatus::Failed,
                    _ => LoggedModelStatus::Pending,
                },
                status_message: row.opt_string(8)?.unwrap_or_default(),
                created: time(row, 3)?,
                updated: time(row, 4)?,
                tags: self.pairs(tags, args![&id]).await?,
                params: self.pairs(params, args![&id]).await?,
                metrics: self.metrics_of_model(&id).await?,
                artifact_root: String::new(),
                id,
            };
            found.push(ForeignModel { model, artifact_uri: row.string(2)? });
        }
        Ok((found, next))
    }

    async fn metrics_of_model(&self, id: &str) -> Result<Vec<ModelMetric>, CommandError> {
        let sql = "SELECT metric_name, metric_value, metric_step, metric_timestamp_ms, dataset_name, dataset_digest, \
                   run_id FROM logged_model_metrics WHERE model_id = $1";
        let mut metrics = Vec::new();
        for row in self.db.read(sql, args![id]).await? {
            metrics.push(ModelMetric {
                key: row.string(0)?,
                value: row.opt_real(1)?.map_or(f64::NAN, logged_value),
                step: row.int(2)?,
                at: time(&row, 3)?,
                dataset_name: row.opt_string(4)?.unwrap_or_default(),
                dataset_digest: row.opt_string(5)?.unwrap_or_default(),
                run_id: row.string(6)?,
            });
        }
        Ok(metrics)
    }

    pub async fn models(&self, cursor: Option<Cursor>) -> Result<Page<RegisteredModel>, CommandError> {
        let only = self.only_default;
        let sql = format!(
            "SELECT name, description, creation_time, last_updated_time FROM registered_models WHERE name > $1{only} \
             ORDER BY name LIMIT {MODELS}"
        );
        let rows = self.db.read(sql, behind(cursor, || args![""])).await?;
        let next = next(&rows, MODELS, |row| Ok(args![row.string(0)?]))?;
        let tags = format!("SELECT t.key, t.value FROM registered_model_tags t WHERE t.name = $1{only}");
        let aliases = format!("SELECT alias, version FROM registered_model_aliases WHERE name = $1{only}");
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let name = row.string(0)?;
            let mut own = BTreeMap::new();
            if self.has_aliases {
                for row in self.db.read(aliases.as_str(), args![&name]).await? {
                    own.insert(row.string(0)?, row.int(1)?);
                }
            }
            found.push(RegisteredModel {
                description: row.opt_string(1)?.unwrap_or_default(),
                project: String::new(),
                created: time(row, 2)?,
                updated: time(row, 3)?,
                tags: self.pairs(&tags, args![&name]).await?,
                aliases: own,
                name,
            });
        }
        Ok((found, next))
    }

    pub async fn versions(&self, cursor: Option<Cursor>) -> Result<Page<ForeignVersion>, CommandError> {
        let only = self.only_default;
        let sql = format!(
            "SELECT name, version, COALESCE(creation_time, 0), last_updated_time, description, user_id, current_stage, \
             source, run_id, run_link FROM model_versions WHERE \
             (COALESCE(creation_time, 0), name, version) > ($1, $2, $3) \
             AND COALESCE(current_stage, 'None') <> 'Deleted_Internal'{only} \
             ORDER BY COALESCE(creation_time, 0), name, version LIMIT {VERSIONS}"
        );
        let rows = self.db.read(sql, behind(cursor, || args![-1i64, "", 0i64])).await?;
        let next = next(&rows, VERSIONS, |row| Ok(args![row.int(2)?, row.string(0)?, row.int(1)?]))?;
        let tags = format!(
            "SELECT t.key, t.value FROM model_version_tags t WHERE t.name = $1 AND t.version = $2{only}"
        );
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let (model, version) = (row.string(0)?, row.int(1)?);
            found.push(ForeignVersion {
                stage: Stage::parse(row.opt_string(6)?.as_deref().unwrap_or("None"))?,
                source: row.opt_string(7)?.unwrap_or_default(),
                run_id: row.opt_string(8)?.unwrap_or_default(),
                run_link: row.opt_string(9)?.unwrap_or_default(),
                logged_model_id: String::new(),
                description: row.opt_string(4)?.unwrap_or_default(),
                author: row.opt_string(5)?.unwrap_or_default(),
                created: time(row, 2)?,
                updated: time(row, 3)?,
                tags: self.pairs(&tags, args![&model, version]).await?,
                aliases: Vec::new(),
                model,
                version,
            });
        }
        Ok((found, next))
    }

    pub async fn root(&self, owner: &Owner) -> Result<Option<String>, CommandError> {
        let (sql, id) = match owner {
            Owner::Run(id) => ("SELECT artifact_uri FROM runs WHERE run_uuid = $1", id),
            Owner::LoggedModel(_) if !self.has_logged_models => return Ok(None),
            Owner::LoggedModel(id) => ("SELECT artifact_location FROM logged_models WHERE model_id = $1", id),
        };
        let row = self.db.read_one(sql, args![id]).await?;
        Ok(row.map(|row| row.opt_string(0)).transpose()?.flatten().filter(|uri| !uri.is_empty()))
    }
}

/// `sqlite:///path` as SQLAlchemy writes it, a path, or an address of PostgreSQL with or without a driver's name.
fn location(address: &str) -> Result<DbLocation, CommandError> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let (engine, _driver) = scheme.split_once('+').unwrap_or((scheme, ""));
    match engine {
        "postgresql" | "postgres" => Ok(DbLocation::Postgres { url: format!("postgresql://{rest}") }),
        "sqlite" | "" => {
            // Three slashes are a relative path, four an absolute one.
            let path = if engine.is_empty() { rest } else { rest.strip_prefix('/').unwrap_or(rest) };
            Ok(DbLocation::Sqlite { path: PathBuf::from(path), durability: Durability::default() })
        }
        other => {
            Err(format!("{other} is no source: expected http, https, sqlite, postgresql or a .db file")
                .into())
        }
    }
}

/// The address as it may be shown.
fn without_password(address: &str) -> String {
    match (address.find("://"), address.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://…{}", &address[..scheme], &address[at..]),
        _ => address.to_owned(),
    }
}

fn behind(cursor: Option<Cursor>, first: impl Fn() -> Vec<Value>) -> Vec<Value> {
    match cursor {
        Some(Cursor::After(key)) => key,
        _ => first(),
    }
}

/// A full page has another one behind it, be it an empty one.
fn next(
    rows: &[Row],
    limit: usize,
    key: impl Fn(&Row) -> Result<Vec<Value>, platform_db::DbError>,
) -> Result<Option<Cursor>, CommandError> {
    let last = rows.last().filter(|_| rows.len() == limit);
    Ok(last.map(key).transpose()?.map(Cursor::After))
}

fn time(row: &Row, column: usize) -> Result<Timestamp, platform_db::DbError> {
    Ok(Timestamp::from_millis(row.opt_int(column)?.unwrap_or(0)))
}

fn is_deleted(row: &Row, column: usize) -> Result<bool, platform_db::DbError> {
    Ok(row.opt_string(column)?.as_deref() == Some("deleted"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_sqlalchemy() {
        let path = |address: &str| match location(address) {
            Ok(DbLocation::Sqlite { path, .. }) => path.display().to_string(),
            Ok(DbLocation::Postgres { url }) => url,
            Err(error) => error.to_string(),
        };
        assert_eq!(path("sqlite:////srv/mlflow.db"), "/srv/mlflow.db");
        assert_eq!(path("sqlite:///mlflow.db"), "mlflow.db");
        assert_eq!(path("some/mlflow.db"), "some/mlflow.db");
        assert_eq!(path("postgresql+psycopg2://u:p@host/db"), "postgresql://u:p@host/db");
        assert!(path("mysql://host/db").starts_with("mysql is no source"));
        assert_eq!(without_password("postgresql://u:p@host/db"), "postgresql://…@host/db");
    }
}
