-- Ids are text, times are unix milliseconds, and a row that changes has a version.

CREATE TABLE learner (
    id          TEXT   NOT NULL PRIMARY KEY,
    -- sha256 of the cookie, in hex: who reads this file cannot take over a session.
    secret_hash TEXT   NOT NULL UNIQUE,
    created_ms  BIGINT NOT NULL
);

CREATE TABLE session (
    id         TEXT   NOT NULL PRIMARY KEY,
    learner    TEXT   NOT NULL REFERENCES learner (id),
    course     TEXT   NOT NULL,
    scenario   TEXT   NOT NULL,
    -- The scenario's version when the session began.
    digest     TEXT   NOT NULL,
    page       TEXT   NOT NULL,
    -- live, left, ended or failed; `ended_ms` is null exactly while it is live.
    state      TEXT   NOT NULL,
    created_ms BIGINT NOT NULL,
    ended_ms   BIGINT,
    why        TEXT,
    -- What the part that failed said itself.
    detail     TEXT,
    version    BIGINT NOT NULL
);

-- The same learner in the same scenario finds the same session again, also when two tabs ask at once.
CREATE UNIQUE INDEX session_live ON session (learner, course, scenario) WHERE ended_ms IS NULL;
CREATE INDEX session_by_learner ON session (learner, course, scenario, created_ms);

-- Steps whose check has passed.
CREATE TABLE progress (
    session   TEXT   NOT NULL REFERENCES session (id),
    step      BIGINT NOT NULL,
    passed_ms BIGINT NOT NULL,
    PRIMARY KEY (session, step)
);

-- Pages whose scripts have been started.
CREATE TABLE entered (
    session    TEXT   NOT NULL REFERENCES session (id),
    page       TEXT   NOT NULL,
    entered_ms BIGINT NOT NULL,
    PRIMARY KEY (session, page)
);

CREATE TABLE sandbox (
    id         TEXT   NOT NULL PRIMARY KEY,
    session    TEXT   NOT NULL REFERENCES session (id),
    -- A restart of the machine makes the next one.
    generation BIGINT NOT NULL,
    image      TEXT   NOT NULL,
    hostname   TEXT   NOT NULL,
    -- launching, prepared (its files and first scripts are in place) or gone.
    state      TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    UNIQUE (session, generation)
);
