//! The loop that turns queued jobs into finished ones, and adopts those of a server that died.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use platform_events::NewEvent;
use serde_json::json;

use crate::engine::{ExitRecord, Progress};
use crate::model::{Job, JobState, LogLine};
use crate::{Inner, JobError, kinds, log, store};

const POLL: Duration = Duration::from_millis(25);
const LEASE_MS: i64 = 30_000;
const ERROR_LINES: usize = 12;

pub(crate) fn attempt_folder(inner: &Inner, job: &Job) -> PathBuf {
    inner.directory.join(format!("{}-{}", job.id, job.attempt))
}

pub(crate) async fn run(inner: Arc<Inner>) {
    let mut offsets: HashMap<String, u64> = HashMap::new();
    loop {
        match turn(&inner, &mut offsets).await {
            Ok(running) if running > 0 => tokio::time::sleep(POLL).await,
            Ok(_) => {
                // Nothing to watch: sleep until a submit wakes us, or look anyway for another server's leftovers.
                let _ = tokio::time::timeout(Duration::from_secs(2), inner.wake.notified()).await;
            }
            Err(error) => {
                tracing::error!(%error, "job runner");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// One look at everything; the number of jobs still running.
async fn turn(inner: &Arc<Inner>, offsets: &mut HashMap<String, u64>) -> Result<usize, JobError> {
    let mut running = 0;
    for job in store::in_state(&inner.db, JobState::Running, 256).await? {
        if lease(inner, &job).await? && watch(inner, job, offsets).await? {
            running += 1;
        }
    }
    for job in store::in_state(&inner.db, JobState::Queued, inner.slots.saturating_sub(running)).await? {
        if start(inner, job).await? {
            running += 1;
        }
    }
    Ok(running)
}

async fn lease(inner: &Arc<Inner>, job: &Job) -> Result<bool, JobError> {
    let (id, owner, now) = (job.id.clone(), inner.owner.clone(), inner.events.now());
    inner.db.write(move |tx| store::lease(tx, &id, &owner, now, now.plus_millis(LEASE_MS))).await
}

/// Marks the job as running, then starts it: a crash in between is healed by [`watch`].
async fn start(inner: &Arc<Inner>, mut job: Job) -> Result<bool, JobError> {
    if !lease(inner, &job).await? {
        return Ok(false);
    }
    job.attempt += 1;
    let (events, row, now) = (inner.events.clone(), job.clone(), inner.events.now());
    inner
        .db
        .write(move |tx| {
            store::set_state(tx, &row, JobState::Running, now)?;
            let payload = json!({"name": row.spec.name, "attempt": row.attempt, "command": row.spec.command});
            events.append(tx, event(&row, kinds::STARTED, payload))?;
            Ok::<_, JobError>(())
        })
        .await?;
    job.state = JobState::Running;
    job.started = Some(now);
    inner.engine.start(&attempt_folder(inner, &job), &job.spec).await?;
    Ok(true)
}

/// `true` while the job is running.
async fn watch(
    inner: &Arc<Inner>,
    job: Job,
    offsets: &mut HashMap<String, u64>,
) -> Result<bool, JobError> {
    let folder = attempt_folder(inner, &job);
    let progress = inner.engine.progress(&folder).await?;
    let offset = offsets.entry(format!("{}-{}", job.id, job.attempt)).or_default();
    let (lines, end) = log::new_lines(&folder, *offset);
    *offset = end;
    for text in lines {
        let line = LogLine { job: job.id.clone(), name: job.spec.name.clone(), text };
        // Nobody following is fine: the file has it.
        let _ = inner.lines.send(line);
    }
    match progress {
        Progress::Running => return Ok(true),
        Progress::NotStarted => {
            // The server that leased it died before it started the shim, or the shim is still on its way up.
            let waited = job.started.map_or(i64::MAX, |started| inner.events.now().since(started));
            if waited > 2_000 {
                inner.engine.start(&folder, &job.spec).await?;
            }
            return Ok(true);
        }
        Progress::Exited(record) => finish(inner, job.clone(), record).await?,
        Progress::Lost => {
            let reason = Some("the machine or its supervisor went down".to_owned());
            finish(inner, job.clone(), ExitRecord { code: None, signal: None, reason }).await?;
        }
    }
    offsets.remove(&format!("{}-{}", job.id, job.attempt));
    Ok(false)
}

async fn finish(inner: &Arc<Inner>, mut job: Job, record: ExitRecord) -> Result<(), JobError> {
    let folder = attempt_folder(inner, &job);
    let text = fs_err::read(folder.join(crate::shim::LOG_FILE)).unwrap_or_default();
    job.log_digest = Some(inner.blobs.put_bytes(Bytes::from(text)).await?.digest.to_string());
    job.exit_code = record.code.map(i64::from);
    let (to, kind) = if record.succeeded() {
        (JobState::Succeeded, kinds::SUCCEEDED)
    } else {
        let tail = log::last_lines(&log::file_tail(&folder), ERROR_LINES).join("\n");
        job.error = Some(format!("{}; last lines:\n{tail}", record.describe()));
        if job.attempt <= job.spec.retries {
            (JobState::Queued, kinds::RETRIED)
        } else {
            (JobState::Failed, kinds::FAILED)
        }
    };
    let (events, now) = (inner.events.clone(), inner.events.now());
    inner
        .db
        .write(move |tx| {
            store::set_state(tx, &job, to, now)?;
            let payload = json!({
                "name": job.spec.name,
                "attempt": job.attempt,
                "exit_code": job.exit_code,
                "error": job.error,
                "duration_ms": job.started.map(|started| now.since(started)),
            });
            events.append(tx, event(&job, kind, payload))?;
            Ok::<_, JobError>(())
        })
        .await
}

fn event(job: &Job, kind: &'static str, payload: serde_json::Value) -> NewEvent {
    NewEvent::new(kind, "platform:jobs", format!("job:{}", job.id)).project(&job.spec.project).payload(payload)
}
