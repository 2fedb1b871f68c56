//! Policies, approvals, signatures, evaluations, cards and scans.

use std::collections::HashMap;

use platform_db::{Db, Tx, Value, args};
use platform_primitives::{Timestamp, new_id};

use super::{CHUNK, Reader, Result, list_of};
use crate::RegistryError;
use crate::evaluation::{Evaluation, EvaluationKind};
use crate::model::{Approval, FileScan, ModelVersion, StoredSignature};

/// The policy of a model as JSON, and its digest.
pub(crate) fn gate_policy(reader: &mut impl Reader, model: &str) -> Result<Option<(String, String)>> {
    let rows = reader.rows("SELECT policy, digest FROM model_gates WHERE model = $1", args![model])?;
    rows.first().map(|row| Ok((row.string(0)?, row.string(1)?))).transpose()
}

/// Whether there was one.
pub(crate) fn delete_gate_policy(tx: &mut Tx<'_>, model: &str) -> Result<bool> {
    Ok(tx.execute("DELETE FROM model_gates WHERE model = $1", args![model])? > 0)
}

pub(crate) fn put_gate_policy(
    tx: &mut Tx<'_>,
    model: &str,
    (policy, digest): (&str, &str),
    actor: &str,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO model_gates (model, policy, digest, actor, at_ms) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (model) DO UPDATE SET policy = excluded.policy, digest = excluded.digest, \
         actor = excluded.actor, at_ms = excluded.at_ms",
        args![model, policy, digest, actor, now.as_millis()],
    )?;
    Ok(())
}

/// Notes that `actor` changed the model's policy, or took it away, after the versions there are. The model is locked.
pub(crate) fn put_policy_setter(tx: &mut Tx<'_>, model: &str, actor: &str, now: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO policy_setters (model, actor, last_version, at_ms) \
         VALUES ($1, $2, (SELECT last_version FROM registered_models WHERE name = $1), $3) \
         ON CONFLICT (model, actor) DO UPDATE SET last_version = excluded.last_version, at_ms = excluded.at_ms",
        args![model, actor, now.as_millis()],
    )?;
    Ok(())
}

/// Who changed the model's policy when this version was already there, by name.
pub(crate) fn policy_setters(reader: &mut impl Reader, model: &str, version: i64) -> Result<Vec<String>> {
    let rows = reader.rows(
        "SELECT actor FROM policy_setters WHERE model = $1 AND last_version >= $2 ORDER BY actor",
        args![model, version],
    )?;
    rows.iter().map(|row| Ok(row.string(0)?)).collect()
}

pub(crate) fn delete_approvals(tx: &mut Tx<'_>, version: &ModelVersion) -> Result<()> {
    tx.execute(
        "DELETE FROM version_approvals WHERE model = $1 AND version = $2",
        args![&version.model, version.version],
    )?;
    Ok(())
}

pub(crate) fn insert_approval(tx: &mut Tx<'_>, version: &ModelVersion, approval: &Approval) -> Result<()> {
    tx.execute(
        "INSERT INTO version_approvals (model, version, approver, reason, manifest, expires_ms, at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        args![
            &version.model,
            version.version,
            &approval.approver,
            &approval.reason,
            version.manifest.clone().unwrap_or_default(),
            approval.expires.map(Timestamp::as_millis),
            approval.at.as_millis()
        ],
    )?;
    Ok(())
}

/// Oldest first; at most a quorum.
pub(crate) fn approvals(reader: &mut impl Reader, model: &str, version: i64) -> Result<Vec<Approval>> {
    let rows = reader.rows(
        "SELECT approver, reason, expires_ms, at_ms FROM version_approvals WHERE model = $1 AND version = $2 \
         ORDER BY at_ms, approver",
        args![model, version],
    )?;
    rows.iter()
        .map(|row| {
            Ok(Approval {
                approver: row.string(0)?,
                reason: row.string(1)?,
                expires: row.opt_int(2)?.map(Timestamp::from_millis),
                at: Timestamp::from_millis(row.int(3)?),
            })
        })
        .collect()
}

