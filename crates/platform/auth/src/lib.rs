//! Who is asking, and what they may do.
//!
//! On loopback without credentials the caller is the local owner; from any other address, and wherever
//! credentials are sent, a token must be known. Tokens are stored as SHA-256 only.

mod error;
mod model;
mod store;

use std::sync::Arc;

use base64::Engine as _;
use platform_db::{Db, MigrationSet, migrations};
use platform_primitives::{Clock, random_token};

pub use error::AuthError;
pub use model::{Permission, Principal, Role};

pub const MIGRATIONS: MigrationSet = migrations!("auth", 1 => "0001_tokens");

#[derive(Clone)]
pub struct Authenticator {
    db: Db,
    clock: Arc<dyn Clock>,
    local_owner: Arc<Principal>,
}

impl Authenticator {
    /// `local_user` names the person at this machine, as the audit log will show them.
    pub fn new(db: Db, clock: Arc<dyn Clock>, local_user: &str) -> Self {
        let local_owner = Arc::new(Principal::person(local_user, vec![Role::Owner]));
        Self { db, clock, local_owner }
    }

    /// `authorization` is the header as sent; `from_loopback` whether the peer is this machine.
    pub async fn authenticate(
        &self,
        authorization: Option<&str>,
        from_loopback: bool,
    ) -> Result<Arc<Principal>, AuthError> {
        let Some(header) = authorization else {
            if from_loopback {
                return Ok(Arc::clone(&self.local_owner));
            }
            return Err(AuthError::Missing);
        };
        let token = token_of(header)?;
        let found = store::find(&self.db, &token, self.clock.now()).await?;
        found.map(Arc::new).ok_or(AuthError::Unknown)
    }

    /// Creates a token that lives for `lifetime_ms`, or until [`Authenticator::revoke_token`]. It is shown
    /// this once.
    pub async fn create_token(
        &self,
        principal: &str,
        roles: &[Role],
        lifetime_ms: Option<i64>,
    ) -> Result<String, AuthError> {
        let token = random_token();
        let now = self.clock.now();
        let expires = lifetime_ms.map(|lifetime| now.plus_millis(lifetime));
        store::insert(&self.db, &token, principal, roles, now, expires).await?;
        Ok(token)
    }

    /// Ends every token of `principal` at once; how many there were.
    pub async fn revoke_token(&self, principal: &str) -> Result<u64, AuthError> {
        store::delete(&self.db, principal).await
    }
}

/// `Bearer TOKEN`, or `Basic` with the token as the password (what MLflow and browsers send).
fn token_of(header: &str) -> Result<String, AuthError> {
    let (scheme, rest) = header.split_once(' ').ok_or(AuthError::Malformed)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(AuthError::Malformed);
    }
    let decoded =
        base64::engine::general_purpose::STANDARD.decode(rest.trim()).map_err(|_| AuthError::Malformed)?;
    let text = String::from_utf8(decoded).map_err(|_| AuthError::Malformed)?;
    let (_, password) = text.split_once(':').ok_or(AuthError::Malformed)?;
    Ok(password.to_owned())
}
