//! What is not kept for ever: sessions that ended long ago, learners who do not come back, codes that are over.

use sqlx::sqlite::SqliteConnection;

use super::records::UnixMs;
use super::{Store, StoreError};

/// Rows of one kind that one transaction deletes, so that no learner's request waits long for the writer.
const BATCH: u32 = 200;
/// A code that has expired is remembered so much longer, to be told so.
const CODE_MEMORY_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// When a session has been over for so long, whatever was wrong with its machine is over, too: the keeper was asked
/// for what runs many times since.
const SETTLED_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// A learner, after the last visit by any device.
    pub learners_ms: i64,
    /// A session that ended. The last one of each scenario stays as long as its learner.
    pub sessions_ms: i64,
}

/// What a sweep deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    pub sessions: usize,
    pub learners: usize,
    pub codes: u64,
}

impl Store {
    pub async fn sweep(&self, keep: Keep, now: UnixMs) -> Result<Swept, StoreError> {
        let failed = |source| self.failed(source);
        let codes = sqlx::query("DELETE FROM resume_code WHERE expires_ms < $1")
            .bind(now.0 - CODE_MEMORY_MS)
            .execute(&self.writer)
            .await
            .map_err(failed)?
            .rows_affected();
        let mut swept = Swept { codes, ..Swept::default() };
        // What goes is found by readers; each batch is checked again by nothing, as what ended stays ended.
        let before = now.0 - keep.sessions_ms.max(SETTLED_MS);
        loop {
            let old: Vec<String> = sqlx::query_scalar(
                "SELECT id FROM session WHERE ended_ms < $1 AND EXISTS (SELECT 1 FROM session AS later \
                 WHERE later.learner = session.learner AND later.course = session.course \
                 AND later.scenario = session.scenario AND later.created_ms > session.created_ms) LIMIT $2",
            )
            .bind(before)
            .bind(BATCH)
            .fetch_all(&self.writer)
            .await
            .map_err(failed)?;
            let mut transaction = self.writer.begin().await.map_err(failed)?;
            for id in &old {
                delete_session(&mut transaction, id.clone()).await.map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)?;
            swept.sessions += old.len();
            if old.len() < BATCH as usize {
                break;
            }
        }
        loop {
            let mut transaction = self.writer.begin().await.map_err(failed)?;
            let gone = delete_learners(&mut transaction, keep, now).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            swept.learners += gone;
            if gone < BATCH as usize {
                return Ok(swept);
            }
        }
    }
}

/// Deletes learners whom nobody has been for long: no device was seen, no code works, and no session lives or has
/// just ended.
async fn delete_learners(connection: &mut SqliteConnection, keep: Keep, now: UnixMs) -> sqlx::Result<usize> {
    let learners: Vec<String> = sqlx::query_scalar(
        "SELECT id FROM learner WHERE NOT EXISTS \
         (SELECT 1 FROM device WHERE device.learner = learner.id AND device.seen_ms >= $1) \
         AND (created_ms < $1 OR NOT EXISTS (SELECT 1 FROM device WHERE device.learner = learner.id)) \
         AND NOT EXISTS (SELECT 1 FROM resume_code WHERE resume_code.learner = learner.id \
         AND ended IS NULL AND expires_ms > $2) \
         AND NOT EXISTS (SELECT 1 FROM session WHERE session.learner = learner.id \
         AND (ended_ms IS NULL OR ended_ms >= $3)) LIMIT $4",
    )
    .bind(now.0 - keep.learners_ms)
    .bind(now.0)
    .bind(now.0 - SETTLED_MS)
    .bind(BATCH)
    .fetch_all(&mut *connection)
    .await?;
    for learner in &learners {
        let sessions: Vec<String> = sqlx::query_scalar("SELECT id FROM session WHERE learner = $1")
            .bind(learner)
            .fetch_all(&mut *connection)
            .await?;
        for session in sessions {
            delete_session(connection, session).await?;
        }
        for statement in [
            "DELETE FROM device WHERE learner = $1",
            "DELETE FROM resume_code WHERE learner = $1",
            "DELETE FROM passed WHERE learner = $1",
            "DELETE FROM learner WHERE id = $1",
        ] {
            sqlx::query(statement).bind(learner).execute(&mut *connection).await?;
        }
    }
    Ok(learners.len())
}

/// Deletes a session that is over, with everything that hangs on it.
pub(super) async fn delete_session(connection: &mut SqliteConnection, id: String) -> sqlx::Result<()> {
    for statement in [
        "DELETE FROM progress WHERE session = $1",
        "DELETE FROM entered WHERE session = $1",
        "DELETE FROM sandbox WHERE session = $1",
        "DELETE FROM session WHERE id = $1",
    ] {
        sqlx::query(statement).bind(&id).execute(&mut *connection).await?;
    }
    Ok(())
}
