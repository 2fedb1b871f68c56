use platform_db::{Db, Tx, args};

use super::Result;
use crate::artifacts::ArtifactPath;
use crate::model::ArtifactEntry;

pub(crate) fn put_artifact(
    tx: &mut Tx<'_>,
    path: &ArtifactPath,
    digest: &str,
    size_bytes: i64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO artifacts (path, folder, digest, size_bytes) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (path) DO UPDATE SET digest = excluded.digest, size_bytes = excluded.size_bytes",
        args![path.as_str(), path.folder(), digest, size_bytes],
    )?;
    for (folder, parent) in path.ancestors() {
        tx.execute(
            "INSERT INTO artifact_folders (path, parent) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            args![folder, parent],
        )?;
    }
    Ok(())
}

/// Removes a file, or a folder with all that is in it; how many files and folders went.
pub(crate) fn delete_artifacts(tx: &mut Tx<'_>, path: &ArtifactPath) -> Result<u64> {
    let arguments = || args![path.as_str(), below(path.as_str())];
    let under = "path = $1 OR path LIKE $2 ESCAPE '!'";
    let files = tx.execute(&format!("DELETE FROM artifacts WHERE {under}"), arguments())?;
    let folders = tx.execute(&format!("DELETE FROM artifact_folders WHERE {under}"), arguments())?;
    Ok(files + folders)
}

/// Whether a file or a folder is at the top of the store under this name.
pub(crate) fn has_files(tx: &mut Tx<'_>, name: &str) -> Result<bool> {
    let folder = tx.query_one("SELECT path FROM artifact_folders WHERE path = $1", args![name])?;
    let file = tx.query_one("SELECT path FROM artifacts WHERE path = $1", args![name])?;
    Ok(folder.is_some() || file.is_some())
}

/// The pattern of LIKE, with `!` before what is meant as it is, for all paths below a folder.
pub(super) fn below(folder: &str) -> String {
    let escaped = folder.replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("{escaped}/%")
}

/// All files of a run, when the run goes for good.
pub(crate) fn delete_folder(tx: &mut Tx<'_>, folder: &str) -> Result<u64> {
    delete_artifacts(tx, &ArtifactPath::parse(folder)?)
}

pub(crate) async fn artifact(db: &Db, path: &ArtifactPath) -> Result<Option<(String, i64)>> {
    let row =
        db.read_one("SELECT digest, size_bytes FROM artifacts WHERE path = $1", args![path.as_str()]).await?;
    row.map(|row| Ok((row.string(0)?, row.int(1)?))).transpose()
}

/// Files and folders directly in `folder`, by path. Bounded by what a client can have logged into one folder.
pub(crate) async fn list_artifacts(db: &Db, folder: &str) -> Result<Vec<ArtifactEntry>> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let mut entries = Vec::new();
    let folders = "SELECT path FROM artifact_folders WHERE parent = $1 ORDER BY path";
    for row in db.read(folders, args![folder]).await? {
        entries.push(ArtifactEntry { name: name(row.text(0)?), is_folder: true, size_bytes: None });
    }
    let files = "SELECT path, size_bytes FROM artifacts WHERE folder = $1 ORDER BY path";
    for row in db.read(files, args![folder]).await? {
        let size_bytes = Some(row.int(1)?);
        entries.push(ArtifactEntry { name: name(row.text(0)?), is_folder: false, size_bytes });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}
