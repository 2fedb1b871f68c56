use platform_db::{Db, Row, Tx, args};
use platform_primitives::{Timestamp, new_id};

use super::Result;
use crate::model::ScorerVersion;

const VERSION: &str = "s.id, s.experiment_id, s.name, v.version, v.serialized, v.created_ms";
const JOINED: &str = "FROM scorers s JOIN scorer_versions v ON v.scorer_id = s.id";

/// Gives the version its number; the first one makes the scorer.
pub(crate) fn insert_scorer_version(tx: &mut Tx<'_>, new: &mut ScorerVersion) -> Result<()> {
    let sql = "INSERT INTO scorers (id, experiment_id, name, last_version) VALUES ($1, $2, $3, 1) \
               ON CONFLICT (experiment_id, name) DO UPDATE SET last_version = scorers.last_version + 1 \
               RETURNING id, last_version";
    if let Some(row) = tx.query_one(sql, args![new_id(), &new.experiment, &new.name])? {
        (new.scorer, new.version) = (row.string(0)?, row.int(1)?);
    }
    tx.execute(
        "INSERT INTO scorer_versions (scorer_id, version, serialized, created_ms) VALUES ($1, $2, $3, $4)",
        args![&new.scorer, new.version, &new.serialized, new.created.as_millis()],
    )?;
    Ok(())
}

/// The newest version of each scorer of an experiment, by name; without one, of all experiments.
pub(crate) async fn scorers(db: &Db, experiment: Option<&str>) -> Result<Vec<ScorerVersion>> {
    let newest = "v.version = (SELECT MAX(w.version) FROM scorer_versions w WHERE w.scorer_id = s.id)";
    let rows = match experiment {
        Some(experiment) => {
            let sql =
                format!("SELECT {VERSION} {JOINED} WHERE s.experiment_id = $1 AND {newest} ORDER BY s.name");
            db.read(sql, args![experiment]).await?
        }
        None => {
            let sql = format!("SELECT {VERSION} {JOINED} WHERE {newest} ORDER BY s.experiment_id, s.name");
            db.read(sql, args![]).await?
        }
    };
    rows.iter().map(version).collect()
}

/// All versions, oldest first.
pub(crate) async fn scorer_versions(db: &Db, experiment: &str, name: &str) -> Result<Vec<ScorerVersion>> {
    let sql =
        format!("SELECT {VERSION} {JOINED} WHERE s.experiment_id = $1 AND s.name = $2 ORDER BY v.version");
    db.read(sql, args![experiment, name]).await?.iter().map(version).collect()
}

/// One version, or all with the scorer itself; the scorer's id when something went.
pub(crate) fn delete_scorer(
    tx: &mut Tx<'_>,
    experiment: &str,
    name: &str,
    version: Option<i64>,
) -> Result<Option<String>> {
    let sql = format!("SELECT id FROM scorers WHERE experiment_id = $1 AND name = $2{}", tx.for_update());
    let Some(row) = tx.query_one(&sql, args![experiment, name])? else { return Ok(None) };
    let id = row.string(0)?;
    let gone = match version {
        Some(version) => tx.execute(
            "DELETE FROM scorer_versions WHERE scorer_id = $1 AND version = $2",
            args![&id, version],
        )?,
        None => {
            tx.execute("DELETE FROM scorers WHERE id = $1", args![&id])?;
            tx.execute("DELETE FROM scorer_versions WHERE scorer_id = $1", args![&id])?
        }
    };
    Ok((gone > 0 || version.is_none()).then_some(id))
}

fn version(row: &Row) -> Result<ScorerVersion> {
    Ok(ScorerVersion {
        scorer: row.string(0)?,
        experiment: row.string(1)?,
        name: row.string(2)?,
        version: row.int(3)?,
        serialized: row.string(4)?,
        created: Timestamp::from_millis(row.int(5)?),
    })
}
