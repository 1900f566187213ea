-- A sandbox in a container that was started before it was asked for ---------------------------------

-- container: the id by which the container, its socket and its home's mount are called; NULL: the
-- sandbox's own. cpu_before_ms: processor time of the container before it was the sandbox's.
ALTER TABLE sandboxes ADD COLUMN container TEXT;
ALTER TABLE sandboxes ADD COLUMN cpu_before_ms BIGINT NOT NULL DEFAULT 0;
CREATE INDEX sandboxes_by_container ON sandboxes (container);
