//! Server-sent events: one short message per committed event, so that pages know when to look again.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use futures_util::{Stream, StreamExt};
use platform_events::Events;
use tokio_stream::wrappers::BroadcastStream;

/// A listener that fell behind gets one message for all it missed: the page reads the state anyway.
pub(crate) async fn stream(
    State(events): State<Events>,
) -> Sse<impl Stream<Item = Result<Message, Infallible>>> {
    let messages = BroadcastStream::new(events.listen()).map(|event| {
        let data = match event {
            Ok(event) => format!("{} {}", event.seq, event.kind),
            Err(_) => "behind".to_owned(),
        };
        Ok(Message::default().event("change").data(data))
    });
    Sse::new(messages).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}
