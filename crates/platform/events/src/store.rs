use platform_db::{Db, DbError, Row, Tx, Value, args};
use platform_primitives::Timestamp;

use crate::chain::{GENESIS, Link};
use crate::model::{Event, EventError, EventFilter, NewEvent};

const COLUMNS: &str = "seq, at_ms, actor, kind, project, subject, cause, payload";

/// Writes one row and moves the head, in the caller's transaction.
pub(crate) fn append(tx: &mut Tx<'_>, new: NewEvent, at: Timestamp) -> Result<Event, EventError> {
    let (last, prev_hash) = lock_head(tx)?;
    let payload = new.payload.to_string();
    let seq = last + 1;
    let link = Link {
        seq,
        at_ms: at.as_millis(),
        actor: &new.actor,
        kind: new.kind,
        project: &new.project,
        subject: &new.subject,
        cause: new.cause,
        payload: &payload,
    };
    let hash = link.hash(&prev_hash).to_vec();
    tx.execute_later(
        "INSERT INTO events (seq, at_ms, actor, kind, project, subject, cause, payload, prev_hash, hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        args![
            seq,
            at.as_millis(),
            &new.actor,
            new.kind,
            &new.project,
            &new.subject,
            new.cause,
            &payload,
            prev_hash,
            hash.clone()
        ],
    )?;
    tx.execute_later("UPDATE event_head SET seq = $1, hash = $2 WHERE id = 1", args![seq, hash])?;
    Ok(Event {
        seq,
        at,
        actor: new.actor,
        kind: new.kind.to_owned(),
        project: new.project,
        subject: new.subject,
        cause: new.cause,
        payload: new.payload,
    })
}

/// Number and hash of the last event; the row stays locked until the commit.
fn lock_head(tx: &mut Tx<'_>) -> Result<(i64, Vec<u8>), EventError> {
    let sql = format!("SELECT seq, hash FROM event_head WHERE id = 1{}", tx.for_update());
    let mut head = tx.query_one(&sql, args![])?;
    if head.is_none() {
        tx.execute(
            "INSERT INTO event_head (id, seq, hash) VALUES (1, 0, $1) ON CONFLICT DO NOTHING",
            args![GENESIS.to_vec()],
        )?;
        // Looked at again: on PostgreSQL another first append may have won, and this one has waited for it.
        head = tx.query_one(&sql, args![])?;
    }
    let row = head.ok_or_else(|| DbError::RowMissing { what: "the head of the event log".to_owned() })?;
    Ok((row.int(0)?, row.bytes(1)?.to_vec()))
}

fn conditions(filter: EventFilter, arguments: &mut Vec<Value>) -> String {
    let mut sql = String::new();
    let mut add = |clause: &str, value: String| {
        arguments.push(Value::Text(value));
        sql.push_str(&clause.replace('?', &format!("${}", arguments.len())));
    };
    if let Some(project) = filter.project {
        add(" AND project = ?", project);
    }
    if let Some(subject) = filter.subject {
        add(" AND subject = ?", subject);
    }
    if let Some(prefix) = filter.kind_prefix {
        // Not LIKE: % and _ in a prefix are text.
        add(&format!(" AND substr(kind, 1, {}) = ?", prefix.chars().count()), prefix);
    }
    sql
}

/// Ascending by seq, at most `limit` rows.
pub(crate) async fn list(
    db: &Db,
    filter: EventFilter,
    after: i64,
    limit: usize,
) -> Result<Vec<Event>, EventError> {
    let mut arguments = args![after, limit as i64];
    let more = conditions(filter, &mut arguments);
    let sql = format!("SELECT {COLUMNS} FROM events WHERE seq > $1{more} ORDER BY seq LIMIT $2");
    db.read(sql, arguments).await?.iter().map(event).collect()
}

/// Descending by seq, at most `limit` rows.
pub(crate) async fn latest(db: &Db, filter: EventFilter, limit: usize) -> Result<Vec<Event>, EventError> {
    let mut arguments = args![limit as i64];
    let more = conditions(filter, &mut arguments);
    let sql = format!("SELECT {COLUMNS} FROM events WHERE seq > 0{more} ORDER BY seq DESC LIMIT $1");
    db.read(sql, arguments).await?.iter().map(event).collect()
}

fn event(row: &Row) -> Result<Event, EventError> {
    let seq = row.int(0)?;
    Ok(Event {
        seq,
        at: Timestamp::from_millis(row.int(1)?),
        actor: row.string(2)?,
        kind: row.string(3)?,
        project: row.string(4)?,
        subject: row.string(5)?,
        cause: row.opt_int(6)?,
        payload: serde_json::from_str(row.text(7)?).map_err(|_| EventError::Payload { seq })?,
    })
}
