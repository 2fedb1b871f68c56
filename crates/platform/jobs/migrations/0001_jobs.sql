CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    spec TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    started_ms BIGINT,
    ended_ms BIGINT,
    exit_code BIGINT,
    error TEXT,
    log_digest TEXT,
    lease_owner TEXT,
    lease_until_ms BIGINT
);
CREATE INDEX jobs_by_state ON jobs (state, id);
