//! Who gets a place, in which order, and for how long.
//!
//! A place is taken by every session that lives, by one that is offered to a learner in line, and by every
//! sandbox that is still on its way out: memory comes back with its end and not before. What is decided here is
//! decided in one transaction that holds the write lock from its first statement, so that of many starts at the
//! same moment no two get the last place.

use std::time::Duration;

use sqlx::{Row, Sqlite, SqliteConnection, Transaction};

use super::records::{Ending, LearnerId, Opened, Opening, SessionId, SessionRow, SessionState, UnixMs};
use super::sessions::{select_sessions, session_row};
use super::{Store, StoreError};

/// How many sessions there may be, the one that is to begin among them.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    pub all_max: u32,
    pub per_learner_max: u32,
    /// Learners in line.
    pub line_max: u32,
}

/// When a session's machine began, and until when it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    pub begun: UnixMs,
    pub ends: UnixMs,
}

/// What tells how soon places are freed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pace {
    /// When each session with a place ends as things stand; `None` for one whose machine is not there yet.
    pub ends: Vec<Option<UnixMs>>,
    /// Sessions that gave their place back lately.
    pub freed: u32,
}

/// Said to who goes into another line: a learner has one place in it.
const MOVED: &str = "You started another lesson, and your place in line went with you.";
/// Said of a session that made room.
const INSTEAD: &str = "You ended this machine to start another one.";

impl Store {
    /// Begins a session, or finds the one that this learner has in the scenario, or puts the learner in line.
    /// Of two requests at the same moment one begins it and the other finds it.
    pub async fn open_session(&self, opening: &Opening, room: Room, now: UnixMs) -> Result<Opened, StoreError> {
        let mut change = self.begin().await?;
        let opened = open(&mut change, opening, room, now).await.map_err(|source| self.failed(source))?;
        change.commit().await.map_err(|source| self.failed(source))?;
        Ok(opened)
    }

    /// Holds a free place for the first in line who has none yet; `None`: there is no place, or nobody.
    pub async fn offer_place(&self, all_max: u32, now: UnixMs) -> Result<Option<SessionId>, StoreError> {
        let mut change = self.begin().await?;
        let offered = offer(&mut change, all_max, now).await.map_err(|source| self.failed(source))?;
        change.commit().await.map_err(|source| self.failed(source))?;
        Ok(offered)
    }