pub(crate) fn put_signature(
    tx: &mut Tx<'_>,
    version: &ModelVersion,
    signature: &StoredSignature,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO version_signatures (model, version, manifest, files, key_fingerprint, bundle, at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (model, version) DO UPDATE SET \
         manifest = excluded.manifest, files = excluded.files, key_fingerprint = excluded.key_fingerprint, \
         bundle = excluded.bundle, at_ms = excluded.at_ms",
        args![
            &version.model,
            version.version,
            &signature.manifest,
            serde_json::json!(signature.files).to_string(),
            &signature.key_fingerprint,
            &signature.bundle,
            now.as_millis()
        ],
    )?;
    Ok(())
}

pub(crate) async fn signature(db: &Db, model: &str, version: i64) -> Result<Option<StoredSignature>> {
    let row = db
        .read_one(
            "SELECT manifest, files, key_fingerprint, bundle FROM version_signatures \
             WHERE model = $1 AND version = $2",
            args![model, version],
        )
        .await?;
    row.map(|row| {
        Ok(StoredSignature {
            manifest: row.string(0)?,
            files: serde_json::from_str(row.text(1)?).unwrap_or_default(),
            key_fingerprint: row.string(2)?,
            bundle: row.string(3)?,
        })
    })
    .transpose()
}

pub(crate) fn has_evaluation(tx: &mut Tx<'_>, version: &ModelVersion, dataset: &str) -> Result<bool> {
    let sql = "SELECT id FROM version_evaluations WHERE model = $1 AND version = $2 AND dataset = $3 LIMIT 1";
    Ok(tx.query_one(sql, args![&version.model, version.version, dataset])?.is_some())
}

pub(crate) fn insert_evaluation(
    tx: &mut Tx<'_>,
    version: &ModelVersion,
    evaluation: &Evaluation,
) -> Result<()> {
    tx.execute(
        "INSERT INTO version_evaluations (id, model, version, dataset, kind, row_count, digest, metrics, actor, at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        args![
            &evaluation.id,
            &version.model,
            version.version,
            &evaluation.dataset,
            evaluation.kind.name(),
            evaluation.rows,
            &evaluation.digest,
            serde_json::json!(evaluation.metrics).to_string(),
            &evaluation.actor,
            evaluation.at.as_millis()
        ],
    )?;
    Ok(())
}

/// Newest first, at most `limit`.
pub(crate) async fn evaluations(db: &Db, model: &str, version: i64, limit: usize) -> Result<Vec<Evaluation>> {
    let rows = db
        .read(
            "SELECT id, dataset, kind, row_count, digest, metrics, actor, at_ms FROM version_evaluations \
             WHERE model = $1 AND version = $2 ORDER BY at_ms DESC, id DESC LIMIT $3",
            args![model, version, limit as i64],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let kind = row.text(2)?;
            Ok(Evaluation {
                id: row.string(0)?,
                dataset: row.string(1)?,
                kind: EvaluationKind::parse(kind).ok_or_else(|| RegistryError::Invalid {
                    field: "kind",
                    value: kind.to_owned(),
                    rule: "expected a kind of this release".to_owned(),
                })?,
                rows: row.int(3)?,
                digest: row.string(4)?,
                metrics: serde_json::from_str(row.text(5)?).unwrap_or_default(),
                actor: row.string(6)?,
                at: Timestamp::from_millis(row.int(7)?),
            })
        })
        .collect()
}

pub(crate) fn new_evaluation_id() -> String {
    new_id()
}

/// Adds a revision of the card, numbered from 1.
pub(crate) fn insert_card(
    tx: &mut Tx<'_>,
    version: &ModelVersion,
    occasion: &str,
    body: &serde_json::Value,
    now: Timestamp,
) -> Result<()> {
    let newest = tx.query_one(
        "SELECT MAX(revision) FROM model_cards WHERE model = $1 AND version = $2",
        args![&version.model, version.version],
    )?;
    let newest = newest.map_or(Ok(None), |row| row.opt_int(0))?.unwrap_or(0);
    tx.execute(
        "INSERT INTO model_cards (model, version, revision, occasion, body, at_ms) VALUES ($1, $2, $3, $4, $5, $6)",
        args![&version.model, version.version, newest + 1, occasion, body.to_string(), now.as_millis()],
    )?;
    Ok(())
}

