//! Starting runs and moving them on: every call of [`Pipelines::settle`] does whatever can be done now, so a restart
//! needs no memory of what was under way.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use platform_blobs::{BlobDigest, BlobError, Blobs};
use platform_db::Db;
use platform_events::{Events, NewEvent};
use platform_jobs::{Job, JobSpec, JobState, Jobs, Limits};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::model::*;
use crate::plan::{Plan, StagePlan};
use crate::ports::TrainingRuns;
use crate::{PipelineError, kinds, store, workspace};

type Result<T> = std::result::Result<T, PipelineError>;

#[derive(Clone)]
pub struct Pipelines {
    db: Db,
    events: Events,
    blobs: Blobs,
    jobs: Jobs,
    training: Arc<dyn TrainingRuns>,
    root: PathBuf,
    /// One pair of hands moves runs on.
    hands: Arc<Mutex<()>>,
}

impl Pipelines {
    /// `root` holds one folder per run and stage.
    pub fn new(
        db: Db,
        events: Events,
        blobs: Blobs,
        jobs: Jobs,
        training: Arc<dyn TrainingRuns>,
        root: PathBuf,
    ) -> Self {
        Self { db, events, blobs, jobs, training, root, hands: Arc::default() }
    }

    pub async fn get(&self, id: &str) -> Result<PipelineRun> {
        let missing = || PipelineError::NotFound { id: id.to_owned() };
        store::find(&self.db, id).await?.ok_or_else(missing)
    }

