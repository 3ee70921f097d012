//! Learners, their devices, and what they passed.

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::records::{Device, DeviceId, LearnerId, NewDevice, Passed, SecretHash, UnixMs};
use super::sessions::parsed;
use super::{Store, StoreError};
use crate::lesson::progress::{PassedStep, StepMark};

/// Browsers that one learner may have. One more, and the one that was not seen for longest is taken off.
pub const DEVICES_MAX: u32 = 12;
/// How often a device's last visit is written: not with every request.
pub const SEEN_EVERY_MS: i64 = 60 * 60 * 1000;

impl Store {
    /// A new learner at their first device.
    pub async fn add_learner(&self, id: LearnerId, device: &NewDevice, now: UnixMs) -> Result<(), StoreError> {
        let failed = |source| self.failed(source);
        let mut transaction = self.writer.begin().await.map_err(failed)?;
        // The column was the only device's secret once, and must differ: see the migration 0020.
        sqlx::query("INSERT INTO learner (id, secret_hash, created_ms) VALUES ($1, $1, $2)")
            .bind(id.to_string())
            .bind(now.0)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        insert_device(&mut transaction, id, device, now).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// The device whose cookie this is, and so its learner.
    pub async fn device_by_secret(&self, secret: &SecretHash) -> Result<Option<Device>, StoreError> {
        sqlx::query("SELECT id, learner, name, created_ms, seen_ms FROM device WHERE secret_hash = $1")
            .bind(secret.as_str())
            .try_map(device_row)
            .fetch_optional(&self.reader)
            .await
            .map_err(|source| self.failed(source))
    }

    /// A learner's devices, the one seen last first.
    pub async fn devices_of(&self, learner: LearnerId) -> Result<Vec<Device>, StoreError> {
        sqlx::query(
            "SELECT id, learner, name, created_ms, seen_ms FROM device WHERE learner = $1 ORDER BY seen_ms DESC, id DESC",
        )
        .bind(learner.to_string())
        .try_map(device_row)
        .fetch_all(&self.reader)
        .await
        .map_err(|source| self.failed(source))
    }

    /// The learner was here by this device.
    pub async fn see_device(&self, id: DeviceId, now: UnixMs) -> Result<(), StoreError> {
        sqlx::query("UPDATE device SET seen_ms = $2 WHERE id = $1 AND seen_ms < $2")
            .bind(id.to_string())
            .bind(now.0)
            .execute(&self.writer)
            .await
            .map_err(|source| self.failed(source))?;
        Ok(())
    }

    /// Takes a device off a learner. `false`: it is not theirs, or no more.
    pub async fn remove_device(&self, learner: LearnerId, id: DeviceId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM device WHERE id = $1 AND learner = $2")
            .bind(id.to_string())
            .bind(learner.to_string())
            .execute(&self.writer)
            .await
            .map_err(|source| self.failed(source))?;
        Ok(done.rows_affected() == 1)
    }

    /// Every step that this learner ever passed.
    pub async fn passed_by(&self, learner: LearnerId) -> Result<Vec<Passed>, StoreError> {
        sqlx::query(
            "SELECT course, scenario, digest, step, title, script FROM passed \
             WHERE learner = $1 ORDER BY course, scenario, digest, step",
        )
        .bind(learner.to_string())
        .try_map(passed_row)
        .fetch_all(&self.reader)
        .await
        .map_err(|source| self.failed(source))
    }

    /// The same of one scenario.
    pub async fn passed_in(
        &self,
        learner: LearnerId,
        course: &str,
        scenario: &str,
    ) -> Result<Vec<PassedStep>, StoreError> {
        let rows = sqlx::query(
            "SELECT course, scenario, digest, step, title, script FROM passed \
             WHERE learner = $1 AND course = $2 AND scenario = $3 ORDER BY digest, step",
        )
        .bind(learner.to_string())
        .bind(course)
        .bind(scenario)
        .try_map(passed_row)
        .fetch_all(&self.reader)
        .await
        .map_err(|source| self.failed(source))?;
        Ok(rows.into_iter().map(|passed| passed.step).collect())
    }

    /// Forgets a learner: nobody is this learner any more, and nothing says what they did. Sessions whose machine may
    /// still be there keep their row until it is gone.
    pub async fn forget(&self, learner: LearnerId) -> Result<(), StoreError> {
        let failed = |source| self.failed(source);
        let mut transaction = self.writer.begin().await.map_err(failed)?;
        for statement in [
            "DELETE FROM device WHERE learner = $1",
            "DELETE FROM resume_code WHERE learner = $1",
            "DELETE FROM passed WHERE learner = $1",
        ] {
            sqlx::query(statement).bind(learner.to_string()).execute(&mut *transaction).await.map_err(failed)?;
        }
        let settled = sqlx::query_scalar(
            "SELECT id FROM session WHERE learner = $1 AND ended_ms IS NOT NULL AND NOT EXISTS \
             (SELECT 1 FROM sandbox WHERE sandbox.session = session.id AND sandbox.state <> 'gone')",
        )
        .bind(learner.to_string())
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
        for session in settled {
            super::sweep::delete_session(&mut transaction, session).await.map_err(failed)?;
        }
        sqlx::query(
            "DELETE FROM learner WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM session WHERE session.learner = learner.id)",
        )
        .bind(learner.to_string())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }
}

/// Adds a device to a learner, and takes off the one that is one too many.
pub(super) async fn insert_device(
    connection: &mut SqliteConnection,
    learner: LearnerId,
    device: &NewDevice,
    now: UnixMs,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO device (id, learner, secret_hash, name, created_ms, seen_ms) VALUES ($1, $2, $3, $4, $5, $5)",
    )
    .bind(device.id.to_string())
    .bind(learner.to_string())
    .bind(device.secret.as_str())
    .bind(&device.name)
    .bind(now.0)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "DELETE FROM device WHERE learner = $1 AND id NOT IN \
         (SELECT id FROM device WHERE learner = $1 ORDER BY seen_ms DESC, id DESC LIMIT $2)",
    )
    .bind(learner.to_string())
    .bind(DEVICES_MAX)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

fn device_row(row: SqliteRow) -> sqlx::Result<Device> {
    Ok(Device {
        id: parsed(&row, "id")?,
        learner: parsed(&row, "learner")?,
        name: row.try_get("name")?,
        created: UnixMs(row.try_get("created_ms")?),
        seen: UnixMs(row.try_get("seen_ms")?),
    })
}

fn passed_row(row: SqliteRow) -> sqlx::Result<Passed> {
    let mark = StepMark { title: row.try_get("title")?, script: row.try_get("script")? };
    let step = PassedStep { digest: row.try_get("digest")?, step: row.try_get::<u32, _>("step")?, mark };
    Ok(Passed { course: row.try_get("course")?, scenario: row.try_get("scenario")?, step })
}
