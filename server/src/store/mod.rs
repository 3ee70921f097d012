//! What outlives the web process: learners, sessions, progress and which sandbox a session has.
//!
//! One SQLite file with one writing connection and a few reading ones. The statements are also PostgreSQL's
//! (`$1`, `ON CONFLICT`, text ids, unix milliseconds), so that it can stand beside SQLite when an
//! installation outgrows one machine; `conformance.rs` says what any store must do.
//! Nothing that happens per keystroke comes here.

mod error;
mod records;
mod sessions;
mod line;
mod learners;
mod answers;
mod codes;
mod sweep;
mod sandboxes;

#[cfg(test)]
mod conformance;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::Connection;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

pub use error::StoreError;
pub use learners::{DEVICES_MAX, SEEN_EVERY_MS};
pub use line::{Clock, Pace, Room};
pub use records::{
    Answer, CodeState, Device, DeviceId, Ending, LearnerId, NewDevice, OpenCode, Opened, Opening, Passed, Redeemed,
    SandboxRow, SandboxState, SecretHash, SessionId, SessionRow, SessionState, UnixMs,
};
pub use sweep::{Keep, Swept};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// The file's name in the store's directory.
const FILE: &str = "quayside.db";

/// Connections that read. Each query is a look-up of microseconds; each connection is a thread.
const READERS_MAX: u32 = 3;

/// Pages of the file that each connection keeps in memory. SQLite's own default, 2 MB, fills up while sessions come
/// and go, four times over; what is not kept here is in the kernel's cache, and read again within microseconds.
const PAGE_CACHE_KIB: u32 = 512;

/// How long a statement waits for another process's lock (a backup, the process being replaced).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request waits for a connection before it fails in words.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// A handle on the store; clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
    writer: SqlitePool,
    reader: SqlitePool,
}

/// Whether a connection that is given back may be used again. On a full disk SQLite ends a transaction by itself; sqlx
/// counts it as open all the same, and would make what follows parts of one that nobody commits.
async fn is_whole(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    // Behind the answer, a transaction that was dropped has been rolled back.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

impl Store {
    /// Opens the store in `dir`, makes it if it is not there, and brings it up to date.
    pub async fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE);
        std::fs::create_dir_all(dir).map_err(|source| StoreError::directory(dir, source))?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With a write-ahead log a power cut loses at most the last transactions, never the file.
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            // Below 0: kibibytes instead of pages.
            .pragma("cache_size", format!("-{PAGE_CACHE_KIB}"))
            .busy_timeout(BUSY_TIMEOUT);
        let pool = |size: u32| {
            SqlitePoolOptions::new()
                .max_connections(size)
                .min_connections(1)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .after_release(|connection, _| Box::pin(is_whole(connection)))
        };
        let on_opening = |source| StoreError::opening(&path, source);
        let writer = pool(1).connect_with(options.clone()).await.map_err(on_opening)?;
        MIGRATIONS.run(&writer).await.map_err(|source| StoreError::migrating(&path, source))?;
        let reader = pool(READERS_MAX).connect_with(options.read_only(true)).await.map_err(on_opening)?;
        Ok(Self { path, writer, reader })
    }

    /// Whether a statement that writes is taken now: a full disk, a file that was made read-only and a disk that is
    /// gone all answer readers for a while from memory. Writes the version that is there anyway, and nothing else.
    pub async fn try_write(&self) -> Result<(), StoreError> {
        let on_failing = |source| self.failed(source);
        let version: i64 =
            sqlx::query_scalar("PRAGMA user_version").fetch_one(&self.writer).await.map_err(on_failing)?;
        // A PRAGMA takes no parameter; an i64 has nothing to escape.
        let write = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {version}"));
        sqlx::query(write).execute(&self.writer).await.map_err(on_failing)?;
        Ok(())
    }

    /// Writes the log back into the file and closes every connection.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// An update by id that found no row had an old picture of it.
    fn one(&self, done: sqlx::sqlite::SqliteQueryResult) -> Result<(), StoreError> {
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Stale) }
    }

    fn failed(&self, source: sqlx::Error) -> StoreError {
        StoreError::statement(&self.path, source)
    }
}