    /// The bytes of a file the run wrote or was handed.
    pub(crate) async fn read_output(
        &self,
        id: &str,
        path: &str,
    ) -> Result<BoxStream<'static, std::result::Result<Bytes, BlobError>>> {
        let run = self.get(id).await?;
        let missing = || PipelineError::FileNotFound { run: id.to_owned(), path: path.to_owned() };
        let digest = BlobDigest::parse(run.output(path).ok_or_else(missing)?)?;
        Ok(self.blobs.get_stream(&digest).await?.1)
    }

    /// Records the run; `settle` starts its first stages. A second start with the same id is the first one.
    pub async fn start(
        &self,
        actor: &str,
        id: &str,
        project: &str,
        label: &str,
        plan: Plan,
    ) -> Result<String> {
        if store::find(&self.db, id).await?.is_some() {
            return Ok(id.to_owned());
        }
        let idle = plan.not_needed();
        let steps = plan.stages.iter().map(|stage| {
            let provided = idle.contains(&stage.name);
            let outs =
                stage.outs.iter().filter_map(|out| Some((out.clone(), plan.provided.get(out)?.clone())));
            Step {
                stage: stage.name.clone(),
                state: if provided { StepState::Provided } else { StepState::Pending },
                job_id: None,
                run_id: None,
                cache_key: None,
                deps: BTreeMap::new(),
                outs: outs.collect(),
            }
        });
        let run = PipelineRun {
            id: id.to_owned(),
            project: project.to_owned(),
            label: label.to_owned(),
            state: RunState::Running,
            steps: steps.collect(),
            plan,
            error: None,
            created: self.events.now(),
            ended: None,
        };
        let (actor, events) = (actor.to_owned(), self.events.clone());
        let id = self
            .db
            .write(move |tx| {
                store::insert(tx, &run)?;
                let payload = json!({"label": run.label, "environment": run.plan.environment.id,
                    "provided": run.plan.provided});
                let mut started = event(&run, kinds::STARTED, payload);
                started.actor = actor;
                events.append(tx, started)?;
                Ok::<_, PipelineError>(run.id)
            })
            .await?;
        self.settle().await?;
        Ok(id)
    }

    /// Moves every run in progress as far as it goes now. Called after job events and at start.
    pub async fn settle(&self) -> Result<()> {
        let _hands = self.hands.lock().await;
        for id in store::running(&self.db).await? {
            if let Err(error) = self.settle_one(&id).await {
                let run = self.get(&id).await?;
                self.end(run, Err(error)).await?;
            }
        }
        Ok(())
    }

    async fn settle_one(&self, id: &str) -> Result<()> {
        loop {
            let run = self.get(id).await?;
            let mut moved = false;
            for step in run.steps.iter().filter(|step| step.state == StepState::Running) {
                moved |= self.finish_step(&run, step.clone()).await?;
            }
            if !moved {
                let ready =
                    run.steps.iter().find(|step| step.state == StepState::Pending && is_ready(&run, step));
                match ready {
                    Some(step) => {
                        self.start_step(&run, step.clone()).await?;
                        moved = true;
                    }
                    None if run.steps.iter().all(|step| step.state.is_done()) => {
                        return self.end(run, Ok(())).await;
                    }
                    None => {}
                }
            }
            if !moved {
                return Ok(());
            }
        }
    }

    async fn start_step(&self, run: &PipelineRun, mut step: Step) -> Result<()> {
        let stage = stage_of(run, &step)?;
        let produced: BTreeMap<String, String> = run
            .steps
            .iter()
            .flat_map(|step| step.outs.iter())
            .chain(run.plan.provided.iter())
            .map(|(path, digest)| (path.clone(), digest.clone()))
            .collect();
        step.deps = workspace::resolve_deps(&self.blobs, &run.plan, stage, &produced).await?;
        let key = cache_key(run, stage, &step.deps);
        step.cache_key = Some(key.clone());
        // A training stage registers a model each time; the others give the same bytes again.
        let cached = if stage.trains_model { None } else { store::cached(&self.db, &key).await? };
        if let Some(outs) = cached {
            step.outs = outs;
            step.state = step.state.advance(StepState::Cached)?;
            return self.write_step(run, step, kinds::STEP_ENDED, json!({"cached": true})).await;
        }
        let mut environment = base_environment(run);
        if stage.trains_model {
            let training = match &step.run_id {
                Some(id) => self.training.reopen(&run.project, id).await?,
                None => self.training.open(&run.project, &run.id, &stage.name).await?,
            };
            step.run_id = Some(training.id);
            environment.extend(training.environment);
        }
        let folder = self.root.join(&run.id).join(&stage.name);
        workspace::lay_out(&self.blobs, &folder, stage, &step.deps).await?;
        let spec = JobSpec {
            project: run.project.clone(),
            name: stage.name.clone(),
            command: stage.arguments()?,
            directory: folder,
            environment,
            deadline_ms: stage.deadline_ms,
            retries: stage.retries,
            limits: Limits::default(),
        };
        step.state = step.state.advance(StepState::Running)?;
        let (run, jobs, events) = (run.clone(), self.jobs.clone(), self.events.clone());
        self.db
            .write(move |tx| {
                let job = jobs.submit(tx, spec)?;
                let payload = json!({"stage": step.stage, "job": job, "deps": step.deps, "run": step.run_id});
                step.job_id = Some(job);
                store::put_step(tx, &run.id, &step)?;
                events.append(tx, event(&run, kinds::STEP_STARTED, payload))?;
                Ok(())
            })
            .await
    }

    /// `true` when the step's job had ended.
    async fn finish_step(&self, run: &PipelineRun, mut step: Step) -> Result<bool> {
        let stage = stage_of(run, &step)?;
        let job = self.jobs.get(step.job_id.as_deref().unwrap_or_default()).await?;
        match job.state {
            JobState::Queued | JobState::Running => return Ok(false),
            JobState::Succeeded => {
                let folder = self.root.join(&run.id).join(&stage.name);
                step.outs = workspace::collect_outs(&self.blobs, &folder, stage).await?;
                step.state = step.state.advance(StepState::Succeeded)?;
                let payload = json!({"stage": step.stage, "outs": step.outs});
                self.write_step(run, step, kinds::STEP_ENDED, payload).await?;
            }
            JobState::Failed => {
                step.state = step.state.advance(StepState::Failed)?;
                if let Some(training) = &step.run_id {
                    self.training.fail(training).await?;
                }
                let payload = json!({"stage": step.stage, "error": job.error});
                self.write_step(run, step, kinds::STEP_ENDED, payload).await?;
                return Err(failed(&stage.name, &job));
            }
        }
        Ok(true)
    }

    async fn write_step(
        &self,
        run: &PipelineRun,
        step: Step,
        kind: &'static str,
        payload: serde_json::Value,
    ) -> Result<()> {
        let (run, events) = (run.clone(), self.events.clone());
        self.db
            .write(move |tx| {
                store::put_step(tx, &run.id, &step)?;
                if let (Some(key), StepState::Succeeded) = (&step.cache_key, step.state) {
                    store::put_cache(tx, key, &step.outs, &run.id, events.now())?;
                }
                events.append(tx, event(&run, kind, payload))?;
                Ok(())
            })
            .await
    }

    async fn end(&self, mut run: PipelineRun, outcome: Result<()>) -> Result<()> {
        let (to, kind) = match &outcome {
            Ok(()) => (RunState::Succeeded, kinds::SUCCEEDED),
            Err(_) => (RunState::Failed, kinds::FAILED),
        };
        run.error = outcome.err().map(|error| error.to_string());
        let events = self.events.clone();
        self.db
            .write(move |tx| {
                store::end(tx, &run, to, events.now())?;
                events.append(tx, event(&run, kind, json!({"error": run.error})))?;
                Ok(())
            })
            .await
    }
}

