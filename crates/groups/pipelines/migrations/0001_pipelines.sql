CREATE TABLE pipeline_runs (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    label TEXT NOT NULL,
    state TEXT NOT NULL,
    plan TEXT NOT NULL,
    error TEXT,
    created_ms BIGINT NOT NULL,
    ended_ms BIGINT
);
CREATE INDEX pipeline_runs_by_project ON pipeline_runs (project, id);
CREATE INDEX pipeline_runs_by_state ON pipeline_runs (state, id);
CREATE TABLE pipeline_steps (
    pipeline_run_id TEXT NOT NULL,
    stage TEXT NOT NULL,
    state TEXT NOT NULL,
    job_id TEXT,
    run_id TEXT,
    cache_key TEXT,
    deps TEXT NOT NULL,
    outs TEXT NOT NULL,
    PRIMARY KEY (pipeline_run_id, stage)
);
CREATE TABLE stage_cache (
    cache_key TEXT PRIMARY KEY,
    outs TEXT NOT NULL,
    pipeline_run_id TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);
