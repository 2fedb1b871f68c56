-- The id of an assessment is its client's: two traces may have assessments of the same id. Neither engine changes a key in place in the
-- words of the other: the rows move to a new table.
ALTER TABLE trace_assessments RENAME TO trace_assessments_by_id;
CREATE TABLE trace_assessments (
    trace_id TEXT NOT NULL,
    assessment_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    number DOUBLE PRECISION,
    error TEXT,
    source_type TEXT NOT NULL,
    source_id TEXT NOT NULL,
    run_id TEXT,
    span_id TEXT,
    rationale TEXT,
    overrides TEXT,
    valid BOOLEAN NOT NULL,
    metadata TEXT,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    PRIMARY KEY (trace_id, assessment_id)
);
INSERT INTO trace_assessments (trace_id, assessment_id, kind, name, value, number, error, source_type, source_id, run_id, span_id,
        rationale, overrides, valid, metadata, created_ms, updated_ms)
    SELECT trace_id, assessment_id, kind, name, value, number, error, source_type, source_id, run_id, span_id,
        rationale, overrides, valid, metadata, created_ms, updated_ms FROM trace_assessments_by_id;
DROP TABLE trace_assessments_by_id;
CREATE INDEX trace_assessments_by_trace ON trace_assessments (trace_id, created_ms);
