//! Work that takes milliseconds, kept off the threads that answer everybody, and work that nobody may cut off.

use crate::ExperimentError;

/// Does `work` where it stands when it is small, else on a thread for such work.
pub(crate) async fn aside<T: Send + 'static>(
    is_large: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ExperimentError> {
    if !is_large {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|_| ExperimentError::AsideFailed)
}

/// Does `work` to its end, whether or not the caller waits for it.
pub(crate) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, ExperimentError>> + Send + 'static,
) -> Result<T, ExperimentError> {
    tokio::spawn(work).await.map_err(|_| ExperimentError::AsideFailed)?
}
