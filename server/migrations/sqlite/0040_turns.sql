-- The order of the line, counted: a clock that is set back lets nobody before those who wait. Kept while
-- `queued_ms` is set, which says since when.
ALTER TABLE session ADD COLUMN turn BIGINT;

UPDATE session SET turn = (
    SELECT count(*) FROM session AS other
    WHERE other.queued_ms < session.queued_ms OR (other.queued_ms = session.queued_ms AND other.id <= session.id)
) WHERE queued_ms IS NOT NULL;
