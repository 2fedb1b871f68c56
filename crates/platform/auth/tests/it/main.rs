//! Who is let in as whom, on both engines.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a failed test says where

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use platform_auth::{AuthError, Authenticator, MIGRATIONS, Permission, Role};
use platform_db::args;
use platform_primitives::{ErrorKind, Fault};
use platform_testkit::{TestDb, both_engines};
use sha2::{Digest, Sha256};

fn authenticator(test: &TestDb) -> Authenticator {
    Authenticator::new(test.db.clone(), test.clock.clone(), "owner@here")
}

fn basic(credentials: impl AsRef<[u8]>) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}

#[tokio::test]
async fn a_token_is_accepted_in_every_form_clients_send_it() {
    for test in both_engines(&[MIGRATIONS]).await {
        let authenticator = authenticator(&test);
        let roles = [Role::AiEngineer, Role::Approver];
        let token = authenticator.create_token("ines", &roles, None).await.unwrap();
        let headers = [
            format!("Bearer {token}"),
            format!("bearer {token}"),
            format!("Bearer   {token} "),
            basic(format!("ines:{token}")),
            basic(format!("somebody else:{token}")),
            basic(format!(":{token}")),
            basic(format!("ines:{token}")).replacen("Basic", "BASIC", 1),
        ];
        for header in &headers {
            for from_loopback in [true, false] {
                let principal = authenticator.authenticate(Some(header), from_loopback).await.unwrap();
                assert_eq!(principal.name, "ines", "{:?}: {header}", test.db.engine());
                assert_eq!(principal.roles, roles, "{:?}: {header}", test.db.engine());
                assert!(principal.may(Permission::Approve) && !principal.may(Permission::Deploy));
            }
        }
    }
}

#[tokio::test]
async fn other_headers_are_refused_and_the_error_says_why() {
    let malformed = "auth/header-malformed";
    let unknown = "auth/token-unknown";
    for test in both_engines(&[MIGRATIONS]).await {
        let authenticator = authenticator(&test);
        let token = authenticator.create_token("ines", &[Role::Business], None).await.unwrap();
        let cases = [
            (String::new(), malformed),
            ("Bearer".to_owned(), malformed),
            (token.clone(), malformed),
            (format!("Token {token}"), malformed),
            (format!("Digest username=\"ines\", response=\"{token}\""), malformed),
            (format!("Basic ines:{token}"), malformed),
            (basic(&token), malformed),
            (basic([0xff, b':', 0xfe]), malformed),
            ("Bearer ".to_owned(), unknown),
            (format!("Bearer {token}0"), unknown),
            (format!("Bearer {}", token.to_uppercase()), unknown),
            (format!("Bearer {}", &token[..token.len() - 1]), unknown),
            ("Bearer ' OR 1=1 --".to_owned(), unknown),
            (basic("ines:"), unknown),
            (basic(format!("{token}:")), unknown),
            (basic(format!("ines:{token}:more")), unknown),
        ];
        for (header, code) in cases {
            // A wrong token is no better than none, even from this machine.
            for from_loopback in [true, false] {
                let error = authenticator.authenticate(Some(&header), from_loopback).await.unwrap_err();
                assert_eq!(error.code(), code, "{:?}: {header}", test.db.engine());
                assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{header}");
                assert!(!error.public_message().contains(&token), "{header}: the message repeats the token");
            }
        }
    }
}

#[tokio::test]
async fn without_a_header_this_machine_is_the_owner_and_others_are_asked_for_a_token() {
    for test in both_engines(&[MIGRATIONS]).await {
        let authenticator = authenticator(&test);
        let here = authenticator.authenticate(None, true).await.unwrap();
        assert_eq!((here.name.as_str(), here.roles.as_slice()), ("owner@here", &[Role::Owner][..]));
        let there = authenticator.authenticate(None, false).await.unwrap_err();
        assert!(matches!(there, AuthError::Missing), "{there}");
        let hint = there.hint().expect("the reader is told what to do");
        assert!(hint.contains("loopwright token create"), "{hint}");
    }
}

