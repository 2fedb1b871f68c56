//! One server per data directory.

use std::path::Path;

use fs_err::File;
use rustix::fs::{FlockOperation, flock};

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("another server uses the data directory {0}: stop it, or choose another with --data-dir")]
    Taken(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Held until the process ends, however it ends: the kernel lets go of it.
pub struct DirectoryLock(#[allow(dead_code)] File); // kept open, never read

impl DirectoryLock {
    pub fn take(directory: &Path) -> Result<Self, LockError> {
        let file = File::options().create(true).truncate(false).write(true).open(directory.join("lock"))?;
        match flock(file.file(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Taken(directory.display().to_string())),
            Err(error) => Err(LockError::Io(error.into())),
        }
    }
}
