//! Resume codes: made, looked up, and redeemed once.

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::learners::insert_device;
use super::records::{CodeState, DeviceId, LearnerId, NewDevice, OpenCode, Redeemed, SecretHash, UnixMs};
use super::sessions::parsed;
use super::{Store, StoreError};

impl Store {
    /// The learner's code from now on. The one before it works no longer; of older ones nothing is kept.
    pub async fn make_code(
        &self,
        learner: LearnerId,
        code: &SecretHash,
        now: UnixMs,
        expires: UnixMs,
    ) -> Result<(), StoreError> {
        let failed = |source| self.failed(source);
        let mut transaction = self.writer.begin().await.map_err(failed)?;
        sqlx::query("DELETE FROM resume_code WHERE learner = $1 AND ended IS NOT NULL")
            .bind(learner.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        sqlx::query("UPDATE resume_code SET ended = 'replaced', ended_ms = $2 WHERE learner = $1 AND ended IS NULL")
            .bind(learner.to_string())
            .bind(now.0)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        sqlx::query("INSERT INTO resume_code (code_hash, learner, created_ms, expires_ms) VALUES ($1, $2, $3, $4)")
            .bind(code.as_str())
            .bind(learner.to_string())
            .bind(now.0)
            .bind(expires.0)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// The learner's code that works now, if there is one. The code itself is not here.
    pub async fn open_code(&self, learner: LearnerId, now: UnixMs) -> Result<Option<OpenCode>, StoreError> {
        sqlx::query(
            "SELECT created_ms, expires_ms FROM resume_code WHERE learner = $1 AND ended IS NULL AND expires_ms > $2",
        )
        .bind(learner.to_string())
        .bind(now.0)
        .try_map(|row: SqliteRow| {
            Ok(OpenCode { created: UnixMs(row.try_get("created_ms")?), expires: UnixMs(row.try_get("expires_ms")?) })
        })
        .fetch_optional(&self.reader)
        .await
        .map_err(|source| self.failed(source))
    }

    /// What a code is worth. Changes nothing.
    pub async fn look_up_code(&self, code: &SecretHash, now: UnixMs) -> Result<CodeState, StoreError> {
        let mut connection = self.reader.acquire().await.map_err(|source| self.failed(source))?;
        code_state(&mut connection, code, now).await.map_err(|source| self.failed(source))
    }

    /// Makes `device` the code's learner's, once. `from`: the device that this browser was until now. It is gone
    /// afterwards, and what its learner passed is passed by the other, too; if it was their only device, their
    /// sessions go along and that learner is no more.
    pub async fn redeem(
        &self,
        code: &SecretHash,
        device: &NewDevice,
        from: Option<DeviceId>,
        now: UnixMs,
    ) -> Result<Redeemed, StoreError> {
        let failed = |source| self.failed(source);
        let mut transaction = self.writer.begin().await.map_err(failed)?;
        let learner = sqlx::query(
            "UPDATE resume_code SET ended = 'used', ended_ms = $2 \
             WHERE code_hash = $1 AND ended IS NULL AND expires_ms > $2 RETURNING learner",
        )
        .bind(code.as_str())
        .bind(now.0)
        .try_map(|row: SqliteRow| parsed(&row, "learner"))
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed)?;
        let Some(learner) = learner else {
            let state = code_state(&mut transaction, code, now).await.map_err(failed)?;
            return Ok(Redeemed::Not(state));
        };
        if let Some(from) = from {
            replace_device(&mut transaction, from, learner).await.map_err(failed)?;
        }
        insert_device(&mut transaction, learner, device, now).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(Redeemed::As(learner))
    }
}

async fn code_state(connection: &mut SqliteConnection, code: &SecretHash, now: UnixMs) -> sqlx::Result<CodeState> {
    let state = sqlx::query("SELECT learner, expires_ms, ended, ended_ms FROM resume_code WHERE code_hash = $1")
        .bind(code.as_str())
        .try_map(|row: SqliteRow| {
            let expires = UnixMs(row.try_get("expires_ms")?);
            let ended = UnixMs(row.try_get::<Option<i64>, _>("ended_ms")?.unwrap_or_default());
            Ok(match row.try_get::<Option<&str>, _>("ended")? {
                Some("used") => CodeState::Used(ended),
                Some(_) => CodeState::Replaced(ended),
                None if expires <= now => CodeState::Expired(expires),
                None => CodeState::Open(parsed(&row, "learner")?),
            })
        })
        .fetch_optional(connection)
        .await?;
    Ok(state.unwrap_or(CodeState::Unknown))
}

/// This browser stops being `from`. Its learner's other devices are left alone, with their sessions: who has one of
/// them must not become another learner because somebody typed a code elsewhere.
async fn replace_device(connection: &mut SqliteConnection, from: DeviceId, to: LearnerId) -> sqlx::Result<()> {
    let before: Option<LearnerId> = sqlx::query("DELETE FROM device WHERE id = $1 RETURNING learner")
        .bind(from.to_string())
        .try_map(|row: SqliteRow| parsed(&row, "learner"))
        .fetch_optional(&mut *connection)
        .await?;
    let Some(before) = before.filter(|&before| before != to) else { return Ok(()) };
    let run = async |connection: &mut SqliteConnection, statement: &'static str| {
        sqlx::query(statement).bind(before.to_string()).bind(to.to_string()).execute(connection).await
    };
    run(
        connection,
        "INSERT INTO passed (learner, course, scenario, digest, step, title, script, passed_ms) \
         SELECT $2, course, scenario, digest, step, title, script, passed_ms FROM passed WHERE learner = $1 \
         ON CONFLICT (learner, course, scenario, digest, step) DO NOTHING",
    )
    .await?;
    let others: i64 = sqlx::query_scalar("SELECT count(*) FROM device WHERE learner = $1")
        .bind(before.to_string())
        .fetch_one(&mut *connection)
        .await?;
    if others > 0 {
        return Ok(());
    }
    for statement in [
        // Both have a machine in the same scenario: the code's learner's stays in front.
        "UPDATE session SET aside = 1 WHERE learner = $1 AND ended_ms IS NULL AND aside = 0 AND EXISTS \
         (SELECT 1 FROM session AS front WHERE front.learner = $2 AND front.course = session.course \
         AND front.scenario = session.scenario AND front.ended_ms IS NULL AND front.aside = 0)",
        "UPDATE session SET learner = $2, version = version + 1 WHERE learner = $1",
    ] {
        run(connection, statement).await?;
    }
    for statement in [
        "DELETE FROM passed WHERE learner = $1",
        "DELETE FROM resume_code WHERE learner = $1",
        "DELETE FROM learner WHERE id = $1",
    ] {
        sqlx::query(statement).bind(before.to_string()).execute(&mut *connection).await?;
    }
    Ok(())
}
