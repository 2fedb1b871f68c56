CREATE TABLE endpoints (
    name TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    project TEXT NOT NULL,
    traffic TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);
CREATE TABLE endpoint_revisions (
    endpoint TEXT NOT NULL,
    revision BIGINT NOT NULL,
    digest TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (endpoint, revision)
);
