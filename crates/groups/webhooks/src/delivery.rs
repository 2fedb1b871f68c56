//! One event on its way to one webhook.

use platform_primitives::Timestamp;
use serde::Serialize;

use crate::Subscription;

/// After so many attempts a delivery is given up. With the pauses between them that is about half an hour after
/// the first.
pub const MOST_ATTEMPTS: i64 = 12;
const FIRST_PAUSE_MS: i64 = 1_000;
const LONGEST_PAUSE_MS: i64 = 600_000;
/// A receiver that asks for more patience than this does not get it.
const LONGEST_RETRY_AFTER_MS: i64 = 3_600_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    Pending,
    /// The receiver said yes.
    Delivered,
    /// Given up; it stays to be looked at for a while.
    Failed,
}

impl DeliveryState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Pending, Self::Delivered, Self::Failed].into_iter().find(|state| state.name() == name)
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct Delivery {
    /// The same for every attempt: by it a receiver knows a repetition.
    pub id: String,
    pub webhook_id: String,
    pub event_seq: i64,
    pub subscription: Subscription,
    #[serde(skip)]
    pub(crate) body: String,
    pub state: DeliveryState,
    pub attempts: i64,
    /// Of a pending one: when it is tried next.
    pub next_attempt: Timestamp,
    /// Of the newest attempt that was answered.
    pub response_status: Option<i64>,
    /// Of the newest attempt; empty when it went well.
    pub error: String,
    pub created: Timestamp,
    pub updated: Timestamp,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered {
        status: u16,
        retry_after_ms: Option<i64>,
    },
    /// Nobody answered in time; the next attempt may go better.
    Unreachable {
        cause: String,
    },
    /// It was not sent, and will not be: another attempt would end the same.
    Refused {
        cause: String,
    },
}

impl Delivery {
    /// The one transition: a pending delivery is delivered, put off or given up.
    ///
    /// Tried again: no answer, 429 and 5xx. Any other answer but 2xx is the receiver's last word, redirections
    /// too: they would lead past the check of the address.
    pub(crate) fn settle(&mut self, outcome: Outcome, now: Timestamp, jitter_ms: i64) {
        self.attempts += 1;
        self.updated = now;
        self.error = String::new();
        let mut asked_ms = 0;
        let again = match outcome {
            Outcome::Answered { status, .. } if is_success(status) => {
                self.response_status = Some(i64::from(status));
                self.state = DeliveryState::Delivered;
                return;
            }
            Outcome::Answered { status, retry_after_ms } => {
                self.response_status = Some(i64::from(status));
                self.error = format!("the receiver answered {status}");
                asked_ms = retry_after_ms.unwrap_or(0).clamp(0, LONGEST_RETRY_AFTER_MS);
                status == 429 || (500..600).contains(&status)
            }
            Outcome::Unreachable { cause } => {
                self.error = cause;
                true
            }
            Outcome::Refused { cause } => {
                self.error = cause;
                false
            }
        };
        if again && self.attempts < MOST_ATTEMPTS {
            let pause_ms = backoff_ms(self.attempts).max(asked_ms);
            self.next_attempt = now.plus_millis(pause_ms + jitter_ms);
        } else {
            self.state = DeliveryState::Failed;
        }
    }
}

pub(crate) fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// 1, 2, 4 … seconds after the first, second, third … attempt, at most ten minutes.
fn backoff_ms(attempts: i64) -> i64 {
    let doublings = (attempts - 1).clamp(0, 20);
    (FIRST_PAUSE_MS << doublings).min(LONGEST_PAUSE_MS)
}

/// `Retry-After` in milliseconds from `now`: seconds, or a date of HTTP's. Anything else says nothing.
pub(crate) fn retry_after_ms(text: &str, now: Timestamp) -> Option<i64> {
    if let Ok(seconds) = text.trim().parse::<u32>() {
        return Some(i64::from(seconds) * 1_000);
    }
    let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some((date.timestamp().as_millisecond() - now.as_millis()).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Entity};

    fn pending(attempts: i64) -> Delivery {
        let at = Timestamp::from_millis(0);
        Delivery {
            id: "d".to_owned(),
            webhook_id: "w".to_owned(),
            event_seq: 1,
            subscription: Subscription { entity: Entity::Prompt, action: Action::Created },
            body: "{}".to_owned(),
            state: DeliveryState::Pending,
            attempts,
            next_attempt: at,
            response_status: None,
            error: String::new(),
            created: at,
            updated: at,
        }
    }

    fn answered(status: u16) -> Outcome {
        Outcome::Answered { status, retry_after_ms: None }
    }

    #[test]
    fn what_follows_an_attempt() {
        use DeliveryState::{Delivered, Failed, Pending};
        let asked = Outcome::Answered { status: 429, retry_after_ms: Some(90_000) };
        let greedy = Outcome::Answered { status: 503, retry_after_ms: Some(i64::MAX) };
        let unreachable = Outcome::Unreachable { cause: "refused".to_owned() };
        let refused = Outcome::Refused { cause: "not public".to_owned() };
        let last = MOST_ATTEMPTS - 1;
        let table = [
            (0, answered(200), Delivered, 0),
            (0, answered(204), Delivered, 0),
            (0, answered(302), Failed, 0),
            (0, answered(404), Failed, 0),
            (0, answered(500), Pending, 1_007),
            (3, answered(503), Pending, 8_007),
            (10, unreachable.clone(), Pending, 600_007),
            (0, asked, Pending, 90_007),
            (0, greedy, Pending, 3_600_007),
            (last, answered(503), Failed, 0),
            (last, unreachable, Failed, 0),
            (last, answered(200), Delivered, 0),
            (0, refused, Failed, 0),
        ];
        for (attempts, outcome, state, next_ms) in table {
            let mut delivery = pending(attempts);
            delivery.settle(outcome.clone(), Timestamp::from_millis(0), 7);
            let found = (delivery.state, delivery.next_attempt.as_millis());
            assert_eq!(found, (state, next_ms), "{attempts} {outcome:?}");
            assert_eq!(delivery.error.is_empty(), state == Delivered, "{outcome:?}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp::parse("1994-11-06T08:49:07Z").unwrap();
        let table = [
            ("2", Some(2_000)),
            (" 120 ", Some(120_000)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30_000)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
        ];
        for (text, expected) in table {
            assert_eq!(retry_after_ms(text, now), expected, "{text}");
        }
    }
}
