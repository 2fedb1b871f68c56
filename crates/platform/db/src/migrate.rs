//! Forward-only migrations: each group's files in order, each applied once, none changed afterwards.

use sha2::{Digest, Sha256};

use crate::{Db, DbError, Engine, Tx, args};

#[derive(Debug, Clone, Copy)]
pub struct Migration {
    pub version: u32,
    pub name: &'static str,
    pub sql: &'static str,
}

/// The migrations of one group, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct MigrationSet {
    pub group: &'static str,
    pub migrations: &'static [Migration],
}

pub(crate) async fn run(db: &Db, sets: &[MigrationSet]) -> Result<(), DbError> {
    let sets = sets.to_vec();
    db.write(move |tx| {
        if tx.engine() == Engine::Postgres {
            // One replica migrates, the others wait; the lock goes with the transaction.
            tx.execute_script("SELECT pg_advisory_xact_lock(716283001)")?;
        }
        tx.execute_script(
            "CREATE TABLE IF NOT EXISTS schema_migrations (group_name TEXT NOT NULL, version BIGINT NOT NULL, \
             name TEXT NOT NULL, checksum BYTEA NOT NULL, PRIMARY KEY (group_name, version))",
        )?;
        for set in &sets {
            refuse_newer(tx, set)?;
            for migration in set.migrations {
                apply(tx, set.group, migration)?;
            }
        }
        Ok(())
    })
    .await
}

/// An older release must not write to tables whose rules it does not know.
fn refuse_newer(tx: &mut Tx<'_>, set: &MigrationSet) -> Result<(), DbError> {
    let row =
        tx.query_one("SELECT MAX(version) FROM schema_migrations WHERE group_name = $1", args![set.group])?;
    let newest = row.map_or(Ok(None), |row| row.opt_int(0))?;
    let known = set.migrations.iter().map(|migration| i64::from(migration.version)).max();
    match newest {
        Some(version) if newest > known => Err(DbError::MigrationUnknown {
            group: set.group.to_owned(),
            version: u32::try_from(version).unwrap_or(u32::MAX),
        }),
        _ => Ok(()),
    }
}

fn apply(tx: &mut Tx<'_>, group: &str, migration: &Migration) -> Result<(), DbError> {
    let checksum = Sha256::digest(migration.sql.as_bytes()).to_vec();
    let version = i64::from(migration.version);
    let applied = tx.query_one(
        "SELECT checksum FROM schema_migrations WHERE group_name = $1 AND version = $2",
        args![group, version],
    )?;
    if let Some(row) = applied {
        if row.bytes(0)? != checksum {
            return Err(DbError::MigrationChanged { group: group.to_owned(), version: migration.version });
        }
        return Ok(());
    }
    tx.execute_script(migration.sql)?;
    tx.execute(
        "INSERT INTO schema_migrations (group_name, version, name, checksum) VALUES ($1, $2, $3, $4)",
        args![group, version, migration.name, checksum],
    )?;
    Ok(())
}

/// `migrations!("registry", 1 => "0001_models")` reads `migrations/0001_models.sql` of the calling crate.
#[macro_export]
macro_rules! migrations {
    ($group:literal, $($version:literal => $name:literal),+ $(,)?) => {
        $crate::MigrationSet {
            group: $group,
            migrations: &[$($crate::Migration {
                version: $version,
                name: $name,
                sql: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $name, ".sql")),
            }),+],
        }
    };
}
