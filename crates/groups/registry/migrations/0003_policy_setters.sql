CREATE TABLE policy_setters (
    model TEXT NOT NULL,
    actor TEXT NOT NULL,
    last_version BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (model, actor)
);
-- Of what was changed before, only who set the policy that a model has now is known here, and by its time.
INSERT INTO policy_setters (model, actor, last_version, at_ms)
    SELECT g.model, g.actor, COALESCE((SELECT MAX(v.version) FROM model_versions v
        WHERE v.model = g.model AND v.created_ms <= g.at_ms), 0), g.at_ms
    FROM model_gates g;
