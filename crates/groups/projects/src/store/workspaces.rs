use platform_db::{Db, Row, Tx, args};
use platform_primitives::Timestamp;

use super::Result;
use crate::model::Workspace;

const COLUMNS: &str = "name, description, default_artifact_root, created_ms";

/// False when there is one of that name.
pub(crate) fn insert_workspace(tx: &mut Tx<'_>, workspace: &Workspace) -> Result<bool> {
    let inserted = tx.execute(
        "INSERT INTO workspaces (name, description, default_artifact_root, created_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
        args![
            &workspace.name,
            workspace.description.clone(),
            workspace.default_artifact_root.clone(),
            workspace.created.as_millis()
        ],
    )?;
    Ok(inserted == 1)
}

pub(crate) fn update_workspace(tx: &mut Tx<'_>, workspace: &Workspace) -> Result<()> {
    tx.execute(
        "UPDATE workspaces SET description = $2, default_artifact_root = $3 WHERE name = $1",
        args![&workspace.name, workspace.description.clone(), workspace.default_artifact_root.clone()],
    )?;
    Ok(())
}

/// The row is locked until the commit.
pub(crate) fn lock_workspace(tx: &mut Tx<'_>, name: &str) -> Result<Option<Workspace>> {
    let sql = format!("SELECT {COLUMNS} FROM workspaces WHERE name = $1{}", tx.for_update());
    tx.query_one(&sql, args![name])?.as_ref().map(workspace).transpose()
}

pub(crate) fn delete_workspace(tx: &mut Tx<'_>, name: &str) -> Result<()> {
    tx.execute("DELETE FROM workspaces WHERE name = $1", args![name])?;
    Ok(())
}

pub(crate) async fn workspace_named(db: &Db, name: &str) -> Result<Option<Workspace>> {
    let sql = format!("SELECT {COLUMNS} FROM workspaces WHERE name = $1");
    db.read_one(sql, args![name]).await?.as_ref().map(workspace).transpose()
}

/// By name; they are made by hand and few.
pub(crate) async fn workspaces(db: &Db) -> Result<Vec<Workspace>> {
    let sql = format!("SELECT {COLUMNS} FROM workspaces ORDER BY name");
    db.read(sql, args![]).await?.iter().map(workspace).collect()
}

fn workspace(row: &Row) -> Result<Workspace> {
    Ok(Workspace {
        name: row.string(0)?,
        description: row.opt_string(1)?,
        default_artifact_root: row.opt_string(2)?,
        created: Timestamp::from_millis(row.int(3)?),
    })
}
