//! The models of one workspace. Its clients name them without the workspace, the rest of the product with it.

use platform_web::mlflow::{DEFAULT_WORKSPACE, Within};

use crate::full_name::full_name;
use crate::names::check_model_name;
use crate::{Registry, RegistryError};

/// What handlers have of the registry: they reach it with the name of a model of theirs, or to search.
#[derive(Clone)]
pub(super) struct Shelf {
    registry: Registry,
    workspace: String,
}

impl Within for Shelf {
    fn within(&self, workspace: &str) -> Self {
        Self { registry: self.registry.within(workspace), workspace: workspace.to_owned() }
    }
}

impl Shelf {
    pub fn new(registry: &Registry) -> Self {
        Self { registry: registry.clone(), workspace: DEFAULT_WORKSPACE.to_owned() }.within(DEFAULT_WORKSPACE)
    }

    /// The registry, and the name in it of a model that is to be there. A name with a `/` is nobody's here.
    pub fn model(&self, name: &str) -> Result<(&Registry, String), RegistryError> {
        match name.contains('/') {
            true => Err(RegistryError::ModelNotFound { name: name.to_owned() }),
            false => Ok((&self.registry, self.full(name))),
        }
    }

    /// The same for the name of a model, or of a version's model, to be made.
    pub fn new_model(&self, field: &'static str, name: &str) -> Result<(&Registry, String), RegistryError> {
        check_model_name(field, name)?;
        Ok((&self.registry, self.full(name)))
    }

    /// Finds models of this workspace only.
    pub fn to_search(&self) -> &Registry {
        &self.registry
    }

    fn full(&self, name: &str) -> String {
        full_name(&self.workspace, name)
    }
}
