use platform_db::{Db, Tx, args};

use crate::LineageError;
use crate::edges::NewEdge;
use crate::service::Edge;

type Result<T> = std::result::Result<T, LineageError>;

pub(crate) async fn cursor(db: &Db) -> Result<i64> {
    let row = db.read_one("SELECT seq FROM lineage_cursor WHERE id = 1", args![]).await?;
    Ok(row.map_or(Ok(0), |row| row.int(0))?)
}

/// Adds edges and moves the cursor together, so that an event is read exactly once.
pub(crate) fn add(tx: &mut Tx<'_>, edges: &[(i64, NewEdge)], cursor: i64) -> Result<()> {
    for (seq, edge) in edges {
        tx.execute(
            "INSERT INTO lineage_edges (source, target, relation, event_seq) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING",
            args![&edge.source, &edge.target, edge.relation, *seq],
        )?;
    }
    tx.execute(
        "INSERT INTO lineage_cursor (id, seq) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET seq = excluded.seq",
        args![cursor],
    )?;
    Ok(())
}

/// Edges into `target`, at most `limit`.
pub(crate) async fn into(db: &Db, target: &str, limit: usize) -> Result<Vec<Edge>> {
    let rows = db
        .read(
            "SELECT source, target, relation FROM lineage_edges WHERE target = $1 ORDER BY source LIMIT $2",
            args![target, limit as i64],
        )
        .await?;
    rows.iter()
        .map(|row| Ok(Edge { source: row.string(0)?, target: row.string(1)?, relation: row.string(2)? }))
        .collect()
}
