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
pub(crate) const CHILD_FILE: &str = "child.json";
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
    fn of(pid: u32) -> std::io::Result<Self> {
        let (_, start_ticks) = process_stat(pid)
            .ok_or_else(|| std::io::Error::other(format!("cannot read /proc/{pid}/stat")))?;
        Ok(Self { pid, start_ticks })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// A zombie counts as gone.
    pub(crate) fn is_alive(&self) -> bool {
        process_stat(self.pid)
            .is_some_and(|(is_zombie, start_ticks)| !is_zombie && start_ticks == self.start_ticks)
    }

    /// Kills the group this process leads. When the leader is gone nothing is killed: its number may be a
    /// stranger's by now.
    pub(crate) fn kill_group(&self) {
        let group = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(group) = group.filter(|_| self.is_alive()) {
            // It may end between the look and the signal, which is as good.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Whether the process is a zombie, and field 22 of `/proc/PID/stat`: when it started. The name in field 2
/// may hold spaces and brackets, so count from the last `)`.
fn process_stat(pid: u32) -> Option<(bool, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((fields.first() == Some(&"Z"), fields.get(19)?.parse().ok()?))
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
    // First, so that a Ctrl-C in the server's terminal finds us gone. It fails only for the leader of a
    // process group, which is apart from the server anyway.
    let _ = setsid();
    let spec: JobSpec = serde_json::from_slice(&fs::read(attempt.join(SPEC_FILE))?)?;
    if !claim(attempt)? {
        return Ok(());
    }
    let record = supervise(attempt, &spec).unwrap_or_else(|error| ExitRecord {
        code: None,
        signal: None,
        reason: Some(format!("cannot run {:?}: {error}", spec.command.first().map_or("", |p| p.as_str()))),
    });
    write_whole(attempt, EXIT_FILE, &record)
}

/// `false` when another shim has this attempt. The file appears whole, and a link, unlike a rename, fails
/// when the name is taken.
fn claim(attempt: &Path) -> std::io::Result<bool> {
    let identity = ProcessIdentity::of(std::process::id())?;
    let staged = attempt.join(format!("{RUNNING_FILE}.{}.part", identity.pid));
    fs::write(&staged, serde_json::to_vec(&identity)?)?;
    let linked = fs::hard_link(&staged, attempt.join(RUNNING_FILE));
    // A file left over here is read by nobody.
    let _ = fs::remove_file(&staged);
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// The file is there with all of its bytes, also after a loss of power, or not at all.
fn write_whole(attempt: &Path, name: &str, value: &impl Serialize) -> std::io::Result<()> {
    let staged = attempt.join(format!("{name}.part"));
    let mut file = fs::File::create(&staged)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()?;
    fs::rename(staged, attempt.join(name))
}

fn supervise(attempt: &Path, spec: &JobSpec) -> std::io::Result<ExitRecord> {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    apply_limits(spec)?;
    let log = fs::OpenOptions::new().create(true).append(true).open(attempt.join(LOG_FILE))?.into_file();
    let (program, arguments) =
        spec.command.split_first().ok_or_else(|| std::io::Error::other("the command is empty"))?;
    if !spec.directory.is_dir() {
        // Starting the command would say the same of the program.
        let message = format!("{} is not a directory", spec.directory.display());
        return Err(std::io::Error::other(message));
    }
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
    let told =
        ProcessIdentity::of(child.id()).and_then(|identity| write_whole(attempt, CHILD_FILE, &identity));
    if let Err(error) = told {
        // Nobody could end it if we were lost.
        group.map(|group| kill_process_group(group, Signal::KILL));
        child.wait()?;
        return Err(error);
    }
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
