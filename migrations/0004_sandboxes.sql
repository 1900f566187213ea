-- Interactive sandboxes --------------------------------------------------------------------------

-- A participant's files, which survive stopping: one home a person and competition. host names the
-- worker that has it on its disk; NULL: nobody yet, or it lies in the object store alone.
CREATE TABLE homes (
    id TEXT PRIMARY KEY,
    competition_id TEXT NOT NULL REFERENCES competitions (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    host TEXT,
    bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    snapshot_key TEXT,
    snapshot_at BIGINT,
    removed_at BIGINT
);
CREATE UNIQUE INDEX homes_of_people ON homes (competition_id, user_id) WHERE removed_at IS NULL;

-- state: where it stands; wanted: what was asked for last. active_at: when a person last did something.
-- token: what the lab inside takes for its owner's; no browser sees it.
-- The counters are what it has used: processor milliseconds, mebibyte-seconds of memory, bytes of
-- content that browsers were shown, kernels and terminals that were started.
CREATE TABLE sandboxes (
    id TEXT PRIMARY KEY,
    competition_id TEXT NOT NULL REFERENCES competitions (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    home_id TEXT NOT NULL REFERENCES homes (id),
    state TEXT NOT NULL,
    wanted TEXT NOT NULL,
    host TEXT,
    requested_at BIGINT NOT NULL,
    started_at BIGINT,
    ready_at BIGINT,
    active_at BIGINT,
    paused_at BIGINT,
    ended_at BIGINT,
    deadline_at BIGINT,
    reason TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT '',
    token TEXT NOT NULL DEFAULT '',
    cpu_ms BIGINT NOT NULL DEFAULT 0,
    memory_mib_s BIGINT NOT NULL DEFAULT 0,
    shown_bytes BIGINT NOT NULL DEFAULT 0,
    kernels BIGINT NOT NULL DEFAULT 0,
    terminals BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX sandboxes_one_each ON sandboxes (competition_id, user_id) WHERE ended_at IS NULL;
CREATE INDEX sandboxes_open ON sandboxes (state, requested_at) WHERE ended_at IS NULL;
CREATE INDEX sandboxes_by_competition ON sandboxes (competition_id, requested_at);
CREATE INDEX sandboxes_by_home ON sandboxes (home_id);

-- The way from the main site to a sandbox's own origin: a ticket that opens once, and the visit that
-- it opens there. Secrets are kept as their SM3.
CREATE TABLE sandbox_tickets (
    digest TEXT PRIMARY KEY,
    sandbox_id TEXT NOT NULL REFERENCES sandboxes (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE TABLE sandbox_visits (
    digest TEXT PRIMARY KEY,
    sandbox_id TEXT NOT NULL REFERENCES sandboxes (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sandbox_visits_by_sandbox ON sandbox_visits (sandbox_id);
