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