#[tokio::test]
async fn a_token_ends_with_its_lifetime_and_not_before() {
    const YEARS_MS: i64 = 20 * 365 * 86_400_000;
    for test in both_engines(&[MIGRATIONS]).await {
        let authenticator = authenticator(&test);
        let short = authenticator.create_token("job:1", &[Role::Job], Some(1_000)).await.unwrap();
        let endless = authenticator.create_token("ci", &[Role::Developer], None).await.unwrap();
        // Milliseconds to wait, whether the short one is known then, whether the endless one is.
        for (wait_ms, short_is_known, endless_is_known) in
            [(0, true, true), (999, true, true), (1, false, true), (YEARS_MS, false, true)]
        {
            test.clock.advance_millis(wait_ms);
            for (token, is_known) in [(&short, short_is_known), (&endless, endless_is_known)] {
                let outcome = authenticator.authenticate(Some(&format!("Bearer {token}")), false).await;
                match outcome {
                    Ok(principal) => {
                        assert!(is_known, "{} is still known after {wait_ms} ms", principal.name)
                    }
                    Err(AuthError::Unknown) => assert!(!is_known, "a token is lost after {wait_ms} ms"),
                    Err(other) => panic!("{:?}: {other}", test.db.engine()),
                }
            }
        }
        // The next token sweeps out those that have ended.
        authenticator.create_token("ines", &[Role::Owner], None).await.unwrap();
        let rows =
            test.db.read("SELECT principal FROM auth_tokens ORDER BY principal", args![]).await.unwrap();
        let left: Vec<&str> = rows.iter().map(|row| row.text(0).unwrap()).collect();
        assert_eq!(left, ["ci", "ines"], "{:?}", test.db.engine());
    }
}

#[tokio::test]
async fn a_revoked_principal_is_unknown_and_others_are_not() {
    for test in both_engines(&[MIGRATIONS]).await {
        let authenticator = authenticator(&test);
        let gone = authenticator.create_token("ines", &[Role::Business], None).await.unwrap();
        let kept = authenticator.create_token("omar", &[Role::Business], None).await.unwrap();
        assert_eq!(authenticator.revoke_token("ines").await.unwrap(), 1, "{:?}", test.db.engine());
        assert_eq!(authenticator.revoke_token("ines").await.unwrap(), 0, "{:?}", test.db.engine());
        let outcome = authenticator.authenticate(Some(&format!("Bearer {gone}")), true).await;
        assert!(matches!(outcome, Err(AuthError::Unknown)), "{:?}", test.db.engine());
        authenticator.authenticate(Some(&format!("Bearer {kept}")), false).await.unwrap();
    }
}

#[tokio::test]
async fn the_database_holds_the_hash_and_not_the_token() {
    for test in both_engines(&[MIGRATIONS]).await {
        let authenticator = authenticator(&test);
        let tokens = [
            authenticator.create_token("ines", &[Role::Owner], None).await.unwrap(),
            authenticator.create_token("ines", &[Role::Owner], None).await.unwrap(),
        ];
        assert_ne!(tokens[0], tokens[1]);
        for token in &tokens {
            assert!(token.starts_with("lwt_") && token.len() == 4 + 64, "{token}");
            let sql = "SELECT principal, roles FROM auth_tokens WHERE token_hash = $1";
            let hash = Sha256::digest(token.as_bytes()).to_vec();
            let row = test.db.read_one(sql, args![hash]).await.unwrap().expect("stored under its hash");
            assert_eq!((row.text(0).unwrap(), row.text(1).unwrap()), ("ines", "owner"));
            let clear = test.db.read_one(sql, args![token.clone().into_bytes()]).await.unwrap();
            assert!(clear.is_none(), "{:?}: the token itself is stored", test.db.engine());
        }
    }
}
