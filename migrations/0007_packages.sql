-- Extra packages: wheels that an organizer or a participant uploaded ----------------------------------

-- user_id: whose it is; NULL: the organizer's, for everybody in the competition. name: as PyPI compares
-- names. size: bytes of the wheel; unpacked: bytes of what it holds; digest: the wheel's SM3. requires:
-- the projects that it cannot do without, files: the paths it installs, a line each. A removed one stays
-- for the submissions that were handed in with it.
CREATE TABLE packages (
    id TEXT PRIMARY KEY,
    competition_id TEXT NOT NULL REFERENCES competitions (id),
    user_id TEXT REFERENCES users (id),
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    file_name TEXT NOT NULL,
    object_key TEXT NOT NULL,
    size BIGINT NOT NULL,
    unpacked BIGINT NOT NULL,
    digest TEXT NOT NULL,
    requires TEXT NOT NULL,
    files TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    added_by TEXT NOT NULL REFERENCES users (id),
    removed_at BIGINT
);
CREATE INDEX packages_standing ON packages (competition_id, user_id) WHERE removed_at IS NULL;

-- What a submission finds, as it was when it was handed in: every run of it finds the same.
CREATE TABLE submission_packages (
    submission_id TEXT NOT NULL REFERENCES submissions (id),
    package_id TEXT NOT NULL REFERENCES packages (id),
    PRIMARY KEY (submission_id, package_id)
);
CREATE INDEX submission_packages_by_package ON submission_packages (package_id);
