//! What this group needs of others.

use async_trait::async_trait;
use bytes::Bytes;
use platform_primitives::{Failure, Timestamp};

/// Files of registered model versions.
#[async_trait]
pub trait ModelSource: Send + Sync + 'static {
    /// A file of the version's folder and the SHA-256 of its bytes.
    async fn read_file(&self, model: &str, version: i64, path: &str) -> Result<(String, Bytes), Failure>;
    /// `Ok` when the version may take traffic by a direct deployment.
    async fn check_deployable(&self, model: &str, version: i64) -> Result<(), Failure>;
}

/// Where predictions are kept.
#[async_trait]
pub trait PredictionSink: Send + Sync + 'static {
    /// Returns once the records are durable. A record whose id is known already is passed over.
    async fn append(&self, endpoint: &str, records: Vec<PredictionRecord>) -> Result<(), Failure>;
}

/// Why rows were answered as they were, at once.
pub trait RowExplainer: Send + Sync + 'static {
    /// Whole rows, in the order of the signature, of one revision.
    fn explain(&self, endpoint: &str, revision: i64, rows: &[f64]) -> Result<RowExplanations, Failure>;
}

/// Of rows that stand one after the other: what each value adds, output by output. A row's values and its base sum to the raw score.
#[derive(Debug, Clone, Default)]
pub struct RowExplanations {
    pub outputs: usize,
    /// By row, output and feature.
    pub values: Vec<f64>,
    /// By row and output.
    pub bases: Vec<f64>,
}

/// One answered row, with what the other revisions would have said.
#[derive(Debug, Clone)]
pub struct PredictionRecord {
    pub id: String,
    /// When the request was made, by its own account or the server's clock.
    pub at: Timestamp,
    /// In the order of the signature; NaN is missing.
    pub inputs: Vec<f64>,
    /// The revision that answered, and its answer.
    pub revision: i64,
    pub prediction: f64,
    pub champion: i64,
    pub champion_prediction: f64,
    /// 0 and NaN when no candidate was under way.
    pub candidate: i64,
    pub candidate_prediction: f64,
    /// What the endpoint's first revision says: the model had it never been rebuilt.
    pub reference_prediction: f64,
    pub latency_us: u32,
}
