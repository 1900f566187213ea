-- Apps and models as submissions -----------------------------------------------------------------------

-- report: object with what came of each public probe, for the author.
ALTER TABLE runs ADD COLUMN report TEXT;
