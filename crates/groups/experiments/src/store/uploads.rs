//! Uploads in parts, until they are completed, aborted or too old.

use std::collections::BTreeMap;

use platform_db::{Db, Tx, args};
use platform_primitives::Timestamp;

use super::Result;
use crate::model::Upload;

pub(crate) fn insert_upload(tx: &mut Tx<'_>, upload: &Upload) -> Result<()> {
    tx.execute(
        "INSERT INTO artifact_uploads (id, path, parts, secret, created_ms) VALUES ($1, $2, $3, $4, $5)",
        args![&upload.id, &upload.path, upload.parts, &upload.secret, upload.created.as_millis()],
    )?;
    Ok(())
}

pub(crate) async fn upload(db: &Db, id: &str) -> Result<Option<Upload>> {
    let sql = "SELECT id, path, parts, secret, created_ms FROM artifact_uploads WHERE id = $1";
    let row = db.read_one(sql, args![id]).await?;
    row.map(|row| {
        Ok(Upload {
            id: row.string(0)?,
            path: row.string(1)?,
            parts: row.int(2)?,
            secret: row.string(3)?,
            created: Timestamp::from_millis(row.int(4)?),
        })
    })
    .transpose()
}

/// Whether it is there; its row is locked until the commit.
pub(crate) fn lock_upload(tx: &mut Tx<'_>, id: &str) -> Result<bool> {
    let sql = format!("SELECT id FROM artifact_uploads WHERE id = $1{}", tx.for_update());
    Ok(tx.query_one(&sql, args![id])?.is_some())
}

/// A part that is sent again takes the place of the one before.
pub(crate) fn put_upload_part(
    tx: &mut Tx<'_>,
    id: &str,
    number: i64,
    digest: &str,
    size_bytes: i64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO artifact_upload_parts (upload_id, number, digest, size_bytes) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (upload_id, number) DO UPDATE SET digest = excluded.digest, size_bytes = excluded.size_bytes",
        args![id, number, digest, size_bytes],
    )?;
    Ok(())
}

/// Digests of the parts that came, by number; at most as many as an upload may have.
pub(crate) async fn upload_parts(db: &Db, id: &str) -> Result<BTreeMap<i64, String>> {
    let sql = "SELECT number, digest FROM artifact_upload_parts WHERE upload_id = $1";
    let rows = db.read(sql, args![id]).await?;
    rows.iter().map(|row| Ok((row.int(0)?, row.string(1)?))).collect()
}

/// With its parts; whether it was there.
pub(crate) fn delete_upload(tx: &mut Tx<'_>, id: &str) -> Result<bool> {
    let found = tx.execute("DELETE FROM artifact_uploads WHERE id = $1", args![id])? > 0;
    tx.execute("DELETE FROM artifact_upload_parts WHERE upload_id = $1", args![id])?;
    Ok(found)
}

/// Ids of uploads that began before, oldest first.
pub(crate) async fn uploads_before(db: &Db, before: Timestamp, limit: i64) -> Result<Vec<String>> {
    let sql = "SELECT id FROM artifact_uploads WHERE created_ms < $1 ORDER BY created_ms LIMIT $2";
    let rows = db.read(sql, args![before.as_millis(), limit]).await?;
    rows.iter().map(|row| Ok(row.string(0)?)).collect()
}