    /// The learner takes the place that is held. `false`: it is not held any more.
    pub async fn claim_place(&self, id: SessionId) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE session SET state = 'live', queued_ms = NULL, offered_ms = NULL, version = version + 1 \
             WHERE id = $1 AND state = 'waiting' AND offered_ms IS NOT NULL",
        )
        .bind(id.to_string())
        .execute(&self.writer)
        .await
        .map_err(|source| self.failed(source))?;
        Ok(done.rows_affected() == 1)
    }

    /// Who waits, the first first.
    pub async fn line(&self) -> Result<Vec<SessionId>, StoreError> {
        sqlx::query("SELECT id FROM session WHERE queued_ms IS NOT NULL AND ended_ms IS NULL ORDER BY turn")
            .try_map(|row| super::sessions::parsed(&row, "id"))
            .fetch_all(&self.reader)
            .await
            .map_err(|source| self.failed(source))
    }

    pub async fn pace(&self, lately: Duration, now: UnixMs) -> Result<Pace, StoreError> {
        let ends = sqlx::query("SELECT ends_ms FROM session WHERE state = 'live'")
            .try_map(|row: sqlx::sqlite::SqliteRow| Ok(row.try_get::<Option<i64>, _>("ends_ms")?.map(UnixMs)))
            .fetch_all(&self.reader)
            .await
            .map_err(|source| self.failed(source))?;
        let since = now.0 - i64::try_from(lately.as_millis()).unwrap_or(i64::MAX);
        let freed = sqlx::query_scalar("SELECT count(*) FROM session WHERE ended_ms > $1 AND begun_ms IS NOT NULL")
            .bind(since)
            .fetch_one(&self.reader)
            .await
            .map_err(|source| self.failed(source))?;
        Ok(Pace { ends, freed })
    }

    /// The session's first machine is there: its time begins. A later machine has what is left of it.
    pub async fn begin_clock(&self, id: SessionId, now: UnixMs, time_max: Duration) -> Result<Clock, StoreError> {
        sqlx::query(
            "UPDATE session SET begun_ms = $2, ends_ms = $3, version = version + 1 \
             WHERE id = $1 AND begun_ms IS NULL AND ended_ms IS NULL",
        )
        .bind(id.to_string())
        .bind(now.0)
        .bind(now.plus(time_max).0)
        .execute(&self.writer)
        .await
        .map_err(|source| self.failed(source))?;
        let row = self.session(id).await?.ok_or(StoreError::Stale)?;
        row.clock().ok_or(StoreError::Stale)
    }

    /// Adds `more`, as far as `most` in all allows. `None`: nothing more can be had.
    pub async fn extend(&self, id: SessionId, more: Duration, most: Duration) -> Result<Option<Clock>, StoreError> {
        let milliseconds = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let done = sqlx::query(
            "UPDATE session SET version = version + 1, ends_ms = \
             CASE WHEN ends_ms + $2 < begun_ms + $3 THEN ends_ms + $2 ELSE begun_ms + $3 END \
             WHERE id = $1 AND ended_ms IS NULL AND ends_ms < begun_ms + $3",
        )
        .bind(id.to_string())
        .bind(milliseconds(more))
        .bind(milliseconds(most))
        .execute(&self.writer)
        .await
        .map_err(|source| self.failed(source))?;
        if done.rows_affected() == 0 {
            return Ok(None);
        }
        Ok(self.session(id).await?.and_then(|row| row.clock()))
    }

    /// The learner was seen, or typed something.
    pub async fn used(&self, id: SessionId, at: UnixMs) -> Result<(), StoreError> {
        sqlx::query("UPDATE session SET used_ms = $2 WHERE id = $1 AND used_ms < $2 AND ended_ms IS NULL")
            .bind(id.to_string())
            .bind(at.0)
            .execute(&self.writer)
            .await
            .map_err(|source| self.failed(source))?;
        Ok(())
    }

    /// A transaction that holds the write lock from here.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(|source| self.failed(source))
    }
}

impl SessionRow {
    pub fn clock(&self) -> Option<Clock> {
        Some(Clock { begun: self.begun?, ends: self.ends? })
    }
}

async fn open(at: &mut SqliteConnection, opening: &Opening, room: Room, now: UnixMs) -> sqlx::Result<Opened> {
    let theirs = unfinished_of(at, opening.learner).await?;
    let here = |row: &&SessionRow| !row.aside && row.course == opening.course && row.scenario == opening.scenario;
    if let Some(row) = theirs.iter().find(here) {
        return Ok(Opened::Found(row.clone()));
    }
    let live: Vec<&SessionRow> = theirs.iter().filter(|row| row.state == SessionState::Live).collect();
    let instead = live.iter().find(|row| Some(row.id) == opening.instead);
    if live.len() - usize::from(instead.is_some()) >= room.per_learner_max as usize {
        return Ok(Opened::TooMany(live.into_iter().cloned().collect()));
    }
    let in_line = theirs.iter().find(|row| row.state == SessionState::Waiting);
    if instead.is_none() && in_line.is_none() && count_line(at).await? >= room.line_max && !has_room(at, room).await? {
        return Ok(Opened::Full);
    }
    // A place goes over from one session of this learner to the next, so nobody comes in between.
    let mut admitted = instead.is_some();
    if let Some(row) = instead {
        end(at, row.id, SessionState::Left, INSTEAD, now).await?;
    }
    if let Some(row) = in_line {
        admitted = admitted || row.offered.is_some();
        end(at, row.id, SessionState::Left, MOVED, now).await?;
    }
    admitted = admitted || (in_line.is_none() && count_line(at).await? == 0 && has_room(at, room).await?);
    let queued = match in_line.and_then(|row| row.queued.zip(row.turn)) {
        _ if admitted => None,
        Some((since, turn)) => Some(Queued { since, turn }),
        None => Some(Queued { since: now, turn: next_turn(at).await? }),
    };
    let id = insert(at, opening, queued, now).await?;
    let row = select_sessions!("WHERE id = $1").bind(id.to_string()).try_map(session_row).fetch_one(at).await?;
    Ok(if admitted { Opened::New(row) } else { Opened::Queued(row) })
}

