//! The folder of one stage's run: its declared inputs, nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fs_err::tokio as fs;
use futures_util::StreamExt;
use platform_blobs::{BlobDigest, Blobs};

use crate::PipelineError;
use crate::plan::{Plan, StagePlan};

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> PipelineError {
    let path = path.display().to_string();
    |source| PipelineError::File { path, source }
}

/// Stores a file's bytes as a blob and gives their SHA-256.
async fn store_file(blobs: &Blobs, path: &Path) -> Result<String, PipelineError> {
    let bytes = fs::read(path).await.map_err(file_error(path))?;
    Ok(blobs.put_bytes(Bytes::from(bytes)).await?.digest.to_string())
}

/// Path and digest of everything the stage reads: outputs of earlier stages by their record, the rest from the project.
pub(crate) async fn resolve_deps(
    blobs: &Blobs,
    plan: &Plan,
    stage: &StagePlan,
    produced: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, PipelineError> {
    let mut deps = BTreeMap::new();
    for path in &stage.deps {
        if let Some(digest) = produced.get(path) {
            deps.insert(path.clone(), digest.clone());
            continue;
        }
        let source = plan.directory.join(path);
        if !source.is_file() {
            let (stage, path) = (stage.name.clone(), path.clone());
            return Err(PipelineError::DependencyMissing { stage, path });
        }
        deps.insert(path.clone(), store_file(blobs, &source).await?);
    }
    Ok(deps)
}

/// Makes the folder anew and puts the inputs into it.
pub(crate) async fn lay_out(
    blobs: &Blobs,
    folder: &Path,
    stage: &StagePlan,
    deps: &BTreeMap<String, String>,
) -> Result<(), PipelineError> {
    if folder.exists() {
        fs::remove_dir_all(folder).await.map_err(file_error(folder))?;
    }
    fs::create_dir_all(folder).await.map_err(file_error(folder))?;
    for (path, digest) in deps {
        write_blob(blobs, digest, &folder.join(path)).await?;
    }
    for out in &stage.outs {
        make_parent(&folder.join(out)).await?;
    }
    Ok(())
}

async fn make_parent(path: &Path) -> Result<(), PipelineError> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent).await.map_err(file_error(parent)),
        None => Ok(()),
    }
}

async fn write_blob(blobs: &Blobs, digest: &str, target: &Path) -> Result<(), PipelineError> {
    use tokio::io::AsyncWriteExt;
    make_parent(target).await?;
    let (_, mut chunks) = blobs.get_stream(&BlobDigest::parse(digest)?).await?;
    let mut file = fs::File::create(target).await.map_err(file_error(target))?;
    while let Some(chunk) = chunks.next().await {
        file.write_all(&chunk?).await.map_err(file_error(target))?;
    }
    file.flush().await.map_err(file_error(target))
}

/// Stores what the stage wrote.
pub(crate) async fn collect_outs(
    blobs: &Blobs,
    folder: &Path,
    stage: &StagePlan,
) -> Result<BTreeMap<String, String>, PipelineError> {
    let mut outs = BTreeMap::new();
    for path in &stage.outs {
        let source: PathBuf = folder.join(path);
        if !source.is_file() {
            let (stage, path) = (stage.name.clone(), path.clone());
            return Err(PipelineError::OutputMissing { stage, path });
        }
        outs.insert(path.clone(), store_file(blobs, &source).await?);
    }
    Ok(outs)
}
