-- Judging (评审): panels, judges, who marks what, marks, minutes, the signed ranking -----------------------

-- How a competition is judged, as it was in force from adopted_at on: what marks were given by stays.
CREATE TABLE judging_rubrics (
    competition_id TEXT NOT NULL REFERENCES competitions (id),
    version BIGINT NOT NULL,
    document TEXT NOT NULL,
    adopted_at BIGINT NOT NULL,
    adopted_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (competition_id, version)
);

-- main: judges every entry that no other panel was given. state: preparing, open, closed or signed. round: 1,
-- or 2 for entries that were judged too differently. edition: counts signatures from 1; a panel that is opened
-- again is a new edition. peek: whether judges see each other's marks for an entry once they submitted theirs.
CREATE TABLE panels (
    id TEXT PRIMARY KEY,
    competition_id TEXT NOT NULL REFERENCES competitions (id),
    name TEXT NOT NULL,
    main BIGINT NOT NULL,
    state TEXT NOT NULL,
    round BIGINT NOT NULL,
    edition BIGINT NOT NULL,
    seed TEXT NOT NULL,
    peek BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    UNIQUE (competition_id, name)
);
CREATE UNIQUE INDEX panels_one_main ON panels (competition_id) WHERE main = 1;

-- The entries of a panel beside the main one.
CREATE TABLE panel_entries (
    entry_id TEXT PRIMARY KEY REFERENCES entries (id),
    panel_id TEXT NOT NULL REFERENCES panels (id)
);
CREATE INDEX panel_entries_by_panel ON panel_entries (panel_id);

-- state: invited, accepted, declined, resigned or removed.
CREATE TABLE judges (
    panel_id TEXT NOT NULL REFERENCES panels (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    competition_id TEXT NOT NULL REFERENCES competitions (id),
    chair BIGINT NOT NULL,
    state TEXT NOT NULL,
    appointed_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (panel_id, user_id)
);
CREATE INDEX judges_by_user ON judges (user_id);
CREATE INDEX judges_by_competition ON judges (competition_id);

-- What a judge may not judge: one entry, or all entries of an organisation's people. Their own organisation's
-- needs no row.
CREATE TABLE judging_conflicts (
    id TEXT PRIMARY KEY,
    competition_id TEXT NOT NULL REFERENCES competitions (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    entry_id TEXT REFERENCES entries (id),
    organisation_id TEXT REFERENCES organisations (id),
    reason TEXT NOT NULL,
    declared_at BIGINT NOT NULL,
    declared_by TEXT NOT NULL,
    withdrawn_at BIGINT
);
CREATE INDEX judging_conflicts_by_competition ON judging_conflicts (competition_id);

-- Who marks what in which round, and what they have written. state: assigned, submitted or ended.
-- version counts the saves, so that two tabs never overwrite each other unseen. rubric: the version that the
-- sheet is marked by.
CREATE TABLE assignments (
    id TEXT PRIMARY KEY,
    competition_id TEXT NOT NULL REFERENCES competitions (id),
    panel_id TEXT NOT NULL REFERENCES panels (id),
    entry_id TEXT NOT NULL REFERENCES entries (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    round BIGINT NOT NULL,
    state TEXT NOT NULL,
    rubric BIGINT NOT NULL,
    sheet TEXT NOT NULL,
    version BIGINT NOT NULL,
    assigned_at BIGINT NOT NULL,
    saved_at BIGINT,
    submitted_at BIGINT,
    ended_at BIGINT,
    ended_why TEXT NOT NULL DEFAULT '',
    UNIQUE (entry_id, user_id, round)
);
CREATE INDEX assignments_by_panel ON assignments (panel_id, round);
CREATE INDEX assignments_by_judge ON assignments (user_id, competition_id);

-- Every sheet that was ever submitted; rows are never changed.
CREATE TABLE sheets (
    assignment_id TEXT NOT NULL REFERENCES assignments (id),
    version BIGINT NOT NULL,
    rubric BIGINT NOT NULL,
    sheet TEXT NOT NULL,
    submitted_at BIGINT NOT NULL,
    PRIMARY KEY (assignment_id, version)
);

-- What a panel did; rows are never changed. digest: SM3 over the digest before and this row.
CREATE TABLE minutes (
    panel_id TEXT NOT NULL REFERENCES panels (id),
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (panel_id, number)
);

-- The ranking as its chair signed it, with all that it came from. digest: SM3 of the canonical document.
CREATE TABLE judging_signatures (
    panel_id TEXT NOT NULL REFERENCES panels (id),
    edition BIGINT NOT NULL,
    document TEXT NOT NULL,
    digest TEXT NOT NULL,
    signed_at BIGINT NOT NULL,
    signed_by TEXT NOT NULL REFERENCES users (id),
    published_at BIGINT,
    PRIMARY KEY (panel_id, edition)
);
