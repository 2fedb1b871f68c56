use platform_blobs::BlobError;
use platform_db::DbError;
use platform_events::EventError;
use platform_primitives::{ErrorKind, Fault};
use platform_tables::TableError;

#[derive(Debug, thiserror::Error)]
pub enum MonitoringError {
    #[error("endpoint {endpoint:?} is not monitored")]
    NotMonitored { endpoint: String },
    #[error("endpoint {endpoint:?} has no baseline for revision {revision}")]
    NoBaseline { endpoint: String, revision: i64 },
    #[error("label {id:?}: value is {value}, expected a finite number")]
    LabelValue { id: String, value: f64 },
    #[error("{found} labels in one request, at most {most} are taken")]
    TooManyLabels { found: usize, most: usize },
    #[error("{found} labelled rows in the window, at least {least} are needed")]
    TooFewRows { found: usize, least: usize },
    #[error("the monitor of {endpoint} holds an unreadable {what}")]
    Corrupt { endpoint: String, what: &'static str },
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Event(#[from] EventError),
}

impl Fault for MonitoringError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotMonitored { .. } | Self::NoBaseline { .. } => ErrorKind::NotFound,
            Self::LabelValue { .. } => ErrorKind::Invalid,
            Self::TooManyLabels { .. } => ErrorKind::TooLarge,
            Self::TooFewRows { .. } => ErrorKind::Conflict,
            Self::Corrupt { .. } => ErrorKind::Internal,
            Self::Table(error) => error.kind(),
            Self::Blob(error) => error.kind(),
            Self::Db(error) => error.kind(),
            Self::Event(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotMonitored { .. } => "monitoring/not-monitored",
            Self::NoBaseline { .. } => "monitoring/no-baseline",
            Self::LabelValue { .. } => "monitoring/label-value",
            Self::TooManyLabels { .. } => "monitoring/too-many-labels",
            Self::TooFewRows { .. } => "monitoring/too-few-rows",
            Self::Corrupt { .. } => "monitoring/corrupt",
            Self::Table(error) => error.code(),
            Self::Blob(error) => error.code(),
            Self::Db(error) => error.code(),
            Self::Event(error) => error.code(),
        }
    }
}
