//! Signatures over the files of a model, as OpenSSF Model Signing 1.0 writes them.

mod bundle;
mod key;

use platform_primitives::{ErrorKind, Fault};

pub use bundle::{IGNORED, SignedFile, is_ignored, is_unsignable};
pub use key::SigningKey;

#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error("the signing key cannot be read or written")]
    KeyFile(#[source] std::io::Error),
    #[error("the signing key is no PKCS#8 key of the curve P-256")]
    KeyFormat,
    #[error("the operating system gives no random bytes")]
    NoRandomness,
    #[error("{path}: {digest:?} is no SHA-256 in hexadecimal")]
    Digest { path: String, digest: String },
    #[error("{path} lies where verifiers do not look: no signature covers git's files at the top of a model")]
    Ignored { path: String },
    #[error("the bundle is not what this server signed: {rule}")]
    Bundle { rule: String },
}

impl Fault for SigningError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Digest { .. } | Self::Ignored { .. } => ErrorKind::Invalid,
            Self::Bundle { .. } => ErrorKind::Conflict,
            Self::KeyFile(_) | Self::KeyFormat | Self::NoRandomness => ErrorKind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::KeyFile(_) => "signing/key-file",
            Self::KeyFormat => "signing/key-format",
            Self::NoRandomness => "signing/no-randomness",
            Self::Digest { .. } => "signing/digest",
            Self::Ignored { .. } => "signing/ignored-path",
            Self::Bundle { .. } => "signing/bundle",
        }
    }
}
