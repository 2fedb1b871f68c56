CREATE TABLE evaluation_datasets (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    schema_json TEXT,
    records BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    created_by TEXT,
    updated_by TEXT
);
CREATE INDEX evaluation_datasets_by_creation ON evaluation_datasets (created_ms, id);
CREATE TABLE evaluation_dataset_tags (
    dataset_id TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (dataset_id, key)
);
CREATE TABLE evaluation_dataset_experiments (
    dataset_id TEXT NOT NULL,
    experiment_id TEXT NOT NULL,
    place BIGINT NOT NULL,
    PRIMARY KEY (dataset_id, experiment_id)
);
CREATE INDEX evaluation_dataset_experiments_by_experiment ON evaluation_dataset_experiments (experiment_id);
-- The same inputs are the same record.
CREATE TABLE evaluation_records (
    id TEXT PRIMARY KEY,
    dataset_id TEXT NOT NULL,
    input_hash TEXT NOT NULL,
    body TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    UNIQUE (dataset_id, input_hash)
);
CREATE INDEX evaluation_records_by_creation ON evaluation_records (dataset_id, created_ms, id);
CREATE TABLE scorers (
    id TEXT PRIMARY KEY,
    experiment_id TEXT NOT NULL,
    name TEXT NOT NULL,
    last_version BIGINT NOT NULL,
    UNIQUE (experiment_id, name)
);
CREATE TABLE scorer_versions (
    scorer_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    serialized TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (scorer_id, version)
);
CREATE TABLE issues (
    id TEXT PRIMARY KEY,
    experiment_id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    status TEXT NOT NULL,
    severity TEXT,
    root_causes TEXT NOT NULL,
    categories TEXT NOT NULL,
    source_run_id TEXT,
    created_by TEXT,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);
CREATE INDEX issues_by_creation ON issues (created_ms, id);
