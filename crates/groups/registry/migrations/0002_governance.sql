ALTER TABLE model_versions ADD COLUMN manifest TEXT;
CREATE TABLE file_scans (
    digest TEXT NOT NULL,
    name TEXT NOT NULL,
    verdict TEXT NOT NULL,
    findings TEXT NOT NULL,
    scanner_version BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (digest, name)
);
CREATE TABLE model_gates (
    model TEXT PRIMARY KEY,
    policy TEXT NOT NULL,
    digest TEXT NOT NULL,
    actor TEXT NOT NULL,
    at_ms BIGINT NOT NULL
);
CREATE TABLE version_approvals (
    model TEXT NOT NULL,
    version BIGINT NOT NULL,
    approver TEXT NOT NULL,
    reason TEXT NOT NULL,
    manifest TEXT NOT NULL,
    expires_ms BIGINT,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (model, version, approver)
);
CREATE TABLE version_signatures (
    model TEXT NOT NULL,
    version BIGINT NOT NULL,
    manifest TEXT NOT NULL,
    files TEXT NOT NULL,
    key_fingerprint TEXT NOT NULL,
    bundle TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (model, version)
);
CREATE TABLE version_evaluations (
    id TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    version BIGINT NOT NULL,
    dataset TEXT NOT NULL,
    kind TEXT NOT NULL,
    row_count BIGINT NOT NULL,
    digest TEXT NOT NULL,
    metrics TEXT NOT NULL,
    actor TEXT NOT NULL,
    at_ms BIGINT NOT NULL
);
CREATE INDEX version_evaluations_by_version ON version_evaluations (model, version, dataset, id);
CREATE TABLE model_cards (
    model TEXT NOT NULL,
    version BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    occasion TEXT NOT NULL,
    body TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (model, version, revision)
);
CREATE TABLE card_fields (
    model TEXT NOT NULL,
    version BIGINT NOT NULL,
    fields TEXT NOT NULL,
    actor TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (model, version)
);
