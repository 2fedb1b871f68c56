use platform_db::{Db, Tx, args};
use platform_primitives::{Timestamp, new_id};

use super::Result;
use crate::model::{Decision, ModelVersion};

pub(crate) fn insert_decision(tx: &mut Tx<'_>, version: &ModelVersion, decision: &Decision) -> Result<()> {
    tx.execute(
        "INSERT INTO version_decisions (id, model, version, kind, outcome, actor, reason, evidence, digest, at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        args![
            new_id(),
            &version.model,
            version.version,
            &decision.kind,
            &decision.outcome,
            &decision.actor,
            &decision.reason,
            decision.evidence.to_string(),
            decision.digest.clone(),
            decision.at.as_millis()
        ],
    )?;
    Ok(())
}

/// Oldest first; a version has a handful.
pub(crate) async fn decisions(db: &Db, model: &str, version: i64) -> Result<Vec<Decision>> {
    let rows = db
        .read(
            "SELECT kind, outcome, actor, reason, evidence, digest, at_ms FROM version_decisions \
             WHERE model = $1 AND version = $2 ORDER BY at_ms, id",
            args![model, version],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Decision {
                kind: row.string(0)?,
                outcome: row.string(1)?,
                actor: row.string(2)?,
                reason: row.string(3)?,
                evidence: serde_json::from_str(row.text(4)?).unwrap_or_default(),
                digest: row.opt_string(5)?,
                at: Timestamp::from_millis(row.int(6)?),
            })
        })
        .collect()
}
