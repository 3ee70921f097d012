//! Which sandbox a session has.

use quayside_runtime::spec::SandboxId;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::records::{SandboxRow, SandboxState, SessionId};
use super::sessions::parsed;
use super::{Store, StoreError};

impl Store {
    /// Written before the keeper is asked, so that a web process that dies in between can find out what
    /// became of it.
    pub async fn add_sandbox(&self, row: &SandboxRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO sandbox (id, session, generation, image, hostname, state, version) \
             VALUES ($1, $2, $3, $4, $5, $6, 1)",
        )
        .bind(row.id.to_string())
        .bind(row.session.to_string())
        .bind(row.generation)
        .bind(&row.image)
        .bind(&row.hostname)
        .bind(row.state.word())
        .execute(&self.writer)
        .await
        .map_err(|source| self.failed(source))?;
        Ok(())
    }

    pub async fn mark_sandbox(&self, id: SandboxId, state: SandboxState) -> Result<(), StoreError> {
        let done = sqlx::query("UPDATE sandbox SET state = $2, version = version + 1 WHERE id = $1")
            .bind(id.to_string())
            .bind(state.word())
            .execute(&self.writer)
            .await
            .map_err(|source| self.failed(source))?;
        self.one(done)
    }

    /// The session's newest sandbox.
    pub async fn sandbox_of(&self, session: SessionId) -> Result<Option<SandboxRow>, StoreError> {
        sqlx::query(
            "SELECT id, session, generation, image, hostname, state FROM sandbox \
             WHERE session = $1 ORDER BY generation DESC LIMIT 1",
        )
        .bind(session.to_string())
        .try_map(sandbox_row)
        .fetch_optional(&self.reader)
        .await
        .map_err(|source| self.failed(source))
    }

    /// Sandboxes whose session is over and of which we do not know that they are gone. Each takes a place.
    pub async fn orphans(&self) -> Result<Vec<SandboxRow>, StoreError> {
        sqlx::query(
            "SELECT sandbox.id, session, generation, image, hostname, sandbox.state \
             FROM sandbox JOIN session ON session.id = sandbox.session \
             WHERE sandbox.state <> 'gone' AND session.ended_ms IS NOT NULL",
        )
        .try_map(sandbox_row)
        .fetch_all(&self.reader)
        .await
        .map_err(|source| self.failed(source))
    }
}

fn sandbox_row(row: SqliteRow) -> sqlx::Result<SandboxRow> {
    Ok(SandboxRow {
        id: parsed(&row, "id")?,
        session: parsed(&row, "session")?,
        generation: row.try_get("generation")?,
        image: row.try_get("image")?,
        hostname: row.try_get("hostname")?,
        state: parsed(&row, "state")?,
    })
}
