//! Deliveries, and how far the event log was read into them.

use platform_db::{Db, Row, Tx, args};
use platform_primitives::{Timestamp, new_id};

use super::Result;
use super::webhooks::{subscribers, subscription_of};
use crate::delivery::{Delivery, DeliveryState};
use crate::{Subscription, WebhookError};

const DELIVERY: &str = "id, webhook_id, event_seq, entity, action, body, state, attempts, next_attempt_ms, \
    response_status, error, created_ms, updated_ms";
/// Rows that one trim removes; the next one goes on.
const MOST_TRIMMED: i64 = 5_000;

/// An event as receivers will get it.
pub(crate) struct Letter {
    pub event_seq: i64,
    pub subscription: Subscription,
    pub body: String,
}

pub(crate) async fn cursor(db: &Db) -> Result<i64> {
    let row = db.read_one("SELECT seq FROM webhook_cursor WHERE id = 1", args![]).await?;
    Ok(row.map_or(Ok(0), |row| row.int(0))?)
}

/// Moves the cursor from `after` to `last` and puts what was read on its way, in one transaction: each event is read
/// exactly once. Nothing happens when somebody else has moved the cursor meanwhile.
pub(crate) fn enqueue(
    tx: &mut Tx<'_>,
    after: i64,
    last: i64,
    letters: &[Letter],
    now: Timestamp,
) -> Result<()> {
    let moved =
        tx.execute("UPDATE webhook_cursor SET seq = $1 WHERE id = 1 AND seq = $2", args![last, after])?;
    if moved == 0 {
        return Ok(());
    }
    for letter in letters {
        for webhook_id in subscribers(tx, letter.subscription, letter.event_seq)? {
            insert(tx, &webhook_id, letter, now)?;
        }
    }
    Ok(())
}

fn insert(tx: &mut Tx<'_>, webhook_id: &str, letter: &Letter, now: Timestamp) -> Result<()> {
    tx.execute(
        &format!(
            "INSERT INTO webhook_deliveries ({DELIVERY}) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, NULL, '', $8, $8) ON CONFLICT DO NOTHING"
        ),
        args![
            new_id(),
            webhook_id,
            letter.event_seq,
            letter.subscription.entity.name(),
            letter.subscription.action.name(),
            &letter.body,
            DeliveryState::Pending.name(),
            now.as_millis()
        ],
    )?;
    Ok(())
}

/// The oldest due delivery of each webhook, at most `limit`: a webhook that is slow holds up itself alone.
/// Index `webhook_deliveries_by_state`.
pub(crate) async fn due(db: &Db, now: Timestamp, limit: usize) -> Result<Vec<Delivery>> {
    let sql = format!(
        "SELECT {DELIVERY} FROM (SELECT {DELIVERY}, \
         ROW_NUMBER() OVER (PARTITION BY webhook_id ORDER BY next_attempt_ms, event_seq, id) AS turn \
         FROM webhook_deliveries WHERE state = 'pending' AND next_attempt_ms <= $1) AS waiting \
         WHERE turn = 1 ORDER BY next_attempt_ms, id LIMIT $2"
    );
    db.read(sql, args![now.as_millis(), limit as i64]).await?.iter().map(delivery_of).collect()
}

/// When the next delivery becomes due that is not due yet.
pub(crate) async fn next_due(db: &Db, now: Timestamp) -> Result<Option<Timestamp>> {
    let sql = "SELECT MIN(next_attempt_ms) FROM webhook_deliveries WHERE state = 'pending' AND next_attempt_ms > $1";
    let row = db.read_one(sql, args![now.as_millis()]).await?;
    let next_ms = row.map_or(Ok(None), |row| row.opt_int(0))?;
    Ok(next_ms.map(Timestamp::from_millis))
}

/// What an attempt changed. False when the delivery is no longer pending, or gone with its webhook.
pub(crate) fn settle(tx: &mut Tx<'_>, delivery: &Delivery) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE webhook_deliveries SET state = $2, attempts = $3, next_attempt_ms = $4, response_status = $5, \
         error = $6, updated_ms = $7 WHERE id = $1 AND state = 'pending'",
        args![
            &delivery.id,
            delivery.state.name(),
            delivery.attempts,
            delivery.next_attempt.as_millis(),
            delivery.response_status,
            &delivery.error,
            delivery.updated.as_millis()
        ],
    )?;
    Ok(changed == 1)
}

/// Of a webhook, newest first, at most `limit`. Index `webhook_deliveries_by_webhook`.
pub(crate) async fn deliveries(db: &Db, webhook_id: &str, limit: usize) -> Result<Vec<Delivery>> {
    let sql =
        format!("SELECT {DELIVERY} FROM webhook_deliveries WHERE webhook_id = $1 ORDER BY id DESC LIMIT $2");
    db.read(sql, args![webhook_id, limit as i64]).await?.iter().map(delivery_of).collect()
}

/// Removes deliveries in `state` that ended before `before`.
pub(crate) fn trim(tx: &mut Tx<'_>, state: DeliveryState, before: Timestamp) -> Result<()> {
    tx.execute(
        "DELETE FROM webhook_deliveries WHERE id IN (SELECT id FROM webhook_deliveries \
         WHERE state = $1 AND updated_ms < $2 ORDER BY next_attempt_ms LIMIT $3)",
        args![state.name(), before.as_millis(), MOST_TRIMMED],
    )?;
    Ok(())
}

fn delivery_of(row: &Row) -> Result<Delivery> {
    let state = row.text(6)?;
    let unknown =
        || WebhookError::Stored { table: "webhook_deliveries", column: "state", value: state.to_owned() };
    Ok(Delivery {
        id: row.string(0)?,
        webhook_id: row.string(1)?,
        event_seq: row.int(2)?,
        subscription: subscription_of(row, 3)?,
        body: row.string(5)?,
        state: DeliveryState::parse(state).ok_or_else(unknown)?,
        attempts: row.int(7)?,
        next_attempt: Timestamp::from_millis(row.int(8)?),
        response_status: row.opt_int(9)?,
        error: row.string(10)?,
        created: Timestamp::from_millis(row.int(11)?),
        updated: Timestamp::from_millis(row.int(12)?),
    })
}
