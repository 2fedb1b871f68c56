use platform_db::{Db, Row, Tx, args};
use platform_primitives::Timestamp;

use crate::ServingError;
use crate::model::Endpoint;

type Result<T> = std::result::Result<T, ServingError>;

const COLUMNS: &str = "name, model, project, traffic, created_ms, updated_ms";

pub(crate) fn put(tx: &mut Tx<'_>, endpoint: &Endpoint) -> Result<()> {
    let traffic = serde_json::to_string(&endpoint.traffic).expect("traffic is plain data");
    tx.execute(
        "INSERT INTO endpoints (name, model, project, traffic, created_ms, updated_ms) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO UPDATE SET traffic = excluded.traffic, \
         model = excluded.model, project = excluded.project, updated_ms = excluded.updated_ms",
        args![
            &endpoint.name,
            &endpoint.model,
            &endpoint.project,
            traffic,
            endpoint.created.as_millis(),
            endpoint.updated.as_millis()
        ],
    )?;
    Ok(())
}

/// A revision keeps the digest it was first loaded with.
pub(crate) fn put_revision(
    tx: &mut Tx<'_>,
    endpoint: &str,
    revision: i64,
    digest: &str,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO endpoint_revisions (endpoint, revision, digest, created_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
        args![endpoint, revision, digest, now.as_millis()],
    )?;
    Ok(())
}

pub(crate) async fn find(db: &Db, name: &str) -> Result<Option<Endpoint>> {
    let sql = format!("SELECT {COLUMNS} FROM endpoints WHERE name = $1");
    db.read_one(sql, args![name]).await?.as_ref().map(endpoint).transpose()
}

/// By name, at most 1,000.
pub(crate) async fn all(db: &Db) -> Result<Vec<Endpoint>> {
    let sql = format!("SELECT {COLUMNS} FROM endpoints ORDER BY name LIMIT 1000");
    db.read(sql, args![]).await?.iter().map(endpoint).collect()
}

fn endpoint(row: &Row) -> Result<Endpoint> {
    let name = row.string(0)?;
    Ok(Endpoint {
        model: row.string(1)?,
        project: row.string(2)?,
        traffic: serde_json::from_str(row.text(3)?)
            .map_err(|_| ServingError::Corrupt { endpoint: name.clone(), what: "traffic" })?,
        created: Timestamp::from_millis(row.int(4)?),
        updated: Timestamp::from_millis(row.int(5)?),
        name,
    })
}
