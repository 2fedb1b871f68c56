//! Registered models, their tags and aliases.

use std::collections::BTreeMap;

use platform_db::{Row, Tx, Value, args};
use platform_primitives::{Page, Timestamp};
use platform_web::mlflow::DEFAULT_WORKSPACE;
use platform_web::mlflow::search::{self, Ask, Domain, Side};

use super::versions::latest_versions;
use super::{CHUNK, Reader, Result, list_of};
use crate::RegistryError;
use crate::model::{ModelEntry, RegisteredModel};

/// What a search of models sees. A tag a model lacks differs from every value: MLflow's client leaves out prompts so.
const MODELS: Domain<'static> = Domain {
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
    tie: &[("name", true, false)],
};

const MODEL: &str = "name, description, project, created_ms, updated_ms";
const MODEL_COLUMNS: usize = 5;

/// Everything that hangs on a model's name.
const PARTS: [&str; 12] = [
    "registered_model_tags",
    "model_versions",
    "model_version_tags",
    "model_aliases",
    "version_decisions",
    "model_gates",
    "policy_setters",
    "version_approvals",
    "version_signatures",
    "version_evaluations",
    "model_cards",
    "card_fields",
];

/// A condition that leaves out prompts; `model` is the column with the model's name.
pub(super) fn no_prompts(model: &str) -> String {
    format!(
        " AND NOT EXISTS (SELECT 1 FROM registered_model_tags p WHERE p.model = {model} \
         AND p.key = 'mlflow.prompt.is_prompt' AND LOWER(p.value) = 'true')"
    )
}

/// Names of models as one workspace sees them.
pub(super) struct Names {
    /// Finds the workspace's; it comes before all other arguments.
    pub condition: String,
    pub arguments: Vec<Value>,
    /// The name without its workspace.
    pub plain: String,
}

impl Names {
    pub fn within(workspace: Option<&str>, column: &str) -> Self {
        let (condition, arguments, plain) = match workspace {
            None => ("1 = 1".to_owned(), Vec::new(), column.to_owned()),
            Some(DEFAULT_WORKSPACE) => (format!("{column} NOT LIKE '%/%'"), Vec::new(), column.to_owned()),
            Some(workspace) => {
                let prefix = format!("{workspace}/");
                let length = prefix.chars().count();
                let condition = format!("SUBSTR({column}, 1, {length}) = $1");
                (condition, args![prefix], format!("SUBSTR({column}, {})", length + 1))
            }
        };
        Self { condition, arguments, plain }
    }
}

/// The attributes of a search, with `plain` for the name.
pub(super) fn with_name<'d>(domain: &Domain<'d>, plain: &'d str) -> Vec<(&'d str, &'d str, bool)> {
    let attribute = |(key, column, numeric): &(&'d str, &'d str, bool)| match *key {
        "name" => (*key, plain, *numeric),
        _ => (*key, *column, *numeric),
    };
    domain.attributes.iter().map(attribute).collect()
}

pub(crate) fn count_models(reader: &mut impl Reader, workspace: &str) -> Result<i64> {
    let Names { condition, arguments, .. } = Names::within(Some(workspace), "name");
    let rows =
        reader.rows(&format!("SELECT COUNT(*) FROM registered_models WHERE {condition}"), arguments)?;
    Ok(rows.first().map_or(Ok(0), |row| row.int(0))?)
}

/// Whether the model was new; one of that name is left as it is.
pub(crate) fn insert_model(tx: &mut Tx<'_>, model: &RegisteredModel) -> Result<bool> {
    let inserted = tx.execute(
        "INSERT INTO registered_models (name, description, project, last_version, created_ms, updated_ms) \
         VALUES ($1, $2, $3, 0, $4, $4) ON CONFLICT DO NOTHING",
        args![&model.name, &model.description, &model.project, model.created.as_millis()],
    )?;
    if inserted == 0 {
        return Ok(false);
    }
    for (key, value) in &model.tags {
        put_model_tag(tx, &model.name, key, value)?;
    }
    Ok(true)
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
    for table in PARTS {
        tx.execute(&format!("UPDATE {table} SET model = $2 WHERE model = $1"), args![name, new_name])?;
    }
    tx.execute(
        "UPDATE model_versions SET updated_ms = $2 WHERE model = $1",
        args![new_name, now.as_millis()],
    )?;
    Ok(())
}

