use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use platform_blobs::{BlobDigest, BlobError};

use super::{Experiments, Result};
use crate::ExperimentError;
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
        self.db.write(move |tx| store::put_artifact(tx, &path, blob.digest.as_str(), size)).await
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
        let path = self.readable(path).await?;
        let missing = || ExperimentError::ArtifactNotFound { path: path.as_str().to_owned() };
        let (digest, _) = store::artifact(&self.db, &path).await?.ok_or_else(missing)?;
        Ok(BlobDigest::parse(&digest)?)
    }

    /// Entries directly in `folder`; empty for a folder that does not exist.
    pub async fn list_artifacts(&self, folder: &str) -> Result<Vec<ArtifactEntry>> {
        let folder = folder.trim_end_matches('/');
        if !folder.is_empty() {
            match self.readable(folder).await {
                Err(ExperimentError::ArtifactNotFound { .. }) => return Ok(Vec::new()),
                other => other?,
            };
        }
        self.seen_entries(folder, store::list_artifacts(&self.db, folder).await?).await
    }

    pub(crate) async fn delete_artifacts(&self, path: &str) -> Result<()> {
        let path = self.writable(path).await?;
        self.db.write(move |tx| store::delete_artifacts(tx, &path)).await.map(|_| ())
    }
}
