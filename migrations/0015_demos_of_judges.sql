-- Judges try apps, visitors find them -------------------------------------------------------------------

-- A judge tries an entry's app in an instance that is theirs alone: what others do in theirs, its team above
-- all, neither shows nor is shown there. entry_id: the entry it is judged by; NULL where it is not a judge's.
-- judge: the judge's id, who has asked for it; empty: shared by all who may try it.
ALTER TABLE demos ADD COLUMN entry_id TEXT REFERENCES entries (id);
ALTER TABLE demos ADD COLUMN judge TEXT NOT NULL DEFAULT '';
DROP INDEX demos_one_each;
CREATE UNIQUE INDEX demos_one_each ON demos (submission_id, judge) WHERE ended_at IS NULL;

-- The apps that teams have opened to visitors: asked for on every page of a competition that is over.
CREATE INDEX submissions_demo_open ON submissions (competition_id, created_at) WHERE demo_open = 1;
