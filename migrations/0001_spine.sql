-- The spine: people, catalogue, competitions, submissions, runs, replies, audit.
--
-- One text for SQLite and PostgreSQL. Two words are put in the engine's own dialect when the
-- migration is applied (src/store/migrations.rs): BLOB, and SERIAL_KEY for a numbered key.
-- Identifiers are UUIDs as text; times are milliseconds since 1970 UTC; truth values are 0 or 1;
-- documents are JSON as text.

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- People -----------------------------------------------------------------------------------------

CREATE TABLE organisations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    verified_at BIGINT,
    verified_by TEXT
);

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    login TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    password TEXT NOT NULL,
    organisation_id TEXT REFERENCES organisations (id),
    locale TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    disabled_at BIGINT,
    failed_logins BIGINT NOT NULL DEFAULT 0,
    locked_until BIGINT NOT NULL DEFAULT 0
);

-- competition_id is '' for a role in the whole installation.
CREATE TABLE roles (
    user_id TEXT NOT NULL REFERENCES users (id),
    competition_id TEXT NOT NULL,
    role TEXT NOT NULL,
    granted_at BIGINT NOT NULL,
    granted_by TEXT NOT NULL,
    PRIMARY KEY (user_id, competition_id, role)
);

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    rotated_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    agent TEXT NOT NULL,
    address TEXT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX tokens_by_user ON tokens (user_id);

CREATE TABLE reset_links (
    digest TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);

-- Audit ------------------------------------------------------------------------------------------

CREATE TABLE audit_log (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id TEXT NOT NULL,
    competition_id TEXT,
    bytes BLOB NOT NULL,
    number BIGINT UNIQUE,
    leaf BLOB,
    chain BLOB
);
CREATE INDEX audit_log_waiting ON audit_log (at, id) WHERE number IS NULL;
CREATE INDEX audit_log_by_competition ON audit_log (competition_id, at);
CREATE INDEX audit_log_by_object ON audit_log (object_kind, object_id);

-- Catalogue --------------------------------------------------------------------------------------

CREATE TABLE datasets (
    id TEXT PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    title_zh TEXT NOT NULL,
    title_en TEXT NOT NULL,
    document TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL
);

CREATE TABLE dataset_versions (
    id TEXT PRIMARY KEY,
    dataset_id TEXT NOT NULL REFERENCES datasets (id),
    number BIGINT NOT NULL,
    document TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    withdrawn_at BIGINT,
    UNIQUE (dataset_id, number)
);

CREATE TABLE dataset_files (
    version_id TEXT NOT NULL REFERENCES dataset_versions (id),
    form TEXT NOT NULL,
    path TEXT NOT NULL,
    object_key TEXT NOT NULL,
    size BIGINT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (version_id, form, path)
);

-- Competitions -----------------------------------------------------------------------------------

