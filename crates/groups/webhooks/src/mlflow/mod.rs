//! MLflow's webhooks REST protocol, as mlflow 3.17.2 speaks it. Translates; decides nothing.
//!
//! Deviation: events of our own entity are taken like the others, and answered in `loopwright_events`. An
//! entity that a client of MLflow's does not know would make it refuse every list that holds it.

mod webhooks;

use axum::Json;
use http::Method;
use platform_auth::Permission::{Administer, Read};
use platform_web::dialect::{Dialect, MlflowResult};
use platform_web::{Access, Routes, Surface};
use serde_json::{Map, Value, json};

use crate::{Subscription, Webhook, Webhooks};

type Answer = MlflowResult<Json<Value>>;

const READ: Access = Access::Needs(Read);
/// A webhook sends what happens here to wherever its maker says.
const ADMINISTER: Access = Access::Needs(Administer);

pub(crate) fn surface(service: &Webhooks) -> Surface {
    let mut routes = Routes::new(Dialect::Mlflow);
    for prefix in ["/api/2.0/mlflow/webhooks", "/ajax-api/2.0/mlflow/webhooks"] {
        let path = |rest: &str| format!("{prefix}{rest}");
        routes = routes
            .post(&path(""), ADMINISTER, webhooks::create)
            .get(&path(""), READ, webhooks::list)
            .get(&path("/{webhook_id}"), READ, webhooks::get)
            .route(Method::PATCH, &path("/{webhook_id}"), ADMINISTER, webhooks::update)
            .route(Method::DELETE, &path("/{webhook_id}"), ADMINISTER, webhooks::delete)
            .post(&path("/{webhook_id}/test"), ADMINISTER, webhooks::test);
    }
    routes.with_state(service.clone())
}

fn event_json(subscription: &Subscription) -> Value {
    json!({
        "entity": subscription.entity.name().to_ascii_uppercase(),
        "action": subscription.action.name().to_ascii_uppercase(),
    })
}

/// Without the secret, and without a description that is empty, as upstream.
fn webhook_json(webhook: &Webhook) -> Value {
    let (known, own): (Vec<&Subscription>, Vec<&Subscription>) =
        webhook.subscriptions.iter().partition(|subscription| subscription.entity.is_mlflow());
    let events =
        |subscriptions: Vec<&Subscription>| -> Value { subscriptions.into_iter().map(event_json).collect() };
    let mut body = Map::new();
    body.insert("webhook_id".to_owned(), json!(webhook.id));
    body.insert("name".to_owned(), json!(webhook.name));
    if !webhook.description.is_empty() {
        body.insert("description".to_owned(), json!(webhook.description));
    }
    body.insert("url".to_owned(), json!(webhook.url));
    body.insert("events".to_owned(), events(known));
    if !own.is_empty() {
        body.insert("loopwright_events".to_owned(), events(own));
    }
    body.insert("status".to_owned(), json!(webhook.status.name()));
    body.insert("creation_timestamp".to_owned(), json!(webhook.created));
    body.insert("last_updated_timestamp".to_owned(), json!(webhook.updated));
    Value::Object(body)
}
