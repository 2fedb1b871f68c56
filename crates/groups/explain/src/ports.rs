//! What this group needs of others.

use std::sync::Arc;

use kernel_trees::Ensemble;
use platform_primitives::Failure;

/// A model that answers on an endpoint.
#[derive(Debug, Clone)]
pub struct Served {
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
