-- Trying an app live ------------------------------------------------------------------------------------

-- demo_open: 1 where its team lets visitors try the app once the competition is over.
ALTER TABLE submissions ADD COLUMN demo_open BIGINT NOT NULL DEFAULT 0;

-- An app that runs to be tried, one at a time for a submission. The id is also its container's and its
-- origin's. active_at: when a person last did something in it. shown_bytes: what browsers were sent of it.
CREATE TABLE demos (
    id TEXT PRIMARY KEY,
    submission_id TEXT NOT NULL REFERENCES submissions (id),
    competition_id TEXT NOT NULL REFERENCES competitions (id),
    state TEXT NOT NULL,
    host TEXT,
    requested_by TEXT NOT NULL REFERENCES users (id),
    requested_at BIGINT NOT NULL,
    ready_at BIGINT,
    active_at BIGINT,
    deadline_at BIGINT,
    stop_asked_at BIGINT,
    ended_at BIGINT,
    reason TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    shown_bytes BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX demos_one_each ON demos (submission_id) WHERE ended_at IS NULL;
CREATE INDEX demos_open ON demos (state, requested_at) WHERE ended_at IS NULL;

-- The way from the main site to its origin, as for sandboxes. Secrets are kept as their SM3.
CREATE TABLE demo_tickets (
    digest TEXT PRIMARY KEY,
    demo_id TEXT NOT NULL REFERENCES demos (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    session_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE TABLE demo_visits (
    digest TEXT PRIMARY KEY,
    demo_id TEXT NOT NULL REFERENCES demos (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    session_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
