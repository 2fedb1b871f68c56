-- A completed upload is kept for its day, with the digest of the parts that it was completed with; an open one has none.
ALTER TABLE artifact_uploads ADD COLUMN workspace TEXT NOT NULL DEFAULT 'default';
ALTER TABLE artifact_uploads ADD COLUMN joined TEXT;
CREATE INDEX artifact_uploads_open ON artifact_uploads (workspace, created_ms) WHERE joined IS NULL;
