//! SQL of this group.

mod workspaces;

use std::path::PathBuf;

use platform_db::{Db, Row, Tx, args};
use platform_loopfile::LoopFile;
use platform_primitives::Timestamp;

use crate::ProjectError;
use crate::model::Project;

pub(crate) use workspaces::*;

type Result<T> = std::result::Result<T, ProjectError>;

const COLUMNS: &str = "name, directory, loop_file, digest, created_ms, updated_ms";

pub(crate) fn put(tx: &mut Tx<'_>, project: &Project, text: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO projects (name, directory, loop_file, digest, created_ms, updated_ms) \
         VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (name) DO UPDATE SET loop_file = excluded.loop_file, \
         digest = excluded.digest, updated_ms = excluded.updated_ms",
        args![
            &project.name,
            project.directory.display().to_string(),
            text,
            &project.digest,
            project.updated.as_millis()
        ],
    )?;
    Ok(())
}

pub(crate) async fn find(db: &Db, name: &str) -> Result<Option<Project>> {
    let sql = format!("SELECT {COLUMNS} FROM projects WHERE name = $1");
    db.read_one(sql, args![name]).await?.as_ref().map(project).transpose()
}

/// By name, at most 1,000.
pub(crate) async fn all(db: &Db) -> Result<Vec<Project>> {
    let sql = format!("SELECT {COLUMNS} FROM projects ORDER BY name LIMIT 1000");
    db.read(sql, args![]).await?.iter().map(project).collect()
}

fn project(row: &Row) -> Result<Project> {
    Ok(Project {
        name: row.string(0)?,
        directory: PathBuf::from(row.text(1)?),
        file: LoopFile::parse(row.text(2)?)?,
        digest: row.string(3)?,
        created: Timestamp::from_millis(row.int(4)?),
        updated: Timestamp::from_millis(row.int(5)?),
    })
}
