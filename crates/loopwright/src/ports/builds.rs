use std::path::PathBuf;

use async_trait::async_trait;
use group_environments::{EnvironmentState, Environments};
use group_loops::{BuildOutcome, Builds, NewBuild, PortResult, Progress};
use group_pipelines::{EnvironmentRef, Pipelines, Plan, RunState, StagePlan};
use platform_loopfile::LoopFile;

use super::failure;

const ACTOR: &str = "platform:loop";

pub(super) struct JobBuilds {
    pub environments: Environments,
    pub pipelines: Pipelines,
}

#[async_trait]
impl Builds for JobBuilds {
    async fn environment(
        &self,
        project: &str,
        lock: PathBuf,
        known: Option<&str>,
    ) -> PortResult<(String, Progress, Option<String>)> {
        let found = match known {
            Some(id) => self.environments.get(id).await,
            None => self.environments.ensure(ACTOR, project, &lock).await,
        };
        let found = found.map_err(failure)?;
        let progress = match found.state {
            EnvironmentState::Building => Progress::Underway,
            EnvironmentState::Ready => Progress::Done,
            EnvironmentState::Failed => Progress::Failed,
        };
        Ok((found.id, progress, found.error))
    }

    async fn start(&self, build: NewBuild) -> PortResult<String> {
        let environment = self.environments.get(&build.environment).await.map_err(failure)?;
        let environment = EnvironmentRef { id: environment.id, directory: environment.directory };
        let stages = stages(&build.file);
        let plan = Plan::new(build.directory, environment, stages, build.provided).map_err(failure)?;
        self.pipelines.start(ACTOR, &build.id, &build.project, &build.label, plan).await.map_err(failure)
    }

    async fn find(&self, pipeline_run: &str) -> PortResult<BuildOutcome> {
        let run = self.pipelines.get(pipeline_run).await.map_err(failure)?;
        let progress = match run.state {
            RunState::Running => Progress::Underway,
            RunState::Succeeded => Progress::Done,
            RunState::Failed => Progress::Failed,
        };
        let mut files = run.plan.provided.clone();
        files.extend(run.steps.iter().flat_map(|step| step.outs.clone()));
        Ok(BuildOutcome {
            progress,
            training_run: run.training_run().map(str::to_owned),
            error: run.error,
            files,
        })
    }
}

/// The file's stages with their parameters filled in.
fn stages(file: &LoopFile) -> Vec<StagePlan> {
    file.pipeline
        .stages
        .iter()
        .map(|(name, stage)| {
            let mut command = stage.command.clone();
            for (parameter, value) in &file.pipeline.params {
                command = command.replace(&format!("${{params.{parameter}}}"), &value.to_string());
            }
            StagePlan {
                name: name.clone(),
                command,
                deps: stage.deps.clone(),
                outs: stage.outs.clone(),
                deadline_ms: u64::try_from(stage.deadline.as_millis()).unwrap_or(0),
                retries: stage.retries,
                trains_model: stage.trains_model,
            }
        })
        .collect()
}
