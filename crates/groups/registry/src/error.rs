use platform_db::DbError;
use platform_events::EventError;
use platform_primitives::{ErrorKind, Failure, Fault};
use platform_web::mlflow::search::SearchError;

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("Registered Model with name={name} not found")]
    ModelNotFound { name: String },
    #[error("Registered Model (name={name}) already exists.")]
    ModelExists { name: String },
    #[error("Model Version (name={model}, version={version}) not found")]
    VersionNotFound { model: String, version: String },
    #[error("Registered model alias {alias} not found.")]
    AliasNotFound { alias: String },
    #[error("Invalid value {value:?} for '{field}': {rule}")]
    Invalid { field: &'static str, value: String, rule: String },
    #[error("version {model}/{version} is {from} and cannot become {to}")]
    Transition { model: String, version: i64, from: &'static str, to: &'static str },
    #[error("{actor} registered version {model}/{version} and cannot approve it")]
    OwnModel { actor: String, model: String, version: i64 },
    #[error("the bytes of version {model}/{version} are not the ones that were gated")]
    DigestChanged { model: String, version: i64 },
    #[error("alias {alias:?} of {model} moves by approval and rollout only")]
    GuardedAlias { alias: String, model: String },
    #[error("model {model} belongs to the loop of {project}")]
    Owned { model: String, project: String },
    #[error("{feature} is not supported by this server")]
    Unsupported { feature: &'static str },
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error(transparent)]
    Port(#[from] Failure),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Event(#[from] EventError),
}

impl Fault for RegistryError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::ModelNotFound { .. } | Self::VersionNotFound { .. } => ErrorKind::NotFound,
            Self::ModelExists { .. } => ErrorKind::AlreadyExists,
            // MLflow answers 400 for a missing alias, and its client relies on it.
            Self::AliasNotFound { .. } | Self::Invalid { .. } => ErrorKind::Invalid,
            Self::Transition { .. } | Self::DigestChanged { .. } => ErrorKind::Conflict,
            Self::OwnModel { .. } | Self::GuardedAlias { .. } | Self::Owned { .. } => ErrorKind::Forbidden,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Search(error) => error.kind(),
            Self::Port(error) => error.kind(),
            Self::Db(error) => error.kind(),
            Self::Event(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::ModelNotFound { .. } => "registry/model-not-found",
            Self::ModelExists { .. } => "registry/model-exists",
            Self::VersionNotFound { .. } => "registry/version-not-found",
            Self::AliasNotFound { .. } => "registry/alias-not-found",
            Self::Invalid { .. } => "registry/invalid",
            Self::Transition { .. } => "registry/transition",
            Self::OwnModel { .. } => "registry/own-model",
            Self::DigestChanged { .. } => "registry/digest-changed",
            Self::GuardedAlias { .. } => "registry/guarded-alias",
            Self::Owned { .. } => "registry/owned",
            Self::Unsupported { .. } => "registry/unsupported",
            Self::Search(error) => error.code(),
            Self::Port(error) => error.code(),
            Self::Db(error) => error.code(),
            Self::Event(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::OwnModel { .. } => Some("ask another person with the approver role".to_owned()),
            Self::GuardedAlias { .. } => Some("approve the version on its page".to_owned()),
            _ => None,
        }
    }
}
