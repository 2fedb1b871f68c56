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
