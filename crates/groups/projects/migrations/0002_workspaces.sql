CREATE TABLE workspaces (
    name TEXT PRIMARY KEY,
    description TEXT,
    default_artifact_root TEXT,
    created_ms BIGINT NOT NULL
);
INSERT INTO workspaces (name, description, created_ms) VALUES ('default', 'What is in no other workspace', 0);
