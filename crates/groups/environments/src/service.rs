use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use platform_db::Db;
use platform_events::{Events, NewEvent};
use platform_jobs::{JobSpec, JobState, Jobs, Limits};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{Environment, EnvironmentError, EnvironmentState, kinds, store};

type Result<T> = std::result::Result<T, EnvironmentError>;

const BUILD_DEADLINE_MS: u64 = 20 * 60 * 1000;

#[derive(Clone)]
pub struct Environments {
    db: Db,
    events: Events,
    jobs: Jobs,
    root: PathBuf,
}

impl Environments {
    /// `root` holds one folder per environment.
    pub fn new(db: Db, events: Events, jobs: Jobs, root: PathBuf) -> Self {
        Self { db, events, jobs, root }
    }

    pub async fn get(&self, id: &str) -> Result<Environment> {
        let missing = || EnvironmentError::NotFound { id: id.to_owned() };
        store::find(&self.db, &self.root, id).await?.ok_or_else(missing)
    }

    /// The environment of this lock; its build is queued unless it exists or is on its way.
    pub async fn ensure(&self, actor: &str, project: &str, lock: &Path) -> Result<Environment> {
        if !on_path("uv") {
            return Err(EnvironmentError::UvMissing);
        }
        let read = |path: &Path| {
            fs::read(path)
                .map_err(|source| EnvironmentError::File { path: path.display().to_string(), source })
        };
        let lock_bytes = read(lock)?;
        let project_file = lock.with_file_name("pyproject.toml");
        let project_bytes = read(&project_file)?;
        let lock_digest = hex(&Sha256::digest(&lock_bytes));
        let mut both = Sha256::new();
        both.update(&lock_bytes);
        both.update(&project_bytes);
        let id = hex(&both.finalize())[..16].to_owned();
        if let Some(found) = store::find(&self.db, &self.root, &id).await?
            && found.state != EnvironmentState::Failed
        {
            return Ok(found);
        }
        let folder = self.root.join(&id);
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            fs::create_dir_all(&folder)
                .and_then(|()| fs::write(&path, bytes))
                .map_err(|source| EnvironmentError::File { path: path.display().to_string(), source })
        };
        write("uv.lock", &lock_bytes)?;
        write("pyproject.toml", &project_bytes)?;
        self.queue_build(actor, project, &id, lock_digest, &folder).await
    }

    async fn queue_build(
        &self,
        actor: &str,
        project: &str,
        id: &str,
        lock_digest: String,
        folder: &Path,
    ) -> Result<Environment> {
        let command = ["uv", "sync", "--frozen", "--no-install-project", "--quiet"];
        let venv = folder.join("venv");
        let mut variables = network_variables();
        variables.insert("UV_PROJECT_ENVIRONMENT".to_owned(), venv.display().to_string());
        let spec = JobSpec {
            project: project.to_owned(),
            name: "environment".to_owned(),
            command: command.map(str::to_owned).to_vec(),
            directory: folder.to_owned(),
            environment: variables,
            deadline_ms: BUILD_DEADLINE_MS,
            retries: 1,
            limits: Limits::default(),
        };
        let mut environment = Environment {
            id: id.to_owned(),
            project: project.to_owned(),
            state: EnvironmentState::Building,
            job_id: String::new(),
            lock_digest,
            error: None,
            directory: venv,
        };
        let (actor, events, jobs) = (actor.to_owned(), self.events.clone(), self.jobs.clone());
        self.db
            .write(move |tx| {
                environment.job_id = jobs.submit(tx, spec)?;
                store::put(tx, &environment, events.now())?;
                let event = NewEvent::new(kinds::REQUESTED, actor, format!("environment:{}", environment.id))
                    .project(&environment.project)
                    .payload(json!({"job": environment.job_id, "lock": environment.lock_digest}));
                events.append(tx, event)?;
                Ok(environment)
            })
            .await
    }

    /// Takes over the outcome of builds that ended. Called after job events and at start.
    pub async fn settle(&self) -> Result<()> {
        for environment in store::building(&self.db, &self.root).await? {
            let job = self.jobs.get(&environment.job_id).await?;
            let (to, kind) = match job.state {
                JobState::Succeeded => (EnvironmentState::Ready, kinds::READY),
                JobState::Failed => (EnvironmentState::Failed, kinds::FAILED),
                JobState::Queued | JobState::Running => continue,
            };
            let events = self.events.clone();
            self.db
                .write(move |tx| {
                    let mut environment = environment;
                    environment.state = environment.state.advance(to)?;
                    environment.error = job.error;
                    store::put(tx, &environment, events.now())?;
                    let subject = format!("environment:{}", environment.id);
                    let event = NewEvent::new(kind, "platform:environments", subject)
                        .project(&environment.project)
                        .payload(json!({"job": environment.job_id, "error": environment.error}));
                    events.append(tx, event)?;
                    Ok::<_, EnvironmentError>(())
                })
                .await?;
        }
        Ok(())
    }
}

/// How this machine reaches package indexes: certificates, proxies, uv's own settings.
fn network_variables() -> BTreeMap<String, String> {
    let concerns = |name: &str| {
        name.starts_with("SSL_CERT_")
            || name.starts_with("UV_")
            || name.to_ascii_lowercase().ends_with("_proxy")
    };
    std::env::vars().filter(|(name, _)| concerns(name)).collect()
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}
