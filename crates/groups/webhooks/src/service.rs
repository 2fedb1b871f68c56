//! The verbs of webhooks.

use std::error::Error as _;
use std::path::PathBuf;

use platform_db::Db;
use platform_events::{Events, NewEvent};
use platform_primitives::{Page, new_id};
use serde_json::{Value, json};

use crate::address::AddressGuard;
use crate::body::{envelope, example};
use crate::delivery::{Outcome, is_success};
use crate::key::KeyFile;
use crate::model::{check_description, check_name, check_secret, distinct};
use crate::sender::{Parcel, Reply, Sender};
use crate::{
    Delivery, NewWebhook, Subscription, TestOutcome, Webhook, WebhookChange, WebhookError, WebhookStatus,
    kinds, store,
};

type Result<T> = std::result::Result<T, WebhookError>;

#[derive(Clone)]
pub struct Webhooks {
    pub(crate) db: Db,
    pub(crate) events: Events,
    key: KeyFile,
    sender: Sender,
}

impl Webhooks {
    /// `key_path` is the file that seals secrets (`webhook.key` in the data directory), made at the first secret.
    /// `allowed_private_hosts` are host names and addresses to which requests go although they are not public.
    pub fn new(db: Db, events: Events, key_path: PathBuf, allowed_private_hosts: Vec<String>) -> Self {
        let sender = Sender::new(AddressGuard::new(&allowed_private_hosts));
        Self { db, events, key: KeyFile::new(key_path), sender }
    }

    pub async fn create(&self, actor: &str, new: NewWebhook) -> Result<Webhook> {
        check_name(&new.name)?;
        check_description(&new.description)?;
        let subscriptions = distinct(new.subscriptions)?;
        self.sender.check_url(&new.url).await?;
        let (id, now) = (new_id(), self.events.now());
        let sealed_secret = self.seal(&id, new.secret.as_deref().unwrap_or_default()).await?;
        let mut webhook = Webhook {
            id,
            name: new.name,
            description: new.description,
            url: new.url,
            subscriptions,
            status: new.status,
            sealed_secret,
            since_seq: 0,
            created: now,
            updated: now,
        };
        let (actor, events) = (actor.to_owned(), self.events.clone());
        self.db
            .write(move |tx| {
                // Not last, for once: the row holds the number of the event.
                let event = NewEvent::new(kinds::CREATED, actor, webhook.subject());
                webhook.since_seq = events.append(tx, event.payload(summary(&webhook)))?;
                store::insert_webhook(tx, &webhook)?;
                Ok(webhook)
            })
            .await
    }

    pub async fn get(&self, id: &str) -> Result<Webhook> {
        let missing = || WebhookError::NotFound { id: id.to_owned() };
        store::webhook(&self.db, id).await?.ok_or_else(missing)
    }

    /// Newest first, after the key `after` of the page before. With `only_mlflow`, without the webhooks that
    /// subscribe to nothing that MLflow knows.
    pub async fn list(&self, only_mlflow: bool, after: Option<&str>, limit: usize) -> Result<Page<Webhook>> {
        let is_id = |token: &str| token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let Some(token) = after.filter(|token| !is_id(token)) {
            return Err(WebhookError::PageToken { token: token.to_owned() });
        }
        let found = store::webhooks(&self.db, only_mlflow, after, limit + 1).await?;
        Ok(Page::from_surplus(found, limit, |webhook| webhook.id.clone()))
    }

    pub async fn change(&self, actor: &str, id: &str, change: WebhookChange) -> Result<Webhook> {
        // That there is none is said before what is wrong with the change.
        self.get(id).await?;
        if let Some(name) = &change.name {
            check_name(name)?;
        }
        if let Some(description) = &change.description {
            check_description(description)?;
        }
        if let Some(url) = &change.url {
            self.sender.check_url(url).await?;
        }
        let subscriptions = change.subscriptions.map(distinct).transpose()?;
        let sealed_secret = match &change.secret {
            Some(secret) => Some(self.seal(id, secret).await?),
            None => None,
        };
        let (actor, id, events) = (actor.to_owned(), id.to_owned(), self.events.clone());
        self.db
            .write(move |tx| {
                let Some(mut webhook) = store::lock_webhook(tx, &id)? else {
                    return Err(WebhookError::NotFound { id });
                };
                let status = change.status.unwrap_or(webhook.status);
                let is_woken = webhook.status != status && status == WebhookStatus::Active;
                webhook.status = status;
                webhook.name = change.name.unwrap_or(webhook.name);
                webhook.description = change.description.unwrap_or(webhook.description);
                webhook.url = change.url.unwrap_or(webhook.url);
                webhook.subscriptions = subscriptions.unwrap_or(webhook.subscriptions);
                webhook.sealed_secret = sealed_secret.unwrap_or(webhook.sealed_secret);
                webhook.updated = events.now();
                let event =
                    NewEvent::new(kinds::CHANGED, actor, format!("webhook:{id}")).payload(summary(&webhook));
                let seq = events.append(tx, event)?;
                if is_woken {
                    webhook.since_seq = seq;
                }
                store::update_webhook(tx, &webhook)?;
                Ok(webhook)
            })
            .await
    }

