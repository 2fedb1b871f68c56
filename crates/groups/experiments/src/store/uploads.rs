//! Uploads in parts, until they are aborted or too old. Those that were completed stay as long, without their parts.

use std::collections::BTreeMap;

use platform_db::{Db, Tx, args};
use platform_primitives::Timestamp;

use super::Result;
use super::artifacts::below;
use crate::model::Upload;

pub(crate) fn insert_upload(tx: &mut Tx<'_>, upload: &Upload) -> Result<()> {
    tx.execute(
        "INSERT INTO artifact_uploads (id, path, parts, secret, created_ms, workspace) VALUES ($1, $2, $3, $4, $5, $6)",
        args![
            &upload.id,
            &upload.path,
            upload.parts,
            &upload.secret,
            upload.created.as_millis(),
            &upload.workspace
        ],
    )?;
    Ok(())
}

/// How many began since then and are open: of one workspace, and of all; index `artifact_uploads_open`.
pub(crate) fn count_open_uploads(tx: &mut Tx<'_>, workspace: &str, since: Timestamp) -> Result<(i64, i64)> {
    let row = tx.query_one(
        "SELECT COUNT(CASE WHEN workspace = $1 THEN 1 END), COUNT(*) FROM artifact_uploads \
         WHERE joined IS NULL AND created_ms > $2",
        args![workspace, since.as_millis()],
    )?;
    row.map_or(Ok((0, 0)), |row| Ok((row.int(0)?, row.int(1)?)))
}

pub(crate) async fn upload(db: &Db, id: &str) -> Result<Option<Upload>> {
    let sql =
        "SELECT id, path, parts, secret, created_ms, workspace, joined FROM artifact_uploads WHERE id = $1";
    let row = db.read_one(sql, args![id]).await?;
    row.map(|row| {
        Ok(Upload {
            id: row.string(0)?,
            path: row.string(1)?,
            parts: row.int(2)?,
            secret: row.string(3)?,
            created: Timestamp::from_millis(row.int(4)?),
            workspace: row.string(5)?,
            joined: row.opt_string(6)?,
        })
    })
    .transpose()
}

/// Whether it is there and open; its row is locked until the commit.
pub(crate) fn lock_upload(tx: &mut Tx<'_>, id: &str) -> Result<bool> {
    let sql = format!("SELECT id FROM artifact_uploads WHERE id = $1 AND joined IS NULL{}", tx.for_update());
    Ok(tx.query_one(&sql, args![id])?.is_some())
}

/// A part that is sent again takes the place of the one before, whose digest is returned. The caller has locked the upload.
pub(crate) fn put_upload_part(
    tx: &mut Tx<'_>,
    id: &str,
    number: i64,
    digest: &str,
    size_bytes: i64,
) -> Result<Option<String>> {
    let sql = "SELECT digest FROM artifact_upload_parts WHERE upload_id = $1 AND number = $2";
    let before = tx.query_one(sql, args![id, number])?.map(|row| row.string(0)).transpose()?;
    tx.execute(
        "INSERT INTO artifact_upload_parts (upload_id, number, digest, size_bytes) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (upload_id, number) DO UPDATE SET digest = excluded.digest, size_bytes = excluded.size_bytes",
        args![id, number, digest, size_bytes],
    )?;
    Ok(before)
}

/// Digests of the parts that came, by number; at most as many as an upload may have.
pub(crate) async fn upload_parts(db: &Db, id: &str) -> Result<BTreeMap<i64, String>> {
    let sql = "SELECT number, digest FROM artifact_upload_parts WHERE upload_id = $1";
    let rows = db.read(sql, args![id]).await?;
    rows.iter().map(|row| Ok((row.int(0)?, row.string(1)?))).collect()
}

/// Completes it: its parts go, and it stays with the digest of what they were. Whether it was there and open.
pub(crate) fn end_upload(tx: &mut Tx<'_>, id: &str, joined: &str) -> Result<bool> {
    let sql = "UPDATE artifact_uploads SET joined = $2 WHERE id = $1 AND joined IS NULL";
    let ended = tx.execute(sql, args![id, joined])? > 0;
    tx.execute("DELETE FROM artifact_upload_parts WHERE upload_id = $1", args![id])?;
    Ok(ended)
}

/// With its parts, open or not.
pub(crate) fn delete_upload(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    tx.execute("DELETE FROM artifact_uploads WHERE id = $1", args![id])?;
    tx.execute("DELETE FROM artifact_upload_parts WHERE upload_id = $1", args![id])?;
    Ok(())
}

/// All whose files would lie below a folder. Reads the uploads of the last day.
pub(crate) fn delete_uploads_below(tx: &mut Tx<'_>, folder: &str) -> Result<()> {
    let sql = "DELETE FROM artifact_uploads WHERE path LIKE $1 ESCAPE '!' RETURNING id";
    for row in tx.query(sql, args![below(folder)])? {
        tx.execute("DELETE FROM artifact_upload_parts WHERE upload_id = $1", args![row.text(0)?])?;
    }
    Ok(())
}

/// Ids of uploads that began before, oldest first.
pub(crate) async fn uploads_before(db: &Db, before: Timestamp, limit: i64) -> Result<Vec<String>> {
    let sql = "SELECT id FROM artifact_uploads WHERE created_ms < $1 ORDER BY created_ms LIMIT $2";
    let rows = db.read(sql, args![before.as_millis(), limit]).await?;
    rows.iter().map(|row| Ok(row.string(0)?)).collect()
}
