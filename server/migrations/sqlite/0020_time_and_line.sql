-- How long a session has its machine, and the line in which learners wait for one.

-- Until when there is a machine; both null before the first one is there.
ALTER TABLE session ADD COLUMN begun_ms BIGINT;
ALTER TABLE session ADD COLUMN ends_ms BIGINT;

-- Since when the learner waits in line; set exactly while `state` is `waiting`, and the order of the line.
ALTER TABLE session ADD COLUMN queued_ms BIGINT;

-- Since when a free place is held for a learner in line.
ALTER TABLE session ADD COLUMN offered_ms BIGINT;

-- When the learner was last seen or typed something, to the minute.
ALTER TABLE session ADD COLUMN used_ms BIGINT NOT NULL DEFAULT 0;

UPDATE session SET used_ms = created_ms;

-- The line, and what takes places.
CREATE INDEX session_line ON session (queued_ms, id) WHERE queued_ms IS NOT NULL;
CREATE INDEX sandbox_left ON sandbox (state) WHERE state <> 'gone';
CREATE INDEX session_ended ON session (ended_ms) WHERE ended_ms IS NOT NULL;
