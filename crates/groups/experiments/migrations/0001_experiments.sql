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
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    experiment_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    user_name TEXT NOT NULL,
    deleted BOOLEAN NOT NULL,
    start_ms BIGINT NOT NULL,
    end_ms BIGINT
);
CREATE INDEX runs_by_experiment ON runs (experiment_id, start_ms, id);
CREATE TABLE run_tags (
    run_id TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_id, key)
);
CREATE INDEX run_tags_by_value ON run_tags (key, value);
CREATE TABLE run_params (
    run_id TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_id, key)
);
CREATE TABLE metric_points (
    run_id TEXT NOT NULL,
    key TEXT NOT NULL,
    step BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    value DOUBLE PRECISION
);
CREATE INDEX metric_points_by_series ON metric_points (run_id, key, step);
CREATE TABLE metric_latest (
    run_id TEXT NOT NULL,
    key TEXT NOT NULL,
    step BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    value DOUBLE PRECISION,
    PRIMARY KEY (run_id, key)
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
CREATE TABLE logged_models (
    id TEXT PRIMARY KEY,
    experiment_id BIGINT NOT NULL,
    run_id TEXT NOT NULL,
    name TEXT NOT NULL,
    model_type TEXT NOT NULL,
    status TEXT NOT NULL,
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
