CREATE TABLE environments (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    state TEXT NOT NULL,
    job_id TEXT NOT NULL,
    lock_digest TEXT NOT NULL,
    error TEXT,
    created_ms BIGINT NOT NULL
);
CREATE INDEX environments_by_job ON environments (job_id);