fn failed(stage: &str, job: &Job) -> PipelineError {
    let message =
        format!("stage {stage} failed: {}", job.error.as_deref().unwrap_or("no reason was recorded"));
    platform_primitives::Failure::new(
        platform_primitives::ErrorKind::Invalid,
        "pipelines/stage-failed",
        message,
    )
    .into()
}

fn stage_of<'r>(run: &'r PipelineRun, step: &Step) -> Result<&'r StagePlan> {
    run.plan.stage(&step.stage).ok_or_else(|| PipelineError::Corrupt { id: run.id.clone(), what: "plan" })
}

/// All stages that write what this one reads are done.
fn is_ready(run: &PipelineRun, step: &Step) -> bool {
    let Some(stage) = run.plan.stage(&step.stage) else { return false };
    run.steps.iter().all(|other| {
        let feeds = run
            .plan
            .stage(&other.stage)
            .is_some_and(|writer| stage.deps.iter().any(|dep| writer.outs.contains(dep)));
        !feeds || other.state.is_done()
    })
}

fn base_environment(run: &PipelineRun) -> BTreeMap<String, String> {
    let venv = &run.plan.environment.directory;
    let path = std::env::var("PATH").unwrap_or_default();
    BTreeMap::from([
        ("PATH".to_owned(), format!("{}:{path}", venv.join("bin").display())),
        ("VIRTUAL_ENV".to_owned(), venv.display().to_string()),
        // Lines reach the log when they are printed; idle OpenMP threads sleep.
        ("PYTHONUNBUFFERED".to_owned(), "1".to_owned()),
        ("OMP_WAIT_POLICY".to_owned(), "passive".to_owned()),
    ])
}

/// SHA-256 over everything that decides a stage's output.
fn cache_key(run: &PipelineRun, stage: &StagePlan, deps: &BTreeMap<String, String>) -> String {
    let parts = json!([stage.name, stage.command, stage.outs, run.plan.environment.id, deps]);
    let digest = Sha256::digest(parts.to_string().as_bytes());
    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}

fn event(run: &PipelineRun, kind: &'static str, payload: serde_json::Value) -> NewEvent {
    NewEvent::new(kind, "platform:pipelines", format!("pipeline_run:{}", run.id))
        .project(&run.project)
        .payload(payload)
}