/// Revision, occasion and time of every kept card, oldest first.
pub(crate) async fn card_revisions(
    db: &Db,
    model: &str,
    version: i64,
) -> Result<Vec<(i64, String, Timestamp)>> {
    let rows = db
        .read(
            "SELECT revision, occasion, at_ms FROM model_cards WHERE model = $1 AND version = $2 ORDER BY revision",
            args![model, version],
        )
        .await?;
    rows.iter().map(|row| Ok((row.int(0)?, row.string(1)?, Timestamp::from_millis(row.int(2)?)))).collect()
}

/// A kept card.
pub(crate) async fn card(
    db: &Db,
    model: &str,
    version: i64,
    revision: i64,
) -> Result<Option<serde_json::Value>> {
    let sql = "SELECT body FROM model_cards WHERE model = $1 AND version = $2 AND revision = $3";
    let row = db.read_one(sql, args![model, version, revision]).await?;
    row.map(|row| Ok(serde_json::from_str(row.text(0)?).unwrap_or_default())).transpose()
}

/// What people said of the model (version 0) or of one version, as JSON.
pub(crate) async fn card_fields(db: &Db, model: &str, version: i64) -> Result<Option<serde_json::Value>> {
    let sql = "SELECT fields FROM card_fields WHERE model = $1 AND version = $2";
    let row = db.read_one(sql, args![model, version]).await?;
    row.map(|row| Ok(serde_json::from_str(row.text(0)?).unwrap_or_default())).transpose()
}

pub(crate) fn put_card_fields(
    tx: &mut Tx<'_>,
    model: &str,
    version: i64,
    fields: &serde_json::Value,
    (actor, now): (&str, Timestamp),
) -> Result<()> {
    tx.execute(
        "INSERT INTO card_fields (model, version, fields, actor, at_ms) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (model, version) DO UPDATE SET fields = excluded.fields, actor = excluded.actor, \
         at_ms = excluded.at_ms",
        args![model, version, fields.to_string(), actor, now.as_millis()],
    )?;
    Ok(())
}

/// Verdicts of this scanner or a newer one, by digest of the file.
pub(crate) async fn file_scans(
    db: &Db,
    digests: &[String],
    scanner_version: i64,
) -> Result<HashMap<(String, String), (String, serde_json::Value)>> {
    let mut found = HashMap::new();
    for digests in digests.chunks(CHUNK) {
        let (holes, mut arguments) = list_of(digests);
        arguments.push(Value::Int(scanner_version));
        let sql = format!(
            "SELECT digest, verdict, findings, name FROM file_scans WHERE digest IN ({holes}) AND scanner_version >= ${}",
            arguments.len()
        );
        for row in db.read(sql, arguments).await? {
            let findings = serde_json::from_str(row.text(2)?).unwrap_or_default();
            found.insert((row.string(0)?, row.string(3)?), (row.string(1)?, findings));
        }
    }
    Ok(found)
}

/// A verdict of a newer scanner stays.
pub(crate) fn put_file_scan(
    tx: &mut Tx<'_>,
    scan: &FileScan,
    name: &str,
    scanner_version: i64,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO file_scans (digest, name, verdict, findings, scanner_version, at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (digest, name) DO UPDATE SET verdict = excluded.verdict, \
         findings = excluded.findings, scanner_version = excluded.scanner_version, at_ms = excluded.at_ms \
         WHERE excluded.scanner_version >= file_scans.scanner_version",
        args![&scan.digest, name, &scan.verdict, scan.findings.to_string(), scanner_version, now.as_millis()],
    )?;
    Ok(())
}
