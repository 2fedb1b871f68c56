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
-- The number of the next experiment. Files could lie below a number before there was an experiment with it: such a number is not given
-- out any more. Of more than 18 digits it is out of reach.
CREATE TABLE experiment_ids (next BIGINT NOT NULL);
INSERT INTO experiment_ids (next)
    SELECT COALESCE(MAX(taken.id), -1) + 1 FROM (
        SELECT id FROM experiments
        UNION ALL
        SELECT CASE WHEN LENGTH(path) < 19 AND LTRIM(path, '0123456789') = '' THEN CAST(path AS BIGINT) ELSE -1 END AS id
            FROM artifact_folders WHERE parent = ''
        UNION ALL
        SELECT CASE WHEN LENGTH(path) < 19 AND LTRIM(path, '0123456789') = '' THEN CAST(path AS BIGINT) ELSE -1 END AS id
            FROM artifacts WHERE folder = ''
    ) AS taken;
