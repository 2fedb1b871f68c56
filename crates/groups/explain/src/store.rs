use platform_db::{Db, Tx, args};
use platform_primitives::Timestamp;

use crate::ExplainError;

type Result<T> = std::result::Result<T, ExplainError>;

/// Settings of an endpoint as they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettingsRow {
    pub version: i64,
    /// JSON.
    pub body: String,
    pub actor: String,
    pub at: Timestamp,
}

/// The number of the newest settings; 0 when there are none. By the primary key.
pub(crate) fn newest_version(tx: &mut Tx<'_>, endpoint: &str) -> Result<i64> {
    let sql = "SELECT COALESCE(MAX(version), 0) FROM explanation_settings WHERE endpoint = $1";
    Ok(tx.query_one(sql, args![endpoint])?.map_or(Ok(0), |row| row.int(0))?)
}

/// A version that exists already is an error: settings never change.
pub(crate) fn insert_settings(tx: &mut Tx<'_>, endpoint: &str, row: &SettingsRow) -> Result<()> {
    tx.execute(
        "INSERT INTO explanation_settings (endpoint, version, body, actor, at_ms) \
         VALUES ($1, $2, $3, $4, $5)",
        args![endpoint, row.version, &row.body, &row.actor, row.at.as_millis()],
    )?;
    Ok(())
}

/// A version of the settings, or the newest. By the primary key.
pub(crate) async fn settings(db: &Db, endpoint: &str, version: Option<i64>) -> Result<Option<SettingsRow>> {
    let row = match version {
        Some(version) => {
            db.read_one(
                "SELECT version, body, actor, at_ms FROM explanation_settings \
                 WHERE endpoint = $1 AND version = $2",
                args![endpoint, version],
            )
            .await?
        }
        None => {
            db.read_one(
                "SELECT version, body, actor, at_ms FROM explanation_settings WHERE endpoint = $1 \
                 ORDER BY version DESC LIMIT 1",
                args![endpoint],
            )
            .await?
        }
    };
    let Some(row) = row else { return Ok(None) };
    Ok(Some(SettingsRow {
        version: row.int(0)?,
        body: row.string(1)?,
        actor: row.string(2)?,
        at: Timestamp::from_millis(row.int(3)?),
    }))
}

/// Rows that were put beside a version, without the rows themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReferenceRow {
    /// Another one with every put.
    pub id: String,
    pub label: Option<String>,
    pub count: i64,
    /// Rows of the body, of which `count` were kept.
    pub given: i64,
    pub actor: String,
    pub at: Timestamp,
}

/// Takes the place of what was there.
pub(crate) fn put_reference(
    tx: &mut Tx<'_>,
    endpoint: &str,
    version: &str,
    row: &ReferenceRow,
    parquet: Vec<u8>,
) -> Result<()> {
    tx.execute(
        "INSERT INTO explanation_references \
         (endpoint, version, id, label, row_count, rows_given, actor, at_ms, parquet) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (endpoint, version) DO UPDATE SET \
         id = excluded.id, label = excluded.label, row_count = excluded.row_count, \
         rows_given = excluded.rows_given, actor = excluded.actor, at_ms = excluded.at_ms, \
         parquet = excluded.parquet",
        args![
            endpoint,
            version,
            &row.id,
            row.label.clone(),
            row.count,
            row.given,
            &row.actor,
            row.at.as_millis(),
            parquet
        ],
    )?;
    Ok(())
}

/// How many were there: 0 or 1.
pub(crate) fn delete_reference(tx: &mut Tx<'_>, endpoint: &str, version: &str) -> Result<u64> {
    let sql = "DELETE FROM explanation_references WHERE endpoint = $1 AND version = $2";
    Ok(tx.execute(sql, args![endpoint, version])?)
}

/// By the primary key.
pub(crate) async fn reference(db: &Db, endpoint: &str, version: &str) -> Result<Option<ReferenceRow>> {
    let row = db
        .read_one(
            "SELECT id, label, row_count, rows_given, actor, at_ms FROM explanation_references \
             WHERE endpoint = $1 AND version = $2",
            args![endpoint, version],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(ReferenceRow {
        id: row.string(0)?,
        label: row.opt_string(1)?,
        count: row.int(2)?,
        given: row.int(3)?,
        actor: row.string(4)?,
        at: Timestamp::from_millis(row.int(5)?),
    }))
}

/// The rows as Parquet; `None` when another put or a deletion came in between.
pub(crate) async fn reference_rows(
    db: &Db,
    endpoint: &str,
    version: &str,
    id: &str,
) -> Result<Option<Vec<u8>>> {
    let row = db
        .read_one(
            "SELECT parquet FROM explanation_references WHERE endpoint = $1 AND version = $2 AND id = $3",
            args![endpoint, version, id],
        )
        .await?;
    Ok(row.map(|mut row| row.take_bytes(0)).transpose()?)
}
