-- Which entries of a panel are judged a second time, and by how many judges: who resigns meanwhile is replaced.
CREATE TABLE second_rounds (
    panel_id TEXT NOT NULL REFERENCES panels (id),
    entry_id TEXT NOT NULL REFERENCES entries (id),
    judges BIGINT NOT NULL,
    PRIMARY KEY (panel_id, entry_id)
);
INSERT INTO second_rounds (panel_id, entry_id, judges)
SELECT panel_id, entry_id, COUNT(*) FROM assignments WHERE round = 2 AND state <> 'ended' GROUP BY panel_id, entry_id;

-- Who was on a team that became part of another counts as of that one.
CREATE INDEX teams_by_merger ON teams (merged_into);
