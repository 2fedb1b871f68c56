//! Rows as another registry had them.

use platform_db::{Tx, args};

use super::{Result, put_version_tag};
use crate::foreign::ForeignVersion;
use crate::model::VersionState;

/// With its number and its times; the model, which the caller has locked, never gives that number again.
pub(crate) fn insert_imported_version(
    tx: &mut Tx<'_>,
    version: &ForeignVersion,
    location: &str,
) -> Result<()> {
    tx.execute(
        "INSERT INTO model_versions (model, version, state, stage, source, location, run_id, run_link, \
         logged_model_id, description, author, created_ms, updated_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        args![
            &version.model,
            version.version,
            VersionState::Registered.name(),
            version.stage.name(),
            &version.source,
            location,
            &version.run_id,
            &version.run_link,
            &version.logged_model_id,
            &version.description,
            &version.author,
            version.created.as_millis(),
            version.updated.as_millis()
        ],
    )?;
    for (key, value) in &version.tags {
        put_version_tag(tx, &version.model, version.version, key, value)?;
    }
    tx.execute(
        "UPDATE registered_models SET last_version = CASE WHEN last_version < $2 THEN $2 ELSE last_version END \
         WHERE name = $1",
        args![&version.model, version.version],
    )?;
    Ok(())
}
