//! From answered requests to the prediction log, off the answer's path.
//!
//! The queue is bounded: when it is full a record is dropped and counted, and the answer is not slowed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use platform_primitives::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::ports::{PredictionRecord, PredictionSink};
use crate::service::Snapshot;

const QUEUE: usize = 65_536;
const BATCH: usize = 2_048;
const BATCH_TIME: Duration = Duration::from_millis(100);
const RETRY: Duration = Duration::from_millis(500);

/// What the answer's path knows of one row.
pub(crate) struct Answered {
    pub snapshot: Arc<Snapshot>,
    pub id: String,
    pub at: Timestamp,
    pub inputs: Vec<f64>,
    pub revision: i64,
    pub prediction: f64,
    pub latency_us: u32,
}

enum Message {
    Answered(Box<Answered>),
    /// Answered when everything before it is durable.
    Flush(oneshot::Sender<()>),
}

#[derive(Clone)]
pub(crate) struct Recorder {
    queue: mpsc::Sender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Recorder {
    /// Starts the task that writes to `sink`.
    pub(crate) fn start(sink: Arc<dyn PredictionSink>) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(run(receiver, sink));
        Self { queue, dropped: Arc::default() }
    }

    pub(crate) fn record(&self, answered: Answered) {
        if self.queue.try_send(Message::Answered(Box::new(answered))).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything recorded before is durable.
    pub(crate) async fn flush(&self) {
        let (reply, done) = oneshot::channel();
        if self.queue.send(Message::Flush(reply)).await.is_ok() {
            // The task ends only with the process.
            let _ = done.await;
        }
    }
}

async fn run(mut receiver: mpsc::Receiver<Message>, sink: Arc<dyn PredictionSink>) {
    let mut waiting: Vec<Message> = Vec::with_capacity(BATCH);
    loop {
        if receiver.recv_many(&mut waiting, BATCH).await == 0 {
            return;
        }
        let flushing = |list: &[Message]| list.iter().any(|message| matches!(message, Message::Flush(_)));
        let deadline = tokio::time::Instant::now() + BATCH_TIME;
        while waiting.len() < BATCH && !flushing(&waiting) {
            let room = BATCH - waiting.len();
            match tokio::time::timeout_at(deadline, receiver.recv_many(&mut waiting, room)).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        write(&mut waiting, sink.as_ref()).await;
    }
}

/// Writes one append per endpoint, in order, and answers the flushes.
async fn write(waiting: &mut Vec<Message>, sink: &dyn PredictionSink) {
    let mut flushes = Vec::new();
    let mut by_endpoint: Vec<(String, Vec<PredictionRecord>)> = Vec::new();
    for message in waiting.drain(..) {
        match message {
            Message::Flush(reply) => flushes.push(reply),
            Message::Answered(answered) => {
                let name = answered.snapshot.endpoint.clone();
                let record = complete(*answered);
                match by_endpoint.iter_mut().find(|(endpoint, _)| *endpoint == name) {
                    Some((_, records)) => records.push(record),
                    None => by_endpoint.push((name, vec![record])),
                }
            }
        }
    }
    for (endpoint, records) in by_endpoint {
        // A log that cannot be written now is written later; the bounded queue bounds the wait's cost.
        while let Err(error) = sink.append(&endpoint, records.clone()).await {
            tracing::error!(%error, %endpoint, rows = records.len(), "prediction log");
            tokio::time::sleep(RETRY).await;
        }
    }
    for reply in flushes {
        // The asker may have gone away.
        let _ = reply.send(());
    }
}

/// Adds what the other revisions of the snapshot say.
fn complete(answered: Answered) -> PredictionRecord {
    let snapshot = &answered.snapshot;
    let say = |runtime: &crate::Runtime| {
        if runtime.revision == answered.revision {
            answered.prediction
        } else {
            runtime.predict(&answered.inputs)
        }
    };
    let candidate = snapshot.candidate.as_ref().map(|(runtime, _)| runtime);
    PredictionRecord {
        champion: snapshot.champion.revision,
        champion_prediction: say(&snapshot.champion),
        candidate: candidate.map_or(0, |runtime| runtime.revision),
        candidate_prediction: candidate.map_or(f64::NAN, |runtime| say(runtime)),
        reference_prediction: say(&snapshot.reference),
        id: answered.id,
        at: answered.at,
        revision: answered.revision,
        prediction: answered.prediction,
        latency_us: answered.latency_us,
        inputs: answered.inputs,
    }
}
