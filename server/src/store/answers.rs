//! Answers to a lesson's questions.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::records::{Answer, LearnerId, SessionId, UnixMs};
use super::{Store, StoreError};

impl Store {
    /// Keeps an answer; the one before it to the same question goes.
    pub async fn answer(&self, session: SessionId, answer: &Answer, now: UnixMs) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO answer (session, page, question, given, is_right, answered_ms) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (session, page, question) DO UPDATE \
             SET given = excluded.given, is_right = excluded.is_right, answered_ms = excluded.answered_ms",
        )
        .bind(session.to_string())
        .bind(&answer.page)
        .bind(&answer.question)
        .bind(&answer.given)
        .bind(i64::from(answer.is_right))
        .bind(now.0)
        .execute(&self.writer)
        .await
        .map_err(|source| self.failed(source))?;
        Ok(())
    }

    /// The last answer to each question that this learner ever gave on a page, in whatever session.
    pub async fn answers(
        &self,
        learner: LearnerId,
        course: &str,
        scenario: &str,
        page: &str,
    ) -> Result<Vec<Answer>, StoreError> {
        let all: Vec<Answer> = sqlx::query(
            "SELECT answer.page, answer.question, answer.given, answer.is_right \
             FROM answer JOIN session ON session.id = answer.session \
             WHERE session.learner = $1 AND session.course = $2 AND session.scenario = $3 AND answer.page = $4 \
             ORDER BY answer.answered_ms DESC",
        )
        .bind(learner.to_string())
        .bind(course)
        .bind(scenario)
        .bind(page)
        .try_map(|row: SqliteRow| {
            Ok(Answer {
                page: row.try_get(0)?,
                question: row.try_get(1)?,
                given: row.try_get(2)?,
                is_right: row.try_get::<i64, _>(3)? != 0,
            })
        })
        .fetch_all(&self.reader)
        .await
        .map_err(|source| self.failed(source))?;
        let mut newest: Vec<Answer> = Vec::with_capacity(all.len());
        for answer in all {
            if newest.iter().all(|later| later.question != answer.question) {
                newest.push(answer);
            }
        }
        Ok(newest)
    }
}
