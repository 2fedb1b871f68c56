use platform_db::{ColumnKind, Db, Tx, args};
use platform_primitives::Timestamp;

use crate::MonitoringError;
use crate::model::{Assessment, DriftScore, MonitorSpec};

type Result<T> = std::result::Result<T, MonitoringError>;

pub(crate) fn put_monitor(
    tx: &mut Tx<'_>,
    endpoint: &str,
    project: &str,
    spec: &MonitorSpec,
    now: Timestamp,
) -> Result<()> {
    let json = serde_json::to_string(spec).expect("a spec is plain data");
    tx.execute(
        "INSERT INTO monitors (endpoint, project, spec, updated_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (endpoint) DO UPDATE SET project = excluded.project, spec = excluded.spec, \
         updated_ms = excluded.updated_ms",
        args![endpoint, project, json, now.as_millis()],
    )?;
    Ok(())
}

pub(crate) async fn monitor(db: &Db, endpoint: &str) -> Result<Option<(String, MonitorSpec)>> {
    let row = db.read_one("SELECT project, spec FROM monitors WHERE endpoint = $1", args![endpoint]).await?;
    let Some(row) = row else { return Ok(None) };
    let corrupt = |_| MonitoringError::Corrupt { endpoint: endpoint.to_owned(), what: "spec" };
    Ok(Some((row.string(0)?, serde_json::from_str(row.text(1)?).map_err(corrupt)?)))
}

/// Endpoint watched for a project.
pub(crate) async fn endpoint_of_project(db: &Db, project: &str) -> Result<Option<String>> {
    let row = db
        .read_one(
            "SELECT endpoint FROM monitors WHERE project = $1 ORDER BY endpoint LIMIT 1",
            args![project],
        )
        .await?;
    Ok(row.map(|row| row.string(0)).transpose()?)
}

pub(crate) struct Segment {
    pub rows: i64,
    pub first_ms: i64,
    pub last_ms: i64,
    pub bytes: Vec<u8>,
}

/// Appends a segment with the next number of its endpoint.
pub(crate) fn append_segment(tx: &mut Tx<'_>, endpoint: &str, segment: Segment) -> Result<()> {
    let lock = tx.for_update();
    // The monitor's row, where there is one, keeps two servers from giving the same number.
    tx.query(&format!("SELECT endpoint FROM monitors WHERE endpoint = $1{lock}"), args![endpoint])?;
    tx.execute(
        "INSERT INTO prediction_chunks (endpoint, seq, row_count, first_ms, last_ms, segment) \
         SELECT $1, COALESCE(MAX(seq), 0) + 1, $2, $3, $4, $5 FROM prediction_chunks WHERE endpoint = $1",
        args![endpoint, segment.rows, segment.first_ms, segment.last_ms, segment.bytes],
    )?;
    Ok(())
}

/// Segments after `after`, ascending, at most `limit`.
pub(crate) async fn segments(db: &Db, endpoint: &str, after: i64, limit: i64) -> Result<Vec<(i64, Vec<u8>)>> {
    let rows = db
        .read(
            "SELECT seq, segment FROM prediction_chunks WHERE endpoint = $1 AND seq > $2 ORDER BY seq LIMIT $3",
            args![endpoint, after, limit],
        )
        .await?;
    rows.iter().map(|row| Ok((row.int(0)?, row.bytes(1)?.to_vec()))).collect()
}

/// Appends labels; one that is known already stays as it was. How many were new.
pub(crate) fn append_labels(tx: &mut Tx<'_>, endpoint: &str, labels: &[(String, f64, i64)]) -> Result<u64> {
    let lock = tx.for_update();
    tx.query(&format!("SELECT endpoint FROM monitors WHERE endpoint = $1{lock}"), args![endpoint])?;
    let row =
        tx.query_one("SELECT COALESCE(MAX(seq), 0) FROM labels WHERE endpoint = $1", args![endpoint])?;
    let last = row.map_or(Ok(0), |row| row.int(0))?;
    let rows = labels
        .iter()
        .enumerate()
        .map(|(index, (id, value, observed))| args![endpoint, id, last + 1 + index as i64, *value, *observed])
        .collect();
    let columns = [
        ("endpoint", ColumnKind::Text),
        ("prediction_id", ColumnKind::Text),
        ("seq", ColumnKind::Int),
        ("value", ColumnKind::Real),
        ("observed_ms", ColumnKind::Int),
    ];
    Ok(tx.append("labels", &columns, rows)?)
}

