//! Real processes under the real shim: how jobs end, what they see, and who finishes them.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use platform_blobs::{BlobDigest, Blobs};
use platform_events::{Event, EventFilter};
use platform_jobs::{Job, JobError, JobSpec, JobState, Jobs, Limits, MIGRATIONS, ProcessEngine, kinds};
use platform_testkit::TestDb;
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(30);
/// A lease of the runner lasts 30 s; one more millisecond and it has run out.
const LEASE_OVER_MS: i64 = 30_001;

/// Asks until there is an answer; the one place that waits.
async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not come within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A database and a folder; servers come and go.
struct Bench {
    test: TestDb,
    folder: tempfile::TempDir,
    blobs: Blobs,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let blobs = Blobs::local(&folder.path().join("blobs")).expect("a blob store");
        Self { test: platform_testkit::sqlite(&[MIGRATIONS]).await, folder, blobs }
    }

    /// A server on this database and folder, not yet running.
    fn server(&self) -> Jobs {
        let engine = ProcessEngine::new(PathBuf::from(env!("CARGO_BIN_EXE_job-shim")));
        Jobs::new(
            self.test.db.clone(),
            self.test.events.clone(),
            self.blobs.clone(),
            Arc::new(engine),
            self.path("attempts"),
            4,
        )
    }

    /// A server and its running loop.
    fn serve(&self) -> (Jobs, JoinHandle<()>) {
        let jobs = self.server();
        let running = tokio::spawn(jobs.clone().run());
        (jobs, running)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, command: &[&str]) -> JobSpec {
        JobSpec {
            project: "taxi".to_owned(),
            name: "train".to_owned(),
            command: command.iter().map(|part| (*part).to_owned()).collect(),
            directory: self.folder.path().to_owned(),
            environment: BTreeMap::new(),
            deadline_ms: 20_000,
            retries: 0,
            limits: Limits::default(),
        }
    }

    fn script(&self, text: &str) -> JobSpec {
        self.command(&["sh", "-c", text])
    }

    async fn submit(&self, jobs: &Jobs, spec: JobSpec) -> String {
        let jobs = jobs.clone();
        self.test.db.write(move |tx| jobs.submit(tx, spec)).await.expect("the job is queued")
    }

    async fn file(&self, name: &str) -> String {
        let path = self.path(name);
        eventually(name, async || fs_err::read_to_string(&path).ok().filter(|text| text.ends_with('\n')))
            .await
    }

    async fn log(&self, job: &Job) -> String {
        let digest = job.log_digest.as_deref().expect("a finished job has a log");
        let digest = BlobDigest::parse(digest).expect("a digest");
        let bytes = self.blobs.get_bytes(&digest).await.expect("the log is a blob");
        String::from_utf8(bytes.to_vec()).expect("the logs of these tests are text")
    }

    async fn events(&self, id: &str) -> Vec<Event> {
        let filter = EventFilter { subject: Some(format!("job:{id}")), ..EventFilter::default() };
        self.test.events.list(filter, 0, 100).await.expect("events are readable")
    }

    async fn event_kinds(&self, id: &str) -> Vec<String> {
        self.events(id).await.into_iter().map(|event| event.kind).collect()
    }
}

