//! Secrets at rest: sealed with a key that is not in the database, so that a dump of it alone tells none of them.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use fs_err::os::unix::fs::OpenOptionsExt as _;
use platform_primitives::new_id;
use tokio::sync::OnceCell;

use crate::WebhookError;

const KEY_BYTES: usize = 32;
/// Of XChaCha20: long enough that random ones do not meet.
const NONCE_BYTES: usize = 24;

/// The key file, read when it is first needed.
#[derive(Clone)]
pub(crate) struct KeyFile {
    path: Arc<Path>,
    key: Arc<OnceCell<[u8; KEY_BYTES]>>,
}

impl KeyFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path: path.into(), key: Arc::new(OnceCell::new()) }
    }

    /// Nonce, then XChaCha20-Poly1305 of the secret, bound to its webhook: a row copied to another one does not open.
    /// Makes the key file if there is none.
    pub(crate) async fn seal(&self, webhook_id: &str, secret: &str) -> Result<Vec<u8>, WebhookError> {
        let key = self.load(true).await?;
        let mut nonce = [0u8; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| WebhookError::NoRandomness)?;
        let payload = Payload { msg: secret.as_bytes(), aad: webhook_id.as_bytes() };
        let sealed = XChaCha20Poly1305::new(&Key::from(key))
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| WebhookError::Sealed { id: webhook_id.to_owned() })?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// The secret again. A missing key file is an error here: a new one would open nothing.
    pub(crate) async fn open(&self, webhook_id: &str, sealed: &[u8]) -> Result<String, WebhookError> {
        let key = self.load(false).await?;
        let closed = || WebhookError::Sealed { id: webhook_id.to_owned() };
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or_else(closed)?;
        let payload = Payload { msg: rest, aad: webhook_id.as_bytes() };
        let secret = XChaCha20Poly1305::new(&Key::from(key))
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| closed())?;
        String::from_utf8(secret).map_err(|_| closed())
    }

    async fn load(&self, create: bool) -> Result<[u8; KEY_BYTES], WebhookError> {
        let path = Arc::clone(&self.path);
        let read = || async move {
            tokio::task::spawn_blocking(move || read_key(&path, create))
                .await
                .map_err(|error| WebhookError::KeyFile(std::io::Error::other(error)))?
        };
        self.key.get_or_try_init(read).await.copied()
    }
}

fn read_key(path: &Path, create: bool) -> Result<[u8; KEY_BYTES], WebhookError> {
    let bytes = match fs_err::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound && create => return write_key(path),
        Err(error) => return Err(WebhookError::KeyFile(error)),
    };
    let length = bytes.len();
    bytes.try_into().map_err(|_| WebhookError::KeyLength { length })
}

/// Written beside its place and moved there, so that a death in between leaves no half of a key.
fn write_key(path: &Path) -> Result<[u8; KEY_BYTES], WebhookError> {
    let mut key = [0u8; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|_| WebhookError::NoRandomness)?;
    let staged = path.with_extension(new_id());
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(&staged).and_then(|mut file| {
        file.write_all(&key)?;
        file.sync_all()?;
        fs_err::rename(&staged, path)
    });
    written.map_err(WebhookError::KeyFile)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn a_secret_opens_with_its_key_and_its_webhook_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("webhook.key");
        let key = KeyFile::new(path.clone());
        assert!(key.open("w", b"x").await.is_err(), "there is no key yet, and opening makes none");
        let sealed = key.seal("w", "geheim").await.unwrap();
        assert_ne!(sealed, key.seal("w", "geheim").await.unwrap(), "the nonce is new each time");
        assert!(!sealed.windows(6).any(|window| window == b"geheim"));
        let metadata = fs_err::metadata(&path).unwrap();
        assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (32, 0o600));

        let restarted = KeyFile::new(path);
        assert_eq!(restarted.open("w", &sealed).await.unwrap(), "geheim");
        assert!(restarted.open("v", &sealed).await.is_err());
        assert!(restarted.open("w", &sealed[..10]).await.is_err());
        let other = KeyFile::new(directory.path().join("other.key"));
        other.seal("w", "makes the file").await.unwrap();
        assert!(other.open("w", &sealed).await.is_err());
    }
}