/// The model with everything that hangs on it. Versions keep no trace; the events do.
pub(crate) fn delete_model(tx: &mut Tx<'_>, name: &str) -> Result<()> {
    tx.execute("DELETE FROM registered_models WHERE name = $1", args![name])?;
    for table in PARTS {
        tx.execute(&format!("DELETE FROM {table} WHERE model = $1"), args![name])?;
    }
    Ok(())
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

pub(crate) fn put_alias(tx: &mut Tx<'_>, model: &str, alias: &str, version: i64) -> Result<()> {
    tx.execute(
        "INSERT INTO model_aliases (model, alias, version) VALUES ($1, $2, $3) \
         ON CONFLICT (model, alias) DO UPDATE SET version = excluded.version",
        args![model, alias, version],
    )?;
    Ok(())
}

pub(crate) fn delete_alias(tx: &mut Tx<'_>, model: &str, alias: &str) -> Result<()> {
    tx.execute("DELETE FROM model_aliases WHERE model = $1 AND alias = $2", args![model, alias])?;
    Ok(())
}

/// The model with tags and aliases, its row locked until the commit.
pub(crate) fn lock_model(tx: &mut Tx<'_>, name: &str) -> Result<Option<RegisteredModel>> {
    let lock = tx.for_update();
    one_model(tx, name, lock)
}

pub(crate) fn model(reader: &mut impl Reader, name: &str) -> Result<Option<RegisteredModel>> {
    one_model(reader, name, "")
}

fn one_model(reader: &mut impl Reader, name: &str, lock: &str) -> Result<Option<RegisteredModel>> {
    let sql = format!("SELECT {MODEL} FROM registered_models WHERE name = $1{lock}");
    let rows = reader.rows(&sql, args![name])?;
    let mut models = rows.iter().map(bare_model).collect::<Result<Vec<_>>>()?;
    dress(reader, &mut models)?;
    Ok(models.pop())
}

/// The model with the newest version of each stage.
pub(crate) fn model_entry(reader: &mut impl Reader, name: &str) -> Result<Option<ModelEntry>> {
    let Some(model) = model(reader, name)? else { return Ok(None) };
    Ok(entries(reader, vec![model])?.pop())
}

/// A page of what the client asks for, by name unless it says otherwise: five queries, however long the page.
pub(crate) fn search_models(
    reader: &mut impl Reader,
    ask: &Ask,
    with_prompts: bool,
    workspace: Option<&str>,
) -> Result<Page<ModelEntry>> {
    let hidden = if with_prompts { String::new() } else { no_prompts("registered_models.name") };
    let Names { condition, arguments, plain } = Names::within(workspace, "name");
    let from = format!("FROM registered_models WHERE {condition}{hidden}");
    let attributes = with_name(&MODELS, &plain);
    let domain = Domain { attributes: &attributes, ..MODELS };
    let paged = search::paged(&domain, (MODEL, MODEL_COLUMNS), &from, arguments, ask)?;
    let mut rows = reader.rows(&paged.sql, paged.arguments.clone())?;
    let next = paged.cut(&mut rows);
    let mut models = rows.iter().map(bare_model).collect::<Result<Vec<_>>>()?;
    dress(reader, &mut models)?;
    Ok(Page { items: entries(reader, models)?, next })
}

fn entries(reader: &mut impl Reader, models: Vec<RegisteredModel>) -> Result<Vec<ModelEntry>> {
    let names: Vec<String> = models.iter().map(|model| model.name.clone()).collect();
    let mut latest: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for version in latest_versions(reader, &names)? {
        latest.entry(version.model.clone()).or_default().push(version);
    }
    let entry = |model: RegisteredModel| {
        let latest = latest.remove(&model.name).unwrap_or_default();
        ModelEntry { model, latest }
    };
    Ok(models.into_iter().map(entry).collect())
}

fn bare_model(row: &Row) -> Result<RegisteredModel> {
    Ok(RegisteredModel {
        name: row.string(0)?,
        description: row.string(1)?,
        project: row.string(2)?,
        created: Timestamp::from_millis(row.int(3)?),
        updated: Timestamp::from_millis(row.int(4)?),
        tags: BTreeMap::new(),
        aliases: BTreeMap::new(),
    })
}

/// Reads tags and aliases of all `models` in a query each per [`CHUNK`].
fn dress(reader: &mut impl Reader, models: &mut [RegisteredModel]) -> Result<()> {
    for models in models.chunks_mut(CHUNK) {
        let names: Vec<String> = models.iter().map(|model| model.name.clone()).collect();
        let mut by_name: BTreeMap<&str, &mut RegisteredModel> =
            names.iter().map(String::as_str).zip(models.iter_mut()).collect();
        let (holes, arguments) = list_of(&names);
        let sql = format!("SELECT model, key, value FROM registered_model_tags WHERE model IN ({holes})");
        for row in reader.rows(&sql, arguments.clone())? {
            if let Some(model) = by_name.get_mut(row.text(0)?) {
                model.tags.insert(row.string(1)?, row.string(2)?);
            }
        }
        let sql = format!("SELECT model, alias, version FROM model_aliases WHERE model IN ({holes})");
        for row in reader.rows(&sql, arguments)? {
            if let Some(model) = by_name.get_mut(row.text(0)?) {
                model.aliases.insert(row.string(1)?, row.int(2)?);
            }
        }
    }
    Ok(())
}
