//! Versions of models and their tags.

use std::collections::BTreeMap;

use platform_db::{Row, Tx, Value, args};
use platform_primitives::{Page, Timestamp};
use platform_web::mlflow::search::{self, Ask, Domain, Side};

use super::models::{Names, no_prompts, with_name};
use super::{CHUNK, Reader, Result, list_of};
use crate::RegistryError;
use crate::model::{ModelVersion, Stage, VersionState};

const VERSIONS: Domain<'static> = Domain {
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
    tie: &[("v.model", true, false), ("v.version", false, true)],
};

const VERSION: &str = "v.model, v.version, v.state, v.stage, v.source, v.location, v.run_id, v.run_link, \
     v.logged_model_id, v.description, v.author, v.digest, v.approval_expires_ms, v.created_ms, v.updated_ms, v.manifest";
const VERSION_COLUMNS: usize = 16;

/// Gives the version its number: one more than the highest ever used by the model.
pub(crate) fn insert_version(tx: &mut Tx<'_>, version: &mut ModelVersion) -> Result<()> {
    // The row is locked by its own update; a number is never used again.
    let owned = tx.execute(
        "UPDATE registered_models SET last_version = last_version + 1, updated_ms = $2 WHERE name = $1",
        args![&version.model, version.created.as_millis()],
    )?;
    if owned == 0 {
        return Err(RegistryError::ModelNotFound { name: version.model.clone() });
    }
    let row =
        tx.query_one("SELECT last_version FROM registered_models WHERE name = $1", args![&version.model])?;
    version.version = row.map_or(Ok(1), |row| row.int(0))?;
    tx.execute(
        "INSERT INTO model_versions (model, version, state, stage, source, location, run_id, run_link, \
         logged_model_id, description, author, created_ms, updated_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)",
        args![
            &version.model,
            version.version,
            version.state.name(),
            version.stage.name(),
            &version.source,
            &version.location,
            &version.run_id,
            &version.run_link,
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

pub(crate) fn update_version(tx: &mut Tx<'_>, version: &ModelVersion) -> Result<()> {
    tx.execute(
        "UPDATE model_versions SET state = $3, stage = $4, description = $5, digest = $6, \
         approval_expires_ms = $7, updated_ms = $8, manifest = $9 WHERE model = $1 AND version = $2",
        args![
            &version.model,
            version.version,
            version.state.name(),
            version.stage.name(),
            &version.description,
            version.digest.clone(),
            version.approval_expires.map(Timestamp::as_millis),
            version.updated.as_millis(),
            version.manifest.clone()
        ],
    )?;
    Ok(())
}

/// Moves every other version of the model from one stage to another.
pub(crate) fn move_others(
    tx: &mut Tx<'_>,
    version: &ModelVersion,
    from: Stage,
    to: Stage,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE model_versions SET stage = $4, updated_ms = $5 \
         WHERE model = $1 AND version <> $2 AND stage = $3",
        args![&version.model, version.version, from.name(), to.name(), now.as_millis()],
    )?;
    Ok(())
}

pub(crate) fn delete_version(tx: &mut Tx<'_>, model: &str, version: i64) -> Result<()> {
    const PARTS: [&str; 8] = [
        "model_versions",
        "model_version_tags",
        "model_aliases",
        "version_approvals",
        "version_signatures",
        "version_evaluations",
        "model_cards",
        "card_fields",
    ];
    for table in PARTS {
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

/// The version with tags and aliases, its row locked until the commit.
pub(crate) fn lock_version(tx: &mut Tx<'_>, model: &str, number: i64) -> Result<Option<ModelVersion>> {
    let lock = tx.for_update();
    let sql = format!("SELECT {VERSION} FROM model_versions v WHERE v.model = $1 AND v.version = $2{lock}");
    Ok(dressed(tx, &sql, args![model, number])?.pop())
}

pub(crate) fn version(reader: &mut impl Reader, model: &str, number: i64) -> Result<Option<ModelVersion>> {
    let sql = format!("SELECT {VERSION} FROM model_versions v WHERE v.model = $1 AND v.version = $2");
    Ok(dressed(reader, &sql, args![model, number])?.pop())
}

/// A page of what the client asks for; by `ask.order_by`, then by model, newest version first.
pub(crate) fn search_versions(
    reader: &mut impl Reader,
    ask: &Ask,
    with_prompts: bool,
    workspace: Option<&str>,
) -> Result<Page<ModelVersion>> {
    let hidden = if with_prompts { String::new() } else { no_prompts("v.model") };
    let Names { condition, arguments, plain } = Names::within(workspace, "v.model");
    let from = format!("FROM model_versions v WHERE {condition}{hidden}");
    let attributes = with_name(&VERSIONS, &plain);
    let domain = Domain { attributes: &attributes, ..VERSIONS };
    let paged = search::paged(&domain, (VERSION, VERSION_COLUMNS), &from, arguments, ask)?;
    let mut rows = reader.rows(&paged.sql, paged.arguments.clone())?;
    let next = paged.cut(&mut rows);
    let mut items = rows.iter().map(bare_version).collect::<Result<Vec<_>>>()?;
    dress(reader, &mut items)?;
    Ok(Page { items, next })
}

/// Versions that a run made, newest first within a model, at most `limit`; by `model_versions_by_run`.
pub(crate) fn versions_of_run(
    reader: &mut impl Reader,
    run: &str,
    limit: usize,
) -> Result<Vec<ModelVersion>> {
    let sql = format!(
        "SELECT {VERSION} FROM model_versions v WHERE v.run_id = $1 ORDER BY v.model, v.version DESC LIMIT $2"
    );
    dressed(reader, &sql, args![run, limit as i64])
}

/// The newest `limit` versions of each of these models, newest first within a model.
pub(crate) fn newest_versions(
    reader: &mut impl Reader,
    models: &[String],
    limit: usize,
) -> Result<Vec<ModelVersion>> {
    let mut found = Vec::new();
    for models in models.chunks(CHUNK) {
        let (holes, mut arguments) = list_of(models);
        arguments.push(Value::Int(limit as i64));
        let sql = format!(
            "SELECT {VERSION} FROM (SELECT w.*, ROW_NUMBER() OVER (PARTITION BY w.model ORDER BY w.version DESC) \
             AS place FROM model_versions w WHERE w.model IN ({holes})) v WHERE v.place <= ${} \
             ORDER BY v.model, v.version DESC",
            arguments.len()
        );
        found.extend(dressed(reader, &sql, arguments)?);
    }
    Ok(found)
}

/// The newest version of each stage of these models, newest first within a model; by `model_versions_by_stage`.
pub(crate) fn latest_versions(reader: &mut impl Reader, models: &[String]) -> Result<Vec<ModelVersion>> {
    let mut found = Vec::new();
    for models in models.chunks(CHUNK) {
        let (holes, arguments) = list_of(models);
        let sql = format!(
            "SELECT {VERSION} FROM model_versions v JOIN (SELECT w.model, MAX(w.version) AS newest \
             FROM model_versions w WHERE w.model IN ({holes}) GROUP BY w.model, w.stage) l \
             ON l.model = v.model AND l.newest = v.version ORDER BY v.model, v.version DESC"
        );
        found.extend(dressed(reader, &sql, arguments)?);
    }
    Ok(found)
}

fn dressed(reader: &mut impl Reader, sql: &str, arguments: Vec<Value>) -> Result<Vec<ModelVersion>> {
    let rows = reader.rows(sql, arguments)?;
    let mut versions = rows.iter().map(bare_version).collect::<Result<Vec<_>>>()?;
    dress(reader, &mut versions)?;
    Ok(versions)
}

fn bare_version(row: &Row) -> Result<ModelVersion> {
    let state = row.text(2)?;
    Ok(ModelVersion {
        model: row.string(0)?,
        version: row.int(1)?,
        state: VersionState::parse(state).ok_or_else(|| RegistryError::Invalid {
            field: "state",
            value: state.to_owned(),
            rule: "expected a state of this release".to_owned(),
        })?,
        stage: Stage::parse(row.text(3)?)?,
        source: row.string(4)?,
        location: row.string(5)?,
        run_id: row.string(6)?,
        run_link: row.string(7)?,
        logged_model_id: row.string(8)?,
        description: row.string(9)?,
        author: row.string(10)?,
        digest: row.opt_string(11)?,
        approval_expires: row.opt_int(12)?.map(Timestamp::from_millis),
        created: Timestamp::from_millis(row.int(13)?),
        updated: Timestamp::from_millis(row.int(14)?),
        manifest: row.opt_string(15)?,
        tags: BTreeMap::new(),
        aliases: Vec::new(),
    })
}

/// Reads tags and aliases of all `versions` in a query each per [`CHUNK`].
fn dress(reader: &mut impl Reader, versions: &mut [ModelVersion]) -> Result<()> {
    for versions in versions.chunks_mut(CHUNK) {
        let mut arguments = Vec::new();
        let mut keys = Vec::new();
        let mut by_key = BTreeMap::new();
        for version in versions {
            arguments.extend(args![&version.model, version.version]);
            keys.push(format!("(model = ${} AND version = ${})", arguments.len() - 1, arguments.len()));
            by_key.insert((version.model.clone(), version.version), version);
        }
        let keys = keys.join(" OR ");
        let sql = format!("SELECT model, version, key, value FROM model_version_tags WHERE {keys}");
        for row in reader.rows(&sql, arguments.clone())? {
            if let Some(version) = by_key.get_mut(&(row.string(0)?, row.int(1)?)) {
                version.tags.insert(row.string(2)?, row.string(3)?);
            }
        }
        let sql = format!("SELECT model, version, alias FROM model_aliases WHERE {keys} ORDER BY alias");
        for row in reader.rows(&sql, arguments)? {
            if let Some(version) = by_key.get_mut(&(row.string(0)?, row.int(1)?)) {
                version.aliases.push(row.string(2)?);
            }
        }
    }
    Ok(())
}
