CREATE TABLE loops (
    project TEXT PRIMARY KEY,
    endpoint TEXT NOT NULL,
    state TEXT NOT NULL,
    updated_ms BIGINT NOT NULL
);
CREATE TABLE loop_attempts (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    number BIGINT NOT NULL,
    phase TEXT NOT NULL,
    record TEXT NOT NULL,
    UNIQUE (project, number)
);
