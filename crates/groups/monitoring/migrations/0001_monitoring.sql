CREATE TABLE monitors (
    endpoint TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    spec TEXT NOT NULL,
    updated_ms BIGINT NOT NULL
);
CREATE TABLE prediction_chunks (
    endpoint TEXT NOT NULL,
    seq BIGINT NOT NULL,
    row_count BIGINT NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    segment BYTEA NOT NULL,
    PRIMARY KEY (endpoint, seq)
);
CREATE TABLE labels (
    endpoint TEXT NOT NULL,
    prediction_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    observed_ms BIGINT NOT NULL,
    PRIMARY KEY (endpoint, prediction_id)
);
CREATE INDEX labels_by_seq ON labels (endpoint, seq);
CREATE TABLE baselines (
    endpoint TEXT NOT NULL,
    revision BIGINT NOT NULL,
    training_digest TEXT NOT NULL,
    predictions_digest TEXT NOT NULL,
    mae DOUBLE PRECISION NOT NULL,
    since_ms BIGINT NOT NULL,
    PRIMARY KEY (endpoint, revision)
);
CREATE TABLE assessments (
    endpoint TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    report TEXT NOT NULL,
    PRIMARY KEY (endpoint, at_ms)
);
CREATE TABLE drift_scores (
    endpoint TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    column_name TEXT NOT NULL,
    report TEXT NOT NULL,
    PRIMARY KEY (endpoint, at_ms, column_name)
);
