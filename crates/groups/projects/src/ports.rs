//! What this group needs of others.

use async_trait::async_trait;
use platform_primitives::Failure;

/// What lies in workspaces.
#[async_trait]
pub trait WorkspaceContents: Send + Sync + 'static {
    /// Kinds of things and how many of each are in the workspace, deleted ones too.
    async fn count(&self, workspace: &str) -> Result<Vec<(&'static str, i64)>, Failure>;
}
