use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use platform_blobs::{BlobDigest, BlobError, BlobRef};

use super::scope::no_experiment_of;
use super::{Experiments, Result};
use crate::ExperimentError;
use crate::artifacts::ArtifactPath;
use crate::model::ArtifactEntry;
use crate::store;

impl Experiments {
    pub(crate) async fn put_artifact<S, E>(&self, path: &str, bytes: S) -> Result<()>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Unpin,
        E: std::fmt::Display,
    {
        let path = self.writable(path).await?;
        let blob = self.blobs.put_stream(bytes).await?;
        let size = i64::try_from(blob.size_bytes).unwrap_or(i64::MAX);
        let (place, digest) = (path.clone(), blob.digest.clone());
        self.db.write(move |tx| store::put_artifact(tx, &place, digest.as_str(), size)).await?;
        self.tell_saved(&path, &blob);
        Ok(())
    }

    /// What a scan of the file said, if it is known, and whether that is harmless.
    pub(crate) async fn verdict(&self, path: &str) -> Result<Option<(String, bool)>> {
        let Some(uploads) = &self.uploads else { return Ok(None) };
        let digest = self.artifact_digest(path).await?;
        match uploads.verdict(path, digest.as_str()).await {
            Ok(verdict) => Ok(verdict),
            Err(error) => {
                // The page is of use without it.
                tracing::warn!(%error, "the verdict on a file cannot be read");
                Ok(None)
            }
        }
    }

    pub(super) fn tell_saved(&self, path: &ArtifactPath, blob: &BlobRef) {
        if let Some(uploads) = &self.uploads {
            uploads.saved(path.as_str(), blob.digest.as_str(), blob.size_bytes);
        }
    }

    pub(crate) async fn get_artifact(
        &self,
        path: &str,
    ) -> Result<(u64, BoxStream<'static, std::result::Result<Bytes, BlobError>>)> {
        let digest = self.artifact_digest(path).await?;
        Ok(self.blobs.get_stream(&digest).await?)
    }

    /// A whole artifact and its digest; for files the server reads itself.
    pub async fn read_artifact(&self, path: &str) -> Result<(BlobDigest, Bytes)> {
        let digest = self.artifact_digest(path).await?;
        let bytes = self.blobs.get_bytes(&digest).await?;
        Ok((digest, bytes))
    }

    async fn artifact_digest(&self, path: &str) -> Result<BlobDigest> {
        let path = ArtifactPath::parse(path)?;
        let found = store::artifact(&self.db, &path).await?;
        // Asked after the look, so that what came meanwhile is somebody's.
        self.readable(path.as_str()).await?;
        let missing = || ExperimentError::ArtifactNotFound { path: path.as_str().to_owned() };
        let (digest, _) = found.ok_or_else(missing)?;
        Ok(BlobDigest::parse(&digest)?)
    }

    /// Entries directly in `folder`; empty for a folder that does not exist.
    pub async fn list_artifacts(&self, folder: &str) -> Result<Vec<ArtifactEntry>> {
        let folder = folder.trim_end_matches('/');
        if !folder.is_empty() {
            ArtifactPath::parse(folder)?;
        }
        let entries = store::list_artifacts(&self.db, folder).await?;
        // Asked after the look, as for a file.
        if !folder.is_empty() {
            match self.readable(folder).await {
                Err(ExperimentError::ArtifactNotFound { .. }) => return Ok(Vec::new()),
                other => other?,
            };
        }
        self.seen_entries(folder, entries).await
    }

    pub(crate) async fn delete_artifacts(&self, path: &str) -> Result<()> {
        let path = self.deletable(path).await?;
        let service = self.clone();
        self.db
            .write(move |tx| {
                let is_stray = service.is_stray(tx, &path)?;
                let gone = store::delete_artifacts(tx, &path)?;
                match is_stray && gone == 0 {
                    true => Err(no_experiment_of(&path)),
                    false => Ok(()),
                }
            })
            .await
    }
}
