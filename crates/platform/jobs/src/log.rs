//! Reading what jobs print: the live file while they run, the blob afterwards.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use platform_blobs::BlobDigest;
use tokio::io::AsyncReadExt as _;

use crate::model::Job;
use crate::runner::attempt_folder;
use crate::shim::LOG_FILE;
use crate::{Inner, JobError};

const TAIL_BYTES: u64 = 64 * 1024;

pub(crate) async fn tail(inner: &Inner, job: &Job, lines: usize) -> Result<Vec<String>, JobError> {
    let text = match &job.log_digest {
        Some(digest) => blob_tail(inner, &BlobDigest::parse(digest)?).await?,
        None => file_tail(&attempt_folder(inner, job)),
    };
    Ok(last_lines(&text, lines))
}

async fn blob_tail(inner: &Inner, digest: &BlobDigest) -> Result<String, JobError> {
    let (_, mut chunks) = inner.blobs.get_stream(digest).await?;
    let mut bytes = Vec::<u8>::new();
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk?);
        bytes.drain(..bytes.len().saturating_sub(TAIL_BYTES as usize));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The end of the live log; empty when there is none yet.
pub(crate) fn file_tail(attempt: &Path) -> String {
    let Ok(mut file) = fs_err::File::open(attempt.join(LOG_FILE)) else { return String::new() };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).is_err() {
        return String::new();
    }
    // A read error leaves the part that was read, which is what a tail is for.
    let _ = file.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn last_lines(text: &str, lines: usize) -> Vec<String> {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].iter().map(|line| (*line).to_owned()).collect()
}

/// 0 when there is no log.
pub(crate) fn size_bytes(attempt: &Path) -> u64 {
    fs_err::metadata(attempt.join(LOG_FILE)).map_or(0, |metadata| metadata.len())
}

/// Lines after `offset`, and the offset behind them. The last line counts once it is complete, or once the
/// command `has_ended`. A line longer than what is read at once comes in pieces.
pub(crate) fn new_lines(attempt: &Path, offset: u64, has_ended: bool) -> (Vec<String>, u64) {
    let Ok(mut file) = fs_err::File::open(attempt.join(LOG_FILE)) else { return (Vec::new(), offset) };
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(offset)).is_err() || file.take(TAIL_BYTES).read_to_end(&mut bytes).is_err() {
        return (Vec::new(), offset);
    }
    let is_full = bytes.len() as u64 == TAIL_BYTES;
    let end = match bytes.iter().rposition(|byte| *byte == b'\n') {
        _ if has_ended && !is_full => bytes.len(),
        Some(last) => last + 1,
        None if is_full => whole_characters(&bytes),
        None => 0,
    };
    let text = String::from_utf8_lossy(&bytes[..end]);
    (text.lines().map(str::to_owned).collect(), offset + end as u64)
}

/// The length without the character that the end may have cut through.
fn whole_characters(bytes: &[u8]) -> usize {
    bytes.len() - bytes.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len())
}

/// Copies the log of a finished attempt into the blobs, piece by piece.
pub(crate) async fn store(inner: &Inner, attempt: &Path) -> Result<BlobDigest, JobError> {
    // Silent, or never started. What a process that left the job's group still writes is not the job's.
    let size_bytes = size_bytes(attempt);
    if size_bytes == 0 {
        return Ok(inner.blobs.put_bytes(Bytes::new()).await?.digest);
    }
    let file = fs_err::tokio::File::open(attempt.join(LOG_FILE)).await?.take(size_bytes);
    let chunks = futures_util::stream::unfold(file, |mut file| async move {
        let mut chunk = BytesMut::with_capacity(TAIL_BYTES as usize);
        match file.read_buf(&mut chunk).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(chunk.freeze()), file)),
            Err(error) => Some((Err(error), file)),
        }
    });
    Ok(inner.blobs.put_stream(Box::pin(chunks)).await?.digest)
}
