//! The verbs: where a transaction, its rules and its event meet.

mod ask;
mod assess;
mod log;
mod scope;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use platform_db::{Db, Tx};
use platform_events::{Events, NewEvent};
use platform_primitives::{Timestamp, new_id};
use serde_json::{Value, json};

pub(crate) use ask::Search;

use crate::TraceError;
use crate::json::loaded;
use crate::kinds;
use crate::model::{Trace, TraceState, check_tag, check_trace_id};
use crate::names::{TOKEN_KEYS, metadata, tag};
use crate::ports::{Experiments, TraceFiles};
use crate::store::{self, Doomed, LinkKind, Side};
use scope::Judged;

type Result<T> = std::result::Result<T, TraceError>;

/// Traces that one request names.
const MAX_IDS: usize = 500;
const MAX_LINKS: usize = 100;
/// Looks at a trace whose spans are still on their way, and the wait between two.
const LOOKS: usize = 3;
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The file that holds a trace's spans where the database does not.
const SPANS_FILE: &str = "traces.json";

#[derive(Clone)]
pub struct Traces {
    db: Db,
    events: Events,
    experiments: Arc<dyn Experiments>,
    files: Arc<dyn TraceFiles>,
}

/// What a client of the second protocol says when a trace begins or ends.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub at: Timestamp,
    pub state: TraceState,
    pub metadata: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
}

/// A trace with the contents of its spans.
#[derive(Debug, Clone)]
pub(crate) struct FullTrace {
    pub trace: Trace,
    pub spans: Vec<Value>,
}

impl Traces {
    pub fn new(
        db: Db,
        events: Events,
        experiments: Arc<dyn Experiments>,
        files: Arc<dyn TraceFiles>,
    ) -> Self {
        Self { db, events, experiments, files }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.events.now()
    }

    /// Writes what a client knows of a trace that has ended. Spans may have come before; what they said gives way.
    pub(crate) async fn start(&self, mut trace: Trace) -> Result<Trace> {
        trace.check()?;
        self.experiments.exists(&trace.experiment_id).await?;
        let judged = self.judged(std::slice::from_ref(&trace.trace_id)).await?.and(&trace.experiment_id);
        trace.tags.insert(tag::ARTIFACT_LOCATION.to_owned(), trace.artifact_location());
        trace.metadata.insert(metadata::FINALIZED.to_owned(), "true".to_owned());
        let trace_id = trace.trace_id.clone();
        self.db.write(move |tx| write_started(tx, &judged, trace)).await?;
        self.get(&trace_id).await
    }

    /// Begins a trace as clients of the second protocol do: its id is made here.
    pub(crate) async fn open(&self, experiment_id: &str, mark: Mark) -> Result<Trace> {
        let mut trace = Trace::new(new_id(), experiment_id, mark.at);
        trace.state = mark.state;
        trace.metadata = mark.metadata;
        trace.tags = mark.tags;
        trace.check()?;
        self.experiments.exists(experiment_id).await?;
        trace.tags.insert(tag::ARTIFACT_LOCATION.to_owned(), trace.artifact_location());
        let trace_id = trace.trace_id.clone();
        let judged = self.judged(&[]).await?.and(experiment_id);
        self.db.write(move |tx| write_started(tx, &judged, trace)).await?;
        self.get(&trace_id).await
    }

    /// Ends it; tags and metadata join those that are there.
    pub(crate) async fn close(&self, trace_id: &str, mark: Mark) -> Result<Trace> {
        let id = trace_id.to_owned();
        let judged = self.judged(std::slice::from_ref(&id)).await?;
        self.db
            .write(move |tx| {
                let mut trace = judged.lock(tx, &id)?;
                trace.duration_ms = Some(mark.at.since(trace.request));
                trace.state = mark.state;
                trace.metadata = mark.metadata;
                trace.tags = mark.tags;
                trace.check()?;
                store::update_trace(tx, &trace)?;
                put_sides(tx, &trace)
            })
            .await?;
        self.get(trace_id).await
    }

    pub(crate) async fn get(&self, trace_id: &str) -> Result<Trace> {
        let found = store::traces(&self.db, &[trace_id.to_owned()]).await?;
        let seen = self.seen_traces(found).await?;
        seen.into_iter().next().ok_or_else(|| TraceError::TraceNotFound { trace_id: trace_id.to_owned() })
    }

