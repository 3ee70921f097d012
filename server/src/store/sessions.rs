//! Sessions, their pages and their progress.

use std::fmt::Display;
use std::str::FromStr;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::records::{Ending, LearnerId, Opened, Opening, SessionId, SessionRow, SessionState, UnixMs};
use super::{Store, StoreError};

/// How many live sessions there may be, the one that is to begin among them.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    pub all_max: u32,
    pub per_learner_max: u32,
}

/// A query for whole rows of `session`; the argument is what stands behind `FROM session`.
macro_rules! select_sessions {
    ($rest:literal) => {
        sqlx::query(concat!(
            "SELECT id, learner, course, scenario, digest, page, state, created_ms, ended_ms, why, detail FROM session ",
            $rest
        ))
    };
}

impl Store {
    /// Begins a session, or finds the one that this learner has in the scenario. Of two requests at the
    /// same moment one begins it and the other finds it.
    pub async fn open_session(&self, opening: &Opening, room: Room, now: UnixMs) -> Result<Opened, StoreError> {
        let id = SessionId::random();
        sqlx::query(
            "INSERT INTO session (id, learner, course, scenario, digest, page, state, created_ms, version) \
             SELECT $1, $2, $3, $4, $5, $6, 'live', CAST($7 AS BIGINT), 1 \
             WHERE (SELECT count(*) FROM session WHERE ended_ms IS NULL) < CAST($8 AS BIGINT) \
             AND (SELECT count(*) FROM session WHERE ended_ms IS NULL AND learner = $2) < CAST($9 AS BIGINT) \
             ON CONFLICT (learner, course, scenario) WHERE ended_ms IS NULL DO NOTHING",
        )
        .bind(id.to_string())
        .bind(opening.learner.to_string())
        .bind(&opening.course)
        .bind(&opening.scenario)
        .bind(&opening.digest)
        .bind(&opening.page)
        .bind(now.0)
        .bind(room.all_max)
        .bind(room.per_learner_max)
        .execute(&self.writer)
        .await
        .map_err(|source| self.failed(source))?;
        match self.live_session(opening.learner, &opening.course, &opening.scenario).await? {
            Some(row) if row.id == id => Ok(Opened::New(row)),
            Some(row) => Ok(Opened::Found(row)),
            None if self.count_live_of(opening.learner).await? >= room.per_learner_max => Ok(Opened::TooMany),
            None => Ok(Opened::Full),
        }
    }

