mod workspaces;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use fs_err as fs;
use platform_db::Db;
use platform_events::{Event, EventFilter, Events, NewEvent};
use platform_loopfile::LoopFile;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::model::Project;
use crate::ports::WorkspaceContents;
use crate::{LOOP_FILE, ProjectError, kinds, store};

use workspaces::KnownNames;
pub(crate) use workspaces::WorkspaceChange;

type Result<T> = std::result::Result<T, ProjectError>;

#[derive(Clone)]
pub struct Projects {
    db: Db,
    events: Events,
    known: KnownNames,
    contents: Option<Arc<dyn WorkspaceContents>>,
}

impl Projects {
    pub fn new(db: Db, events: Events) -> Self {
        Self { db, events, known: KnownNames::default(), contents: None }
    }

    /// Deletes no workspace in which something lies.
    pub fn with_contents(self, contents: Arc<dyn WorkspaceContents>) -> Self {
        Self { contents: Some(contents), ..self }
    }

    /// Takes the loop file of a repository as the project's truth. The same file again changes nothing.
    pub async fn apply(&self, actor: &str, directory: &Path) -> Result<Project> {
        if !directory.is_absolute() || !directory.is_dir() {
            return Err(ProjectError::Directory { directory: directory.display().to_string() });
        }
        let text = fs::read_to_string(directory.join(LOOP_FILE)).map_err(ProjectError::Unreadable)?;
        let file = LoopFile::parse(&text)?;
        let digest = Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
            hex
        });
        let before = store::find(&self.db, &file.project).await?;
        if let Some(before) = &before {
            if before.directory != directory {
                return Err(ProjectError::Elsewhere {
                    name: before.name.clone(),
                    present: before.directory.display().to_string(),
                    asked: directory.display().to_string(),
                });
            }
            if before.digest == digest {
                return Ok(before.clone());
            }
        }
        let now = self.events.now();
        let project = Project {
            name: file.project.clone(),
            directory: directory.to_owned(),
            file,
            digest,
            created: before.as_ref().map_or(now, |project| project.created),
            updated: now,
        };
        let (row, actor, events) = (project.clone(), actor.to_owned(), self.events.clone());
        self.db
            .write(move |tx| {
                store::put(tx, &row, &text)?;
                let payload = json!({"before": before.map(|project| project.digest), "after": row.digest});
                let event = NewEvent::new(kinds::APPLIED, actor, format!("project:{}", row.name));
                events.append(tx, event.project(&row.name).payload(payload))?;
                Ok::<_, ProjectError>(())
            })
            .await?;
        Ok(project)
    }

    pub async fn get(&self, name: &str) -> Result<Project> {
        let missing = || ProjectError::NotFound { name: name.to_owned() };
        store::find(&self.db, name).await?.ok_or_else(missing)
    }

    pub async fn list(&self) -> Result<Vec<Project>> {
        store::all(&self.db).await
    }

    /// The newest events of the whole log, or of one kind's beginning.
    pub(crate) async fn audit(&self, kind_prefix: Option<String>, limit: usize) -> Result<Vec<Event>> {
        let filter = EventFilter { kind_prefix, ..EventFilter::default() };
        Ok(self.events.latest(filter, limit).await?)
    }
}