    /// With its deliveries.
    pub async fn delete(&self, actor: &str, id: &str) -> Result<()> {
        let (actor, id, events) = (actor.to_owned(), id.to_owned(), self.events.clone());
        self.db
            .write(move |tx| {
                let Some(webhook) = store::lock_webhook(tx, &id)? else {
                    return Err(WebhookError::NotFound { id });
                };
                store::delete_webhook(tx, &id)?;
                let event = NewEvent::new(kinds::DELETED, actor, webhook.subject());
                events.append(tx, event.payload(summary(&webhook)))?;
                Ok(())
            })
            .await
    }

    /// Sends one request with an example body, once, and says what came of it. Without `wanted` it is the first
    /// event that the webhook subscribes to.
    pub async fn test(&self, id: &str, wanted: Option<Subscription>) -> Result<TestOutcome> {
        let webhook = self.get(id).await?;
        let first = webhook.subscriptions.first().copied();
        let subscription = wanted.or(first).ok_or(WebhookError::NoEvents)?;
        let body = envelope(subscription, self.events.now(), example(subscription));
        let reply = self.post(&webhook, &new_id(), &body).await;
        Ok(match reply.outcome {
            Outcome::Answered { status, .. } => TestOutcome {
                success: is_success(status),
                response_status: Some(status),
                response_body: Some(reply.body),
                error_message: None,
            },
            Outcome::Unreachable { cause } | Outcome::Refused { cause } => TestOutcome {
                success: false,
                response_status: None,
                response_body: None,
                error_message: Some(format!("Failed to test webhook: {cause}")),
            },
        })
    }

    /// Of one webhook, newest first, at most `limit`.
    pub async fn list_deliveries(&self, webhook_id: &str, limit: usize) -> Result<Vec<Delivery>> {
        self.get(webhook_id).await?;
        store::deliveries(&self.db, webhook_id, limit).await
    }

    /// A secret that does not open sends nothing: an unsigned request would be a different promise.
    pub(crate) async fn post(&self, webhook: &Webhook, delivery_id: &str, body: &str) -> Reply {
        let secret = match &webhook.sealed_secret {
            None => None,
            Some(sealed) => match self.key.open(&webhook.id, sealed).await {
                Ok(secret) => Some(secret),
                Err(error) => {
                    tracing::error!(webhook = webhook.id, %error, cause = ?error.source(), "webhook secret");
                    return Reply::without_answer(Outcome::Refused { cause: error.to_string() });
                }
            },
        };
        let parcel = Parcel {
            url: &webhook.url,
            secret: secret.as_deref(),
            delivery_id,
            body,
            now: self.events.now(),
        };
        self.sender.post(parcel).await
    }

    /// An empty secret is none.
    async fn seal(&self, webhook_id: &str, secret: &str) -> Result<Option<Vec<u8>>> {
        check_secret(secret)?;
        if secret.is_empty() {
            return Ok(None);
        }
        self.key.seal(webhook_id, secret).await.map(Some)
    }
}

/// For the audit log. Without the URL: paths of receivers often are secrets themselves.
fn summary(webhook: &Webhook) -> Value {
    let events = webhook.subscriptions.iter();
    let events: Vec<String> =
        events.map(|event| format!("{}.{}", event.entity.name(), event.action.name())).collect();
    json!({
        "name": webhook.name,
        "status": webhook.status.name(),
        "events": events,
        "signed": webhook.sealed_secret.is_some(),
    })
}
