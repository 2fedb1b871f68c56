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

/// What `model-signing` passes over unless it is told otherwise, at the top of a model (1.0 and 1.1, `hashing.py`,
/// `ignore_git_paths`). A signature would not cover them, so a model that holds one is not signed.
const UNSIGNABLE: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];

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

/// Whether no signature can cover a file at this path.
pub fn is_unsignable(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    UNSIGNABLE.contains(&first)
}

impl SigningKey {
    /// The text of `model.sig` for these files.
    pub async fn sign_model(&self, name: &str, files: &[SignedFile]) -> Result<String, SigningError> {
        if let Some(file) = files.iter().find(|file| is_unsignable(&file.path)) {
            return Err(SigningError::Ignored { path: file.path.clone() });
        }
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

    /// That this key signed the bundle, and that it is about these files and no others. The model's name is not compared: it
    /// may have another one by now.
    pub async fn verify_model(&self, bundle: &str, files: &[SignedFile]) -> Result<(), SigningError> {
        let refuse = |rule: &str| SigningError::Bundle { rule: rule.to_owned() };
        let bundle: Value = serde_json::from_str(bundle).map_err(|_| refuse("it is not JSON"))?;
        let envelope = &bundle["dsseEnvelope"];
        if bundle["mediaType"] != MEDIA_TYPE || envelope["payloadType"] != PAYLOAD_TYPE {
            return Err(refuse("its media type or its payload's is another one"));
        }
        let decoded = |value: &Value| STANDARD.decode(value.as_str()?).ok();
        let payload = decoded(&envelope["payload"]).ok_or_else(|| refuse("its payload cannot be decoded"))?;
        let signatures = envelope["signatures"].as_array().map(Vec::as_slice).unwrap_or_default();
        let [signature] = signatures else { return Err(refuse("it holds not exactly one signature")) };
        let signature =
            decoded(&signature["sig"]).ok_or_else(|| refuse("its signature cannot be decoded"))?;
        if !self.is_own(&authenticated(&payload), &signature).await? {
            return Err(refuse("its signature is not one of this server's key over its payload"));
        }
        let signed: Value =
            serde_json::from_slice(&payload).map_err(|_| refuse("its payload is not JSON"))?;
        let expected = statement("", files)?;
        if signed["_type"] != STATEMENT_TYPE || signed["predicateType"] != PREDICATE_TYPE {
            return Err(refuse("its payload is another kind of statement"));
        }
        let root = |statement: &Value| statement.pointer("/subject/0/digest").cloned();
        let resources = |statement: &Value| statement.pointer("/predicate/resources").cloned();
        if root(&signed) != root(&expected) || resources(&signed) != resources(&expected) {
            return Err(refuse("its payload lists other files or digests"));
        }
        Ok(())
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

    /// The bundle with the byte at `place` of a base64 text of its envelope changed.
    fn flipped(bundle: &str, pointer: &str, place: usize) -> String {
        let mut bundle: Value = serde_json::from_str(bundle).unwrap();
        let text = bundle.pointer_mut(pointer).unwrap();
        let mut bytes = STANDARD.decode(text.as_str().unwrap()).unwrap();
        bytes[place] ^= 1;
        *text = STANDARD.encode(bytes).into();
        bundle.to_string()
    }

    #[tokio::test]
    async fn a_bundle_is_verified_with_its_key_and_for_its_files_only() {
        let directory = tempfile::tempdir().unwrap();
        let key = SigningKey::new(directory.path().join("signing.key"));
        let file = |path: &str, digit: &str| SignedFile { path: path.to_owned(), digest: digit.repeat(64) };
        let files = [file("a", "1"), file("b/c", "2")];
        let bundle = key.sign_model("m/1", &files).await.unwrap();
        key.verify_model(&bundle, &files).await.unwrap();
        let moved = [files[1].clone(), files[0].clone()];
        key.verify_model(&bundle, &moved).await.unwrap();

        let other = SigningKey::new(directory.path().join("other.key"));
        let foreign = other.sign_model("m/1", &files).await.unwrap();
        let twice = bundle.replace("\"signatures\":[", "\"signatures\":[{\"sig\":\"\"},");
        let swapped = [file("a", "1"), file("b/c", "3")];
        for (bundle, files, said) in [
            (flipped(&bundle, "/dsseEnvelope/payload", 40), &files[..], "signature is not one"),
            (flipped(&bundle, "/dsseEnvelope/signatures/0/sig", 12), &files[..], "signature is not one"),
            (foreign, &files[..], "signature is not one"),
            (twice, &files[..], "not exactly one"),
            ("{}".to_owned(), &files[..], "media type"),
            ("nonsense".to_owned(), &files[..], "not JSON"),
            (bundle.clone(), &files[..1], "other files"),
            (bundle.clone(), &swapped[..], "other files"),
        ] {
            let refused = key.verify_model(&bundle, files).await.unwrap_err();
            assert!(matches!(refused, SigningError::Bundle { .. }), "{refused:?}");
            assert!(refused.to_string().contains(said), "{said}: {refused}");
        }
    }

    #[tokio::test]
    async fn a_model_with_files_of_git_is_not_signed() {
        let directory = tempfile::tempdir().unwrap();
        let key = SigningKey::new(directory.path().join("signing.key"));
        let file = |path: &str| SignedFile { path: path.to_owned(), digest: "1".repeat(64) };
        for path in [".git/config", ".gitattributes", ".github/workflows/ci.yml", ".gitignore"] {
            let refused = key.sign_model("m/1", &[file("model.txt"), file(path)]).await.unwrap_err();
            assert!(
                matches!(&refused, SigningError::Ignored { path: named } if named == path),
                "{refused:?}"
            );
        }
        for path in ["sub/.gitignore", ".gitkeep", "git", "model.sig", "registered_model_meta"] {
            key.sign_model("m/1", &[file("model.txt"), file(path)]).await.unwrap();
        }
    }
}
