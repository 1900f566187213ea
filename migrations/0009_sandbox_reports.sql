-- What a worker tells of a sandbox it holds, while a page that another process serves is looked at -----

-- asked_at: when such a page was last looked at. log_asked_at: when its log was. taken_at: when the worker took
-- the question up. told_at, report: what it answered; forgotten when nobody has asked for a while.
CREATE TABLE sandbox_reports (
    sandbox_id TEXT PRIMARY KEY REFERENCES sandboxes (id),
    asked_at BIGINT NOT NULL,
    log_asked_at BIGINT,
    taken_at BIGINT,
    told_at BIGINT,
    report TEXT
);
