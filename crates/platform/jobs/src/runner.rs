//! The loop that turns queued jobs into finished ones, and adopts those of a server that died.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use platform_events::NewEvent;
use serde_json::{Value, json};

use crate::engine::{ExitRecord, Progress};
use crate::model::{Job, JobState, LogLine};
use crate::{Inner, JobError, kinds, log, store};

const POLL: Duration = Duration::from_millis(25);
const LEASE_MS: i64 = 30_000;
/// Rows looked at in one turn, by state.
const RUNNING_ROWS: usize = 256;
const QUEUED_ROWS: usize = 64;
/// A shim needs some time until it is seen to run; it is not started again before.
const START_PATIENCE: Duration = Duration::from_secs(2);
/// After an error, what failed is left alone for so long.
const PAUSE: Duration = Duration::from_secs(1);
const ERROR_LINES: usize = 12;

/// What this server remembers between two turns; all of it can be lost.
#[derive(Default)]
struct Memory {
    /// By attempt, see [`attempt_name`].
    followed: HashMap<String, Followed>,
    /// By job, or by the message where the job is not known.
    paused: HashMap<String, Instant>,
}

#[derive(Default)]
struct Followed {
    /// Bytes of the log that listeners have heard.
    offset: u64,
    last_start: Option<Instant>,
}

impl Memory {
    fn is_paused(&self, key: &str) -> bool {
        self.paused.get(key).is_some_and(|until| *until > Instant::now())
    }

    /// Tells of an error once in a while, so that one job fills no log and holds up no other.
    fn pause(&mut self, key: String, error: &JobError) {
        if !self.is_paused(&key) {
            tracing::error!(job = key, %error, "job runner");
            self.paused.insert(key, Instant::now() + PAUSE);
        }
    }

    /// The jobs that can be worked on; the others are told of.
    fn workable(&mut self, rows: Vec<Result<Job, JobError>>) -> Vec<Job> {
        let mut jobs = Vec::with_capacity(rows.len());
        for row in rows {
            match row {
                Ok(job) => jobs.push(job),
                Err(error) => self.pause(error.to_string(), &error),
            }
        }
        jobs
    }
}

fn attempt_name(job: &Job) -> String {
    format!("{}-{}", job.id, job.attempt)
}

pub(crate) fn attempt_folder(inner: &Inner, job: &Job) -> PathBuf {
    inner.directory.join(attempt_name(job))
}

