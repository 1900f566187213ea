-- The organizer's view of sandboxes, and homes that outlive their disk ------------------------------

-- said: the organizer's words when they stopped it. memory_kills: programs that the kernel stopped at
-- the memory limit. restored_from: when the copy was taken that its home was restored from.
ALTER TABLE sandboxes ADD COLUMN said TEXT NOT NULL DEFAULT '';
ALTER TABLE sandboxes ADD COLUMN memory_kills BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sandboxes ADD COLUMN restored_from BIGINT;

-- copy_asked_at: its owner wants a copy (a snapshot) in the object store now. copy_problem: why the
-- last one could not be taken; empty when it was.
ALTER TABLE homes ADD COLUMN copy_asked_at BIGINT;
ALTER TABLE homes ADD COLUMN copy_problem TEXT NOT NULL DEFAULT '';

-- The last of what a sandbox printed whose lab broke: it is gone with its container.
CREATE TABLE sandbox_logs (
    sandbox_id TEXT PRIMARY KEY REFERENCES sandboxes (id),
    log TEXT NOT NULL
);
