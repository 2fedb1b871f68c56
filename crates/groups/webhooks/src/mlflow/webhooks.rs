use axum::Json;
use axum::extract::{Path, Query, State};
use platform_web::Caller;
use platform_web::mlflow::{MlflowJson, optional_int64};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, webhook_json};
use crate::{NewWebhook, Subscription, WebhookChange, WebhookError, WebhookStatus, Webhooks};

type Result<T> = std::result::Result<T, WebhookError>;

const DEFAULT_RESULTS: i64 = 100;
const MOST_RESULTS: i64 = 1_000;

#[derive(Deserialize)]
pub(super) struct EventName {
    #[serde(default)]
    entity: String,
    #[serde(default)]
    action: String,
}

impl EventName {
    fn parse(&self) -> Result<Subscription> {
        Subscription::parse(&self.entity, &self.action)
    }
}

/// Of a creation and of a change: the protocol tells them apart by what must be there.
#[derive(Deserialize)]
pub(super) struct Fields {
    name: Option<String>,
    description: Option<String>,
    url: Option<String>,
    events: Option<Vec<EventName>>,
    secret: Option<String>,
    status: Option<String>,
}

fn subscriptions(events: &[EventName]) -> Result<Vec<Subscription>> {
    events.iter().map(EventName::parse).collect()
}

fn status(name: Option<&str>) -> Result<Option<WebhookStatus>> {
    let unknown = |name: &str| WebhookError::Word {
        field: "status",
        value: name.to_owned(),
        expected: "ACTIVE, DISABLED".to_owned(),
    };
    name.map(|name| WebhookStatus::parse(name).ok_or_else(|| unknown(name))).transpose()
}

/// On this wire an empty text is as good as none.
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn required(text: Option<String>, parameter: &'static str) -> Result<String> {
    given(text).ok_or(WebhookError::Missing { parameter })
}

pub(super) async fn create(
    State(service): State<Webhooks>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Fields>,
) -> Answer {
    let new = NewWebhook {
        name: required(body.name, "name")?,
        url: required(body.url, "url")?,
        subscriptions: subscriptions(&body.events.ok_or(WebhookError::Missing { parameter: "events" })?)?,
        description: body.description.unwrap_or_default(),
        secret: body.secret,
        status: status(body.status.as_deref())?.unwrap_or(WebhookStatus::Active),
    };
    let webhook = service.create(&caller.name, new).await?;
    Ok(Json(json!({"webhook": webhook_json(&webhook)})))
}

#[derive(Deserialize)]
pub(super) struct Listing {
    #[serde(default, deserialize_with = "optional_int64")]
    max_results: Option<i64>,
    page_token: Option<String>,
}

pub(super) async fn list(State(service): State<Webhooks>, Query(query): Query<Listing>) -> Answer {
    // 0 is upstream's word for the default.
    let wanted = query.max_results.filter(|wanted| *wanted != 0).unwrap_or(DEFAULT_RESULTS);
    if !(1..=MOST_RESULTS).contains(&wanted) {
        return Err(WebhookError::MaxResults.into());
    }
    let page = service.list(true, given(query.page_token).as_deref(), wanted as usize).await?;
    let webhooks: Vec<Value> = page.items.iter().map(webhook_json).collect();
    let mut answer = json!({"webhooks": webhooks});
    if let Some(token) = page.next {
        answer["next_page_token"] = token.into();
    }
    Ok(Json(answer))
}

pub(super) async fn get(State(service): State<Webhooks>, Path(webhook_id): Path<String>) -> Answer {
    let webhook = service.get(&webhook_id).await?;
    Ok(Json(json!({"webhook": webhook_json(&webhook)})))
}

pub(super) async fn update(
    State(service): State<Webhooks>,
    Path(webhook_id): Path<String>,
    Caller(caller): Caller,
    MlflowJson(body): MlflowJson<Fields>,
) -> Answer {
    let events = body.events.filter(|events| !events.is_empty());
    let change = WebhookChange {
        name: given(body.name),
        url: given(body.url),
        subscriptions: events.as_deref().map(subscriptions).transpose()?,
        description: body.description,
        secret: body.secret,
        status: status(body.status.as_deref())?,
    };
    let webhook = service.change(&caller.name, &webhook_id, change).await?;
    Ok(Json(json!({"webhook": webhook_json(&webhook)})))
}

pub(super) async fn delete(
    State(service): State<Webhooks>,
    Path(webhook_id): Path<String>,
    Caller(caller): Caller,
) -> Answer {
    service.delete(&caller.name, &webhook_id).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct Trial {
    event: Option<EventName>,
}

pub(super) async fn test(
    State(service): State<Webhooks>,
    Path(webhook_id): Path<String>,
    MlflowJson(body): MlflowJson<Trial>,
) -> Answer {
    let wanted = body.event.as_ref().map(EventName::parse).transpose()?;
    let outcome = service.test(&webhook_id, wanted).await?;
    Ok(Json(json!({"result": outcome})))
}
