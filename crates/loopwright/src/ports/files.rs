use async_trait::async_trait;
use bytes::Bytes;
use group_experiments::Experiments;
use group_loops::{PortResult, ProjectFile, ProjectFiles};
use group_projects::Projects;
use group_registry::{Registry, RegistryError, VersionState};
use group_serving::ModelSource;
use platform_primitives::{ErrorKind, Failure};

use super::failure;

pub(super) struct ProjectDirectory(pub Projects);

#[async_trait]
impl ProjectFiles for ProjectDirectory {
    async fn get(&self, project: &str) -> PortResult<ProjectFile> {
        let project = self.0.get(project).await.map_err(failure)?;
        Ok(ProjectFile { directory: project.directory, file: project.file })
    }

    async fn names(&self) -> PortResult<Vec<String>> {
        Ok(self.0.list().await.map_err(failure)?.into_iter().map(|project| project.name).collect())
    }
}

/// A registered version's files are the artifacts of the logged model, or of the run, it was made from.
pub struct RegisteredFiles {
    pub registry: Registry,
    pub experiments: Experiments,
}

impl RegisteredFiles {
    async fn folder(&self, model: &str, version: i64) -> PortResult<String> {
        let version = self.registry.get_version(model, version).await.map_err(failure)?;
        super::governance::folder(&self.experiments, &version).await
    }
}

#[async_trait]
impl ModelSource for RegisteredFiles {
    async fn read_file(&self, model: &str, version: i64, path: &str) -> PortResult<(String, Bytes)> {
        let folder = self.folder(model, version).await?;
        let experiments = super::governance::experiments_of(&self.experiments, model);
        let (digest, bytes) =
            experiments.read_artifact(&format!("{folder}/{path}")).await.map_err(failure)?;
        let gated = self.registry.get_version(model, version).await.map_err(failure)?.digest;
        match self.registry.signature(model, version).await {
            Ok(signature) => {
                let signed =
                    signature.files.iter().any(|file| file.path == path && file.digest == digest.as_str());
                if !signed {
                    let message = format!("{path} of {model}/{version} is not the one that was signed");
                    return Err(Failure::new(ErrorKind::Conflict, "registry/files-changed", message));
                }
            }
            Err(RegistryError::NotSigned { .. }) => {}
            Err(error) => return Err(failure(error)),
        }
        // `MLmodel` describes; the model file is what was gated and approved.
        if path != "MLmodel" && gated.is_some_and(|gated| gated != digest.as_str()) {
            let message = format!("the bytes of {model}/{version} are not the ones that were gated");
            return Err(Failure::new(ErrorKind::Conflict, "registry/digest-changed", message));
        }
        Ok((digest.to_string(), bytes))
    }

    async fn check_deployable(&self, model: &str, version: i64) -> PortResult<()> {
        let owner = self.registry.get_model(model).await.map_err(failure)?.project;
        let row = self.registry.get_version(model, version).await.map_err(failure)?;
        let is_guarded = self.registry.is_guarded(model).await.map_err(failure)?;
        let free = !is_guarded || matches!(row.state, VersionState::Approved | VersionState::Serving);
        if free {
            self.registry.check_current(&row).map_err(failure)?;
            // What was signed is deployed as it was signed. Once here, and not with every request.
            return self.registry.check_signed(model, version).await.map_err(failure);
        }
        if owner.is_empty() {
            let message =
                format!("{model}/{version} is {}; its gate lets in what was approved", row.state.name());
            return Err(Failure::new(ErrorKind::Forbidden, "registry/not-approved", message));
        }
        let message = format!(
            "{model}/{version} is {}; the loop of {owner} deploys only what was approved",
            row.state.name()
        );
        Err(Failure::new(ErrorKind::Forbidden, "registry/not-approved", message))
    }
}
