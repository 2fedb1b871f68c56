//! SQL of this group.

use std::collections::BTreeMap;

use platform_db::{Db, Row, Tx, Value, args};
use platform_primitives::{Timestamp, new_id};
use platform_web::mlflow::search::{self, Domain, Side};

use crate::RegistryError;
use crate::model::*;

type Result<T> = std::result::Result<T, RegistryError>;

/// What a search of models sees. A tag a model lacks differs from every value: the client leaves out prompts so.
const MODELS: Domain = Domain {
    attributes: &[
        ("name", "name", false),
        ("creation_timestamp", "created_ms", true),
        ("last_updated_timestamp", "updated_ms", true),
    ],
    sides: &[Side {
        names: &["tag", "tags"],
        table: "registered_model_tags",
        join: "s.model = registered_models.name",
        numeric: false,
        missing_differs: true,
    }],
};

const VERSIONS: Domain = Domain {
    attributes: &[
        ("name", "v.model", false),
        ("run_id", "v.run_id", false),
        ("source_path", "v.source", false),
        ("version_number", "v.version", true),
        ("creation_timestamp", "v.created_ms", true),
        ("last_updated_timestamp", "v.updated_ms", true),
    ],
    sides: &[Side {
        names: &["tag", "tags"],
        table: "model_version_tags",
        join: "s.model = v.model AND s.version = v.version",
        numeric: false,
        missing_differs: true,
    }],
};

const MODEL: &str = "name, description, project, created_ms, updated_ms";

pub(crate) fn insert_model(tx: &mut Tx<'_>, model: &RegisteredModel) -> Result<()> {
    let inserted = tx.execute(
        "INSERT INTO registered_models (name, description, project, last_version, created_ms, updated_ms) \
         VALUES ($1, $2, $3, 0, $4, $4) ON CONFLICT DO NOTHING",
        args![&model.name, &model.description, &model.project, model.created.as_millis()],
    )?;
    if inserted == 0 {
        return Err(RegistryError::ModelExists { name: model.name.clone() });
    }
    for (key, value) in &model.tags {
        put_model_tag(tx, &model.name, key, value)?;
    }
    Ok(())
}

pub(crate) fn update_model(tx: &mut Tx<'_>, model: &RegisteredModel, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE registered_models SET description = $2, project = $3, updated_ms = $4 WHERE name = $1",
        args![&model.name, &model.description, &model.project, now.as_millis()],
    )?;
    Ok(())
}

/// Gives a model another name, with everything that hangs on it.
pub(crate) fn rename_model(tx: &mut Tx<'_>, name: &str, new_name: &str, now: Timestamp) -> Result<()> {
    let taken = tx.query_one("SELECT name FROM registered_models WHERE name = $1", args![new_name])?;
    if taken.is_some() {
        return Err(RegistryError::ModelExists { name: new_name.to_owned() });
    }
    tx.execute(
        "UPDATE registered_models SET name = $2, updated_ms = $3 WHERE name = $1",
        args![name, new_name, now.as_millis()],
    )?;
    for table in [
        "registered_model_tags",
        "model_versions",
        "model_version_tags",
        "model_aliases",
        "version_decisions",
    ] {
        tx.execute(&format!("UPDATE {table} SET model = $2 WHERE model = $1"), args![name, new_name])?;
    }
    Ok(())
}

/// The model with everything that hangs on it. Versions keep no trace; the events do.
pub(crate) fn delete_model(tx: &mut Tx<'_>, name: &str) -> Result<bool> {
    let gone = tx.execute("DELETE FROM registered_models WHERE name = $1", args![name])?;
    for table in [
        "registered_model_tags",
        "model_versions",
        "model_version_tags",
        "model_aliases",
        "version_decisions",
    ] {
        tx.execute(&format!("DELETE FROM {table} WHERE model = $1"), args![name])?;
    }
    Ok(gone == 1)
}

pub(crate) fn put_model_tag(tx: &mut Tx<'_>, model: &str, key: &str, value: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO registered_model_tags (model, key, value) VALUES ($1, $2, $3) \
         ON CONFLICT (model, key) DO UPDATE SET value = excluded.value",
        args![model, key, value],
    )?;
    Ok(())
}

pub(crate) fn delete_model_tag(tx: &mut Tx<'_>, model: &str, key: &str) -> Result<()> {
    tx.execute("DELETE FROM registered_model_tags WHERE model = $1 AND key = $2", args![model, key])?;
    Ok(())
}

pub(crate) async fn model(db: &Db, name: &str) -> Result<Option<RegisteredModel>> {
    let row =
        db.read_one(format!("SELECT {MODEL} FROM registered_models WHERE name = $1"), args![name]).await?;
    match row {
        Some(row) => Ok(Some(full_model(db, &row).await?)),
        None => Ok(None),
    }
}

