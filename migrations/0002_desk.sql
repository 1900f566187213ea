-- What a submission is made for: 'compete', 'trial' (on the twins alone) or 'dry_run' (an organizer's
-- own, on the real data, off every board).
ALTER TABLE submissions ADD COLUMN aim TEXT NOT NULL DEFAULT 'compete';
UPDATE submissions SET aim = 'trial' WHERE trial = 1;
ALTER TABLE submissions DROP COLUMN trial;

-- The team without members that a competition's dry runs belong to.
ALTER TABLE teams ADD COLUMN desk BIGINT NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX teams_of_desks ON teams (competition_id) WHERE desk = 1;

-- A rescore is queued part by part; finished_at is when all of it was.
ALTER TABLE rescores ADD COLUMN priority BIGINT NOT NULL DEFAULT 100;
CREATE INDEX rescores_by_competition ON rescores (competition_id, created_at);
CREATE INDEX rescores_unfinished ON rescores (created_at) WHERE finished_at IS NULL;
CREATE INDEX runs_of_rescore ON runs (rescore_id) WHERE rescore_id IS NOT NULL;

-- A team's name as it is compared: two that differ in case or spacing alone are one.
ALTER TABLE teams ADD COLUMN name_key TEXT NOT NULL DEFAULT '';
UPDATE teams SET name_key = LOWER(name);
CREATE INDEX teams_by_name_key ON teams (competition_id, name_key);

-- Quotas follow persons from team to team.
CREATE INDEX submissions_by_person ON submissions (phase_id, user_id);

-- A team that became part of another is over.
ALTER TABLE teams ADD COLUMN merged_into TEXT;
