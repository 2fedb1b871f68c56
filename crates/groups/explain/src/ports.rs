//! What this group needs of others.

use std::sync::Arc;

use async_trait::async_trait;
use kernel_trees::Ensemble;
use platform_primitives::Failure;
use platform_tables::Table;

/// A model that answers on an endpoint.
#[derive(Debug, Clone)]
pub struct Served {
    pub endpoint: String,
    pub version: String,
    pub ensemble: Arc<Ensemble>,
    /// In the order of its features.
    pub inputs: Vec<Input>,
}

#[derive(Debug, Clone)]
pub struct Input {
    pub name: String,
    /// Whole numbers only.
    pub is_whole: bool,
    /// Takes no missing value.
    pub is_required: bool,
}

pub trait Endpoints: Send + Sync + 'static {
    /// The champion of an endpoint, or a version that is served there.
    fn served(&self, endpoint: &str, version: Option<&str>) -> Result<Served, Failure>;
}

/// What a version was trained on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainingTable {
    /// The same digest, the same table.
    pub digest: String,
    /// The name of the column with the truth.
    pub label: String,
}

#[async_trait]
pub trait TrainingData: Send + Sync + 'static {
    /// `None` where nobody kept the table.
    async fn find(&self, endpoint: &str, version: &str) -> Result<Option<TrainingTable>, Failure>;

    /// The table of a digest that [`TrainingData::find`] gave.
    async fn read(&self, digest: &str) -> Result<Table, Failure>;
}
