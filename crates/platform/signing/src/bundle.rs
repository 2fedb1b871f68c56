//! The bundle, field by field as `model-signing` 1.1.1 reads it (`_signing/signing.py`, `sign_ec_key.py`, `sign_sigstore_pb.py`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{SigningError, SigningKey};

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "https://model_signing/signature/v1.0";

/// Paths that a signature leaves out: itself, git's files, and what MLflow's client writes beside the files it downloads.
pub const IGNORED: [&str; 6] =
    ["model.sig", "registered_model_meta", ".git", ".gitattributes", ".github", ".gitignore"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedFile {
    /// Relative to the model, parts joined by `/`.
    pub path: String,
    /// SHA-256 in hexadecimal.
    pub digest: String,
}

/// Whether a verifier of our bundles passes over this path.
pub fn is_ignored(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    IGNORED.contains(&first)
}

impl SigningKey {
    /// The text of `model.sig` for these files.
    pub async fn sign_model(&self, name: &str, files: &[SignedFile]) -> Result<String, SigningError> {
        let payload = statement(name, files)?.to_string();
        let signature = self.sign(&authenticated(payload.as_bytes())).await?;
        let bundle = json!({
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {
                "publicKey": {"hint": self.fingerprint().await?},
                "tlogEntries": [],
            },
            "dsseEnvelope": {
                "payload": STANDARD.encode(&payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": STANDARD.encode(signature), "keyid": ""}],
            },
        });
        Ok(bundle.to_string())
    }
}

/// The subject's digest is SHA-256 over the digests as bytes, in the order of the resources.
fn statement(name: &str, files: &[SignedFile]) -> Result<Value, SigningError> {
    let mut files: Vec<&SignedFile> = files.iter().filter(|file| !is_ignored(&file.path)).collect();
    files.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
    let mut root = Sha256::new();
    let mut resources = Vec::new();
    for file in files {
        let bytes = from_hex(&file.digest)
            .ok_or_else(|| SigningError::Digest { path: file.path.clone(), digest: file.digest.clone() })?;
        root.update(&bytes);
        resources.push(json!({"name": file.path, "algorithm": "sha256", "digest": file.digest}));
    }
    Ok(json!({
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": hex(&root.finalize())}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": false,
                "ignore_paths": IGNORED,
            },
            "resources": resources,
        },
    }))
}

/// DSSE's pre-authentication encoding.
fn authenticated(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

pub(crate) fn hex_digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok())).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    Some(digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_digest_of_the_digests_in_order_of_their_parts() {
        let file = |path: &str, digit: &str| SignedFile { path: path.to_owned(), digest: digit.repeat(64) };
        let files = [file("b", "2"), file("a/c", "1"), file("model.sig", "3"), file("a.txt", "4")];
        let made = statement("m", &files).unwrap();
        let names: Vec<&str> = made["predicate"]["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|resource| resource["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["a/c", "a.txt", "b"]);
        let root = hex_digest(&[[0x11; 32], [0x44; 32], [0x22; 32]].concat());
        assert_eq!(made["subject"][0]["digest"]["sha256"], root.as_str());
        assert!(statement("m", &[file("x", "g")]).is_err());
    }
}