CREATE TABLE competitions (
    id TEXT PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    definition TEXT NOT NULL,
    digest TEXT NOT NULL,
    revision BIGINT NOT NULL,
    published_at BIGINT,
    merge_lock_at BIGINT,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Every file value of the bundle is one object: a file as it is, a directory as a zip.
CREATE TABLE competition_files (
    competition_id TEXT NOT NULL REFERENCES competitions (id),
    path TEXT NOT NULL,
    kind TEXT NOT NULL,
    object_key TEXT NOT NULL,
    size BIGINT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (competition_id, path)
);

CREATE TABLE hidden_sets (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE tasks (
    id TEXT PRIMARY KEY,
    competition_id TEXT NOT NULL REFERENCES competitions (id),
    position BIGINT NOT NULL,
    hidden_set_id TEXT NOT NULL REFERENCES hidden_sets (id),
    definition TEXT NOT NULL,
    retired_at BIGINT,
    UNIQUE (competition_id, position)
);

CREATE TABLE phases (
    id TEXT PRIMARY KEY,
    competition_id TEXT NOT NULL REFERENCES competitions (id),
    position BIGINT NOT NULL,
    starts_at BIGINT NOT NULL,
    ends_at BIGINT,
    definition TEXT NOT NULL,
    migrated_at BIGINT,
    board_version BIGINT NOT NULL DEFAULT 0,
    retired_at BIGINT,
    UNIQUE (competition_id, position)
);

CREATE TABLE phase_tasks (
    phase_id TEXT NOT NULL REFERENCES phases (id),
    task_id TEXT NOT NULL REFERENCES tasks (id),
    position BIGINT NOT NULL,
    PRIMARY KEY (phase_id, task_id)
);

CREATE TABLE participants (
    competition_id TEXT NOT NULL REFERENCES competitions (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    state TEXT NOT NULL,
    terms_digest TEXT NOT NULL,
    registered_at BIGINT NOT NULL,
    decided_at BIGINT,
    decided_by TEXT,
    reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (competition_id, user_id)
);

CREATE TABLE teams (
    id TEXT PRIMARY KEY,
    competition_id TEXT NOT NULL REFERENCES competitions (id),
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    invite_digest TEXT UNIQUE,
    touched_at BIGINT NOT NULL,
    UNIQUE (competition_id, name)
);

CREATE TABLE memberships (
    team_id TEXT NOT NULL REFERENCES teams (id),
    competition_id TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    joined_at BIGINT NOT NULL,
    left_at BIGINT,
    PRIMARY KEY (team_id, user_id, joined_at)
);
CREATE UNIQUE INDEX memberships_one_a_competition
    ON memberships (competition_id, user_id) WHERE left_at IS NULL;

CREATE TABLE announcements (
    id TEXT PRIMARY KEY,
    competition_id TEXT NOT NULL REFERENCES competitions (id),
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    withdrawn_at BIGINT
);
CREATE INDEX announcements_by_competition ON announcements (competition_id, created_at);

-- Submissions and runs ---------------------------------------------------------------------------

-- state is what is true; disclosed_state is what participants are told (DESIGN, the data diode).
CREATE TABLE submissions (
    id TEXT PRIMARY KEY,
    competition_id TEXT NOT NULL REFERENCES competitions (id),
    phase_id TEXT NOT NULL REFERENCES phases (id),
    team_id TEXT NOT NULL REFERENCES teams (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    kind TEXT NOT NULL,
    origin TEXT NOT NULL,
    trial BIGINT NOT NULL,
    file_name TEXT NOT NULL,
    object_key TEXT NOT NULL,
    size BIGINT NOT NULL,
    digest TEXT NOT NULL,
    message TEXT NOT NULL,
    facts TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    disclosed_state TEXT NOT NULL,
    disclosed_reason TEXT NOT NULL,
    release_at BIGINT,
    counts BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    cancel_requested_at BIGINT,
    disqualified_at BIGINT,
    disqualified_reason TEXT NOT NULL DEFAULT '',
    nominated_at BIGINT,
    migrated_from TEXT,
    chosen BIGINT NOT NULL DEFAULT 0,
    is_public BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX submissions_by_team ON submissions (phase_id, team_id, created_at);
CREATE INDEX submissions_by_competition ON submissions (competition_id, created_at);
CREATE INDEX submissions_to_disclose ON submissions (release_at) WHERE release_at IS NOT NULL;
CREATE INDEX submissions_by_state ON submissions (state, created_at);
CREATE INDEX submissions_made_public ON submissions (phase_id, created_at) WHERE is_public = 1;

-- closed: nothing may be told of the run but its outcome at its tick, whatever the competition's
-- definition says today. told_at: when its outcome was told; that of an open run is told as it ends.
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    submission_id TEXT NOT NULL REFERENCES submissions (id),
    competition_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    task_id TEXT NOT NULL REFERENCES tasks (id),
    purpose TEXT NOT NULL,
    closed BIGINT NOT NULL,
    state TEXT NOT NULL,
    step TEXT NOT NULL,
    priority BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    available_at BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    worker_id TEXT,
    lease_until BIGINT,
    started_at BIGINT,
    finished_at BIGINT,
    told_at BIGINT,
    prediction_end TEXT,
    scoring_end TEXT,
    prediction_log TEXT,
    scoring_log TEXT,
    detail TEXT,
    exact_scores TEXT,
    rescore_id TEXT,
    cpu_ms BIGINT,
    memory_peak BIGINT,
    fault TEXT
);
CREATE INDEX runs_queued ON runs (priority, available_at) WHERE state = 'queued';
CREATE INDEX runs_leased ON runs (lease_until) WHERE state = 'running';
CREATE INDEX runs_by_submission ON runs (submission_id);
CREATE INDEX runs_untold ON runs (submission_id) WHERE closed = 1 AND told_at IS NULL;
CREATE INDEX runs_told ON runs (told_at) WHERE state = 'finished';

-- Start-time fair queueing: the number of the turn in which a competition or team was last served.
CREATE TABLE queue_turns (
    scope TEXT PRIMARY KEY,
    turn BIGINT NOT NULL
);

CREATE TABLE workers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    slots BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    stopped_at BIGINT
);

CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    lease_until BIGINT NOT NULL
);

CREATE TABLE rescores (
    id TEXT PRIMARY KEY,
    competition_id TEXT NOT NULL REFERENCES competitions (id),
    phase_id TEXT,
    team_id TEXT,
    requested_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    total BIGINT NOT NULL,
    finished_at BIGINT
);

-- The airlock ------------------------------------------------------------------------------------

-- Append-only: what people were told about hidden sets, in the form it was told.
CREATE TABLE replies (
    id TEXT PRIMARY KEY,
    hidden_set_id TEXT NOT NULL REFERENCES hidden_sets (id),
    person_id TEXT NOT NULL REFERENCES users (id),
    team_id TEXT NOT NULL,
    competition_id TEXT NOT NULL,
    phase_id TEXT NOT NULL,
    submission_id TEXT NOT NULL,
    run_id TEXT,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    bits DOUBLE PRECISION NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX replies_by_person ON replies (hidden_set_id, person_id);
CREATE INDEX replies_by_submission ON replies (submission_id);
CREATE UNIQUE INDEX replies_once_a_run ON replies (run_id, kind) WHERE run_id IS NOT NULL;

-- The board: cleared values of the submissions that stand on it, kept by the airlock.
-- version is the phase's board_version at the row's last change, so that a process
-- that holds version n asks for what came after it; removed rows stay as a mark.
CREATE TABLE standings (
    phase_id TEXT NOT NULL REFERENCES phases (id),
    submission_id TEXT NOT NULL REFERENCES submissions (id),
    team_id TEXT NOT NULL,
    scores TEXT NOT NULL,
    submitted_at BIGINT NOT NULL,
    entries BIGINT NOT NULL,
    removed BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (phase_id, submission_id)
);
CREATE INDEX standings_by_team ON standings (phase_id, team_id);
CREATE INDEX standings_by_version ON standings (phase_id, version);

-- Live updates -----------------------------------------------------------------------------------

CREATE TABLE events (
    number SERIAL_KEY,
    topic TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX events_by_topic ON events (topic, number);
CREATE INDEX events_by_time ON events (created_at);
