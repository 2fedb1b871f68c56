use std::collections::BTreeMap;

use async_trait::async_trait;
use group_experiments::{Experiments, NewRun, RunStatus};
use group_loops::{
    Approval, GateVerdict, NewTraffic, PortResult, Serving as ServingPort, Standing, Versions,
};
use group_pipelines::{TrainingRun, TrainingRuns};
use group_registry::{LoggedModels, Registry, RegistryError, VersionState, split_name};
use group_serving::{Candidate, Serving, Traffic};
use platform_auth::{Authenticator, Role};
use platform_blobs::{BlobDigest, Blobs};
use platform_primitives::{Failure, Fault};
use platform_tables::read_parquet;
use platform_web::mlflow::Within as _;
use serde_json::json;

use super::failure;

/// Long enough for any stage; the token is of no use afterwards.
const TOKEN_LIFETIME_MS: i64 = 24 * 3_600_000;

/// Tracking runs opened for training stages.
pub struct TrackedRuns {
    pub experiments: Experiments,
    pub authenticator: Authenticator,
    pub url: String,
}

impl TrackedRuns {
    async fn environment(&self, project: &str, run: &str) -> PortResult<TrainingRun> {
        let principal = format!("job:{project}");
        let token = self.authenticator.create_token(&principal, &[Role::Job], Some(TOKEN_LIFETIME_MS));
        let token = token.await.map_err(failure)?;
        let environment = BTreeMap::from(
            [
                ("MLFLOW_TRACKING_URI", self.url.clone()),
                ("MLFLOW_TRACKING_TOKEN", token),
                ("MLFLOW_EXPERIMENT_NAME", project.to_owned()),
                ("MLFLOW_RUN_ID", run.to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        Ok(TrainingRun { id: run.to_owned(), environment })
    }
}

#[async_trait]
impl TrainingRuns for TrackedRuns {
    async fn open(&self, project: &str, pipeline_run: &str, stage: &str) -> PortResult<TrainingRun> {
        let actor = format!("job:{project}");
        let experiment_id = self.experiments.ensure_experiment(&actor, project).await.map_err(failure)?;
        let tags = BTreeMap::from([
            ("loopwright.project".to_owned(), project.to_owned()),
            ("loopwright.pipeline_run".to_owned(), pipeline_run.to_owned()),
            ("loopwright.stage".to_owned(), stage.to_owned()),
        ]);
        let name = format!("{stage}-{}", &pipeline_run[pipeline_run.len().saturating_sub(6)..]);
        let new = NewRun { experiment_id, name, user: actor.clone(), start: None, tags };
        let record = self.experiments.create_run(&actor, new).await.map_err(failure)?;
        self.environment(project, &record.run.id).await
    }

    async fn reopen(&self, project: &str, run: &str) -> PortResult<TrainingRun> {
        self.environment(project, run).await
    }

    async fn fail(&self, run: &str) -> PortResult<()> {
        let failed = Some(RunStatus::Failed);
        self.experiments.update_run("platform:pipelines", run, failed, None, None).await.map_err(failure)?;
        Ok(())
    }
}

/// Logged models as the registry sees them.
pub struct LoggedRuns(pub Experiments);

#[async_trait]
impl LoggedModels for LoggedRuns {
    async fn run_of(&self, model: &str, logged_model: &str) -> PortResult<String> {
        let (workspace, _) = split_name(model);
        let found = self.0.within(workspace).get_logged_model(logged_model).await.map_err(failure)?;
        Ok(found.run_id)
    }

    async fn registered(&self, logged_model: &str, model: &str, version: i64) -> PortResult<()> {
        // Clients of the workspace know the model by its plain name.
        let (workspace, name) = split_name(model);
        self.0.within(workspace).note_registered(logged_model, name, version).await.map_err(failure)
    }
}

pub(super) struct RegistryVersions(pub Registry);

#[async_trait]
impl Versions for RegistryVersions {
    async fn claim(&self, model: &str, project: &str) -> PortResult<()> {
        self.0.claim_model("platform:loop", model, project).await.map_err(failure)
    }

    async fn of_run(&self, model: &str, run: &str) -> PortResult<Option<i64>> {
        let versions = self.0.versions_of_run(run).await.map_err(failure)?;
        Ok(versions.iter().find(|version| version.model == model).map(|version| version.version))
    }

    async fn standing(&self, model: &str, version: i64) -> PortResult<Standing> {
        let state = match self.0.get_version(model, version).await {
            Ok(version) => version.state,
            Err(error) if error.kind() == platform_primitives::ErrorKind::NotFound => {
                return Ok(Standing::Gone);
            }
            Err(error) => return Err(failure(error)),
        };
        Ok(match state {
            VersionState::Registered => Standing::Registered,
            VersionState::AwaitingApproval => Standing::AwaitingApproval,
            VersionState::Refused => Standing::Refused,
            VersionState::Approved => Standing::Approved,
            VersionState::Rejected => Standing::Rejected,
            VersionState::Serving => Standing::Serving,
            VersionState::RolledBack | VersionState::Retired => Standing::Gone,
        })
    }

    async fn record_gate(
        &self,
        model: &str,
        version: i64,
        verdict: &GateVerdict,
        digest: &str,
    ) -> PortResult<()> {
        let evidence = json!({"checks": verdict.checks});
        let recorded = self.0.record_gate(model, version, verdict.passed, digest, &verdict.reason, evidence);
        recorded.await.map_err(failure).map(|_| ())
    }

    async fn changed_since_signed(&self, model: &str, version: i64) -> PortResult<Option<String>> {
        match self.0.check_signed(model, version).await {
            Ok(()) => Ok(None),
            Err(error @ (RegistryError::FilesChanged { .. } | RegistryError::SignatureInvalid { .. })) => {
                Ok(Some(error.to_string()))
            }
            Err(error) => Err(failure(error)),
        }
    }

    async fn promote(&self, model: &str, version: i64, reason: &str) -> PortResult<()> {
        self.0.promote(model, version, reason, serde_json::Value::Null).await.map_err(failure).map(|_| ())
    }

    async fn roll_back(&self, model: &str, version: i64, reason: &str) -> PortResult<()> {
        self.0.roll_back(model, version, reason, serde_json::Value::Null).await.map_err(failure).map(|_| ())
    }

    async fn approval(&self, model: &str, version: i64) -> PortResult<Option<Approval>> {
        let decisions = self.0.decisions(model, version).await.map_err(failure)?;
        let found = decisions.into_iter().find(|d| d.kind == "approval" && d.outcome == "approved");
        Ok(found.map(|decision| Approval { by: decision.actor, at: decision.at, reason: decision.reason }))
    }
}

pub(super) struct EndpointTraffic {
    pub serving: Serving,
    pub blobs: Blobs,
}

#[async_trait]
impl ServingPort for EndpointTraffic {
    async fn score(&self, model: &str, version: i64, table: &str) -> PortResult<(Vec<f64>, String)> {
        let (runtime, digest) = self.serving.load_runtime(model, version).await.map_err(failure)?;
        let bytes =
            self.blobs.get_bytes(&BlobDigest::parse(table).map_err(failure)?).await.map_err(failure)?;
        let table = read_parquet(bytes).map_err(failure)?;
        let columns: Vec<Vec<f64>> = runtime
            .signature
            .inputs
            .iter()
            .map(|column| table.reals(&column.name))
            .collect::<Result<_, _>>()
            .map_err(failure)?;
        let rows =
            (0..table.rows()).map(|row| columns.iter().map(|column| column[row]).collect::<Vec<f64>>());
        Ok((rows.map(|row| runtime.predict(&row)).collect(), digest))
    }

    async fn set_traffic(&self, traffic: NewTraffic) -> PortResult<()> {
        let candidate = traffic.candidate.map(|(revision, share)| Candidate { revision, share });
        let next = Traffic {
            champion: traffic.champion,
            candidate,
            reference: traffic.reference,
            note: traffic.note,
        };
        let name = traffic.model.clone();
        let set =
            self.serving.set_traffic("platform:loop", &name, &traffic.model, &traffic.project, next).await;
        set.map_err(|error| Failure::of(&error)).map(|_| ())
    }
}
