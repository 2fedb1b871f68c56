//! Webhooks and what they subscribe to.

use platform_db::{Db, Row, Tx, Value, args};
use platform_primitives::Timestamp;

use super::Result;
use crate::model::{Webhook, WebhookStatus};
use crate::{Subscription, WebhookError};

const WEBHOOK: &str = "id, name, description, url, status, secret, since_seq, created_ms, updated_ms";
/// Sorts after every id in every collation: ids are hexadecimal digits.
const PAST_EVERY_ID: &str = "g";

pub(crate) fn insert_webhook(tx: &mut Tx<'_>, webhook: &Webhook) -> Result<()> {
    tx.execute(
        &format!("INSERT INTO webhooks ({WEBHOOK}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"),
        args![
            &webhook.id,
            &webhook.name,
            &webhook.description,
            &webhook.url,
            webhook.status.name(),
            webhook.sealed_secret.clone(),
            webhook.since_seq,
            webhook.created.as_millis(),
            webhook.updated.as_millis()
        ],
    )?;
    insert_subscriptions(tx, webhook)
}

pub(crate) fn update_webhook(tx: &mut Tx<'_>, webhook: &Webhook) -> Result<()> {
    tx.execute(
        "UPDATE webhooks SET name = $2, description = $3, url = $4, status = $5, secret = $6, since_seq = $7, \
         updated_ms = $8 WHERE id = $1",
        args![
            &webhook.id,
            &webhook.name,
            &webhook.description,
            &webhook.url,
            webhook.status.name(),
            webhook.sealed_secret.clone(),
            webhook.since_seq,
            webhook.updated.as_millis()
        ],
    )?;
    tx.execute("DELETE FROM webhook_subscriptions WHERE webhook_id = $1", args![&webhook.id])?;
    insert_subscriptions(tx, webhook)
}

fn insert_subscriptions(tx: &mut Tx<'_>, webhook: &Webhook) -> Result<()> {
    for (place, subscription) in webhook.subscriptions.iter().enumerate() {
        tx.execute(
            "INSERT INTO webhook_subscriptions (webhook_id, entity, action, place) VALUES ($1, $2, $3, $4)",
            args![&webhook.id, subscription.entity.name(), subscription.action.name(), place as i64],
        )?;
    }
    Ok(())
}

/// The webhook with its deliveries, whatever their state; the event log keeps the trace.
pub(crate) fn delete_webhook(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    tx.execute("DELETE FROM webhooks WHERE id = $1", args![id])?;
    for table in ["webhook_subscriptions", "webhook_deliveries"] {
        tx.execute(&format!("DELETE FROM {table} WHERE webhook_id = $1"), args![id])?;
    }
    Ok(())
}

/// By id; the row is locked until the commit.
pub(crate) fn lock_webhook(tx: &mut Tx<'_>, id: &str) -> Result<Option<Webhook>> {
    let sql = format!("SELECT {WEBHOOK} FROM webhooks WHERE id = $1{}", tx.for_update());
    let Some(row) = tx.query_one(&sql, args![id])? else { return Ok(None) };
    let mut webhook = webhook_of(&row)?;
    let rows = tx.query(
        "SELECT webhook_id, entity, action FROM webhook_subscriptions WHERE webhook_id = $1 ORDER BY place",
        args![id],
    )?;
    for row in &rows {
        webhook.subscriptions.push(subscription_of(row, 1)?);
    }
    Ok(Some(webhook))
}

pub(crate) async fn webhook(db: &Db, id: &str) -> Result<Option<Webhook>> {
    let sql = format!("SELECT {WEBHOOK} FROM webhooks WHERE id = $1");
    let rows = db.read(sql, args![id]).await?;
    Ok(with_subscriptions(db, &rows).await?.pop())
}

/// Newest first, those with an id below `before`, at most `limit`. With `only_mlflow`, webhooks that subscribe
/// to nothing that MLflow knows are left out. By primary key; one query more for the subscriptions of the page.
pub(crate) async fn webhooks(
    db: &Db,
    only_mlflow: bool,
    before: Option<&str>,
    limit: usize,
) -> Result<Vec<Webhook>> {
    let known = match only_mlflow {
        true => {
            " AND EXISTS (SELECT 1 FROM webhook_subscriptions s \
             WHERE s.webhook_id = webhooks.id AND s.entity <> 'approval')"
        }
        false => "",
    };
    let sql = format!("SELECT {WEBHOOK} FROM webhooks WHERE id < $1{known} ORDER BY id DESC LIMIT $2");
    let rows = db.read(sql, args![before.unwrap_or(PAST_EVERY_ID), limit as i64]).await?;
    with_subscriptions(db, &rows).await
}

/// `rows` go by id, so their subscriptions are those of a range of ids.
async fn with_subscriptions(db: &Db, rows: &[Row]) -> Result<Vec<Webhook>> {
    let mut webhooks = rows.iter().map(webhook_of).collect::<Result<Vec<_>>>()?;
    let (Some(first), Some(last)) = (webhooks.first(), webhooks.last()) else { return Ok(webhooks) };
    let range = args![(&first.id).min(&last.id), (&first.id).max(&last.id)];
    let found = db
        .read(
            "SELECT webhook_id, entity, action FROM webhook_subscriptions \
             WHERE webhook_id >= $1 AND webhook_id <= $2 ORDER BY webhook_id, place",
            range,
        )
        .await?;
    for row in &found {
        let id = row.text(0)?;
        if let Some(webhook) = webhooks.iter_mut().find(|webhook| webhook.id == id) {
            webhook.subscriptions.push(subscription_of(row, 1)?);
        }
    }
    Ok(webhooks)
}

/// Active webhooks that hear of this event. Index `webhook_subscriptions_by_event`.
pub(super) fn subscribers(
    tx: &mut Tx<'_>,
    subscription: Subscription,
    event_seq: i64,
) -> Result<Vec<String>> {
    let rows = tx.query(
        "SELECT w.id FROM webhooks w JOIN webhook_subscriptions s ON s.webhook_id = w.id \
         WHERE s.entity = $1 AND s.action = $2 AND w.status = 'ACTIVE' AND w.since_seq < $3 ORDER BY w.id",
        args![subscription.entity.name(), subscription.action.name(), event_seq],
    )?;
    rows.iter().map(|row| Ok(row.string(0)?)).collect()
}

fn webhook_of(row: &Row) -> Result<Webhook> {
    let status = row.text(4)?;
    let unknown = || WebhookError::Stored { table: "webhooks", column: "status", value: status.to_owned() };
    let sealed_secret = match row.value(5) {
        Value::Null => None,
        _ => Some(row.bytes(5)?.to_vec()),
    };
    Ok(Webhook {
        id: row.string(0)?,
        name: row.string(1)?,
        description: row.string(2)?,
        url: row.string(3)?,
        subscriptions: Vec::new(),
        status: WebhookStatus::parse(status).ok_or_else(unknown)?,
        sealed_secret,
        since_seq: row.int(6)?,
        created: Timestamp::from_millis(row.int(7)?),
        updated: Timestamp::from_millis(row.int(8)?),
    })
}

/// The entity at column `index`, the action after it.
pub(super) fn subscription_of(row: &Row, index: usize) -> Result<Subscription> {
    let (entity, action) = (row.text(index)?, row.text(index + 1)?);
    Subscription::parse(entity, action).map_err(|_| WebhookError::Stored {
        table: "webhook_subscriptions",
        column: "entity and action",
        value: format!("{entity}.{action}"),
    })
}
