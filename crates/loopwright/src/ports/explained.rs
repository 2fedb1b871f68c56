//! What answers on endpoints, and what it was trained on, for those who explain it.

use std::sync::Arc;

use async_trait::async_trait;
use group_explain::{Endpoints, Input, Served, TrainingData, TrainingTable};
use group_monitoring::Monitoring;
use group_serving::Serving;
use platform_blobs::{BlobDigest, Blobs};
use platform_primitives::Failure;
use platform_tables::{Table, read_parquet};

use super::failure;

pub struct ServedModels(pub Serving);

impl Endpoints for ServedModels {
    fn served(&self, endpoint: &str, version: Option<&str>) -> Result<Served, Failure> {
        let runtime = self.0.runtime(endpoint, version).map_err(failure)?;
        let input = |column: &group_serving::InputColumn| Input {
            name: column.name.clone(),
            is_whole: column.kind.is_whole(),
            is_required: column.required,
        };
        Ok(Served {
            endpoint: endpoint.to_owned(),
            version: runtime.revision.to_string(),
            ensemble: Arc::clone(runtime.ensemble()),
            inputs: runtime.signature.inputs.iter().map(input).collect(),
        })
    }
}

/// The training tables that monitoring measures drift against.
pub struct TrainingTables {
    pub monitoring: Monitoring,
    pub blobs: Blobs,
}

#[async_trait]
impl TrainingData for TrainingTables {
    async fn find(&self, endpoint: &str, version: &str) -> Result<Option<TrainingTable>, Failure> {
        let Ok(revision) = version.parse() else { return Ok(None) };
        let found = self.monitoring.training_table(endpoint, revision).await.map_err(failure)?;
        Ok(found.map(|(digest, label)| TrainingTable { digest, label }))
    }

    async fn read(&self, digest: &str) -> Result<Table, Failure> {
        let digest = BlobDigest::parse(digest).map_err(failure)?;
        let bytes = self.blobs.get_bytes(&digest).await.map_err(failure)?;
        read_parquet(bytes).map_err(failure)
    }
}
