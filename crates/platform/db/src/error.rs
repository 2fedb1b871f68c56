use std::error::Error as _;
use std::io;

use platform_primitives::{ErrorKind, Fault};

#[derive(Debug, thiserror::Error)]
pub enum DbError {
    #[error("a row with this key exists already ({constraint})")]
    UniqueViolation { constraint: String },
    #[error("the database has no room left: {message}")]
    Full { message: String },
    #[error("the database cannot be reached: {message}")]
    Unreachable { message: String },
    #[error("cannot open database {location}: {message}")]
    Open { location: String, message: String },
    #[error("column {index} holds {found}, expected {expected}")]
    ColumnType { index: usize, expected: &'static str, found: &'static str },
    #[error("expected a row, found none: {what}")]
    RowMissing { what: String },
    #[error("migration {group}/{version} was changed after it had been applied")]
    MigrationChanged { group: String, version: u32 },
    #[error("the database holds migration {group}/{version}, which this release does not know")]
    MigrationUnknown { group: String, version: u32 },
    /// PostgreSQL keeps no NUL in text, so neither engine is given one.
    #[error("text holds a NUL character")]
    NulText,
    #[error("database error: {message} in `{sql}`")]
    Statement { message: String, sql: String },
    #[error("the database writer stopped")]
    WriterStopped,
}

impl DbError {
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::UniqueViolation { .. })
    }

    pub(crate) fn write_panicked() -> Self {
        Self::Statement { message: "the write panicked".to_owned(), sql: String::new() }
    }

    pub(crate) fn from_sqlite(error: rusqlite::Error, sql: &str) -> Self {
        let message = error.to_string();
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ConstraintViolation)
                if message.contains("UNIQUE") || message.contains("PRIMARY KEY") =>
            {
                Self::UniqueViolation { constraint: message }
            }
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full { message },
            Some(rusqlite::ErrorCode::SystemIoFailure) => Self::Full { message },
            _ => Self::Statement { message, sql: shorten(sql) },
        }
    }

    pub(crate) fn from_postgres(error: &tokio_postgres::Error, sql: &str) -> Self {
        let Some(db) = error.as_db_error() else {
            let message = with_sources(error);
            return match is_connection_lost(error) {
                true => Self::Unreachable { message },
                // A value that does not fit its column, for example: the next try would fail as well.
                false => Self::Statement { message, sql: shorten(sql) },
            };
        };
        match db.code().code() {
            "23505" => Self::UniqueViolation { constraint: db.constraint().unwrap_or("key").to_owned() },
            "53100" => Self::Full { message: db.message().to_owned() },
            code if code.starts_with("57P") || code.starts_with("08") => {
                Self::Unreachable { message: db.message().to_owned() }
            }
            _ => Self::Statement { message: db.message().to_owned(), sql: shorten(sql) },
        }
    }
}

fn is_connection_lost(error: &tokio_postgres::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    // A message that cannot be encoded or decoded is an io::Error too, of one of these kinds.
    let is_io = |source: &io::Error| {
        !matches!(source.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
    };
    error.is_closed() || source.is_some_and(is_io)
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn shorten(sql: &str) -> String {
    let flat = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    flat.chars().take(200).collect()
}

impl Fault for DbError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UniqueViolation { .. } => ErrorKind::AlreadyExists,
            Self::Full { .. } | Self::Unreachable { .. } | Self::WriterStopped => ErrorKind::Unavailable,
            Self::NulText => ErrorKind::Invalid,
            _ => ErrorKind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::UniqueViolation { .. } => "db/unique-violation",
            Self::Full { .. } => "db/full",
            Self::Unreachable { .. } => "db/unreachable",
            Self::Open { .. } => "db/open",
            Self::ColumnType { .. } => "db/column-type",
            Self::RowMissing { .. } => "db/row-missing",
            Self::MigrationChanged { .. } => "db/migration-changed",
            Self::MigrationUnknown { .. } => "db/migration-unknown",
            Self::NulText => "db/nul-text",
            Self::Statement { .. } => "db/statement",
            Self::WriterStopped => "db/writer-stopped",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Full { .. } => Some("free disk space; nothing of this request was stored".to_owned()),
            Self::MigrationUnknown { .. } => {
                Some("start a release that is at least as new as the one that wrote this database".to_owned())
            }
            _ => None,
        }
    }
}
