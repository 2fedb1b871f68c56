//! SQL of this group.

mod deliveries;
mod webhooks;

pub(crate) use deliveries::*;
pub(crate) use webhooks::*;

type Result<T> = std::result::Result<T, crate::WebhookError>;
