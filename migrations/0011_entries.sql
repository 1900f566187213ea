-- Entries (作品): what a team shows of its work, for judges and, if it likes, for visitors ---------------

-- number: what a blind judge sees, drawn at random so that it tells nothing of who came first.
-- state: draft, submitted or withdrawn. submitted_version: what stands as handed in; kept when withdrawn.
-- withdrawn_reason: the organizer's words, where they took it back.
-- late_until, late_reason: an organizer lets the team change it after the deadline. published_at: the team
-- shows it to visitors once the competition is over; hidden_reason: an organizer took it down.
CREATE TABLE entries (
    id TEXT PRIMARY KEY,
    competition_id TEXT NOT NULL REFERENCES competitions (id),
    team_id TEXT NOT NULL REFERENCES teams (id),
    number BIGINT NOT NULL,
    state TEXT NOT NULL,
    submitted_version BIGINT,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL REFERENCES users (id),
    submitted_at BIGINT,
    submitted_by TEXT REFERENCES users (id),
    withdrawn_at BIGINT,
    withdrawn_reason TEXT NOT NULL DEFAULT '',
    late_until BIGINT,
    late_reason TEXT NOT NULL DEFAULT '',
    published_at BIGINT,
    hidden_reason TEXT NOT NULL DEFAULT '',
    UNIQUE (competition_id, team_id),
    UNIQUE (competition_id, number)
);

-- What the team works on: revision counts its changes, so that two members never overwrite each other
-- unseen.
CREATE TABLE entry_drafts (
    entry_id TEXT PRIMARY KEY REFERENCES entries (id),
    content TEXT NOT NULL,
    revision BIGINT NOT NULL,
    changed_by TEXT NOT NULL REFERENCES users (id),
    changed_at BIGINT NOT NULL
);

-- What it was at times that count; rows are never changed. cause: saved, submitted, restored, or kept
-- (before somebody else's change replaced it). title: the content's own, for lists.
CREATE TABLE entry_versions (
    entry_id TEXT NOT NULL REFERENCES entries (id),
    version BIGINT NOT NULL,
    cause TEXT NOT NULL,
    title TEXT NOT NULL,
    content TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    made_by TEXT NOT NULL REFERENCES users (id),
    PRIMARY KEY (entry_id, version)
);

-- Pictures and reports. facts: what the file itself says of its authors, as JSON. A file stays as long as
-- the draft or a version names it.
CREATE TABLE entry_files (
    id TEXT PRIMARY KEY,
    entry_id TEXT NOT NULL REFERENCES entries (id),
    kind TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size BIGINT NOT NULL,
    width BIGINT NOT NULL,
    height BIGINT NOT NULL,
    digest TEXT NOT NULL,
    object_key TEXT NOT NULL,
    facts TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    added_by TEXT NOT NULL REFERENCES users (id)
);
CREATE INDEX entry_files_by_entry ON entry_files (entry_id);
