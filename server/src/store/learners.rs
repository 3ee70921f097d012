//! Learners, and what they passed.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::records::{LearnerId, Passed, SecretHash, UnixMs};
use super::sessions::parsed;
use super::{Store, StoreError};

impl Store {
    pub async fn add_learner(&self, id: LearnerId, secret: &SecretHash, now: UnixMs) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO learner (id, secret_hash, created_ms) VALUES ($1, $2, $3)")
            .bind(id.to_string())
            .bind(secret.as_str())
            .bind(now.0)
            .execute(&self.writer)
            .await
            .map_err(|source| self.failed(source))?;
        Ok(())
    }

    pub async fn learner_by_secret(&self, secret: &SecretHash) -> Result<Option<LearnerId>, StoreError> {
        sqlx::query("SELECT id FROM learner WHERE secret_hash = $1")
            .bind(secret.as_str())
            .try_map(|row: SqliteRow| parsed(&row, "id"))
            .fetch_optional(&self.reader)
            .await
            .map_err(|source| self.failed(source))
    }

    /// Every step that this learner ever passed, each once.
    pub async fn passed_by(&self, learner: LearnerId) -> Result<Vec<Passed>, StoreError> {
        sqlx::query(
            "SELECT DISTINCT session.course, session.scenario, progress.step \
             FROM progress JOIN session ON session.id = progress.session \
             WHERE session.learner = $1 ORDER BY 1, 2, 3",
        )
        .bind(learner.to_string())
        .try_map(|row: SqliteRow| {
            Ok(Passed { course: row.try_get(0)?, scenario: row.try_get(1)?, step: row.try_get::<u32, _>(2)? })
        })
        .fetch_all(&self.reader)
        .await
        .map_err(|source| self.failed(source))
    }
}
