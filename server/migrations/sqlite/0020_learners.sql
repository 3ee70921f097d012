-- A learner is at several browsers: each has a secret of its own, and can be taken off alone.
CREATE TABLE device (
    id          TEXT   NOT NULL PRIMARY KEY,
    learner     TEXT   NOT NULL REFERENCES learner (id),
    -- sha256 of the cookie, in hex: who reads this file cannot take over a session.
    secret_hash TEXT   NOT NULL UNIQUE,
    -- What the browser called itself, for the list of devices: `Firefox on Linux`.
    name        TEXT   NOT NULL,
    created_ms  BIGINT NOT NULL,
    seen_ms     BIGINT NOT NULL
);
CREATE INDEX device_by_learner ON device (learner);

-- Learners from before keep their cookie; their first device has the learner's own id.
INSERT INTO device (id, learner, secret_hash, name, created_ms, seen_ms)
SELECT id, id, secret_hash, 'A browser', created_ms, created_ms FROM learner;

-- The column is UNIQUE, which SQLite cannot drop. Nobody reads it any more, and it holds no secret.
UPDATE learner SET secret_hash = id;

-- What carries a learner to another browser. One that works, and those that no longer do, so that a page can
-- say why.
CREATE TABLE resume_code (
    -- sha256 of the code, in hex.
    code_hash  TEXT   NOT NULL PRIMARY KEY,
    learner    TEXT   NOT NULL REFERENCES learner (id),
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    -- used or replaced; null while it works or until it has expired.
    ended      TEXT,
    ended_ms   BIGINT
);
CREATE UNIQUE INDEX resume_code_open ON resume_code (learner) WHERE ended IS NULL;
CREATE INDEX resume_code_by_learner ON resume_code (learner);

-- Steps that a learner has passed, whatever became of the session: with what tells the step again after its
-- author has moved or renamed it.
CREATE TABLE passed (
    learner    TEXT   NOT NULL REFERENCES learner (id),
    course     TEXT   NOT NULL,
    scenario   TEXT   NOT NULL,
    -- The scenario's version then, and the step's number in it.
    digest     TEXT   NOT NULL,
    step       BIGINT NOT NULL,
    -- Empty where the step was passed before they were kept.
    title      TEXT   NOT NULL,
    script     TEXT   NOT NULL,
    passed_ms  BIGINT NOT NULL,
    PRIMARY KEY (learner, course, scenario, digest, step)
);
INSERT INTO passed (learner, course, scenario, digest, step, title, script, passed_ms)
SELECT session.learner, session.course, session.scenario, session.digest, progress.step, '', '', min(progress.passed_ms)
FROM progress JOIN session ON session.id = progress.session
GROUP BY session.learner, session.course, session.scenario, session.digest, progress.step;

-- Two browsers that become one learner may each have a machine in the same scenario. One is in front, where
-- the scenario's pages lead; the other stands aside until it is brought forward or ends.
ALTER TABLE session ADD COLUMN aside BIGINT NOT NULL DEFAULT 0;
DROP INDEX session_live;
CREATE UNIQUE INDEX session_live ON session (learner, course, scenario) WHERE ended_ms IS NULL AND aside = 0;
-- How many machines run, and whose they are.
CREATE INDEX session_running ON session (learner) WHERE ended_ms IS NULL;
