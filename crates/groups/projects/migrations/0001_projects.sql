CREATE TABLE projects (
    name TEXT PRIMARY KEY,
    directory TEXT NOT NULL,
    loop_file TEXT NOT NULL,
    digest TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);
