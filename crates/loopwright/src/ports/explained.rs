//! What answers on endpoints, for those who explain it.

use std::sync::Arc;

use group_explain::{Endpoints, Input, Served};
use group_serving::Serving;
use platform_primitives::Failure;

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
            version: runtime.revision.to_string(),
            ensemble: Arc::clone(runtime.ensemble()),
            inputs: runtime.signature.inputs.iter().map(input).collect(),
        })
    }
}
