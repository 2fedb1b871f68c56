CREATE TABLE lineage_edges (
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    relation TEXT NOT NULL,
    event_seq BIGINT NOT NULL,
    PRIMARY KEY (target, source, relation)
);
CREATE INDEX lineage_edges_by_source ON lineage_edges (source, target);
CREATE TABLE lineage_cursor (
    id BIGINT PRIMARY KEY,
    seq BIGINT NOT NULL
);
