//! The groups' ports, each answered by another group's service. Translates; decides nothing.

mod builds;
mod explained;
mod files;
mod governance;
mod models;
mod traces;
mod uploads;
mod watch;
mod workspaces;

use group_environments::Environments;
use group_loops::Ports;
use group_monitoring::Monitoring;
use group_pipelines::Pipelines;
use group_projects::Projects;
use group_registry::Registry;
use group_serving::Serving;
use platform_blobs::Blobs;
use platform_primitives::{Failure, Fault};

pub use explained::{AnsweredRows, ExplainedPredictions, ServedModels, TrainingTables};
pub use files::RegisteredFiles;
pub use governance::{RecordedRuns, StoredVersions};
pub use models::{LoggedRuns, TrackedRuns};
pub use traces::{TracedExperiments, UploadedFiles};
pub use uploads::scanned_uploads;
pub use watch::LoggedPredictions;
pub use workspaces::NamedThings;

/// What the controller's ports stand on.
pub struct LoopServices {
    pub projects: Projects,
    pub environments: Environments,
    pub pipelines: Pipelines,
    pub registry: Registry,
    pub serving: Serving,
    pub monitoring: Monitoring,
    pub blobs: Blobs,
}

pub fn loop_ports(services: LoopServices) -> Ports {
    Ports {
        projects: Box::new(files::ProjectDirectory(services.projects)),
        builds: Box::new(builds::JobBuilds {
            environments: services.environments,
            pipelines: services.pipelines,
        }),
        versions: Box::new(models::RegistryVersions(services.registry)),
        serving: Box::new(models::EndpointTraffic {
            serving: services.serving,
            blobs: services.blobs.clone(),
        }),
        monitoring: Box::new(watch::EndpointWatch { monitoring: services.monitoring, blobs: services.blobs }),
    }
}

/// A group's error on its way through a port.
fn failure<F: Fault>(fault: F) -> Failure {
    Failure::of(&fault)
}