/// Labels after `after`, ascending by number, at most `limit`: number, id, value, time.
pub(crate) async fn labels(
    db: &Db,
    endpoint: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, String, f64, Timestamp)>> {
    let rows = db
        .read(
            "SELECT seq, prediction_id, value, observed_ms FROM labels WHERE endpoint = $1 AND seq > $2 \
             ORDER BY seq LIMIT $3",
            args![endpoint, after, limit],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((row.int(0)?, row.string(1)?, row.real(2)?, Timestamp::from_millis(row.int(3)?))))
        .collect()
}

#[derive(Debug, Clone)]
pub(crate) struct BaselineRow {
    pub training_digest: String,
    pub predictions_digest: String,
    pub mae: f64,
}

pub(crate) fn put_baseline(
    tx: &mut Tx<'_>,
    endpoint: &str,
    revision: i64,
    row: &BaselineRow,
    since: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO baselines (endpoint, revision, training_digest, predictions_digest, mae, since_ms) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        args![endpoint, revision, &row.training_digest, &row.predictions_digest, row.mae, since.as_millis()],
    )?;
    Ok(())
}

pub(crate) async fn baseline(db: &Db, endpoint: &str, revision: i64) -> Result<Option<BaselineRow>> {
    let row = db
        .read_one(
            "SELECT training_digest, predictions_digest, mae FROM baselines WHERE endpoint = $1 AND revision = $2",
            args![endpoint, revision],
        )
        .await?;
    row.map(|row| {
        Ok(BaselineRow {
            training_digest: row.string(0)?,
            predictions_digest: row.string(1)?,
            mae: row.real(2)?,
        })
    })
    .transpose()
}

pub(crate) fn put_assessment(tx: &mut Tx<'_>, endpoint: &str, assessment: &Assessment) -> Result<()> {
    let json = serde_json::to_string(assessment).expect("an assessment is plain data");
    tx.execute(
        "INSERT INTO assessments (endpoint, at_ms, report) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        args![endpoint, assessment.at.as_millis(), json],
    )?;
    Ok(())
}

pub(crate) fn put_drift(tx: &mut Tx<'_>, endpoint: &str, score: &DriftScore) -> Result<()> {
    let json = serde_json::to_string(score).expect("a score is plain data");
    tx.execute(
        "INSERT INTO drift_scores (endpoint, at_ms, column_name, report) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
        args![endpoint, score.at.as_millis(), &score.column, json],
    )?;
    Ok(())
}

/// Newest first, at most `limit`.
pub(crate) async fn assessments(db: &Db, endpoint: &str, limit: i64) -> Result<Vec<Assessment>> {
    let rows = db
        .read(
            "SELECT report FROM assessments WHERE endpoint = $1 ORDER BY at_ms DESC LIMIT $2",
            args![endpoint, limit],
        )
        .await?;
    let corrupt = |_| MonitoringError::Corrupt { endpoint: endpoint.to_owned(), what: "assessment" };
    rows.iter().map(|row| serde_json::from_str(row.text(0)?).map_err(corrupt)).collect()
}

/// Newest look first, at most `limit` scores.
pub(crate) async fn drift_scores(db: &Db, endpoint: &str, limit: i64) -> Result<Vec<DriftScore>> {
    let rows = db
        .read(
            "SELECT report FROM drift_scores WHERE endpoint = $1 ORDER BY at_ms DESC, column_name LIMIT $2",
            args![endpoint, limit],
        )
        .await?;
    let corrupt = |_| MonitoringError::Corrupt { endpoint: endpoint.to_owned(), what: "drift score" };
    rows.iter().map(|row| serde_json::from_str(row.text(0)?).map_err(corrupt)).collect()
}
