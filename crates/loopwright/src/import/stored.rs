//! Artifacts: streamed from the source into the blobs, hashed on the way.

use std::time::Duration;

use futures_util::StreamExt;
use group_experiments::ExperimentError;
use platform_blobs::BlobError;
use sha2::{Digest, Sha256};

use super::report::Kind;
use super::source::{ForeignFile, Root};
use super::{Import, Verify};
use crate::cli::CommandError;

/// A stream that broke is begun anew as often.
const TRIES: u32 = 4;
const WAIT: Duration = Duration::from_secs(2);

impl Import {
    /// All files of a root, folder by folder, into `folder` here; how many there are at the source.
    pub(super) async fn files_of(&self, root: &Root, folder: &str) -> Result<usize, CommandError> {
        let mut found = 0;
        let mut waiting = vec![String::new()];
        while let Some(inner) = waiting.pop() {
            let listing = match self.source.list(root, &inner).await {
                Ok(listing) => listing,
                Err(error) => {
                    self.unread(&format!("{}/{inner}", root.uri), &error.to_string());
                    continue;
                }
            };
            for (path, reason) in listing.refused {
                self.report().refuse(Kind::Files, path, reason);
            }
            for file in listing.files {
                if file.is_folder {
                    waiting.push(file.path);
                } else {
                    found += 1;
                    self.file(root, &file, &format!("{folder}/{}", file.path)).await?;
                }
            }
        }
        Ok(found)
    }

    async fn file(&self, root: &Root, file: &ForeignFile, path: &str) -> Result<(), CommandError> {
        let own = match self.experiments.stored_file(path).await {
            Ok(own) => own,
            Err(error) => {
                self.report().count(Kind::Files).source += 1;
                return self.refused(Kind::Files, &format!("{} {}", root.uri, file.path), error);
            }
        };
        if let Some(own) = own {
            if let Some(size) = file.size_bytes.filter(|size| *size != own.size_bytes) {
                let mut report = self.report();
                report.count(Kind::Files).source += 1;
                report.refuse(Kind::Files, path, "another file is here under this path, and stays");
                report.mismatch(Kind::Bytes, path, format!("{size} bytes there, {} here", own.size_bytes));
                return Ok(());
            }
            self.count_file(own.size_bytes, false);
            if self.verify == Verify::Full {
                match self.digest_there(root, file).await {
                    Ok(there) if there == own.digest => {}
                    Ok(_) => self.report().mismatch(Kind::Files, path, "the bytes differ"),
                    Err(error) => self.unread(path, &error.to_string()),
                }
            }
            return Ok(());
        }
        for tried in 1.. {
            let bytes = match self.source.open(root, &file.path).await {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.report().count(Kind::Files).source += 1;
                    self.unread(path, &error.to_string());
                    break;
                }
            };
            match self.experiments.import_artifact(path, bytes).await {
                Ok(stored) => {
                    self.count_file(stored.size_bytes, true);
                    if file.size_bytes.is_some_and(|size| size != stored.size_bytes) {
                        let size = file.size_bytes.unwrap_or(0);
                        let reason = format!("{size} bytes there, {} here", stored.size_bytes);
                        self.report().mismatch(Kind::Bytes, path, reason);
                    }
                    break;
                }
                Err(error @ ExperimentError::Blob(_)) if tried < TRIES => {
                    tracing::warn!(%error, path, "the file is read again");
                    tokio::time::sleep(WAIT * tried).await;
                }
                Err(ExperimentError::Blob(BlobError::Upload { message })) => {
                    self.report().count(Kind::Files).source += 1;
                    self.unread(path, &message);
                    break;
                }
                Err(error) => return Err(format!("{} {}: {error}", root.uri, file.path).into()),
            }
        }
        Ok(())
    }

    /// A file that the source has and does not give: the import goes on, and ends with a difference.
    fn unread(&self, what: &str, reason: &str) {
        self.report().mismatch(Kind::Files, what, format!("it cannot be read: {reason}"));
    }

    fn count_file(&self, size_bytes: u64, new: bool) {
        let mut report = self.report();
        report.add(Kind::Files, 1, new);
        report.add(Kind::Bytes, usize::try_from(size_bytes).unwrap_or(usize::MAX), new);
        drop(report);
        self.screen.bytes(size_bytes);
    }

    /// SHA-256 of the source's bytes in hexadecimal.
    async fn digest_there(&self, root: &Root, file: &ForeignFile) -> Result<String, CommandError> {
        let mut tried = 0;
        loop {
            let mut bytes = self.source.open(root, &file.path).await?;
            let mut hasher = Sha256::new();
            let mut broken = None;
            while let Some(chunk) = bytes.next().await {
                match chunk {
                    Ok(chunk) => hasher.update(&chunk),
                    Err(error) => {
                        broken = Some(error);
                        break;
                    }
                }
            }
            tried += 1;
            match broken {
                None => {
                    let hash: [u8; 32] = hasher.finalize().into();
                    return Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect());
                }
                Some(error) if tried >= TRIES => return Err(error.into()),
                Some(_) => tokio::time::sleep(WAIT * tried).await,
            }
        }
    }
}