    pub async fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
        select_sessions!("WHERE id = $1")
            .bind(id.to_string())
            .try_map(session_row)
            .fetch_optional(&self.reader)
            .await
            .map_err(|source| self.failed(source))
    }

    /// The session that this learner has in the scenario now.
    pub async fn live_session(
        &self,
        learner: LearnerId,
        course: &str,
        scenario: &str,
    ) -> Result<Option<SessionRow>, StoreError> {
        select_sessions!("WHERE learner = $1 AND course = $2 AND scenario = $3 AND ended_ms IS NULL")
            .bind(learner.to_string())
            .bind(course)
            .bind(scenario)
            .try_map(session_row)
            .fetch_optional(&self.reader)
            .await
            .map_err(|source| self.failed(source))
    }

    /// The session that this learner had in the scenario last, live or not.
    pub async fn latest_session(
        &self,
        learner: LearnerId,
        course: &str,
        scenario: &str,
    ) -> Result<Option<SessionRow>, StoreError> {
        select_sessions!(
            "WHERE learner = $1 AND course = $2 AND scenario = $3 ORDER BY created_ms DESC, id DESC LIMIT 1"
        )
        .bind(learner.to_string())
        .bind(course)
        .bind(scenario)
        .try_map(session_row)
        .fetch_optional(&self.reader)
        .await
        .map_err(|source| self.failed(source))
    }

    /// Every live session, oldest first: there are at most as many as the installation admits.
    pub async fn live_sessions(&self) -> Result<Vec<SessionRow>, StoreError> {
        select_sessions!("WHERE ended_ms IS NULL ORDER BY created_ms, id")
            .try_map(session_row)
            .fetch_all(&self.reader)
            .await
            .map_err(|source| self.failed(source))
    }

    /// The learner's live and past sessions, newest first, one for each scenario.
    pub async fn sessions_of(&self, learner: LearnerId) -> Result<Vec<SessionRow>, StoreError> {
        select_sessions!(
            "WHERE learner = $1 AND created_ms = (SELECT max(later.created_ms) FROM session AS later \
             WHERE later.learner = session.learner AND later.course = session.course \
             AND later.scenario = session.scenario) ORDER BY created_ms DESC, id DESC"
        )
        .bind(learner.to_string())
        .try_map(session_row)
        .fetch_all(&self.reader)
        .await
        .map_err(|source| self.failed(source))
    }

    async fn count_live_of(&self, learner: LearnerId) -> Result<u32, StoreError> {
        sqlx::query_scalar("SELECT count(*) FROM session WHERE learner = $1 AND ended_ms IS NULL")
            .bind(learner.to_string())
            .fetch_one(&self.reader)
            .await
            .map_err(|source| self.failed(source))
    }

    /// The learner is on another page now.
    pub async fn turn_page(&self, id: SessionId, page: &str) -> Result<(), StoreError> {
        let done =
            sqlx::query("UPDATE session SET page = $2, version = version + 1 WHERE id = $1 AND ended_ms IS NULL")
                .bind(id.to_string())
                .bind(page)
                .execute(&self.writer)
                .await
                .map_err(|source| self.failed(source))?;
        self.one(done)
    }

    /// Ends a session for good. One that has ended already keeps its first reason.
    pub async fn end_session(&self, id: SessionId, ending: &Ending, now: UnixMs) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE session SET state = $2, why = $3, detail = $4, ended_ms = $5, version = version + 1 \
             WHERE id = $1 AND ended_ms IS NULL",
        )
        .bind(id.to_string())
        .bind(ending.state.word())
        .bind(&ending.why)
        .bind(&ending.detail)
        .bind(now.0)
        .execute(&self.writer)
        .await
        .map_err(|source| self.failed(source))?;
        Ok(())
    }

    /// The check of `step` has passed; passing again keeps the first time.
    pub async fn pass(&self, session: SessionId, step: u32, now: UnixMs) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO progress (session, step, passed_ms) VALUES ($1, $2, $3) \
             ON CONFLICT (session, step) DO NOTHING",
        )
        .bind(session.to_string())
        .bind(step)
        .bind(now.0)
        .execute(&self.writer)
        .await
        .map_err(|source| self.failed(source))?;
        Ok(())
    }

    pub async fn passed(&self, session: SessionId) -> Result<Vec<u32>, StoreError> {
        sqlx::query_scalar("SELECT step FROM progress WHERE session = $1 ORDER BY step")
            .bind(session.to_string())
            .fetch_all(&self.reader)
            .await
            .map_err(|source| self.failed(source))
    }

    /// The scripts of `page` are about to run. `false`: they were started before.
    pub async fn enter(&self, session: SessionId, page: &str, now: UnixMs) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO entered (session, page, entered_ms) VALUES ($1, $2, $3) \
             ON CONFLICT (session, page) DO NOTHING",
        )
        .bind(session.to_string())
        .bind(page)
        .bind(now.0)
        .execute(&self.writer)
        .await
        .map_err(|source| self.failed(source))?;
        Ok(done.rows_affected() == 1)
    }

    /// Pages whose scripts were started, in that order.
    pub async fn entered(&self, session: SessionId) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar("SELECT page FROM entered WHERE session = $1 ORDER BY entered_ms, page")
            .bind(session.to_string())
            .fetch_all(&self.reader)
            .await
            .map_err(|source| self.failed(source))
    }
}

fn session_row(row: SqliteRow) -> sqlx::Result<SessionRow> {
    Ok(SessionRow {
        id: parsed(&row, "id")?,
        learner: parsed(&row, "learner")?,
        course: row.try_get("course")?,
        scenario: row.try_get("scenario")?,
        digest: row.try_get("digest")?,
        page: row.try_get("page")?,
        state: parsed::<SessionState>(&row, "state")?,
        created: UnixMs(row.try_get("created_ms")?),
        ended: row.try_get::<Option<i64>, _>("ended_ms")?.map(UnixMs),
        why: row.try_get("why")?,
        detail: row.try_get("detail")?,
    })
}

/// A column of text as the type that it stands for.
pub(super) fn parsed<T: FromStr<Err: Display>>(row: &SqliteRow, column: &str) -> sqlx::Result<T> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|error: T::Err| sqlx::Error::ColumnDecode {
        index: column.into(),
        source: format!("{text:?}: {error}").into(),
    })
}
