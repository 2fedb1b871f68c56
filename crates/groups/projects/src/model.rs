use std::path::PathBuf;

use platform_loopfile::LoopFile;
use platform_primitives::Timestamp;

#[derive(Debug, Clone)]
pub struct Project {
    pub name: String,
    /// The user's repository.
    pub directory: PathBuf,
    pub file: LoopFile,
    /// SHA-256 of the loop file's text.
    pub digest: String,
    pub created: Timestamp,
    pub updated: Timestamp,
}

/// A part of the server whose experiments and models the others do not see.
#[derive(Debug, Clone)]
pub struct Workspace {
    pub name: String,
    pub description: Option<String>,
    /// Kept for clients; files go to this server's store.
    pub default_artifact_root: Option<String>,
    pub created: Timestamp,
}

impl Workspace {
    pub(crate) fn subject(&self) -> String {
        format!("workspace:{}", self.name)
    }
}
