//! Reading what jobs print: the live file while they run, the blob afterwards.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use platform_blobs::BlobDigest;

use crate::model::Job;
use crate::runner::attempt_folder;
use crate::shim::LOG_FILE;
use crate::{Inner, JobError};

const TAIL_BYTES: u64 = 64 * 1024;

pub(crate) async fn tail(inner: &Inner, job: &Job, lines: usize) -> Result<Vec<String>, JobError> {
    let text = match &job.log_digest {
        Some(digest) => {
            let bytes = inner.blobs.get_bytes(&BlobDigest::parse(digest)?).await?;
            let from = bytes.len().saturating_sub(TAIL_BYTES as usize);
            String::from_utf8_lossy(&bytes[from..]).into_owned()
        }
        None => file_tail(&attempt_folder(inner, job)),
    };
    Ok(last_lines(&text, lines))
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

/// Complete lines after `offset`, and the offset behind them.
pub(crate) fn new_lines(attempt: &Path, offset: u64) -> (Vec<String>, u64) {
    let Ok(mut file) = fs_err::File::open(attempt.join(LOG_FILE)) else { return (Vec::new(), offset) };
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(offset)).is_err() || file.take(TAIL_BYTES).read_to_end(&mut bytes).is_err() {
        return (Vec::new(), offset);
    }
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else { return (Vec::new(), offset) };
    let text = String::from_utf8_lossy(&bytes[..end]);
    (text.lines().map(str::to_owned).collect(), offset + end as u64 + 1)
}
