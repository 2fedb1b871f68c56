//! Content-addressed objects: a blob's key is its SHA-256, so equal bytes are stored once and a
//! user's path is never joined to a path of the store.
//!
//! A blob is readable only after its bytes are complete: uploads are written to a staging object and
//! moved into place. Parts of an upload wait in a folder of their own, which survives a restart, until they
//! are joined or dropped.

use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use platform_primitives::{ErrorKind, Fault, new_id};
use sha2::{Digest, Sha256};

/// Uploads are passed on in parts of this size; at most five of an upload are in memory.
const PART_BYTES: usize = 256 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("blob {digest} does not exist")]
    NotFound { digest: String },
    #[error("{value:?} is not a blob digest: expected 64 lower-case hexadecimal digits")]
    InvalidDigest { value: String },
    #[error("the upload was cut off: {message}")]
    Upload { message: String },
    #[error("more than {most} bytes were sent")]
    TooLarge { most: u64 },
    #[error("{value:?} is no id of an upload: expected 32 lower-case hexadecimal digits")]
    InvalidUpload { value: String },
    #[error("the object store failed: {0}")]
    Store(#[from] object_store::Error),
    #[error("cannot open the object store: {message}")]
    Open { message: String },
}

impl Fault for BlobError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::InvalidDigest { .. } | Self::Upload { .. } | Self::InvalidUpload { .. } => {
                ErrorKind::Invalid
            }
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Store(_) => ErrorKind::Unavailable,
            Self::Open { .. } => ErrorKind::Internal,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "blobs/not-found",
            Self::InvalidDigest { .. } => "blobs/invalid-digest",
            Self::Upload { .. } => "blobs/upload-cut-off",
            Self::TooLarge { .. } => "blobs/too-large",
            Self::InvalidUpload { .. } => "blobs/invalid-upload",
            Self::Store(_) => "blobs/store",
            Self::Open { .. } => "blobs/open",
        }
    }
}

/// SHA-256 of a blob as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobDigest(String);

impl BlobDigest {
    pub fn parse(text: &str) -> Result<Self, BlobError> {
        let valid =
            text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(BlobError::InvalidDigest { value: text.to_owned() })
        }
    }

    pub fn of(bytes: &[u8]) -> Self {
        Self(hex(&Sha256::digest(bytes)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn path(&self) -> Path {
        Path::from(format!("sha256/{}/{}", &self.0[..2], self.0))
    }
}

impl fmt::Display for BlobDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}

#[derive(Debug, Clone)]
pub struct BlobRef {
    pub digest: BlobDigest,
    pub size_bytes: u64,
}

/// A part whose bytes are all here and which no upload has yet.
#[derive(Debug)]
pub struct StagedPart {
    staging: Path,
    part: BlobRef,
}

/// Bytes read at a time: at most two such parts of a download are in memory.
const READ_BYTES: u64 = 1024 * 1024;

const STAGING: &str = "staging";
/// A folder for each upload in parts.
const UPLOADS: &str = "uploads";

/// A cheap handle on the object store.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    staging: PathBuf,
    uploads: PathBuf,
}

impl Blobs {
    /// Blobs under `directory`, which is created if it is missing.
    pub fn local(directory: &FilePath) -> Result<Self, BlobError> {
        let open = |message: String| BlobError::Open { message };
        std::fs::DirBuilder::new()
            .recursive(true)
            .create(directory)
            .map_err(|error| open(format!("{}: {error}", directory.display())))?;
        let store = LocalFileSystem::new_with_prefix(directory).map_err(|error| open(error.to_string()))?;
        Ok(Self {
            store: Arc::new(store),
            staging: directory.join(STAGING),
            uploads: directory.join(UPLOADS),
        })
    }

