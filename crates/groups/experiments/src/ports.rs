//! What this group tells others, and what they know of its files.

use async_trait::async_trait;
use platform_primitives::Failure;

/// Hears of every file that a client uploaded, and knows what was found in it.
#[async_trait]
pub trait Uploads: Send + Sync + 'static {
    /// `path` is the artifact's, `digest` the SHA-256 of its bytes in hexadecimal; their row is committed. It must not wait:
    /// the upload is acknowledged after it.
    fn saved(&self, path: &str, digest: &str, size_bytes: u64);

    /// What a scan of the file said in a word, and whether that is harmless; none when it was not scanned.
    async fn verdict(&self, path: &str, digest: &str) -> Result<Option<(String, bool)>, Failure> {
        let _ = (path, digest);
        Ok(None)
    }
}
