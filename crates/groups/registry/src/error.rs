use platform_db::DbError;
use platform_events::EventError;
use platform_primitives::{ErrorKind, Failure, Fault, Timestamp};
use platform_web::mlflow::search::SearchError;

use crate::model::Stage;

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("Registered Model with name={name} not found")]
    ModelNotFound { name: String },
    #[error("Registered Model (name={name}) already exists.")]
    ModelExists { name: String },
    #[error("Model Version (name={model}, version={version}) not found")]
    VersionNotFound { model: String, version: String },
    #[error("Latest version not found for model {model}.")]
    NoVersion { model: String },
    #[error("Registered model alias {alias} not found.")]
    AliasNotFound { alias: String },
    #[error("Missing value for required parameter '{field}'.")]
    Missing { field: &'static str },
    #[error("Invalid value {value:?} for parameter '{field}' supplied: {rule}")]
    Invalid { field: &'static str, value: String, rule: String },
    #[error("Parameter '{field}' must be an integer, got '{value}'.")]
    NotWhole { field: &'static str, value: String },
    #[error("'{field}' exceeds the maximum length of {limit} characters")]
    TooLong { field: &'static str, limit: usize },
    #[error("Invalid model name '{name}'. Names cannot contain '/' or ':'.")]
    ModelName { name: String },
    #[error("Invalid alias name: '{alias}': {rule}")]
    Alias { alias: String, rule: &'static str },
    #[error("Invalid model version source: '{source_uri}'. {rule}.")]
    Source { source_uri: String, rule: &'static str },
    #[error("Invalid prompt source: '{source_uri}'. Local source paths are not allowed for prompts.")]
    PromptSource { source_uri: String },
    #[error("Invalid Model Version stage: {stage}. Value must be one of {}.", Stage::NAMES)]
    Stage { stage: String },
    #[error("existing versions are archived on the way to Staging and Production, not to {}", .stage.name())]
    NothingToArchive { stage: Stage },
    #[error(
        "tag {key:?} is the platform's own: keys that begin with \"loopwright.\" are written by decisions only"
    )]
    ReservedTag { key: String },
    #[error("version {model}/{version} is {state}: it needs an approval before it is in Production")]
    NeedsApproval { model: String, version: i64, state: &'static str },
    #[error("the approval of version {model}/{version} expired at {expired}, and now it is {now}")]
    ApprovalExpired { model: String, version: i64, expired: Timestamp, now: Timestamp },
    #[error("version {model}/{version} is {from} and cannot become {to}")]
    Transition { model: String, version: i64, from: &'static str, to: &'static str },
    #[error("{actor} registered version {model}/{version} and cannot decide on it")]
    OwnModel { actor: String, model: String, version: i64 },
    #[error("the bytes of version {model}/{version} are not the ones that were gated")]
    DigestChanged { model: String, version: i64 },
    #[error("alias {alias:?} of {model} moves by approval and rollout only")]
    GuardedAlias { alias: String, model: String },
    #[error("model {model} belongs to the loop of {project}")]
    Owned { model: String, project: String },
    #[error("gate policy: {0}")]
    Policy(String),
    #[error("card: {0}")]
    Card(String),
    #[error("model {model} has no gate policy")]
    NoPolicy { model: String },
    #[error("{actor} made the run behind version {model}/{version} and cannot decide on it")]
    OwnRun { actor: String, model: String, version: i64 },
    #[error(
        "{actor} changed the gate policy of {model} after version {version} was registered and cannot approve it"
    )]
    OwnPolicy { actor: String, model: String, version: i64 },
    #[error("{actor} has approved version {model}/{version} already; {missing} more must be other people's")]
    AlreadyApproved { actor: String, model: String, version: i64, missing: usize },
    #[error("the files of version {model}/{version} are not the signed ones: {difference}")]
    FilesChanged { model: String, version: i64, difference: String },
    #[error("the signature of version {model}/{version} does not hold: {reason}")]
    SignatureInvalid { model: String, version: i64, reason: String },
    #[error("version {model}/{version} has no signature")]
    NotSigned { model: String, version: i64 },
    #[error("evaluation of {dataset:?}: {rule}")]
    Evaluation { dataset: String, rule: String },
    #[error("version {model}/{version} has no evaluation on {dataset:?}")]
    NotEvaluated { model: String, version: i64, dataset: String },
    #[error("this registry keeps no {0}")]
    NotKept(&'static str),
    #[error("model {model} has a gate; it is renamed or deleted after its policy was taken away")]
    Gated { model: String },
    #[error("the policy of {model} changed after version {version} was judged; run its gate again")]
    PolicyChanged { model: String, version: i64 },
    #[error("{subject} has no file {path:?}")]
    NoFile { subject: String, path: String },
    /// The text is MLflow's.
    #[error("Invalid path")]
    HostilePath,
    #[error(transparent)]
    Table(#[from] platform_tables::TableError),
    #[error(transparent)]
    Signing(#[from] platform_signing::SigningError),
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
            Self::ModelNotFound { .. }
            | Self::VersionNotFound { .. }
            | Self::NoVersion { .. }
            | Self::NoPolicy { .. }
            | Self::NotSigned { .. }
            | Self::NoFile { .. }
            | Self::NotEvaluated { .. } => ErrorKind::NotFound,
            Self::HostilePath | Self::Policy(_) | Self::Card(_) | Self::Evaluation { .. } => {
                ErrorKind::Invalid
            }
            Self::PolicyChanged { .. }
            | Self::AlreadyApproved { .. }
            | Self::FilesChanged { .. }
            | Self::SignatureInvalid { .. } => ErrorKind::Conflict,
            Self::NotKept(_) => ErrorKind::Unsupported,
            Self::Table(error) => error.kind(),
            Self::Signing(error) => error.kind(),
            Self::ModelExists { .. } => ErrorKind::AlreadyExists,
            // MLflow answers 400 for a missing alias, and its client relies on it.
            Self::AliasNotFound { .. }
            | Self::Missing { .. }
            | Self::Invalid { .. }
            | Self::NotWhole { .. }
            | Self::TooLong { .. }
            | Self::ModelName { .. }
            | Self::Alias { .. }
            | Self::Source { .. }
            | Self::PromptSource { .. }
            | Self::Stage { .. }
            | Self::NothingToArchive { .. } => ErrorKind::Invalid,
            Self::Transition { .. } | Self::DigestChanged { .. } | Self::ApprovalExpired { .. } => {
                ErrorKind::Conflict
            }
            Self::OwnModel { .. }
            | Self::OwnRun { .. }
            | Self::OwnPolicy { .. }
            | Self::GuardedAlias { .. }
            | Self::Owned { .. }
            | Self::ReservedTag { .. }
            | Self::Gated { .. }
            | Self::NeedsApproval { .. } => ErrorKind::Forbidden,
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
            Self::VersionNotFound { .. } | Self::NoVersion { .. } => "registry/version-not-found",
            Self::AliasNotFound { .. } => "registry/alias-not-found",
            Self::Missing { .. }
            | Self::Invalid { .. }
            | Self::NotWhole { .. }
            | Self::TooLong { .. }
            | Self::ModelName { .. }
            | Self::Alias { .. } => "registry/invalid",
            Self::Source { .. } | Self::PromptSource { .. } => "registry/source",
            Self::Stage { .. } | Self::NothingToArchive { .. } => "registry/stage",
            Self::ReservedTag { .. } => "registry/reserved-tag",
            Self::NeedsApproval { .. } => "registry/needs-approval",
            Self::ApprovalExpired { .. } => "registry/approval-expired",
            Self::Transition { .. } => "registry/transition",
            Self::OwnModel { .. } => "registry/own-model",
            Self::DigestChanged { .. } => "registry/digest-changed",
            Self::GuardedAlias { .. } => "registry/guarded-alias",
            Self::Owned { .. } => "registry/owned",
            Self::Policy(_) => "registry/gate-policy",
            Self::Card(_) => "registry/card",
            Self::NoPolicy { .. } => "registry/no-gate-policy",
            Self::OwnRun { .. } => "registry/own-run",
            Self::OwnPolicy { .. } => "registry/own-policy",
            Self::AlreadyApproved { .. } => "registry/already-approved",
            Self::FilesChanged { .. } => "registry/files-changed",
            Self::SignatureInvalid { .. } => "registry/signature-invalid",
            Self::NotSigned { .. } => "registry/not-signed",
            Self::Evaluation { .. } => "registry/evaluation",
            Self::NotEvaluated { .. } => "registry/not-evaluated",
            Self::NotKept(_) => "registry/not-kept",
            Self::NoFile { .. } => "registry/no-file",
            Self::Gated { .. } => "registry/gated",
            Self::PolicyChanged { .. } => "registry/policy-changed",
            Self::HostilePath => "registry/hostile-path",
            Self::Table(error) => error.code(),
            Self::Signing(error) => error.code(),
            Self::Search(error) => error.code(),
            Self::Port(error) => error.code(),
            Self::Db(error) => error.code(),
            Self::Event(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::OwnModel { .. }
            | Self::OwnRun { .. }
            | Self::OwnPolicy { .. }
            | Self::AlreadyApproved { .. } => Some("ask another person with the approver role".to_owned()),
            Self::GuardedAlias { .. } | Self::NeedsApproval { .. } => {
                Some("approve the version on its page".to_owned())
            }
            Self::ApprovalExpired { .. } => Some("approve the version again".to_owned()),
            _ => None,
        }
    }
}
