//! What this group needs of others.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use platform_primitives::Failure;
use serde::{Deserialize, Serialize};

use crate::model::ModelVersion;

/// Models as they were logged, before anybody registered them.
#[async_trait]
pub trait LoggedModels: Send + Sync + 'static {
    /// The run that logged the model; empty when it was logged outside of one. A logged model of another workspace than that of
    /// the registered `model` is not found.
    async fn run_of(&self, model: &str, logged_model: &str) -> Result<String, Failure>;

    /// Notes on the logged model that it became this version (MLflow's tag `mlflow.modelVersions`).
    async fn registered(&self, logged_model: &str, model: &str, version: i64) -> Result<(), Failure> {
        let _ = (logged_model, model, version);
        Ok(())
    }
}

/// A file of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionFile {
    /// Relative to the version's folder, parts joined by `/`.
    pub path: String,
    /// SHA-256 in hexadecimal.
    pub digest: String,
    pub size_bytes: u64,
}

/// The code of a failure that says: the files of this version are not on this server.
pub const SOURCE_ELSEWHERE: &str = "registry/source";

/// Where files of versions lie.
#[async_trait]
pub trait VersionFiles: Send + Sync + 'static {
    /// Every file in the version's folder and below it.
    async fn files(&self, version: &ModelVersion) -> Result<Vec<VersionFile>, Failure>;

    async fn read(&self, digest: &str) -> Result<Bytes, Failure>;

    /// The bytes piece by piece; for files of any size.
    async fn stream(&self, digest: &str) -> Result<BoxStream<'static, Result<Bytes, Failure>>, Failure> {
        let whole = self.read(digest).await?;
        Ok(stream::once(std::future::ready(Ok(whole))).boxed())
    }

    /// The digest of the bytes as they are now.
    async fn rehash(&self, digest: &str) -> Result<String, Failure>;

    /// Keeps bytes of this group's own under their digest.
    async fn keep(&self, bytes: Bytes) -> Result<String, Failure>;
}

/// A data set that a run read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DatasetFact {
    pub name: String,
    pub digest: String,
    pub context: String,
    pub source: String,
}

/// What is recorded of the run behind a version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunFact {
    pub id: String,
    pub name: String,
    /// As the client that logged it says.
    pub user: String,
    /// Who asked for it, as this server knows its callers; empty when that is not known.
    #[serde(default)]
    pub created_by: String,
    pub status: String,
    pub params: BTreeMap<String, String>,
    /// The newest value of each, if it is finite.
    pub metrics: BTreeMap<String, f64>,
    pub tags: BTreeMap<String, String>,
    pub datasets: Vec<DatasetFact>,
}

#[async_trait]
pub trait RunFacts: Send + Sync + 'static {
    /// None when there is no such run in the workspace of the registered `model`.
    async fn run(&self, model: &str, run: &str) -> Result<Option<RunFact>, Failure>;

    /// Who made the run, wherever it lies: nobody approves the own work by way of another workspace.
    async fn authors(&self, run: &str) -> Result<Vec<String>, Failure>;
}
