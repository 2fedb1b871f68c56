use platform_db::{Db, Tx, args};
use platform_primitives::Timestamp;

use crate::ExplainError;

type Result<T> = std::result::Result<T, ExplainError>;

/// Explained rows of one version that were written together.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub version: String,
    pub from: Timestamp,
    pub to: Timestamp,
    pub rows: i64,
    pub parquet: Vec<u8>,
}

/// What a day's explanations of a version add up to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DaySums {
    /// Since 1970, in UTC.
    pub day: i64,
    pub rows: i64,
    /// |value|, by output and feature.
    pub sums: Vec<f64>,
}

impl DaySums {
    fn read(row: &mut platform_db::Row) -> Result<Self> {
        let bytes = row.take_bytes(2)?;
        let sums = bytes.as_chunks().0.iter().copied().map(f64::from_le_bytes).collect();
        Ok(Self { day: row.int(0)?, rows: row.int(1)?, sums })
    }
}

/// Appends a chunk, and adds to the days that it has rows of.
pub(crate) fn append(tx: &mut Tx<'_>, endpoint: &str, chunk: Chunk, days: Vec<DaySums>) -> Result<()> {
    let sql = "SELECT COALESCE(MAX(seq), 0) FROM explanation_chunks WHERE endpoint = $1";
    let last = tx.query_one(sql, args![endpoint])?.map_or(Ok(0), |row| row.int(0))?;
    tx.execute(
        "INSERT INTO explanation_chunks (endpoint, seq, version, from_ms, to_ms, row_count, parquet) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        args![
            endpoint,
            last + 1,
            &chunk.version,
            chunk.from.as_millis(),
            chunk.to.as_millis(),
            chunk.rows,
            chunk.parquet
        ],
    )?;
    for mut own in days {
        let sql = "SELECT day, row_count, sums FROM explanation_days \
                   WHERE endpoint = $1 AND version = $2 AND day = $3";
        if let Some(mut row) = tx.query_one(sql, args![endpoint, &chunk.version, own.day])? {
            let known = DaySums::read(&mut row)?;
            own.rows += known.rows;
            own.sums.iter_mut().zip(known.sums).for_each(|(sum, known)| *sum += known);
        }
        let sums: Vec<u8> = own.sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        tx.execute(
            "INSERT INTO explanation_days (endpoint, version, day, row_count, sums) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (endpoint, version, day) DO UPDATE SET row_count = excluded.row_count, sums = excluded.sums",
            args![endpoint, &chunk.version, own.day, own.rows, sums],
        )?;
    }
    Ok(())
}

/// Chunks before `seq` that may hold rows of a time, newest first: sequence number, version and Parquet.
pub(crate) async fn chunks(
    db: &Db,
    endpoint: &str,
    seq: i64,
    (from, to): (Timestamp, Timestamp),
    most: i64,
) -> Result<Vec<(i64, String, Vec<u8>)>> {
    let rows = db.read(
        "SELECT seq, version, parquet FROM explanation_chunks \
         WHERE endpoint = $1 AND seq < $2 AND to_ms >= $3 AND from_ms <= $4 ORDER BY seq DESC LIMIT $5",
        args![endpoint, seq, from.as_millis(), to.as_millis(), most],
    );
    let read = |mut row: platform_db::Row| Ok((row.int(0)?, row.string(1)?, row.take_bytes(2)?));
    rows.await?.into_iter().map(read).collect()
}

/// The newest days of a version, oldest first. By the primary key.
pub(crate) async fn days(db: &Db, endpoint: &str, version: &str, most: i64) -> Result<Vec<DaySums>> {
    let rows = db.read(
        "SELECT day, row_count, sums FROM explanation_days WHERE endpoint = $1 AND version = $2 \
         ORDER BY day DESC LIMIT $3",
        args![endpoint, version, most],
    );
    let mut found: Vec<DaySums> =
        rows.await?.into_iter().map(|mut row| DaySums::read(&mut row)).collect::<Result<_>>()?;
    found.reverse();
    Ok(found)
}

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
