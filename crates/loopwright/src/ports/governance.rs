use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use group_experiments::{ExperimentError, Experiments, RunRecord};
use group_registry::{
    DatasetFact, ModelVersion, RunFact, RunFacts, SOURCE_ELSEWHERE, VersionFile, VersionFiles, split_name,
};
use platform_blobs::{BlobDigest, Blobs};
use platform_primitives::{ErrorKind, Failure, Fault as _};
use platform_web::mlflow::Within as _;
use sha2::{Digest as _, Sha256};

use super::failure;

type PortResult<T> = Result<T, Failure>;

/// The experiments among which a model's files lie: those of its workspace. A source that leads out of it leads nowhere.
pub(super) fn experiments_of(experiments: &Experiments, model: &str) -> Experiments {
    experiments.within(split_name(model).0)
}

/// The folder of a version's files among the artifacts.
pub(super) async fn folder(experiments: &Experiments, version: &ModelVersion) -> PortResult<String> {
    let experiments = experiments_of(experiments, &version.model);
    // Where clients download it from, whatever the version says of its logged model.
    if let Some(id) = version.location.strip_prefix("models:/") {
        let logged = experiments.get_logged_model(id).await.map_err(elsewhere)?;
        return logged.artifact_folder().map_err(|_| away(version, &logged.artifact_uri()));
    }
    if let Some(rest) = version.location.strip_prefix("runs:/")
        && let Some((run, path)) = rest.split_once('/')
    {
        let run = experiments.get_run(run).await.map_err(elsewhere)?;
        let folder = run.artifact_folder().map_err(|_| away(version, &run.artifact_uri()))?;
        return Ok(format!("{folder}/{path}"));
    }
    if let Some(path) = version.location.strip_prefix("mlflow-artifacts:/") {
        return Ok(path.trim_start_matches('/').to_owned());
    }
    Err(away(version, &version.location))
}

fn away(version: &ModelVersion, location: &str) -> Failure {
    let message = format!(
        "the files of {}/{} are at {location:?}, which is not on this server",
        version.model, version.version
    );
    Failure::new(ErrorKind::Invalid, SOURCE_ELSEWHERE, message)
}

/// What is not here is elsewhere, for the registry.
fn elsewhere(error: ExperimentError) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => Failure::new(ErrorKind::NotFound, SOURCE_ELSEWHERE, error.to_string()),
        _ => failure(error),
    }
}

/// Files of versions are artifacts; their bytes are blobs.
pub struct StoredVersions {
    pub experiments: Experiments,
    pub blobs: Blobs,
}

#[async_trait]
impl VersionFiles for StoredVersions {
    async fn files(&self, version: &ModelVersion) -> PortResult<Vec<VersionFile>> {
        let folder = folder(&self.experiments, version).await?;
        let experiments = experiments_of(&self.experiments, &version.model);
        let files = experiments.files_under(&folder).await.map_err(failure)?;
        let file = |file: group_experiments::StoredFile| VersionFile {
            path: file.path,
            digest: file.digest,
            size_bytes: file.size_bytes,
        };
        Ok(files.into_iter().map(file).collect())
    }

    async fn read(&self, digest: &str) -> PortResult<Bytes> {
        self.blobs.get_bytes(&BlobDigest::parse(digest).map_err(failure)?).await.map_err(failure)
    }

    async fn stream(&self, digest: &str) -> PortResult<BoxStream<'static, PortResult<Bytes>>> {
        let digest = BlobDigest::parse(digest).map_err(failure)?;
        let (_, parts) = self.blobs.get_stream(&digest).await.map_err(failure)?;
        Ok(parts.map(|part| part.map_err(failure)).boxed())
    }

    async fn rehash(&self, digest: &str) -> PortResult<String> {
        let digest = BlobDigest::parse(digest).map_err(failure)?;
        let (_, mut parts) = self.blobs.get_stream(&digest).await.map_err(failure)?;
        let mut hasher = Sha256::new();
        while let Some(part) = parts.next().await {
            hasher.update(&part.map_err(failure)?);
        }
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    async fn keep(&self, bytes: Bytes) -> PortResult<String> {
        Ok(self.blobs.put_bytes(bytes).await.map_err(failure)?.digest.to_string())
    }
}

/// Runs as the registry sees them.
pub struct RecordedRuns(pub Experiments);

#[async_trait]
impl RunFacts for RecordedRuns {
    async fn run(&self, model: &str, run: &str) -> PortResult<Option<RunFact>> {
        let experiments = experiments_of(&self.0, model);
        match experiments.get_record(run).await {
            Ok(record) => {
                let created_by = experiments.creator_of_run(run).await.map_err(failure)?;
                Ok(Some(RunFact { created_by, ..fact(&record) }))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failure(error)),
        }
    }

    async fn authors(&self, run: &str) -> PortResult<Vec<String>> {
        match self.0.get_record(run).await {
            Ok(record) => {
                let created_by = self.0.creator_of_run(run).await.map_err(failure)?;
                Ok(vec![record.run.user.clone(), created_by])
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(failure(error)),
        }
    }
}

fn fact(record: &RunRecord) -> RunFact {
    let metrics: BTreeMap<String, f64> = record
        .metrics
        .iter()
        .map(|(key, summary)| (key.to_owned(), summary.latest.value))
        .filter(|(_, value)| value.is_finite())
        .collect();
    let datasets = record.inputs.iter().map(|input| DatasetFact {
        name: input.name.clone(),
        digest: input.digest.clone(),
        context: input.tags.get("mlflow.data.context").cloned().unwrap_or_default(),
        source: input.source.clone(),
    });
    RunFact {
        id: record.run.id.clone(),
        name: record.run.name.clone(),
        user: record.run.user.clone(),
        created_by: String::new(),
        status: record.run.status.name().to_owned(),
        params: record.params.clone(),
        metrics,
        tags: record.tags.clone(),
        datasets: datasets.collect(),
    }
}
