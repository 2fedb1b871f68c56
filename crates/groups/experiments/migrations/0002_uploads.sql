CREATE TABLE artifact_uploads (
    id TEXT PRIMARY KEY,
    path TEXT NOT NULL,
    parts BIGINT NOT NULL,
    secret TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);
CREATE INDEX artifact_uploads_by_time ON artifact_uploads (created_ms);
CREATE TABLE artifact_upload_parts (
    upload_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    digest TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    PRIMARY KEY (upload_id, number)
);
