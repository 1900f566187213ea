-- The ranks of a phase's teams when the day (UTC) began, so that a board can say who moved: a JSON
-- object, rank by team. version is the phase's board_version then; an unchanged board is not written
-- again, only its time.
CREATE TABLE board_marks (
    phase_id TEXT PRIMARY KEY REFERENCES phases (id),
    taken_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    ranks TEXT NOT NULL
);

-- The latest rows of all boards.
CREATE INDEX standings_latest ON standings (submitted_at, submission_id) WHERE removed = 0;
