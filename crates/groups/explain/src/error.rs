use platform_primitives::{ErrorKind, Failure, Fault};

#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    #[error("the model cannot be explained: {0}")]
    Model(kernel_shapley::ExplainError),
    #[error("row {row}: input {name:?} {rule}")]
    Value { row: usize, name: String, rule: String },
    #[error("row {row} holds {found} values, the model takes {expected}")]
    Width { row: usize, found: usize, expected: usize },
    #[error("input {name:?} is missing; the model takes {expected}")]
    InputMissing { name: String, expected: String },
    #[error("{rule}")]
    Request { rule: String },
    #[error(transparent)]
    Port(#[from] Failure),
}

impl ExplainError {
    pub(crate) fn request(rule: impl Into<String>) -> Self {
        Self::Request { rule: rule.into() }
    }
}

impl Fault for ExplainError {
    fn kind(&self) -> ErrorKind {
        match self {
            // That the values add up is ours to see to.
            Self::Model(kernel_shapley::ExplainError::NotAdditive { .. }) => ErrorKind::Internal,
            Self::Model(_) => ErrorKind::Unsupported,
            Self::Value { .. } | Self::Width { .. } | Self::InputMissing { .. } | Self::Request { .. } => {
                ErrorKind::Invalid
            }
            Self::Port(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Model(kernel_shapley::ExplainError::NotAdditive { .. }) => "explain/not-additive",
            Self::Model(_) => "explain/model",
            Self::Value { .. } => "explain/value",
            Self::Width { .. } => "explain/width",
            Self::InputMissing { .. } => "explain/input-missing",
            Self::Request { .. } => "explain/request",
            Self::Port(error) => error.code(),
        }
    }
}