    /// Removes what uploads left that were cut off with the process. Only for the one process that may write here.
    pub fn discard_unfinished(&self) -> Result<(), BlobError> {
        match std::fs::remove_dir_all(&self.staging) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(BlobError::Open { message: format!("{}: {error}", self.staging.display()) })
            }
            _ => Ok(()),
        }
    }

    pub async fn put_bytes(&self, bytes: Bytes) -> Result<BlobRef, BlobError> {
        let digest = BlobDigest::of(&bytes);
        let size_bytes = bytes.len() as u64;
        if self.store.head(&digest.path()).await.is_err() {
            self.store.put(&digest.path(), PutPayload::from_bytes(bytes)).await?;
        }
        Ok(BlobRef { digest, size_bytes })
    }

    /// Stores a stream of unknown length in constant memory.
    pub async fn put_stream<S, E>(&self, chunks: S) -> Result<BlobRef, BlobError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: fmt::Display,
    {
        let (staging, blob) = self.stage(chunks, u64::MAX).await?;
        self.store.rename(&staging, &blob.digest.path()).await?;
        Ok(blob)
    }

    /// Takes the bytes of a part, at most `most`. It is kept by [`Blobs::keep_part`] only.
    pub async fn stage_part<S, E>(&self, chunks: S, most: u64) -> Result<StagedPart, BlobError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: fmt::Display,
    {
        let (staging, part) = self.stage(chunks, most).await?;
        Ok(StagedPart { staging, part })
    }

    /// Keeps a part for its upload. Number and digest name it: with other bytes it may be kept again, and each stays until it
    /// or the upload is dropped.
    pub async fn keep_part(
        &self,
        upload: &str,
        number: i64,
        staged: StagedPart,
    ) -> Result<BlobRef, BlobError> {
        check_upload(upload)?;
        let StagedPart { staging, part } = staged;
        self.store.rename(&staging, &part_path(upload, number, &part.digest)).await?;
        Ok(part)
    }

    /// Removes one part of an upload, if it is there.
    pub async fn drop_part(&self, upload: &str, number: i64, digest: &BlobDigest) -> Result<(), BlobError> {
        check_upload(upload)?;
        match self.store.delete(&part_path(upload, number, digest)).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            other => Ok(other?),
        }
    }

    /// The parts one after the other as one blob, in constant memory. They stay until the upload is dropped.
    pub async fn join_parts(
        &self,
        upload: &str,
        parts: Vec<(i64, BlobDigest)>,
    ) -> Result<BlobRef, BlobError> {
        check_upload(upload)?;
        let (store, upload) = (Arc::clone(&self.store), upload.to_owned());
        let whole = stream::iter(parts)
            .then(move |(number, digest)| {
                let (store, path) = (Arc::clone(&store), part_path(&upload, number, &digest));
                async move {
                    let object = store.head(&path).await.map_err(|error| missing(error, &digest))?;
                    Ok::<_, BlobError>(pieces(store, path, object.size))
                }
            })
            .try_flatten();
        self.put_stream(whole.boxed()).await
    }

    /// Removes the parts of an upload, if there are any.
    pub async fn drop_upload(&self, upload: &str) -> Result<(), BlobError> {
        check_upload(upload)?;
        let folder = self.uploads.join(upload);
        match tokio::fs::remove_dir_all(&folder).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(BlobError::Open { message: format!("{}: {error}", folder.display()) })
            }
            _ => Ok(()),
        }
    }

    /// The uploads of which parts are kept, in no order.
    pub async fn uploads(&self) -> Result<Vec<String>, BlobError> {
        let open = |error: std::io::Error| BlobError::Open {
            message: format!("{}: {error}", self.uploads.display()),
        };
        let mut entries = match tokio::fs::read_dir(&self.uploads).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(open)?,
        };
        let mut found = Vec::new();
        while let Some(entry) = entries.next_entry().await.map_err(open)? {
            let name = entry.file_name().to_string_lossy().into_owned();
            if check_upload(&name).is_ok() {
                found.push(name);
            }
        }
        Ok(found)
    }

    /// The stream in a staging object, with its digest.
    async fn stage<S, E>(&self, mut chunks: S, most: u64) -> Result<(Path, BlobRef), BlobError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: fmt::Display,
    {
        let staging = Path::from(format!("{STAGING}/{}", new_id()));
        let mut writer =
            WriteMultipart::new_with_chunk_size(self.store.put_multipart(&staging).await?, PART_BYTES);
        let mut hasher = Sha256::new();
        let mut size_bytes = 0u64;
        while let Some(chunk) = chunks.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    writer.abort().await?;
                    return Err(BlobError::Upload { message: error.to_string() });
                }
            };
            hasher.update(&chunk);
            size_bytes += chunk.len() as u64;
            if size_bytes > most {
                writer.abort().await?;
                return Err(BlobError::TooLarge { most });
            }
            writer.wait_for_capacity(4).await?;
            writer.put(chunk);
        }
        writer.finish().await?;
        let digest = BlobDigest(hex(&hasher.finalize()));
        Ok((staging, BlobRef { digest, size_bytes }))
    }

    pub async fn get_bytes(&self, digest: &BlobDigest) -> Result<Bytes, BlobError> {
        let object = self.store.get(&digest.path()).await.map_err(|error| missing(error, digest))?;
        Ok(object.bytes().await?)
    }

    /// The blob's size and its bytes as they are read: one part is sent while the next one is read.
    pub async fn get_stream(
        &self,
        digest: &BlobDigest,
    ) -> Result<(u64, BoxStream<'static, Result<Bytes, BlobError>>), BlobError> {
        let object = self.store.head(&digest.path()).await.map_err(|error| missing(error, digest))?;
        Ok((object.size, pieces(Arc::clone(&self.store), digest.path(), object.size)))
    }
}

/// An object's bytes as they are read.
fn pieces(
    store: Arc<dyn ObjectStore>,
    path: Path,
    size_bytes: u64,
) -> BoxStream<'static, Result<Bytes, BlobError>> {
    let starts = (0..size_bytes).step_by(READ_BYTES as usize);
    let parts = stream::iter(starts).map(move |start| {
        let (store, path) = (Arc::clone(&store), path.clone());
        async move { store.get_range(&path, start..size_bytes.min(start + READ_BYTES)).await }
    });
    parts.buffered(2).map_err(BlobError::from).boxed()
}

fn part_path(upload: &str, number: i64, digest: &BlobDigest) -> Path {
    Path::from(format!("{UPLOADS}/{upload}/{number}-{digest}"))
}

/// An upload's id is a folder's name: nothing but what this server gives out.
fn check_upload(upload: &str) -> Result<(), BlobError> {
    let valid =
        upload.len() == 32 && upload.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    match valid {
        true => Ok(()),
        false => Err(BlobError::InvalidUpload { value: upload.to_owned() }),
    }
}

fn missing(error: object_store::Error, digest: &BlobDigest) -> BlobError {
    match error {
        object_store::Error::NotFound { .. } => BlobError::NotFound { digest: digest.to_string() },
        other => BlobError::Store(other),
    }
}
