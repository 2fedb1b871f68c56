-- Empty: this server's store, below the number of the experiment. Runs and models keep what their experiment had.
ALTER TABLE experiments ADD COLUMN artifact_location TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN artifact_root TEXT NOT NULL DEFAULT '';
ALTER TABLE logged_models ADD COLUMN artifact_root TEXT NOT NULL DEFAULT '';
