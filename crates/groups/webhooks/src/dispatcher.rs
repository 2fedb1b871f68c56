//! From the event log to receivers: reads the log after the cursor, and tries what is due.
//!
//! What is under way is known in memory only. A server that dies leaves its deliveries pending, and the next
//! one sends them again: at least once, under the same delivery id.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use platform_events::{Event, EventFilter, NewEvent};
use platform_primitives::Timestamp;
use serde_json::json;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::task::JoinSet;

use crate::body::envelope;
use crate::delivery::{Delivery, DeliveryState, Outcome};
use crate::store::Letter;
use crate::{WebhookError, WebhookStatus, Webhooks, kinds, store, translate};

type Result<T> = std::result::Result<T, WebhookError>;

/// Events read in one turn.
const PAGE: usize = 500;
/// Requests at the same time, one per webhook; upstream's default.
const MOST_IN_FLIGHT: usize = 10;
/// Without any news the log is looked at this often.
const IDLE: Duration = Duration::from_secs(5);
/// After an error of the database, so that nobody is hammered while it lasts.
const PAUSE: Duration = Duration::from_secs(1);
const TRIM_EVERY_MS: i64 = 3_600_000;
const DELIVERED_KEPT_DAYS: i64 = 7;
const FAILED_KEPT_DAYS: i64 = 30;
const LONGEST_JITTER_MS: i64 = 1_000;

impl Webhooks {
    /// Delivers until the process ends. Call it once per server.
    pub async fn run(self) {
        let mut heard = self.events.listen();
        let mut dispatcher = Dispatcher::new(self);
        loop {
            let wait = match dispatcher.turn().await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(%error, "webhook dispatcher");
                    PAUSE
                }
            };
            let busy = !dispatcher.attempts.is_empty();
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = dispatcher.attempts.join_next(), if busy => {}
                () = news(&mut heard) => {}
            }
        }
    }

    /// Reads the log to its end, tries once what is due, and returns when all of it was answered.
    pub async fn settle(&self) -> Result<()> {
        let mut dispatcher = Dispatcher::new(self.clone());
        loop {
            dispatcher.turn().await?;
            if dispatcher.attempts.join_next().await.is_none() {
                return Ok(());
            }
        }
    }

    async fn read_log(&self) -> Result<()> {
        loop {
            let after = store::cursor(&self.db).await?;
            let events = self.events.list(EventFilter::default(), after, PAGE).await?;
            let Some(last) = events.last().map(|event| event.seq) else { return Ok(()) };
            let letters: Vec<Letter> = events.iter().flat_map(letters_of).collect();
            let now = self.events.now();
            self.db.write(move |tx| store::enqueue(tx, after, last, &letters, now)).await?;
        }
    }

    async fn attempt(&self, mut delivery: Delivery) -> Result<()> {
        let outcome = match store::webhook(&self.db, &delivery.webhook_id).await? {
            // Deleted since it was due, and its deliveries with it.
            None => return Ok(()),
            Some(webhook) if webhook.status == WebhookStatus::Disabled => {
                Outcome::Refused { cause: "the webhook is disabled".to_owned() }
            }
            Some(webhook) => self.post(&webhook, &delivery.id, &delivery.body).await.outcome,
        };
        delivery.settle(outcome, self.events.now(), jitter_ms());
        let events = self.events.clone();
        self.db
            .write(move |tx| {
                if store::settle(tx, &delivery)? && delivery.state == DeliveryState::Failed {
                    events.append(tx, failure(&delivery))?;
                }
                Ok(())
            })
            .await
    }

    async fn trim(&self, now: Timestamp) -> Result<()> {
        self.db
            .write(move |tx| {
                store::trim(tx, DeliveryState::Delivered, now.plus_days(-DELIVERED_KEPT_DAYS))?;
                store::trim(tx, DeliveryState::Failed, now.plus_days(-FAILED_KEPT_DAYS))
            })
            .await
    }
}