/// By name, after `after`, at most `limit`.
pub(crate) async fn models(db: &Db, filter: &str, after: &str, limit: usize) -> Result<Vec<RegisteredModel>> {
    let mut arguments = args![after, limit as i64];
    let more = search::conditions(&MODELS, filter, &mut arguments)?;
    let sql = format!("SELECT {MODEL} FROM registered_models WHERE name > $1{more} ORDER BY name LIMIT $2");
    let mut found = Vec::new();
    for row in db.read(sql, arguments).await? {
        found.push(full_model(db, &row).await?);
    }
    Ok(found)
}

async fn full_model(db: &Db, row: &Row) -> Result<RegisteredModel> {
    let name = row.string(0)?;
    let tags = db.read("SELECT key, value FROM registered_model_tags WHERE model = $1", args![&name]).await?;
    let aliases = db.read("SELECT alias, version FROM model_aliases WHERE model = $1", args![&name]).await?;
    Ok(RegisteredModel {
        description: row.string(1)?,
        project: row.string(2)?,
        created: Timestamp::from_millis(row.int(3)?),
        updated: Timestamp::from_millis(row.int(4)?),
        tags: text_pairs(&tags)?,
        aliases: aliases.iter().map(|row| Ok((row.string(0)?, row.int(1)?))).collect::<Result<_>>()?,
        name,
    })
}

fn text_pairs(rows: &[Row]) -> Result<BTreeMap<String, String>> {
    rows.iter().map(|row| Ok((row.string(0)?, row.string(1)?))).collect()
}

const VERSION: &str = "v.model, v.version, v.state, v.source, v.run_id, v.logged_model_id, v.description, v.author, \
     v.digest, v.created_ms, v.updated_ms";

/// Gives the version its number: one more than the highest ever used by the model.
pub(crate) fn insert_version(tx: &mut Tx<'_>, version: &mut ModelVersion) -> Result<()> {
    // The row is locked by its own update; a number is never used again.
    let owned = tx.execute(
        "UPDATE registered_models SET last_version = last_version + 1 WHERE name = $1",
        args![&version.model],
    )?;
    if owned == 0 {
        return Err(RegistryError::ModelNotFound { name: version.model.clone() });
    }
    let row =
        tx.query_one("SELECT last_version FROM registered_models WHERE name = $1", args![&version.model])?;
    version.version = row.map_or(Ok(1), |row| row.int(0))?;
    tx.execute(
        "INSERT INTO model_versions (model, version, state, source, run_id, logged_model_id, description, author, \
         created_ms, updated_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
        args![
            &version.model,
            version.version,
            version.state.name(),
            &version.source,
            &version.run_id,
            &version.logged_model_id,
            &version.description,
            &version.author,
            version.created.as_millis()
        ],
    )?;
    for (key, value) in &version.tags {
        put_version_tag(tx, &version.model, version.version, key, value)?;
    }
    Ok(())
}

pub(crate) fn update_version(tx: &mut Tx<'_>, version: &ModelVersion, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE model_versions SET state = $3, description = $4, digest = $5, updated_ms = $6 \
         WHERE model = $1 AND version = $2",
        args![
            &version.model,
            version.version,
            version.state.name(),
            &version.description,
            version.digest.clone(),
            now.as_millis()
        ],
    )?;
    Ok(())
}

pub(crate) fn delete_version(tx: &mut Tx<'_>, model: &str, version: i64) -> Result<()> {
    for table in ["model_versions", "model_version_tags", "model_aliases"] {
        tx.execute(&format!("DELETE FROM {table} WHERE model = $1 AND version = $2"), args![model, version])?;
    }
    Ok(())
}

pub(crate) fn put_version_tag(
    tx: &mut Tx<'_>,
    model: &str,
    version: i64,
    key: &str,
    value: &str,
) -> Result<()> {
    tx.execute(
        "INSERT INTO model_version_tags (model, version, key, value) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (model, version, key) DO UPDATE SET value = excluded.value",
        args![model, version, key, value],
    )?;
    Ok(())
}

pub(crate) fn delete_version_tag(tx: &mut Tx<'_>, model: &str, version: i64, key: &str) -> Result<()> {
    tx.execute(
        "DELETE FROM model_version_tags WHERE model = $1 AND version = $2 AND key = $3",
        args![model, version, key],
    )?;
    Ok(())
}

/// The version without tags and aliases, locked until the commit.
pub(crate) fn lock_version(tx: &mut Tx<'_>, model: &str, number: i64) -> Result<Option<ModelVersion>> {
    let lock = tx.for_update();
    let sql = format!("SELECT {VERSION} FROM model_versions v WHERE v.model = $1 AND v.version = $2{lock}");
    tx.query_one(&sql, args![model, number])?.as_ref().map(version).transpose()
}

pub(crate) async fn version_by_number(db: &Db, model: &str, number: i64) -> Result<Option<ModelVersion>> {
    let condition = "v.model = $1 AND v.version = $2";
    Ok(versions_where(db, condition, args![model, number], 1).await?.into_iter().next())
}

