-- What a worker tells of a sandbox it holds, while a page that another process serves is looked at -----

-- asked_at: when such a page was last looked at. log_asked_at: when its log was. taken_at: when the worker took
-- the question up. told_at, report: what it answered; forgotten when nobody has asked for a while.
CREATE TABLE sandbox_reports (
    sandbox_id TEXT PRIMARY KEY REFERENCES sandboxes (id),
    asked_at BIGINT NOT NULL,
    log_asked_at BIGINT,
    taken_at BIGINT,
    told_at BIGINT,
    report TEXT
);

-- A visit to a sandbox ends with the session on the main site that it came from; older ones are over.
DELETE FROM sandbox_tickets;
DELETE FROM sandbox_visits;
ALTER TABLE sandbox_tickets ADD COLUMN session_id TEXT NOT NULL DEFAULT '';
ALTER TABLE sandbox_visits ADD COLUMN session_id TEXT NOT NULL DEFAULT '';

-- What each keeper asks every second, and the waiting list.
CREATE INDEX sandboxes_held ON sandboxes (host) WHERE ended_at IS NULL;
CREATE INDEX sandboxes_over ON sandboxes (ended_at);