struct Dispatcher {
    service: Webhooks,
    attempts: JoinSet<()>,
    /// Webhooks that a request is under way to.
    busy: Arc<Mutex<HashSet<String>>>,
    next_trim: Timestamp,
}

impl Dispatcher {
    fn new(service: Webhooks) -> Self {
        let next_trim = Timestamp::from_millis(i64::MIN);
        Self { service, attempts: JoinSet::new(), busy: Arc::default(), next_trim }
    }

    /// Starts what can be started; how long until the next turn, if nothing happens before.
    async fn turn(&mut self) -> Result<Duration> {
        self.service.read_log().await?;
        let now = self.service.events.now();
        if now >= self.next_trim {
            self.service.trim(now).await?;
            self.next_trim = now.plus_millis(TRIM_EVERY_MS);
        }
        // Those that ended are not in the way of new ones.
        while self.attempts.try_join_next().is_some() {}
        self.start_due(now).await?;
        let next = store::next_due(&self.service.db, now).await?;
        let wait_ms = next.map(|next| next.since(now)).and_then(|ms| u64::try_from(ms).ok());
        Ok(wait_ms.map_or(IDLE, |ms| Duration::from_millis(ms).min(IDLE)))
    }

    async fn start_due(&mut self, now: Timestamp) -> Result<()> {
        // Of those that are due, up to `MOST_IN_FLIGHT` are under way already.
        let due = store::due(&self.service.db, now, 2 * MOST_IN_FLIGHT).await?;
        for delivery in due {
            if self.attempts.len() >= MOST_IN_FLIGHT {
                break;
            }
            let Some(turn) = Turn::take(&self.busy, &delivery.webhook_id) else { continue };
            let service = self.service.clone();
            self.attempts.spawn(async move {
                if let Err(error) = service.attempt(delivery).await {
                    tracing::error!(%error, "webhook delivery");
                    // It is still due; a receiver is not to get it in a tight loop.
                    tokio::time::sleep(PAUSE).await;
                }
                drop(turn);
            });
        }
        Ok(())
    }
}

/// The right to send to one webhook, given back however its task ends.
struct Turn {
    busy: Arc<Mutex<HashSet<String>>>,
    webhook_id: String,
}

impl Turn {
    fn take(busy: &Arc<Mutex<HashSet<String>>>, webhook_id: &str) -> Option<Self> {
        let is_free = busy.lock().unwrap_or_else(PoisonError::into_inner).insert(webhook_id.to_owned());
        is_free.then(|| Self { busy: Arc::clone(busy), webhook_id: webhook_id.to_owned() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.webhook_id);
    }
}

fn letters_of(event: &Event) -> Vec<Letter> {
    let notices = translate::notices(event).into_iter();
    notices
        .map(|notice| Letter {
            event_seq: event.seq,
            subscription: notice.subscription,
            body: envelope(notice.subscription, event.at, notice.data),
        })
        .collect()
}

fn failure(delivery: &Delivery) -> NewEvent {
    let subject = format!("webhook:{}", delivery.webhook_id);
    let payload = json!({
        "delivery": delivery.id,
        "attempts": delivery.attempts,
        "response_status": delivery.response_status,
        "error": delivery.error,
    });
    NewEvent::new(kinds::DELIVERY_FAILED, "platform:webhooks", subject)
        .cause(Some(delivery.event_seq))
        .payload(payload)
}

/// Returns when the registry has said something, or when listening fell behind.
async fn news(heard: &mut Receiver<Arc<Event>>) {
    loop {
        match heard.recv().await {
            Ok(event) if event.kind.starts_with("registry.") => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            // The service holds the sender, so this is the end of the process.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Keeps webhooks that failed together from trying again together.
fn jitter_ms() -> i64 {
    getrandom::u32().map_or(0, |random| i64::from(random) % LONGEST_JITTER_MS)
}