    /// In the order of `ids`; unknown ones are left out.
    pub(crate) async fn get_many(&self, ids: &[String]) -> Result<Vec<Trace>> {
        check_ids(ids)?;
        self.seen_traces(store::traces(&self.db, ids).await?).await
    }

    /// The trace with its spans. Unless a part will do, all spans must be there that the client said it sends; for a
    /// moment it is waited for them.
    pub(crate) async fn get_full(&self, trace_id: &str, partial: bool) -> Result<FullTrace> {
        for look in 0..LOOKS {
            if look > 0 {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            let trace = self.get(trace_id).await?;
            let spans = if trace.has_stored_spans() {
                store::spans(&self.db, &[trace_id.to_owned()]).await?.remove(trace_id).unwrap_or_default()
            } else {
                self.uploaded_spans(&trace).await?
            };
            if partial || (!spans.is_empty() && spans.len() >= trace.expected_spans()) {
                return Ok(FullTrace { trace, spans });
            }
        }
        Err(TraceError::TraceIncomplete { trace_id: trace_id.to_owned() })
    }

    /// Traces whose spans are all in the database, in the order of `ids`; others are left out.
    pub(crate) async fn get_many_full(&self, ids: &[String]) -> Result<Vec<FullTrace>> {
        let traces = self.get_many(ids).await?;
        let mut spans = store::spans(&self.db, ids).await?;
        let full = traces.into_iter().filter(Trace::has_stored_spans).map(|trace| {
            let spans = spans.remove(&trace.trace_id).unwrap_or_default();
            FullTrace { trace, spans }
        });
        Ok(full
            .filter(|full| !full.spans.is_empty() && full.spans.len() >= full.trace.expected_spans())
            .collect())
    }

    async fn uploaded_spans(&self, trace: &Trace) -> Result<Vec<Value>> {
        let path = format!("{}/{SPANS_FILE}", trace.artifact_folder());
        let Some(bytes) = self.files.read(&path).await? else { return Ok(Vec::new()) };
        let mut file = loaded(&String::from_utf8_lossy(&bytes));
        match file.get_mut("spans").map(Value::take) {
            Some(Value::Array(spans)) => Ok(spans),
            _ => Ok(Vec::new()),
        }
    }

    /// A file that was uploaded for the trace.
    pub(crate) async fn file(&self, trace_id: &str, path: &str) -> Result<Vec<u8>> {
        let trace = self.get(trace_id).await?;
        let is_plain = path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains('\\');
        let found = match is_plain {
            true => self.files.read(&format!("{}/{path}", trace.artifact_folder())).await?,
            false => None,
        };
        let missing = || TraceError::FileNotFound { trace_id: trace_id.to_owned(), path: path.to_owned() };
        found.ok_or_else(missing)
    }

    pub(crate) async fn set_tag(&self, trace_id: &str, key: String, mut value: String) -> Result<()> {
        check_tag(&key, &mut value)?;
        let id = trace_id.to_owned();
        let judged = self.judged(std::slice::from_ref(&id)).await?;
        self.db
            .write(move |tx| {
                judged.lock(tx, &id)?;
                store::put_side(tx, Side::Tags, &id, &key, &value)
            })
            .await
    }

    pub(crate) async fn delete_tag(&self, trace_id: &str, key: String) -> Result<()> {
        let trace_id = trace_id.to_owned();
        let judged = self.judged(std::slice::from_ref(&trace_id)).await?;
        self.db
            .write(move |tx| {
                judged.lock(tx, &trace_id)?;
                match store::delete_tag(tx, &trace_id, &key)? {
                    true => Ok(()),
                    false => Err(TraceError::TagNotFound { trace_id, key }),
                }
            })
            .await
    }

    /// The traces may still be on their way; links that are there already are passed over, and so are traces that are not there
    /// for this handle.
    pub(crate) async fn link_run(&self, trace_ids: Vec<String>, run_id: &str) -> Result<()> {
        if trace_ids.len() > MAX_LINKS {
            let rule = format!("Cannot link more than {MAX_LINKS} traces to a run in a single request");
            return Err(TraceError::invalid("trace_ids", trace_ids.len().to_string(), rule));
        }
        trace_ids.iter().try_for_each(|id| check_trace_id(id))?;
        self.experiments.run_exists(run_id).await?;
        let judged = self.judged(&trace_ids).await?;
        let run_id = run_id.to_owned();
        self.db
            .write(move |tx| {
                for id in &trace_ids {
                    if !judged.is_foreign(tx, id)? {
                        store::put_link(tx, id, LinkKind::Run, &run_id)?;
                    }
                }
                Ok(())
            })
            .await
    }

    /// `prompts` are `name/version`.
    pub(crate) async fn link_prompts(&self, trace_id: &str, prompts: Vec<String>) -> Result<()> {
        if prompts.len() > MAX_LINKS {
            let rule = format!("Cannot link more than {MAX_LINKS} prompts in a single request");
            return Err(TraceError::invalid("prompt_versions", prompts.len().to_string(), rule));
        }
        let id = trace_id.to_owned();
        let judged = self.judged(std::slice::from_ref(&id)).await?;
        self.db
            .write(move |tx| {
                judged.lock(tx, &id)?;
                prompts.iter().try_for_each(|prompt| store::put_link(tx, &id, LinkKind::Prompt, prompt))
            })
            .await
    }

    /// Deletes traces of an experiment, oldest first, in transactions of at most 500; how many went.
    pub(crate) async fn delete(
        &self,
        actor: &str,
        experiment_id: &str,
        doomed: Doomed,
        most: Option<usize>,
    ) -> Result<usize> {
        if let Doomed::Ids(ids) = &doomed {
            check_ids(ids)?;
        }
        if !self.experiments.sees(experiment_id).await? {
            return Ok(0);
        }
        let mut gone = 0;
        loop {
            let left = most.map_or(MAX_IDS, |most| (most - gone).min(MAX_IDS));
            if left == 0 {
                return Ok(gone);
            }
            let (events, actor, doomed) = (self.events.clone(), actor.to_owned(), doomed.clone());
            let experiment = experiment_id.to_owned();
            let went = self.db.write(move |tx| {
                let went = store::delete_traces(tx, &experiment, &doomed, left)?;
                if went > 0 {
                    let subject = format!("experiment:{experiment}");
                    let event =
                        NewEvent::new(kinds::DELETED, actor, subject).payload(json!({"traces": went}));
                    events.append(tx, event)?;
                }
                Ok::<_, TraceError>(went)
            });
            let went = went.await?;
            gone += went;
            if went < left {
                return Ok(gone);
            }
        }
    }
}

fn check_ids(ids: &[String]) -> Result<()> {
    match ids.len() {
        0 => Err(TraceError::Missing { field: "trace_ids" }),
        count if count > MAX_IDS => {
            let rule = format!("at most {MAX_IDS} traces are taken in a single request");
            Err(TraceError::invalid("trace_ids", count.to_string(), rule))
        }
        _ => Ok(()),
    }
}

fn write_started(tx: &mut Tx<'_>, judged: &Judged, mut trace: Trace) -> Result<()> {
    if !store::insert_trace(tx, &trace)? {
        let known = judged.lock(tx, &trace.trace_id)?;
        trace.request_preview = trace.request_preview.or(known.request_preview);
        trace.response_preview = trace.response_preview.or(known.response_preview);
        store::update_trace(tx, &trace)?;
    }
    put_sides(tx, &trace)?;
    let usage = trace.metadata.get(metadata::TOKEN_USAGE).map(|text| loaded(text));
    for key in TOKEN_KEYS {
        if let Some(count) = usage.as_ref().and_then(|usage| usage.get(key)).and_then(Value::as_f64) {
            store::put_trace_metric(tx, &trace.trace_id, key, count)?;
        }
    }
    trace.assessments.iter().try_for_each(|assessment| store::put_assessment(tx, assessment))
}

fn put_sides(tx: &mut Tx<'_>, trace: &Trace) -> Result<()> {
    for (key, value) in &trace.tags {
        store::put_side(tx, Side::Tags, &trace.trace_id, key, value)?;
    }
    for (key, value) in &trace.metadata {
        store::put_side(tx, Side::Metadata, &trace.trace_id, key, value)?;
    }
    Ok(())
}
