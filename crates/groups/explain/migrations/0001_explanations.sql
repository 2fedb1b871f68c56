CREATE TABLE explanation_settings (
    endpoint TEXT NOT NULL,
    version BIGINT NOT NULL,
    body TEXT NOT NULL,
    actor TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (endpoint, version)
);
CREATE TABLE explanation_references (
    endpoint TEXT NOT NULL,
    version TEXT NOT NULL,
    id TEXT NOT NULL,
    label TEXT,
    row_count BIGINT NOT NULL,
    rows_given BIGINT NOT NULL,
    actor TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    parquet BYTEA NOT NULL,
    PRIMARY KEY (endpoint, version)
);
CREATE TABLE explanation_chunks (
    endpoint TEXT NOT NULL,
    seq BIGINT NOT NULL,
    version TEXT NOT NULL,
    from_ms BIGINT NOT NULL,
    to_ms BIGINT NOT NULL,
    row_count BIGINT NOT NULL,
    parquet BYTEA NOT NULL,
    PRIMARY KEY (endpoint, seq)
);
CREATE TABLE explanation_days (
    endpoint TEXT NOT NULL,
    version TEXT NOT NULL,
    day BIGINT NOT NULL,
    row_count BIGINT NOT NULL,
    sums BYTEA NOT NULL,
    PRIMARY KEY (endpoint, version, day)
);
