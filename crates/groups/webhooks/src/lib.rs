//! Webhooks: what happens to registered models, told to other systems over HTTP.
//!
//! Deliveries are rows written together with the cursor on the event log, so an event that was committed
//! reaches every webhook that subscribes to it at least once, whatever dies in between. No request goes to an
//! address that is not public.

mod address;
mod body;
mod delivery;
mod dispatcher;
mod error;
mod http;
mod key;
mod mlflow;
mod model;
mod sender;
mod service;
mod signature;
mod store;
mod subscription;
mod target;
mod translate;

use platform_db::{MigrationSet, migrations};
use platform_web::Group;

pub use delivery::{Delivery, DeliveryState, MOST_ATTEMPTS};
pub use error::WebhookError;
pub use model::{NewWebhook, TestOutcome, Webhook, WebhookChange, WebhookStatus};
pub use service::Webhooks;
pub use subscription::{Action, Entity, Subscription};

pub const MIGRATIONS: MigrationSet = migrations!("webhooks", 1 => "0001_webhooks");

/// Event kinds of this group; the subject is `webhook:ID`.
pub mod kinds {
    pub const CREATED: &str = "webhooks.created";
    pub const CHANGED: &str = "webhooks.changed";
    pub const DELETED: &str = "webhooks.deleted";
    pub const DELIVERY_FAILED: &str = "webhooks.delivery_failed";
}

pub fn group(service: &Webhooks) -> Group {
    Group {
        name: "webhooks",
        migrations: Some(MIGRATIONS),
        surfaces: vec![mlflow::surface(service), http::surface(service)],
        templates: &[],
    }
}
