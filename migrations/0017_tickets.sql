-- One way to every origin of its own -------------------------------------------------------------------

-- The way from the main site to the origin of a lab or of an app that is tried: a ticket that opens once,
-- and the visit that it opens there. Secrets are kept as their SM3. Who is inside enters once more.
DROP TABLE sandbox_tickets;
DROP TABLE sandbox_visits;
DROP TABLE demo_tickets;
DROP TABLE demo_visits;
-- kind: lab or demo; place_id: of sandboxes or demos.
CREATE TABLE tickets (
    digest TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    place_id TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    session_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE TABLE visits (
    digest TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    place_id TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    session_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
