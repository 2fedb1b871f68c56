use platform_db::{Db, args};
use platform_primitives::Timestamp;
use sha2::{Digest, Sha256};

use crate::{AuthError, Principal, Role};

fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

pub(crate) async fn insert(
    db: &Db,
    token: &str,
    principal: &str,
    roles: &[Role],
    now: Timestamp,
    expires: Option<Timestamp>,
) -> Result<(), AuthError> {
    let roles = roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(",");
    let arguments = args![hash(token), principal, roles, now.as_millis(), expires.map(Timestamp::as_millis)];
    db.write(move |tx| {
        tx.execute(
            "INSERT INTO auth_tokens (token_hash, principal, roles, created_ms, expires_ms) \
             VALUES ($1, $2, $3, $4, $5)",
            arguments,
        )?;
        // Tokens of finished jobs are of no use to anybody.
        tx.execute("DELETE FROM auth_tokens WHERE expires_ms < $1", args![now.as_millis()])?;
        Ok::<_, AuthError>(())
    })
    .await
}

pub(crate) async fn delete(db: &Db, principal: &str) -> Result<u64, AuthError> {
    let arguments = args![principal];
    let sql = "DELETE FROM auth_tokens WHERE principal = $1";
    db.write(move |tx| tx.execute(sql, arguments).map_err(AuthError::from)).await
}

/// Looked up by hash, so that the comparison tells nothing about the token.
pub(crate) async fn find(db: &Db, token: &str, now: Timestamp) -> Result<Option<Principal>, AuthError> {
    let row = db
        .read_one(
            "SELECT principal, roles FROM auth_tokens \
             WHERE token_hash = $1 AND (expires_ms IS NULL OR expires_ms > $2)",
            args![hash(token), now.as_millis()],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let roles = row.text(1)?.split(',').filter_map(Role::parse).collect();
    Ok(Some(Principal { name: row.string(0)?, roles }))
}
