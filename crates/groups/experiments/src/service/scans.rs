//! What other groups ask: the files under a folder, who made a run.

use platform_events::EventFilter;

use super::{Experiments, Result};
use crate::artifacts::ArtifactPath;
use crate::{ExperimentError, kinds, store};

/// More files than any model has.
const MAX_FILES: usize = 10_000;

/// A file under a folder.
#[derive(Debug, Clone)]
pub struct StoredFile {
    /// Relative to the folder.
    pub path: String,
    /// SHA-256 in hexadecimal.
    pub digest: String,
    pub size_bytes: u64,
}

impl Experiments {
    /// Who asked for the run, as this server knows its callers; empty for a run that was imported.
    pub async fn creator_of_run(&self, run: &str) -> Result<String> {
        if self.is_scoped() {
            self.get_run(run).await?;
        }
        let filter = EventFilter {
            subject: Some(format!("run:{run}")),
            kind_prefix: Some(kinds::RUN_CREATED.to_owned()),
            ..EventFilter::default()
        };
        let found = self.events.list(filter, 0, 1).await?;
        Ok(found.into_iter().next().map(|event| event.actor).unwrap_or_default())
    }

    /// Every file under `folder`, at any depth, folder by folder.
    pub async fn files_under(&self, folder: &str) -> Result<Vec<StoredFile>> {
        let root = folder.trim_end_matches('/');
        let mut files = Vec::new();
        let mut waiting = vec![String::new()];
        while let Some(inner) = waiting.pop() {
            let place = if inner.is_empty() { root.to_owned() } else { format!("{root}/{inner}") };
            for entry in self.list_artifacts(&place).await? {
                let path = if inner.is_empty() { entry.name } else { format!("{inner}/{}", entry.name) };
                if entry.is_folder {
                    waiting.push(path);
                    continue;
                }
                let whole = ArtifactPath::parse(&format!("{root}/{path}"))?;
                // Deleted since it was listed: then it is no file any more.
                let Some((digest, size)) = store::artifact(&self.db, &whole).await? else { continue };
                files.push(StoredFile { path, digest, size_bytes: u64::try_from(size).unwrap_or(0) });
                if files.len() > MAX_FILES {
                    let rule = format!("at most {MAX_FILES} files are taken under a folder");
                    return Err(ExperimentError::invalid("path", folder, rule));
                }
            }
        }
        Ok(files)
    }
}
