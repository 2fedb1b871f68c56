CREATE TABLE auth_tokens (
    token_hash BYTEA PRIMARY KEY,
    principal TEXT NOT NULL,
    roles TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT
);
