//! The key file: PKCS#8 in PEM, for this server's eyes only.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use platform_primitives::new_id;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use tokio::sync::OnceCell;

use crate::SigningError;
use crate::bundle::hex_digest;

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";
/// What DER puts before a point of P-256: algorithm `id-ecPublicKey`, curve `prime256v1`, a bit string of 66 bytes.
const SPKI_P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The server's key, read or made when it is first needed. Clones share it.
#[derive(Clone)]
pub struct SigningKey {
    path: Arc<Path>,
    pair: Arc<OnceCell<Arc<EcdsaKeyPair>>>,
}

impl SigningKey {
    pub fn new(path: PathBuf) -> Self {
        Self { path: path.into(), pair: Arc::new(OnceCell::new()) }
    }

    /// The public key as PEM (SubjectPublicKeyInfo), as OpenSSL writes it.
    pub async fn public_pem(&self) -> Result<String, SigningError> {
        let pair = self.pair().await?;
        Ok(public_pem(&pair))
    }

    /// SHA-256 of the PEM in hexadecimal: the hint by which verifiers find the key.
    pub async fn fingerprint(&self) -> Result<String, SigningError> {
        Ok(hex_digest(self.public_pem().await?.as_bytes()))
    }

    /// ECDSA over SHA-256 of the message, in ASN.1.
    pub(crate) async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let pair = self.pair().await?;
        let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| SigningError::NoRandomness)?;
        Ok(signature.as_ref().to_vec())
    }

    /// Whether the signature is one of this key over the message.
    pub(crate) async fn is_own(&self, message: &[u8], signature: &[u8]) -> Result<bool, SigningError> {
        let pair = self.pair().await?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key().as_ref());
        Ok(key.verify(message, signature).is_ok())
    }

    async fn pair(&self) -> Result<Arc<EcdsaKeyPair>, SigningError> {
        let path = Arc::clone(&self.path);
        let read = || async move {
            let loaded = tokio::task::spawn_blocking(move || load(&path)).await;
            loaded.map_err(|error| SigningError::KeyFile(std::io::Error::other(error)))?
        };
        self.pair.get_or_try_init(read).await.cloned()
    }
}

fn public_pem(pair: &EcdsaKeyPair) -> String {
    let der = [SPKI_P256.as_slice(), pair.public_key().as_ref()].concat();
    pem(PUBLIC, &der)
}

fn load(path: &Path) -> Result<Arc<EcdsaKeyPair>, SigningError> {
    let document = match fs_err::read_to_string(path) {
        Ok(text) => decode(&text).ok_or(SigningError::KeyFormat)?,
        Err(error) if error.kind() == ErrorKind::NotFound => make(path)?,
        Err(error) => return Err(SigningError::KeyFile(error)),
    };
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &document, &SystemRandom::new());
    pair.map(Arc::new).map_err(|_| SigningError::KeyFormat)
}

/// Written beside its place and moved there, so that a death in between leaves no half of a key.
fn make(path: &Path) -> Result<Vec<u8>, SigningError> {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
        .map_err(|_| SigningError::NoRandomness)?;
    let staged = path.with_extension(new_id());
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(&staged).and_then(|mut file| {
        file.write_all(pem(PRIVATE, document.as_ref()).as_bytes())?;
        file.sync_all()?;
        // Not over a key that another process made meanwhile; and the folder too survives a loss of power.
        fs_err::hard_link(&staged, path)?;
        fs_err::remove_file(&staged)?;
        path.parent().map_or(Ok(()), |folder| fs_err::File::open(folder)?.sync_all())
    });
    written.map_err(SigningError::KeyFile)?;
    Ok(document.as_ref().to_vec())
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let encoded = STANDARD.encode(der);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = next;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let body = text.split_once("-----BEGIN PRIVATE KEY-----")?.1.split_once("-----END PRIVATE KEY-----")?.0;
    let joined: String = body.split_whitespace().collect();
    STANDARD.decode(joined).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn the_key_is_made_once_and_signs_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("signing.key");
        let key = SigningKey::new(path.clone());
        let public = key.public_pem().await.unwrap();
        assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"));
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let restarted = SigningKey::new(path.clone());
        assert_eq!(restarted.public_pem().await.unwrap(), public);
        let signature = restarted.sign(b"message").await.unwrap();
        let pair = key.pair().await.unwrap();
        let verifier = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key().as_ref());
        assert!(verifier.verify(b"message", &signature).is_ok());
        assert!(verifier.verify(b"messagf", &signature).is_err());
        fs_err::write(&path, "nonsense").unwrap();
        assert!(matches!(SigningKey::new(path).public_pem().await, Err(SigningError::KeyFormat)));
    }
}
