//! The supervisor of one attempt, a process of its own: `loopwright job-shim FOLDER`.
//!
//! It leaves the server's session, applies limits, runs the command with its output in `log`, keeps the
//! deadline, and writes `exit.json` whole or not at all.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, setrlimit, setsid};
use serde::{Deserialize, Serialize};

use crate::engine::ExitRecord;
use crate::model::JobSpec;

pub(crate) const SPEC_FILE: &str = "spec.json";
pub(crate) const RUNNING_FILE: &str = "running.json";
pub(crate) const EXIT_FILE: &str = "exit.json";
pub(crate) const LOG_FILE: &str = "log";

const POLL: Duration = Duration::from_millis(15);
/// Time between the polite signal and the one that cannot be ignored.
const GRACE: Duration = Duration::from_secs(5);

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ProcessIdentity {
    pid: u32,
    start_ticks: u64,
}

impl ProcessIdentity {
    fn current() -> Option<Self> {
        let pid = std::process::id();
        Some(Self { pid, start_ticks: start_ticks(pid)? })
    }

    pub(crate) fn is_alive(&self) -> bool {
        start_ticks(self.pid) == Some(self.start_ticks)
    }
}

/// Field 22 of `/proc/PID/stat`; the name in field 2 may hold spaces and brackets, so count from the last `)`.
/// A zombie counts as gone.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if fields.first() == Some(&"Z") {
        return None;
    }
    fields.get(19)?.parse().ok()
}

/// Puts the spec into the attempt's folder, readable by this user only (it holds the job's token).
pub(crate) fn write_spec(attempt: &Path, spec: &JobSpec) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::create_dir_all(attempt)?;
    let json = serde_json::to_vec(spec)?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(attempt.join(SPEC_FILE))?;
    file.write_all(&json)
}

/// The whole life of the shim. Returns when the command has ended and its record is on disk.
pub fn run(attempt: &Path) -> std::io::Result<()> {
    // Fails only when we lead a group already; then we are apart from the server anyway.
    let _ = setsid();
    let spec: JobSpec = serde_json::from_slice(&fs::read(attempt.join(SPEC_FILE))?)?;
    let Some(identity) = ProcessIdentity::current() else {
        return Err(std::io::Error::other("cannot read /proc/self/stat"));
    };
    // `create_new` makes a second shim for the same attempt step back.
    let claim = fs::OpenOptions::new().write(true).create_new(true).open(attempt.join(RUNNING_FILE));
    match claim {
        Ok(mut file) => file.write_all(&serde_json::to_vec(&identity)?)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    let record = supervise(attempt, &spec).unwrap_or_else(|error| ExitRecord {
        code: None,
        signal: None,
        reason: Some(format!("cannot run {:?}: {error}", spec.command.first().map_or("", |p| p.as_str()))),
    });
    let staged = attempt.join("exit.json.part");
    let mut file = fs::File::create(&staged)?;
    file.write_all(&serde_json::to_vec(&record)?)?;
    file.sync_all()?;
    fs::rename(staged, attempt.join(EXIT_FILE))
}

fn supervise(attempt: &Path, spec: &JobSpec) -> std::io::Result<ExitRecord> {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    apply_limits(spec)?;
    let log = fs::OpenOptions::new().create(true).append(true).open(attempt.join(LOG_FILE))?.into_file();
    let (program, arguments) =
        spec.command.split_first().ok_or_else(|| std::io::Error::other("the command is empty"))?;
    #[allow(clippy::disallowed_methods)] // this crate is where processes are started
    let mut command = std::process::Command::new(program);
    command.args(arguments).current_dir(&spec.directory).env_clear();
    for name in ["PATH", "HOME", "LANG", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.envs(&spec.environment).process_group(0);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut child = command.spawn()?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let deadline = Instant::now() + Duration::from_millis(spec.deadline_ms);
    let mut reason = None;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let now = Instant::now();
        if now > deadline {
            if reason.is_none() {
                reason = Some(format!("deadline of {} ms passed", spec.deadline_ms));
                group.map(|group| kill_process_group(group, Signal::TERM));
            }
            if now > deadline + GRACE {
                group.map(|group| kill_process_group(group, Signal::KILL));
            }
        }
        std::thread::sleep(POLL);
    };
    // Whatever the command left behind in its group ends with it.
    group.map(|group| kill_process_group(group, Signal::KILL));
    Ok(ExitRecord { code: status.code(), signal: status.signal(), reason })
}

/// Limits set on the shim are inherited by the command.
fn apply_limits(spec: &JobSpec) -> std::io::Result<()> {
    let limit = |value: u64| Rlimit { current: Some(value), maximum: Some(value) };
    if let Some(bytes) = spec.limits.memory_bytes {
        setrlimit(Resource::As, limit(bytes))?;
    }
    if let Some(seconds) = spec.limits.cpu_seconds {
        setrlimit(Resource::Cpu, limit(seconds))?;
    }
    setrlimit(Resource::Core, limit(0))?;
    Ok(())
}
