-- What a learner answered to a lesson's questions: the last answer to each.
CREATE TABLE answer (
    session     TEXT   NOT NULL REFERENCES session (id),
    page        TEXT   NOT NULL,
    -- Made of the question's source: an answer to a question that was changed is an answer to another.
    question    TEXT   NOT NULL,
    given       TEXT   NOT NULL,
    -- 1 or 0: what it was worth then.
    is_right    BIGINT NOT NULL,
    answered_ms BIGINT NOT NULL,
    PRIMARY KEY (session, page, question)
);
