//! Sessions, their pages and their progress.

use std::fmt::Display;
use std::str::FromStr;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::records::{Ending, LearnerId, SessionId, SessionRow, SessionState, UnixMs};
use super::{Store, StoreError};
use crate::lesson::progress::PassedStep;

/// A query for whole rows of `session`; the argument is what stands behind `FROM session`.
macro_rules! select_sessions {
    ($rest:literal) => {
        sqlx::query(concat!(
            "SELECT id, learner, course, scenario, digest, page, state, aside, created_ms, begun_ms, ends_ms, queued_ms, \
             turn, offered_ms, used_ms, ended_ms, why, detail FROM session ",
            $rest
        ))
    };
}

pub(super) use select_sessions;

impl Store {
    pub async fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
        select_sessions!("WHERE id = $1")
            .bind(id.to_string())
            .try_map(session_row)
            .fetch_optional(&self.reader)
            .await
            .map_err(|source| self.failed(source))
    }

    /// Whose a session is.
    pub async fn owner(&self, id: SessionId) -> Result<Option<LearnerId>, StoreError> {
        sqlx::query("SELECT learner FROM session WHERE id = $1")
            .bind(id.to_string())
            .try_map(|row: SqliteRow| parsed(&row, "learner"))
            .fetch_optional(&self.reader)
            .await
            .map_err(|source| self.failed(source))
    }

    /// The session that this learner has in front in the scenario now, with a machine or in line for one.
    pub async fn live_session(
        &self,
        learner: LearnerId,
        course: &str,
        scenario: &str,
    ) -> Result<Option<SessionRow>, StoreError> {
        select_sessions!("WHERE learner = $1 AND course = $2 AND scenario = $3 AND ended_ms IS NULL AND aside = 0")
            .bind(learner.to_string())
            .bind(course)
            .bind(scenario)
            .try_map(session_row)
            .fetch_optional(&self.reader)
            .await
            .map_err(|source| self.failed(source))
    }

    /// The session that this learner has in front in the scenario, or had last.
    pub async fn latest_session(
        &self,
        learner: LearnerId,
        course: &str,
        scenario: &str,
    ) -> Result<Option<SessionRow>, StoreError> {
        select_sessions!(
            "WHERE learner = $1 AND course = $2 AND scenario = $3 \
             ORDER BY CASE WHEN ended_ms IS NULL THEN aside ELSE 2 END, created_ms DESC, id DESC LIMIT 1"
        )
        .bind(learner.to_string())
        .bind(course)
        .bind(scenario)
        .try_map(session_row)
        .fetch_optional(&self.reader)
        .await
        .map_err(|source| self.failed(source))
    }

    /// Every session that is not over, oldest first: at most as many as the installation admits, and the line.
    pub async fn live_sessions(&self) -> Result<Vec<SessionRow>, StoreError> {
        select_sessions!("WHERE ended_ms IS NULL ORDER BY created_ms, id")
            .try_map(session_row)
            .fetch_all(&self.reader)
            .await
            .map_err(|source| self.failed(source))
    }

    /// One session for each scenario, the one in front or the last, newest first.
    pub async fn sessions_of(&self, learner: LearnerId) -> Result<Vec<SessionRow>, StoreError> {
        select_sessions!(
            "WHERE learner = $1 AND id = (SELECT other.id FROM session AS other \
             WHERE other.learner = session.learner AND other.course = session.course \
             AND other.scenario = session.scenario \
             ORDER BY CASE WHEN other.ended_ms IS NULL THEN other.aside ELSE 2 END, other.created_ms DESC, other.id DESC \
             LIMIT 1) ORDER BY created_ms DESC, id DESC"
        )
        .bind(learner.to_string())
        .try_map(session_row)
        .fetch_all(&self.reader)
        .await
        .map_err(|source| self.failed(source))
    }

    /// The learner's sessions that live, oldest first: a few.
    pub async fn live_sessions_of(&self, learner: LearnerId) -> Result<Vec<SessionRow>, StoreError> {
        select_sessions!("WHERE learner = $1 AND ended_ms IS NULL ORDER BY created_ms, id")
            .bind(learner.to_string())
            .try_map(session_row)
            .fetch_all(&self.reader)
            .await
            .map_err(|source| self.failed(source))
    }

    /// The scenario's pages lead to this session from now on, and no longer to the learner's other one in it.
    pub async fn bring_forward(&self, id: SessionId) -> Result<(), StoreError> {
        let failed = |source| self.failed(source);
        let mut transaction = self.writer.begin().await.map_err(failed)?;
        sqlx::query(
            "UPDATE session SET aside = 1, version = version + 1 WHERE ended_ms IS NULL AND aside = 0 AND id <> $1 \
             AND EXISTS (SELECT 1 FROM session AS front WHERE front.id = $1 AND front.ended_ms IS NULL \
             AND front.learner = session.learner AND front.course = session.course \
             AND front.scenario = session.scenario)",
        )
        .bind(id.to_string())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        let done =
            sqlx::query("UPDATE session SET aside = 0, version = version + 1 WHERE id = $1 AND ended_ms IS NULL")
                .bind(id.to_string())
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        self.one(done)?;
        transaction.commit().await.map_err(failed)
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
        let mut writer = self.writer.acquire().await.map_err(|source| self.failed(source))?;
        end(&mut writer, id, ending, now).await.map_err(|source| self.failed(source))
    }

    /// The check of a step has passed, in this session and for its learner; passing again keeps the first time.
    pub async fn pass(&self, session: SessionId, step: &PassedStep, now: UnixMs) -> Result<(), StoreError> {
        let failed = |source| self.failed(source);
        let mut transaction = self.writer.begin().await.map_err(failed)?;
        sqlx::query(
            "INSERT INTO progress (session, step, passed_ms) VALUES ($1, $2, $3) \
             ON CONFLICT (session, step) DO NOTHING",
        )
        .bind(session.to_string())
        .bind(step.step)
        .bind(now.0)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        sqlx::query(
            "INSERT INTO passed (learner, course, scenario, digest, step, title, script, passed_ms) \
             SELECT learner, course, scenario, $2, CAST($3 AS BIGINT), $4, $5, CAST($6 AS BIGINT) \
             FROM session WHERE id = $1 ON CONFLICT (learner, course, scenario, digest, step) DO NOTHING",
        )
        .bind(session.to_string())
        .bind(&step.digest)
        .bind(step.step)
        .bind(&step.mark.title)
        .bind(&step.mark.script)
        .bind(now.0)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(failed)
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

    /// The session gets another machine, in which no script has run yet.
    pub async fn forget_entered(&self, session: SessionId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM entered WHERE session = $1")
            .bind(session.to_string())
            .execute(&self.writer)
            .await
            .map_err(|source| self.failed(source))?;
        Ok(())
    }

    /// Pages whose scripts were started in the machine that there is, in that order.
    pub async fn entered(&self, session: SessionId) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar("SELECT page FROM entered WHERE session = $1 ORDER BY entered_ms, page")
            .bind(session.to_string())
            .fetch_all(&self.reader)
            .await
            .map_err(|source| self.failed(source))
    }
}