pub(crate) async fn run(inner: Arc<Inner>) {
    let mut memory = Memory::default();
    loop {
        match turn(&inner, &mut memory).await {
            Ok(running) if running > 0 => tokio::time::sleep(POLL).await,
            Ok(_) => {
                // Nothing to watch: sleep until a submit wakes us, or look anyway for another server's leftovers.
                let _ = tokio::time::timeout(Duration::from_secs(2), inner.wake.notified()).await;
            }
            Err(error) => {
                tracing::error!(%error, "job runner");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// One look at everything; the number of jobs still running.
async fn turn(inner: &Arc<Inner>, memory: &mut Memory) -> Result<usize, JobError> {
    let now = Instant::now();
    memory.paused.retain(|_, until| *until > now);
    let rows = store::in_state(&inner.db, JobState::Running, RUNNING_ROWS).await?;
    let jobs = memory.workable(rows);
    let known: HashSet<String> = jobs.iter().map(attempt_name).collect();
    memory.followed.retain(|name, _| known.contains(name));
    let mut running = 0;
    for job in jobs {
        let is_running = match memory.is_paused(&job.id) {
            true => Ok(true),
            false => look_after(inner, &job, memory).await,
        };
        match is_running {
            Ok(is_running) => running += usize::from(is_running),
            Err(error) => {
                memory.pause(job.id, &error);
                running += 1;
            }
        }
    }
    if running >= inner.slots {
        return Ok(running);
    }
    let rows = store::in_state(&inner.db, JobState::Queued, QUEUED_ROWS).await?;
    for job in memory.workable(rows) {
        if running >= inner.slots {
            break;
        }
        if memory.is_paused(&job.id) {
            continue;
        }
        match start(inner, &job, memory).await {
            Ok(is_running) => running += usize::from(is_running),
            Err(error) => memory.pause(job.id, &error),
        }
    }
    Ok(running)
}

async fn look_after(inner: &Arc<Inner>, job: &Job, memory: &mut Memory) -> Result<bool, JobError> {
    let followed = memory.followed.entry(attempt_name(job)).or_default();
    Ok(lease(inner, job).await? && watch(inner, job, followed).await?)
}

/// Whether this server looks after the job. Written down only when there is something to gain.
async fn lease(inner: &Arc<Inner>, job: &Job) -> Result<bool, JobError> {
    let (id, owner, now) = (job.id.clone(), inner.owner.clone(), inner.events.now());
    match &job.lease {
        Some(lease) if lease.owner == owner && lease.until.since(now) > LEASE_MS / 2 => return Ok(true),
        Some(lease) if lease.owner != owner && lease.until >= now => return Ok(false),
        _ => {}
    }
    inner.db.write(move |tx| store::lease(tx, &id, &owner, now, now.plus_millis(LEASE_MS))).await
}

/// Marks the job as running, then starts it: a crash in between is healed by [`watch`].
async fn start(inner: &Arc<Inner>, job: &Job, memory: &mut Memory) -> Result<bool, JobError> {
    if !lease(inner, job).await? {
        return Ok(false);
    }
    let started = Job {
        state: JobState::Running,
        attempt: job.attempt + 1,
        started: Some(inner.events.now()),
        ended: None,
        // These told of the attempt before.
        exit_code: None,
        error: None,
        log_digest: None,
        ..job.clone()
    };
    let payload = json!({"name": job.spec.name, "attempt": started.attempt, "command": job.spec.command});
    if !change(inner, job, &started, kinds::STARTED, payload).await? {
        return Ok(false);
    }
    let followed = memory.followed.entry(attempt_name(&started)).or_default();
    launch(inner, &started, followed).await
}

/// `true` while the job is running: a command that cannot be started ends its attempt.
async fn launch(inner: &Arc<Inner>, job: &Job, followed: &mut Followed) -> Result<bool, JobError> {
    followed.last_start = Some(Instant::now());
    match inner.engine.start(&attempt_folder(inner, job), &job.spec).await {
        Ok(()) => Ok(true),
        Err(error) => {
            finish(inner, job, failure(error.to_string())).await?;
            Ok(false)
        }
    }
}

/// `true` while the job is running.
async fn watch(inner: &Arc<Inner>, job: &Job, followed: &mut Followed) -> Result<bool, JobError> {
    let folder = attempt_folder(inner, job);
    let progress = inner.engine.progress(&folder).await?;
    let has_ended = matches!(progress, Progress::Exited(_) | Progress::Lost);
    // Before the lines are told, so that a command nobody supervises prints no more of them.
    if progress == Progress::Lost {
        inner.engine.end_leftovers(&folder).await?;
    }
    tell_lines(inner, job, &folder, has_ended, followed).await;
    match progress {
        Progress::Running => return Ok(true),
        Progress::NotStarted => {
            // The server that leased it died before it started the shim, or the shim is still on its way up.
            if followed.last_start.is_some_and(|started| started.elapsed() < START_PATIENCE) {
                return Ok(true);
            }
            return launch(inner, job, followed).await;
        }
        Progress::Exited(record) => finish(inner, job, record).await?,
        Progress::Lost => {
            finish(inner, job, failure("the machine or its supervisor went down".to_owned())).await?;
        }
    }
    Ok(false)
}

fn failure(reason: String) -> ExitRecord {
    ExitRecord { code: None, signal: None, reason: Some(reason) }
}

/// Sends what the log holds and listeners have not heard: one piece of it, or all when the command has ended.
async fn tell_lines(inner: &Inner, job: &Job, folder: &Path, has_ended: bool, followed: &mut Followed) {
    let size_bytes = log::size_bytes(folder);
    loop {
        let (lines, end) = log::new_lines(folder, followed.offset, has_ended);
        let is_news = end > followed.offset;
        followed.offset = end;
        for text in lines {
            let line = LogLine { job: job.id.clone(), name: job.spec.name.clone(), text };
            // Nobody following is fine: the file has it.
            let _ = inner.lines.send(line);
        }
        if !has_ended || !is_news || end >= size_bytes {
            return;
        }
        // Listeners get a turn before the next piece pushes this one out of their buffer.
        tokio::task::yield_now().await;
    }
}

async fn finish(inner: &Arc<Inner>, job: &Job, record: ExitRecord) -> Result<(), JobError> {
    let folder = attempt_folder(inner, job);
    let now = inner.events.now();
    let mut ended = Job {
        log_digest: Some(log::store(inner, &folder).await?.to_string()),
        exit_code: record.code.map(i64::from),
        ended: Some(now),
        ..job.clone()
    };
    let kind = if record.succeeded() {
        ended.state = JobState::Succeeded;
        kinds::SUCCEEDED
    } else {
        let tail = log::last_lines(&log::file_tail(&folder), ERROR_LINES).join("\n");
        // A command may print NUL, which the database does not take.
        let error = format!("{}; last lines:\n{tail}", record.describe()).replace('\0', "\u{fffd}");
        ended.error = Some(error);
        if job.attempt <= job.spec.retries {
            (ended.state, ended.started, ended.ended) = (JobState::Queued, None, None);
            kinds::RETRIED
        } else {
            ended.state = JobState::Failed;
            kinds::FAILED
        }
    };
    let payload = json!({
        "name": job.spec.name,
        "attempt": job.attempt,
        "exit_code": ended.exit_code,
        "error": ended.error,
        "duration_ms": job.started.map(|started| now.since(started)),
    });
    if !change(inner, job, &ended, kind, payload).await? {
        tracing::debug!(job = job.id, "another server finished the attempt");
    }
    Ok(())
}

/// Stores the change with its event; `false` if the job was no longer this server's as it was in `old`.
async fn change(
    inner: &Inner,
    old: &Job,
    new: &Job,
    kind: &'static str,
    payload: Value,
) -> Result<bool, JobError> {
    let (events, owner, old, new) = (inner.events.clone(), inner.owner.clone(), old.clone(), new.clone());
    inner
        .db
        .write(move |tx| {
            let is_ours = store::set_state(tx, &owner, &old, &new)?;
            if is_ours {
                events.append(tx, event(&new, kind, payload))?;
            }
            Ok::<_, JobError>(is_ours)
        })
        .await
}

fn event(job: &Job, kind: &'static str, payload: Value) -> NewEvent {
    NewEvent::new(kind, "platform:jobs", format!("job:{}", job.id))
        .project(&job.spec.project)
        .payload(payload)
}
