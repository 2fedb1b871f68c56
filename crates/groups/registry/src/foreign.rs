//! What another registry holds, on its way in.

use std::collections::BTreeMap;

use platform_primitives::Timestamp;

use crate::RegistryError;
use crate::model::{RegisteredModel, Stage};
use crate::names::{check_new_alias, check_tag};

impl RegisteredModel {
    /// Takes out what this server refuses, and says why.
    pub fn take_refused(&mut self) -> Vec<RegistryError> {
        keep_allowed(&mut self.tags)
    }
}

/// A version as another registry keeps it.
#[derive(Debug, Clone)]
pub struct ForeignVersion {
    pub model: String,
    pub version: i64,
    pub stage: Stage,
    pub source: String,
    pub run_id: String,
    pub run_link: String,
    pub logged_model_id: String,
    pub description: String,
    /// Who registered it; nobody knows any more when it is empty.
    pub author: String,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub tags: BTreeMap<String, String>,
    pub aliases: Vec<String>,
}

impl ForeignVersion {
    pub fn subject(&self) -> String {
        format!("model_version:{}/{}", self.model, self.version)
    }

    /// Takes out what this server refuses, and says why.
    pub fn take_refused(&mut self) -> Vec<RegistryError> {
        let mut refused = keep_allowed(&mut self.tags);
        self.aliases.retain(|alias| match check_new_alias(alias) {
            Ok(()) => true,
            Err(error) => {
                refused.push(error);
                false
            }
        });
        refused
    }
}

fn keep_allowed(tags: &mut BTreeMap<String, String>) -> Vec<RegistryError> {
    let mut refused = Vec::new();
    tags.retain(|key, value| match check_tag(key, value) {
        Ok(()) => true,
        Err(error) => {
            refused.push(error);
            false
        }
    });
    refused
}
