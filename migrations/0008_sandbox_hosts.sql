-- Workers that hold sandboxes -----------------------------------------------------------------------

-- sandbox_origin: where browsers reach the sandboxes that a worker holds, with {id} in the place of the
-- sandbox where each has an origin of its own; empty: it holds none. sandbox_places: how many it can hold.
ALTER TABLE workers ADD COLUMN sandbox_origin TEXT NOT NULL DEFAULT '';
ALTER TABLE workers ADD COLUMN sandbox_places BIGINT NOT NULL DEFAULT 0;