/// Versions that a client's filter finds, newest first within a model.
pub(crate) async fn search_versions(db: &Db, filter: &str, limit: usize) -> Result<Vec<ModelVersion>> {
    let mut arguments = Vec::new();
    let more = search::conditions(&VERSIONS, filter, &mut arguments)?;
    versions_where(db, &format!("1 = 1{more}"), arguments, limit).await
}

/// Newest version first within a model; `condition` comes from this group only.
pub(crate) async fn versions_where(
    db: &Db,
    condition: &str,
    mut arguments: Vec<Value>,
    limit: usize,
) -> Result<Vec<ModelVersion>> {
    arguments.push(Value::Int(limit as i64));
    let hole = arguments.len();
    let sql = format!(
        "SELECT {VERSION} FROM model_versions v WHERE {condition} ORDER BY v.model, v.version DESC LIMIT ${hole}"
    );
    let mut found = Vec::new();
    for row in db.read(sql, arguments).await? {
        let mut version = version(&row)?;
        let tags = db
            .read(
                "SELECT key, value FROM model_version_tags WHERE model = $1 AND version = $2",
                args![&version.model, version.version],
            )
            .await?;
        version.tags = text_pairs(&tags)?;
        let aliases = db
            .read(
                "SELECT alias FROM model_aliases WHERE model = $1 AND version = $2 ORDER BY alias",
                args![&version.model, version.version],
            )
            .await?;
        version.aliases = aliases.iter().map(|row| Ok(row.string(0)?)).collect::<Result<_>>()?;
        found.push(version);
    }
    Ok(found)
}

fn version(row: &Row) -> Result<ModelVersion> {
    let state = row.text(2)?;
    Ok(ModelVersion {
        model: row.string(0)?,
        version: row.int(1)?,
        state: VersionState::parse(state).ok_or_else(|| RegistryError::Invalid {
            field: "state",
            value: state.to_owned(),
            rule: "expected a state of this release".to_owned(),
        })?,
        source: row.string(3)?,
        run_id: row.string(4)?,
        logged_model_id: row.string(5)?,
        description: row.string(6)?,
        author: row.string(7)?,
        digest: row.opt_string(8)?,
        created: Timestamp::from_millis(row.int(9)?),
        updated: Timestamp::from_millis(row.int(10)?),
        tags: BTreeMap::new(),
        aliases: Vec::new(),
    })
}

pub(crate) fn put_alias(tx: &mut Tx<'_>, model: &str, alias: &str, version: i64) -> Result<()> {
    tx.execute(
        "INSERT INTO model_aliases (model, alias, version) VALUES ($1, $2, $3) \
         ON CONFLICT (model, alias) DO UPDATE SET version = excluded.version",
        args![model, alias, version],
    )?;
    Ok(())
}

/// The version an alias stands for, read in the transaction that will move it.
pub(crate) fn lock_alias(tx: &mut Tx<'_>, model: &str, alias: &str) -> Result<Option<i64>> {
    let lock = tx.for_update();
    tx.query(&format!("SELECT name FROM registered_models WHERE name = $1{lock}"), args![model])?;
    let sql = "SELECT version FROM model_aliases WHERE model = $1 AND alias = $2";
    Ok(tx.query_one(sql, args![model, alias])?.map(|row| row.int(0)).transpose()?)
}

pub(crate) fn delete_alias(tx: &mut Tx<'_>, model: &str, alias: &str) -> Result<()> {
    tx.execute("DELETE FROM model_aliases WHERE model = $1 AND alias = $2", args![model, alias])?;
    Ok(())
}

pub(crate) fn insert_decision(tx: &mut Tx<'_>, version: &ModelVersion, decision: &Decision) -> Result<()> {
    tx.execute(
        "INSERT INTO version_decisions (id, model, version, kind, outcome, actor, reason, evidence, digest, at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        args![
            new_id(),
            &version.model,
            version.version,
            &decision.kind,
            &decision.outcome,
            &decision.actor,
            &decision.reason,
            decision.evidence.to_string(),
            decision.digest.clone(),
            decision.at.as_millis()
        ],
    )?;
    Ok(())
}

/// Oldest first; a version has a handful.
pub(crate) async fn decisions(db: &Db, model: &str, version: i64) -> Result<Vec<Decision>> {
    let rows = db
        .read(
            "SELECT kind, outcome, actor, reason, evidence, digest, at_ms FROM version_decisions \
             WHERE model = $1 AND version = $2 ORDER BY at_ms, id",
            args![model, version],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Decision {
                kind: row.string(0)?,
                outcome: row.string(1)?,
                actor: row.string(2)?,
                reason: row.string(3)?,
                evidence: serde_json::from_str(row.text(4)?).unwrap_or_default(),
                digest: row.opt_string(5)?,
                at: Timestamp::from_millis(row.int(6)?),
            })
        })
        .collect()
}
