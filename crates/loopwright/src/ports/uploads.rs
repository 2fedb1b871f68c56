//! Files that clients uploaded just now, on their way to the scanner of pickles.

use async_trait::async_trait;
use group_experiments::Uploads;
use group_registry::{FileScans, Registry, VersionFile, is_scanned_at_upload};
use platform_db::Db;
use platform_primitives::Failure;
use tokio::sync::mpsc;

use super::failure;

/// Files that wait for their scan; further ones are scanned when a gate asks.
const WAITING: usize = 1_024;

pub struct ScannedUploads {
    waiting: mpsc::Sender<VersionFile>,
    scans: FileScans,
}

pub struct WaitingUploads(mpsc::Receiver<VersionFile>);

pub fn scanned_uploads(db: Db) -> (ScannedUploads, WaitingUploads) {
    let (waiting, receiver) = mpsc::channel(WAITING);
    (ScannedUploads { waiting, scans: FileScans::new(db) }, WaitingUploads(receiver))
}

#[async_trait]
impl Uploads for ScannedUploads {
    fn saved(&self, path: &str, digest: &str, size_bytes: u64) {
        if !is_scanned_at_upload(path, size_bytes) {
            return;
        }
        let file = VersionFile { path: path.to_owned(), digest: digest.to_owned(), size_bytes };
        if self.waiting.try_send(file).is_err() {
            tracing::debug!(%path, "the queue of uploads is full; a gate will scan the file");
        }
    }

    async fn verdict(&self, path: &str, digest: &str) -> Result<Option<(String, bool)>, Failure> {
        self.scans.verdict(path, digest).await.map_err(failure)
    }
}

impl WaitingUploads {
    /// One file after the other; runs until nobody uploads any more.
    pub async fn scan(mut self, registry: Registry) {
        while let Some(file) = self.0.recv().await {
            let path = file.path.clone();
            if let Err(error) = registry.scan_upload(file).await {
                tracing::warn!(%error, %path, "an upload was not scanned");
            }
        }
    }
}
