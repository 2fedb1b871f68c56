-- Neither engine drops the old rule on names from a table in place in the words of the other: the rows move to a new one.
ALTER TABLE experiments RENAME TO experiments_of_one_workspace;
CREATE TABLE experiments (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    deleted BOOLEAN NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    workspace TEXT NOT NULL DEFAULT 'default',
    UNIQUE (workspace, name)
);
INSERT INTO experiments (id, name, deleted, created_ms, updated_ms)
    SELECT id, name, deleted, created_ms, updated_ms FROM experiments_of_one_workspace;
DROP TABLE experiments_of_one_workspace;
