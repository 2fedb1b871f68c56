use platform_blobs::BlobError;
use platform_db::DbError;
use platform_events::EventError;
use platform_primitives::{ErrorKind, Fault};
use platform_web::mlflow::search::SearchError;

#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    #[error("No Experiment with id={id} exists")]
    ExperimentNotFound { id: String },
    #[error("Could not find experiment with name '{name}'")]
    ExperimentNameNotFound { name: String },
    #[error("Experiment '{name}' already exists.")]
    ExperimentExists { name: String },
    #[error("Run with id={id} not found")]
    RunNotFound { id: String },
    #[error("Logged model with ID '{id}' not found.")]
    LoggedModelNotFound { id: String },
    #[error("The run {id} must be in the 'active' state. Current state is deleted.")]
    RunDeleted { id: String },
    #[error("The experiment {id} must be in the 'active' state. Current state is deleted.")]
    ExperimentDeleted { id: i64 },
    #[error(
        "Changing param values is not allowed. Param with key='{key}' was already logged with value='{old}' \
         for run ID='{run}'. Attempted logging new value '{new}'."
    )]
    ParamChanged { run: String, key: String, old: String, new: String },
    #[error("Invalid value {value:?} for parameter '{field}' supplied: {rule}")]
    Invalid { field: &'static str, value: String, rule: String },
    #[error("Invalid value {value} for parameter '{field}' supplied: {rule}")]
    InvalidNumber { field: &'static str, value: i64, rule: String },
    #[error(
        "Missing value for required parameter '{field}'. See the API docs for more information about request parameters."
    )]
    Missing { field: &'static str },
    /// The path is not repeated: it is shown to people.
    #[error("Invalid path")]
    HostilePath { path: String },
    #[error("No tag with name: {key} in run with id {run}")]
    TagNotFound { run: String, key: String },
    #[error("No tag with name: {key} in experiment with id {experiment}")]
    ExperimentTagNotFound { experiment: i64, key: String },
    #[error("No tag with key {key:?} for model with ID {model:?}.")]
    ModelTagNotFound { model: String, key: String },
    #[error(
        "A batch logging request can contain at most {most} {what}. Got {found} {what}. Please split up {what} across multiple requests and try again."
    )]
    BatchTooLarge { what: &'static str, found: usize, most: usize },
    #[error("{} of {asked} runs were changed, {refused} were not. The first that was not: {first}", asked - refused)]
    PartlyChanged { asked: usize, refused: usize, first: Box<ExperimentError> },
    #[error("No artifact at '{path}'")]
    ArtifactNotFound { path: String },
    #[error("the files are at {location:?}, which this server does not read")]
    FilesElsewhere { location: String },
    #[error(
        "No multipart upload with id={id} of this file: it was completed or aborted, is older than a day or never began"
    )]
    UploadNotFound { id: String },
    #[error(
        "at most {most} uploads in parts are open at a time {place}: complete or abort one of them first; each ends after a day"
    )]
    TooManyUploads { most: i64, place: &'static str },
    #[error("the address of part {number} does not hold the secret that was given for it")]
    PartDenied { number: i64 },
    #[error("{feature} is not supported by this server")]
    Unsupported { feature: String },
    #[error("the search did not end")]
    SearchFailed,
    #[error("work on a thread of its own did not end")]
    AsideFailed,
    #[error("the points of run {run} were folded by somebody else")]
    FoldedTwice { run: String },
    #[error(transparent)]
    Points(#[from] kernel_series::DamagedBytes),
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error("the runs cannot be written as a table: {0}")]
    Export(platform_tables::TableError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Event(#[from] EventError),
}

impl ExperimentError {
    pub(crate) fn invalid(field: &'static str, value: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Invalid { field, value: value.into(), rule: rule.into() }
    }

    pub(crate) fn invalid_number(field: &'static str, value: i64, rule: impl Into<String>) -> Self {
        Self::InvalidNumber { field, value, rule: rule.into() }
    }
}

impl Fault for ExperimentError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::ExperimentNotFound { .. }
            | Self::ExperimentNameNotFound { .. }
            | Self::RunNotFound { .. }
            | Self::LoggedModelNotFound { .. }
            | Self::TagNotFound { .. }
            | Self::ExperimentTagNotFound { .. }
            | Self::ModelTagNotFound { .. }
            | Self::ArtifactNotFound { .. }
            | Self::UploadNotFound { .. } => ErrorKind::NotFound,
            Self::PartDenied { .. } => ErrorKind::Forbidden,
            Self::TooManyUploads { .. } => ErrorKind::RateLimited,
            Self::ExperimentExists { .. } => ErrorKind::AlreadyExists,
            Self::RunDeleted { .. } | Self::ExperimentDeleted { .. } | Self::ParamChanged { .. } => {
                ErrorKind::Conflict
            }
            Self::Invalid { .. }
            | Self::InvalidNumber { .. }
            | Self::Missing { .. }
            | Self::HostilePath { .. }
            | Self::BatchTooLarge { .. } => ErrorKind::Invalid,
            Self::Unsupported { .. } | Self::FilesElsewhere { .. } => ErrorKind::Unsupported,
            Self::PartlyChanged { first, .. } => first.kind(),
            Self::SearchFailed | Self::AsideFailed | Self::Points(_) => ErrorKind::Internal,
            Self::FoldedTwice { .. } => ErrorKind::Unavailable,
            Self::Search(error) => error.kind(),
            Self::Export(_) => ErrorKind::Internal,
            Self::Blob(error) => error.kind(),
            Self::Db(error) => error.kind(),
            Self::Event(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::ExperimentNotFound { .. } | Self::ExperimentNameNotFound { .. } => {
                "experiments/experiment-not-found"
            }
            Self::ExperimentExists { .. } => "experiments/experiment-exists",
            Self::RunNotFound { .. } => "experiments/run-not-found",
            Self::LoggedModelNotFound { .. } => "experiments/logged-model-not-found",
            Self::RunDeleted { .. } => "experiments/run-deleted",
            Self::ExperimentDeleted { .. } => "experiments/experiment-deleted",
            Self::ParamChanged { .. } => "experiments/param-changed",
            Self::Invalid { .. } | Self::InvalidNumber { .. } | Self::Missing { .. } => "experiments/invalid",
            Self::HostilePath { .. } => "experiments/hostile-path",
            Self::TagNotFound { .. } | Self::ExperimentTagNotFound { .. } | Self::ModelTagNotFound { .. } => {
                "experiments/tag-not-found"
            }
            Self::BatchTooLarge { .. } => "experiments/batch-too-large",
            Self::PartlyChanged { .. } => "experiments/partly-changed",
            Self::SearchFailed => "experiments/search-failed",
            Self::AsideFailed => "experiments/aside-failed",
            Self::FoldedTwice { .. } => "experiments/folded-twice",
            Self::Points(_) => "experiments/damaged-points",
            Self::ArtifactNotFound { .. } => "experiments/artifact-not-found",
            Self::FilesElsewhere { .. } => "experiments/files-elsewhere",
            Self::UploadNotFound { .. } => "experiments/upload-not-found",
            Self::PartDenied { .. } => "experiments/part-denied",
            Self::TooManyUploads { .. } => "experiments/too-many-uploads",
            Self::Unsupported { .. } => "experiments/unsupported",
            Self::Search(error) => error.code(),
            Self::Export(error) => error.code(),
            Self::Blob(error) => error.code(),
            Self::Db(error) => error.code(),
            Self::Event(error) => error.code(),
        }
    }
}