async fn finished(jobs: &Jobs, id: &str) -> Job {
    eventually("the end of the job", async || {
        let job = jobs.get(id).await.expect("the job is known");
        job.state.is_final().then_some(job)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_succeeds_leaves_its_log_and_an_event() {
    let bench = Bench::new().await;
    let (jobs, _running) = bench.serve();
    let id = bench.submit(&jobs, bench.script("echo one; echo two >&2; echo three")).await;
    let job = finished(&jobs, &id).await;
    assert_eq!((job.state, job.attempt, job.exit_code, &job.error), (JobState::Succeeded, 1, Some(0), &None));
    assert_eq!(bench.log(&job).await, "one\ntwo\nthree\n");
    assert_eq!(jobs.log_tail(&id, 2).await.unwrap(), ["two", "three"]);
    assert_eq!(jobs.log_tail(&id, 100).await.unwrap(), ["one", "two", "three"]);
    let events = bench.events(&id).await;
    let told: Vec<(&str, &str)> =
        events.iter().map(|event| (event.kind.as_str(), event.project.as_str())).collect();
    assert_eq!(told, [(kinds::STARTED, "taxi"), (kinds::SUCCEEDED, "taxi")]);
    assert_eq!(events[1].payload["exit_code"], 0);
    assert_eq!(events[1].payload["attempt"], 1);
    assert_eq!(events[1].text("name"), "train");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_says_how_and_with_which_last_lines() {
    let bench = Bench::new().await;
    let (jobs, _running) = bench.serve();
    let twelve: String = (9..=20).map(|number| format!("\nline {number}")).collect();
    let cases = [
        ("echo one; echo two; exit 3", Some(3), "exit status 3; last lines:\none\ntwo".to_owned()),
        ("exit 1", Some(1), "exit status 1; last lines:\n".to_owned()),
        ("echo last words; kill -9 $$", None, "killed by signal 9; last lines:\nlast words".to_owned()),
        (
            "for number in $(seq 1 20); do echo line $number; done; false",
            Some(1),
            format!("exit status 1; last lines:{twelve}"),
        ),
    ];
    for (script, exit_code, error) in cases {
        let id = bench.submit(&jobs, bench.script(script)).await;
        let job = finished(&jobs, &id).await;
        assert_eq!((job.state, job.exit_code), (JobState::Failed, exit_code), "{script}");
        assert_eq!(job.error.as_deref(), Some(error.as_str()), "{script}");
        assert_eq!(bench.event_kinds(&id).await, [kinds::STARTED, kinds::FAILED], "{script}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_is_tried_again_as_often_as_allowed() {
    let bench = Bench::new().await;
    let (jobs, _running) = bench.serve();
    // Fails until it has left two marks.
    let script = "cat marks; echo x >> marks; [ $(wc -l < marks) -gt 2 ]";
    let (started, retried) = (kinds::STARTED, kinds::RETRIED);
    let cases = [
        (0, JobState::Failed, 1, vec![started, kinds::FAILED]),
        (1, JobState::Failed, 2, vec![started, retried, started, kinds::FAILED]),
        (2, JobState::Succeeded, 3, vec![started, retried, started, retried, started, kinds::SUCCEEDED]),
        (5, JobState::Succeeded, 3, vec![started, retried, started, retried, started, kinds::SUCCEEDED]),
    ];
    for (retries, state, attempt, told) in cases {
        fs_err::write(bench.path("marks"), "").unwrap();
        let id = bench.submit(&jobs, JobSpec { retries, ..bench.script(script) }).await;
        let job = finished(&jobs, &id).await;
        assert_eq!((job.state, job.attempt), (state, attempt), "{retries} retries: {:?}", job.error);
        assert_eq!(bench.event_kinds(&id).await, told, "{retries} retries");
        assert_eq!(
            bench.log(&job).await,
            "x\n".repeat(attempt as usize - 1),
            "{retries} retries: the last log"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_failed_attempt_is_told_of_the_next_one() {
    let bench = Bench::new().await;
    let (jobs, _running) = bench.serve();
    let script = "if [ ! -e marker ]; then touch marker; echo first; exit 3; fi
                  echo second; echo begun > begun; while [ ! -e go ]; do sleep 0.02; done";
    let id = bench.submit(&jobs, JobSpec { retries: 1, ..bench.script(script) }).await;
    bench.file("begun").await;
    let tail = jobs.log_tail(&id, 10).await.unwrap();
    let running = jobs.get(&id).await.unwrap();
    fs_err::write(bench.path("go"), "").unwrap();
    let ended = finished(&jobs, &id).await;
    assert_eq!((running.state, running.attempt), (JobState::Running, 2));
    assert_eq!(tail, ["second"], "the log of the newest attempt");
    assert_eq!((running.exit_code, running.error), (None, None), "while the second attempt runs");
    assert_eq!((ended.state, ended.exit_code, ended.error), (JobState::Succeeded, Some(0), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_is_kept_by_polite_and_by_stubborn_commands() {
    let bench = Bench::new().await;
    let (jobs, _running) = bench.serve();
    let submitted = Instant::now();
    let mut ids = Vec::new();
    for script in [
        "echo begun; sleep 60",
        "trap '' TERM; echo begun; sleep 60; sleep 60",
        "echo begun; sleep 60 & wait",
    ] {
        let spec = JobSpec { deadline_ms: 1_000, ..bench.script(script) };
        ids.push((script, bench.submit(&jobs, spec).await));
    }
    for (script, id) in ids {
        let job = finished(&jobs, &id).await;
        assert_eq!(
            (job.state, job.exit_code.is_none()),
            (JobState::Failed, true),
            "{script}: {:?}",
            job.error
        );
        assert_eq!(job.error.as_deref(), Some("deadline of 1000 ms passed; last lines:\nbegun"), "{script}");
    }
    assert!(submitted.elapsed() < Duration::from_secs(20), "{:?}", submitted.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_does_not_exist_is_named() {
    let bench = Bench::new().await;
    let (jobs, _running) = bench.serve();
    let cases = [
        (vec!["no-such-program", "--flag"], "cannot run \"no-such-program\": No such file or directory"),
        (vec!["./no/such/program"], "cannot run \"./no/such/program\": No such file or directory"),
        (vec!["/"], "cannot run \"/\": Permission denied"),
        (vec![], "cannot run \"\": the command is empty"),
    ];
    for (command, reason) in cases {
        let id = bench.submit(&jobs, bench.command(&command)).await;
        let job = finished(&jobs, &id).await;
        let error = job.error.unwrap_or_default();
        assert_eq!((job.state, job.exit_code), (JobState::Failed, None), "{command:?}: {error}");
        assert!(error.starts_with(reason), "{command:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_sees_a_minimal_environment_and_its_own_variables() {
    const KEPT: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];
    let here: BTreeSet<String> =
        std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    let withheld = here.iter().filter(|name| !KEPT.contains(&name.as_str())).count();
    assert!(withheld > 0, "the test itself runs with a variable that a job must not see");

    let bench = Bench::new().await;
    let (jobs, _running) = bench.serve();
    let given = [("MLFLOW_RUN_ID", "abc"), ("LANG", "of the spec")];
    let environment = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let id = bench.submit(&jobs, JobSpec { environment, ..bench.command(&["env"]) }).await;
    let job = finished(&jobs, &id).await;
    let log = bench.log(&job).await;
    let seen: BTreeMap<&str, &str> = log.lines().filter_map(|line| line.split_once('=')).collect();
    for (name, value) in given {
        assert_eq!(seen.get(name), Some(&value), "{log}");
    }
    let expected: BTreeSet<&str> =
        KEPT.into_iter().filter(|name| here.contains(*name)).chain(given.map(|(name, _)| name)).collect();
    assert_eq!(seen.keys().copied().collect::<BTreeSet<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn printed_lines_are_heard_in_order() {
    let bench = Bench::new().await;
    let (jobs, _running) = bench.serve();
    let mut lines = jobs.listen();
    let id = bench.submit(&jobs, bench.script("echo one; echo Grüße; sleep 0.1; echo three >&2")).await;
    let mut heard = Vec::new();
    while heard.len() < 3 {
        let line =
            tokio::time::timeout(PATIENCE, lines.recv()).await.expect("the lines come in time").unwrap();
        assert_eq!((&line.job, line.name.as_str()), (&id, "train"));
        heard.push(line.text);
    }
    assert_eq!(heard, ["one", "Grüße", "three"]);
    finished(&jobs, &id).await;
    assert!(lines.try_recv().is_err(), "each line is heard once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_died_is_succeeded_by_one_that_finishes_the_same_attempt() {
    // Whether the command is still running when the next server looks.
    for still_running in [true, false] {
        let bench = Bench::new().await;
        let (jobs, running) = bench.serve();
        let script = "echo ran >> ran; echo begun; sleep 1.5; echo done; echo ended > ended";
        let id = bench.submit(&jobs, bench.script(script)).await;
        bench.file("ran").await;
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        drop(jobs);
        if !still_running {
            bench.file("ended").await;
        }
        bench.test.clock.advance_millis(LEASE_OVER_MS);

        let jobs = bench.server();
        let left_behind = jobs.get(&id).await.unwrap();
        assert_eq!((left_behind.state, left_behind.attempt), (JobState::Running, 1), "{still_running}");
        tokio::spawn(jobs.clone().run());
        let job = finished(&jobs, &id).await;
        assert_eq!((job.state, job.attempt), (JobState::Succeeded, 1), "{still_running}: {:?}", job.error);
        assert_eq!(bench.file("ran").await, "ran\n", "{still_running}: the command ran once");
        assert_eq!(bench.log(&job).await, "begun\ndone\n", "{still_running}");
        assert_eq!(bench.event_kinds(&id).await, [kinds::STARTED, kinds::SUCCEEDED], "{still_running}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_run_every_job_once() {
    let bench = Bench::new().await;
    let (first, _first_running) = bench.serve();
    let (second, _second_running) = bench.serve();
    let mut ids = Vec::new();
    for number in 0..12 {
        let jobs = if number % 2 == 0 { &first } else { &second };
        ids.push(bench.submit(jobs, bench.script(&format!("echo {number} >> ran"))).await);
    }
    for id in &ids {
        assert_eq!(finished(&first, id).await.state, JobState::Succeeded);
        assert_eq!(bench.event_kinds(id).await, [kinds::STARTED, kinds::SUCCEEDED]);
    }
    let ran = bench.file("ran").await;
    let mut numbers: Vec<i32> = ran.lines().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..12).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_supervisor_was_killed_is_not_waited_for() {
    let bench = Bench::new().await;
    let (jobs, _running) = bench.serve();
    let id = bench.submit(&jobs, bench.script("echo $PPID > supervisor; sleep 3")).await;
    let pid: i32 = bench.file("supervisor").await.trim().parse().unwrap();
    let supervisor = rustix::process::Pid::from_raw(pid).expect("a process id");
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).unwrap();
    let job = finished(&jobs, &id).await;
    let error = job.error.unwrap_or_default();
    assert_eq!(job.state, JobState::Failed, "{error}");
    assert!(error.starts_with("the machine or its supervisor went down"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submit_that_is_undone_runs_nothing() {
    let bench = Bench::new().await;
    let (jobs, _running) = bench.serve();
    let (queue, undone) = (jobs.clone(), bench.script("echo undone > undone"));
    let (sender, receiver) = std::sync::mpsc::channel();
    let refused = bench.test.db.write(move |tx| -> Result<(), JobError> {
        sender.send(queue.submit(tx, undone)?).expect("the test listens");
        Err(JobError::NotFound { id: "refused".to_owned() })
    });
    refused.await.unwrap_err();
    let undone = receiver.recv().unwrap();
    // A job submitted later has run, so the earlier one would have.
    let id = bench.submit(&jobs, bench.script("true")).await;
    finished(&jobs, &id).await;
    assert!(matches!(jobs.get(&undone).await, Err(JobError::NotFound { .. })));
    assert!(!bench.path("undone").exists());
}
