//! What answers on endpoints, what it was trained on and what it answered, for those who explain it.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use group_explain::{Endpoints, Explain, Input, LoggedRow, Served, TrainingData, TrainingTable};
use group_monitoring::Monitoring;
use group_serving::{PredictionRecord, PredictionSink, RowExplainer, RowExplanations, Serving};
use platform_blobs::{BlobDigest, Blobs};
use platform_primitives::Failure;
use platform_tables::{Table, read_parquet};

use super::{LoggedPredictions, failure};

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

/// Explains rows as they are answered, path-dependent.
pub struct AnsweredRows(pub Explain);

impl RowExplainer for AnsweredRows {
    fn explain(&self, endpoint: &str, revision: i64, rows: &[f64]) -> Result<RowExplanations, Failure> {
        let version = revision.to_string();
        let (outputs, values, bases) = self.0.attach(endpoint, &version, rows).map_err(failure)?;
        Ok(RowExplanations { outputs, values, bases })
    }
}

/// The prediction log, and behind it the explanations of endpoints that keep them.
#[derive(Clone)]
pub struct ExplainedPredictions {
    log: Arc<LoggedPredictions>,
    /// Explaining needs serving, which needs this: it comes later.
    explain: Arc<OnceLock<Explain>>,
}

impl ExplainedPredictions {
    pub fn new(log: LoggedPredictions) -> Self {
        Self { log: Arc::new(log), explain: Arc::default() }
    }

    /// Once, at the start.
    pub fn explain_by(&self, explain: &Explain) {
        self.explain.get_or_init(|| explain.clone());
    }
}

#[async_trait]
impl PredictionSink for ExplainedPredictions {
    async fn append(&self, endpoint: &str, records: Vec<PredictionRecord>) -> Result<(), Failure> {
        let explain = match self.explain.get() {
            Some(explain) if explain.stores(endpoint).await.map_err(failure)? => explain,
            _ => return self.log.append(endpoint, records).await,
        };
        let row = |record: &PredictionRecord| LoggedRow {
            id: record.id.clone(),
            at: record.at,
            version: record.revision.to_string(),
            inputs: record.inputs.clone(),
        };
        let rows = records.iter().map(row).collect();
        self.log.append(endpoint, records).await?;
        explain.keep(endpoint, rows).await.map_err(failure)
    }
}
