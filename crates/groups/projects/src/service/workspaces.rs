//! Workspaces: made, described, deleted. Which there are is known from memory.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use platform_events::NewEvent;
use platform_web::mlflow::{DEFAULT_WORKSPACE, check_workspace_name};
use serde_json::json;

use super::{Projects, Result};
use crate::model::Workspace;
use crate::{ProjectError, kinds, store};

const MAX_DESCRIPTION_CHARS: usize = 5_000;
const MAX_ROOT_CHARS: usize = 2_048;

/// The names of all workspaces, as of the last commit.
#[derive(Clone, Default)]
pub(super) struct KnownNames(Arc<RwLock<HashSet<String>>>);

impl KnownNames {
    fn has(&self, name: &str) -> bool {
        // Nothing that can panic runs under the lock.
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    fn add(&self, name: String) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name);
    }

    fn remove(&self, name: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// What a client wants changed of a workspace; an empty root is none.
#[derive(Debug, Clone, Default)]
pub(crate) struct WorkspaceChange {
    pub description: Option<String>,
    pub default_artifact_root: Option<String>,
}

impl Projects {
    /// Reads which workspaces there are; before the first request.
    pub async fn load_workspaces(&self) -> Result<()> {
        for workspace in store::workspaces(&self.db).await? {
            self.known.add(workspace.name);
        }
        Ok(())
    }

    pub fn has_workspace(&self, name: &str) -> bool {
        name == DEFAULT_WORKSPACE || self.known.has(name)
    }

    pub async fn workspaces(&self) -> Result<Vec<Workspace>> {
        store::workspaces(&self.db).await
    }

    pub async fn get_workspace(&self, name: &str) -> Result<Workspace> {
        check_workspace_name(name)?;
        store::workspace_named(&self.db, name).await?.ok_or_else(|| missing(name))
    }

    pub async fn create_workspace(
        &self,
        actor: &str,
        name: &str,
        description: Option<String>,
        default_artifact_root: Option<String>,
    ) -> Result<Workspace> {
        if name == DEFAULT_WORKSPACE {
            return Err(ProjectError::DefaultWorkspace { verb: "created" });
        }
        check_workspace_name(name)?;
        check_description(description.as_deref())?;
        let workspace = Workspace {
            name: name.to_owned(),
            description,
            default_artifact_root: checked_root(default_artifact_root)?,
            created: self.events.now(),
        };
        let (actor, events, known) = (actor.to_owned(), self.events.clone(), self.known.clone());
        self.db
            .write(move |tx| {
                if !store::insert_workspace(tx, &workspace)? {
                    return Err(ProjectError::WorkspaceExists { name: workspace.name });
                }
                let event = NewEvent::new(kinds::WORKSPACE_CREATED, actor, workspace.subject());
                events.append(tx, event.payload(json!({"description": workspace.description})))?;
                let name = workspace.name.clone();
                tx.after_commit(move || known.add(name));
                Ok(workspace)
            })
            .await
    }

    pub(crate) async fn update_workspace(
        &self,
        actor: &str,
        name: &str,
        change: WorkspaceChange,
    ) -> Result<Workspace> {
        check_workspace_name(name)?;
        check_description(change.description.as_deref())?;
        if change.description.is_none() && change.default_artifact_root.is_none() {
            return Err(ProjectError::NothingToChange);
        }
        let root = match change.default_artifact_root {
            Some(root) => Some(checked_root(Some(root))?),
            None => None,
        };
        let (actor, events, name) = (actor.to_owned(), self.events.clone(), name.to_owned());
        self.db
            .write(move |tx| {
                let mut workspace = store::lock_workspace(tx, &name)?.ok_or_else(|| missing(&name))?;
                workspace.description = change.description.or(workspace.description);
                workspace.default_artifact_root = root.unwrap_or(workspace.default_artifact_root);
                store::update_workspace(tx, &workspace)?;
                let event = NewEvent::new(kinds::WORKSPACE_CHANGED, actor, workspace.subject());
                let payload = json!({"description": workspace.description,
                    "default_artifact_root": workspace.default_artifact_root});
                events.append(tx, event.payload(payload))?;
                Ok(workspace)
            })
            .await
    }

    /// Deletes it when nothing is in it. What a request that is under way makes in it meanwhile is seen again only once there
    /// is a workspace of that name again.
    pub async fn delete_workspace(&self, actor: &str, name: &str) -> Result<()> {
        if name == DEFAULT_WORKSPACE {
            return Err(ProjectError::DefaultWorkspace { verb: "deleted" });
        }
        self.get_workspace(name).await?;
        if let Some(contents) = &self.contents {
            for (what, count) in contents.count(name).await? {
                if count > 0 {
                    return Err(ProjectError::WorkspaceInUse { name: name.to_owned(), what, count });
                }
            }
        }
        let (actor, events, known, name) =
            (actor.to_owned(), self.events.clone(), self.known.clone(), name.to_owned());
        self.db
            .write(move |tx| {
                let workspace = store::lock_workspace(tx, &name)?.ok_or_else(|| missing(&name))?;
                store::delete_workspace(tx, &name)?;
                events.append(tx, NewEvent::new(kinds::WORKSPACE_DELETED, actor, workspace.subject()))?;
                tx.after_commit(move || known.remove(&name));
                Ok(())
            })
            .await
    }
}

fn missing(name: &str) -> ProjectError {
    ProjectError::WorkspaceNotFound { name: name.to_owned() }
}

fn check_description(description: Option<&str>) -> Result<()> {
    match description {
        Some(text) if text.chars().count() > MAX_DESCRIPTION_CHARS => {
            Err(ProjectError::TooLong { field: "description", limit: MAX_DESCRIPTION_CHARS })
        }
        _ => Ok(()),
    }
}

/// Kept for clients that ask for it: files go to this server's store. So it may name no place on this machine.
fn checked_root(root: Option<String>) -> Result<Option<String>> {
    let Some(root) = root.map(|root| root.trim().to_owned()).filter(|root| !root.is_empty()) else {
        return Ok(None);
    };
    if root.chars().count() > MAX_ROOT_CHARS {
        return Err(ProjectError::TooLong { field: "default_artifact_root", limit: MAX_ROOT_CHARS });
    }
    let is_file = root.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("file:"));
    let is_elsewhere = root.contains("://") && !is_file;
    if !is_elsewhere || root.contains(['#', '?']) || root.split('/').any(|part| part == "..") {
        return Err(ProjectError::ArtifactRoot { root });
    }
    Ok(Some(root))
}
