-- Whether a participant's package is left out beside the organizer's -----------------------------------

-- left_out: 1 where one of the organizer's brings the same project or file. judged: for which of the
-- organizer's that was found out, their ids in order; it is found out anew where these are others.
ALTER TABLE packages ADD COLUMN left_out BIGINT NOT NULL DEFAULT 0;
ALTER TABLE packages ADD COLUMN judged TEXT NOT NULL DEFAULT '';

-- A removed package is kept for the submissions that were handed in with it alone, and its paths for nobody.
DELETE FROM packages WHERE removed_at IS NOT NULL AND id NOT IN (SELECT package_id FROM submission_packages);
UPDATE packages SET files = '' WHERE removed_at IS NOT NULL;
