use platform_db::DbError;
use platform_primitives::{ErrorKind, Fault};

#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error("a token is required from this address")]
    Missing,
    #[error("the Authorization header is neither Bearer nor Basic with a token as password")]
    Malformed,
    #[error("the token is not known or has expired")]
    Unknown,
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Fault for AuthError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Db(error) => error.kind(),
            _ => ErrorKind::Unauthenticated,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Missing => "auth/token-missing",
            Self::Malformed => "auth/header-malformed",
            Self::Unknown => "auth/token-unknown",
            Self::Db(error) => error.code(),
        }
    }
    fn hint(&self) -> Option<String> {
        matches!(self, Self::Missing)
            .then(|| "create one with `loopwright token create` on the server's machine".to_owned())
    }
}