pub(super) async fn end(at: &mut SqliteConnection, id: SessionId, ending: &Ending, now: UnixMs) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE session SET state = $2, why = $3, detail = $4, ended_ms = $5, queued_ms = NULL, offered_ms = NULL, \
         version = version + 1 WHERE id = $1 AND ended_ms IS NULL",
    )
    .bind(id.to_string())
    .bind(ending.state.word())
    .bind(&ending.why)
    .bind(&ending.detail)
    .bind(now.0)
    .execute(at)
    .await?;
    Ok(())
}

pub(super) fn session_row(row: SqliteRow) -> sqlx::Result<SessionRow> {
    let moment = |column| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(UnixMs));
    Ok(SessionRow {
        id: parsed(&row, "id")?,
        learner: parsed(&row, "learner")?,
        course: row.try_get("course")?,
        scenario: row.try_get("scenario")?,
        digest: row.try_get("digest")?,
        page: row.try_get("page")?,
        state: parsed::<SessionState>(&row, "state")?,
        aside: row.try_get::<i64, _>("aside")? != 0,
        created: UnixMs(row.try_get("created_ms")?),
        begun: moment("begun_ms")?,
        ends: moment("ends_ms")?,
        queued: moment("queued_ms")?,
        turn: row.try_get("turn")?,
        offered: moment("offered_ms")?,
        used: UnixMs(row.try_get("used_ms")?),
        ended: moment("ended_ms")?,
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
