CREATE TABLE experiments (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    deleted BOOLEAN NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);
CREATE TABLE experiment_tags (
    experiment_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (experiment_id, key)
);
-- Params and tags are JSON objects of texts, metrics the summaries of crate kernel-series: a run is one row.
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    experiment_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    user_name TEXT NOT NULL,
    deleted BOOLEAN NOT NULL,
    deleted_ms BIGINT,
    start_ms BIGINT NOT NULL,
    end_ms BIGINT,
    linked BOOLEAN NOT NULL,
    params TEXT NOT NULL,
    tags TEXT NOT NULL,
    metrics BYTEA NOT NULL
);
CREATE INDEX runs_by_experiment ON runs (experiment_id, start_ms, id);
CREATE TABLE metric_tail (
    run_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    points BYTEA NOT NULL,
    PRIMARY KEY (run_id, seq)
);
CREATE TABLE metric_chunks (
    run_id TEXT NOT NULL,
    level BIGINT NOT NULL,
    fold BIGINT NOT NULL,
    part BIGINT NOT NULL,
    first_key TEXT NOT NULL,
    last_key TEXT NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    points BYTEA NOT NULL,
    PRIMARY KEY (run_id, level, fold, part)
);
CREATE TABLE run_inputs (
    run_id TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    source_type TEXT NOT NULL,
    source TEXT NOT NULL,
    schema_json TEXT,
    profile_json TEXT,
    tags_json TEXT NOT NULL,
    context TEXT NOT NULL,
    PRIMARY KEY (run_id, name, digest)
);
CREATE TABLE run_models (
    run_id TEXT NOT NULL,
    model_id TEXT NOT NULL,
    role TEXT NOT NULL,
    step BIGINT NOT NULL,
    PRIMARY KEY (run_id, role, model_id)
);
CREATE TABLE logged_models (
    id TEXT PRIMARY KEY,
    experiment_id BIGINT NOT NULL,
    run_id TEXT NOT NULL,
    name TEXT NOT NULL,
    model_type TEXT NOT NULL,
    status TEXT NOT NULL,
    status_message TEXT NOT NULL,
    deleted BOOLEAN NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);
CREATE INDEX logged_models_by_run ON logged_models (run_id);
CREATE INDEX logged_models_by_experiment ON logged_models (experiment_id, created_ms);
CREATE TABLE logged_model_fields (
    model_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model_id, kind, key)
);
CREATE TABLE logged_model_metrics (
    model_id TEXT NOT NULL,
    key TEXT NOT NULL,
    dataset_name TEXT NOT NULL,
    dataset_digest TEXT NOT NULL,
    run_id TEXT NOT NULL,
    step BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    value DOUBLE PRECISION,
    PRIMARY KEY (model_id, key, dataset_name, dataset_digest, run_id)
);
CREATE TABLE artifacts (
    path TEXT PRIMARY KEY,
    folder TEXT NOT NULL,
    digest TEXT NOT NULL,
    size_bytes BIGINT NOT NULL
);
CREATE INDEX artifacts_by_folder ON artifacts (folder, path);
CREATE TABLE artifact_folders (
    path TEXT PRIMARY KEY,
    parent TEXT NOT NULL
);
CREATE INDEX artifact_folders_by_parent ON artifact_folders (parent, path);