/// The learner's sessions that are not over, the one not used for longest first.
async fn unfinished_of(at: &mut SqliteConnection, learner: LearnerId) -> sqlx::Result<Vec<SessionRow>> {
    select_sessions!("WHERE learner = $1 AND ended_ms IS NULL ORDER BY used_ms, created_ms, id")
        .bind(learner.to_string())
        .try_map(session_row)
        .fetch_all(at)
        .await
}

/// A place in line.
struct Queued {
    since: UnixMs,
    turn: i64,
}

/// Behind everybody who waits. Counted and not read from a clock: one that is set back lets nobody jump the line.
async fn next_turn(at: &mut SqliteConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "SELECT coalesce(max(turn), 0) + 1 FROM session WHERE queued_ms IS NOT NULL AND ended_ms IS NULL",
    )
    .fetch_one(at)
    .await
}

async fn insert(
    at: &mut SqliteConnection,
    opening: &Opening,
    queued: Option<Queued>,
    now: UnixMs,
) -> sqlx::Result<SessionId> {
    let id = SessionId::random();
    let state = if queued.is_some() { SessionState::Waiting } else { SessionState::Live };
    sqlx::query(
        "INSERT INTO session (id, learner, course, scenario, digest, page, state, created_ms, used_ms, queued_ms, \
         turn, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10, 1)",
    )
    .bind(id.to_string())
    .bind(opening.learner.to_string())
    .bind(&opening.course)
    .bind(&opening.scenario)
    .bind(&opening.digest)
    .bind(&opening.page)
    .bind(state.word())
    .bind(now.0)
    .bind(queued.as_ref().map(|queued| queued.since.0))
    .bind(queued.map(|queued| queued.turn))
    .execute(at)
    .await?;
    Ok(id)
}

async fn offer(at: &mut SqliteConnection, all_max: u32, now: UnixMs) -> sqlx::Result<Option<SessionId>> {
    if count_taken(at).await? >= all_max {
        return Ok(None);
    }
    let first = sqlx::query(
        "SELECT id FROM session WHERE queued_ms IS NOT NULL AND offered_ms IS NULL AND ended_ms IS NULL \
         ORDER BY turn LIMIT 1",
    )
    .try_map(|row| super::sessions::parsed::<SessionId>(&row, "id"))
    .fetch_optional(&mut *at)
    .await?;
    if let Some(id) = first {
        sqlx::query("UPDATE session SET offered_ms = $2, version = version + 1 WHERE id = $1")
            .bind(id.to_string())
            .bind(now.0)
            .execute(at)
            .await?;
    }
    Ok(first)
}

async fn has_room(at: &mut SqliteConnection, room: Room) -> sqlx::Result<bool> {
    Ok(count_taken(at).await? < room.all_max)
}

async fn count_taken(at: &mut SqliteConnection) -> sqlx::Result<u32> {
    sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM session WHERE ended_ms IS NULL AND (state = 'live' OR offered_ms IS NOT NULL)) \
         + (SELECT count(*) FROM sandbox JOIN session ON session.id = sandbox.session \
         WHERE sandbox.state <> 'gone' AND session.ended_ms IS NOT NULL)",
    )
    .fetch_one(at)
    .await
}

async fn count_line(at: &mut SqliteConnection) -> sqlx::Result<u32> {
    sqlx::query_scalar("SELECT count(*) FROM session WHERE queued_ms IS NOT NULL AND ended_ms IS NULL")
        .fetch_one(at)
        .await
}

async fn end(
    at: &mut SqliteConnection,
    id: SessionId,
    state: SessionState,
    why: &str,
    now: UnixMs,
) -> sqlx::Result<()> {
    let ending = Ending { state, why: why.to_owned(), detail: None };
    super::sessions::end(at, id, &ending, now).await
}
