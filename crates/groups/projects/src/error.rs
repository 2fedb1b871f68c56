use platform_db::DbError;
use platform_events::EventError;
use platform_loopfile::InvalidLoopFile;
use platform_primitives::{ErrorKind, Failure, Fault};

#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    #[error("project {name:?} does not exist")]
    NotFound { name: String },
    #[error("cannot read the loop file: {0}")]
    Unreadable(std::io::Error),
    #[error("{directory:?} is not an absolute path of a folder on this machine")]
    Directory { directory: String },
    #[error("project {name:?} lives in {present:?}; it cannot be applied from {asked:?} too")]
    Elsewhere { name: String, present: String, asked: String },
    #[error("Workspace '{name}' not found")]
    WorkspaceNotFound { name: String },
    #[error("Workspace '{name}' already exists.")]
    WorkspaceExists { name: String },
    #[error("The 'default' workspace is reserved and cannot be {verb}")]
    DefaultWorkspace { verb: &'static str },
    #[error("Cannot delete workspace '{name}': it still contains {count} {what}, deleted ones included")]
    WorkspaceInUse { name: String, what: &'static str, count: i64 },
    #[error("Workspace update must have at least one key")]
    NothingToChange,
    #[error("Invalid deletion mode '{mode}'. Must be one of: SET_DEFAULT, CASCADE, RESTRICT")]
    UnknownMode { mode: String },
    #[error(
        "deleting a workspace with mode {mode} is not supported by this server: empty it and use RESTRICT"
    )]
    DeletionMode { mode: String },
    #[error(
        "Invalid value {root:?} for parameter 'default_artifact_root': expected the address of another store, without fragment, query or '..'"
    )]
    ArtifactRoot { root: String },
    #[error("'{field}' exceeds the maximum length of {limit} characters")]
    TooLong { field: &'static str, limit: usize },
    #[error(transparent)]
    Port(#[from] Failure),
    #[error(transparent)]
    Invalid(#[from] InvalidLoopFile),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Event(#[from] EventError),
}

impl Fault for ProjectError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::WorkspaceNotFound { .. } => ErrorKind::NotFound,
            Self::WorkspaceExists { .. } => ErrorKind::AlreadyExists,
            Self::Unreadable(_)
            | Self::Directory { .. }
            | Self::DefaultWorkspace { .. }
            | Self::NothingToChange
            | Self::UnknownMode { .. }
            | Self::ArtifactRoot { .. }
            | Self::TooLong { .. } => ErrorKind::Invalid,
            Self::Elsewhere { .. } | Self::WorkspaceInUse { .. } => ErrorKind::Conflict,
            Self::DeletionMode { .. } => ErrorKind::Unsupported,
            Self::Port(error) => error.kind(),
            Self::Invalid(error) => error.kind(),
            Self::Db(error) => error.kind(),
            Self::Event(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "projects/not-found",
            Self::Unreadable(_) => "projects/unreadable",
            Self::Directory { .. } => "projects/directory",
            Self::Elsewhere { .. } => "projects/elsewhere",
            Self::WorkspaceNotFound { .. } => "projects/workspace-not-found",
            Self::WorkspaceExists { .. } => "projects/workspace-exists",
            Self::DefaultWorkspace { .. } => "projects/default-workspace",
            Self::WorkspaceInUse { .. } => "projects/workspace-in-use",
            Self::NothingToChange | Self::TooLong { .. } => "projects/workspace",
            Self::UnknownMode { .. } | Self::DeletionMode { .. } => "projects/deletion-mode",
            Self::ArtifactRoot { .. } => "projects/artifact-root",
            Self::Port(error) => error.code(),
            Self::Invalid(error) => error.code(),
            Self::Db(error) => error.code(),
            Self::Event(error) => error.code(),
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid(error) => error.hint(),
            Self::Port(error) => error.hint(),
            _ => None,
        }
    }
}
