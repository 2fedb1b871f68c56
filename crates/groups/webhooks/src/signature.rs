//! What a receiver checks a request with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// `v1,` and the base64 of HMAC-SHA256 over `delivery_id.timestamp.body`, keyed with the secret's UTF-8 bytes.
/// Source: mlflow 3.17.2, which follows standardwebhooks.com.
pub(crate) fn sign(secret: &str, delivery_id: &str, unix_seconds: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(format!("{delivery_id}.{unix_seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of Python 3.11: `base64.b64encode(hmac.new(secret.encode(), f"{id}.{ts}.{body}".encode(),
    /// "sha256").digest())`.
    #[test]
    fn signatures_are_those_of_python() {
        let table = [
            (
                ("test-secret-key", "0190c1a2b3c4d5e6f708192a3b4c5d6e", 1_549_000_000),
                r#"{"entity":"registered_model"}"#,
                "v1,FlgS9DTh66vz/s9EipmADlVoau1oEl2rauw+vCNzWdI=",
            ),
            (("schlüssel", "d", 0), "{}", "v1,8uj8qKcbnr1o/WeJFxmzfqNF6mVXOcJDqktp2jZeEdk="),
        ];
        for ((secret, id, at), body, expected) in table {
            assert_eq!(sign(secret, id, at, body), expected, "{secret}");
        }
    }
}
