//! What can go wrong with the store, in words that name the file and the remedy.

use std::io;
use std::path::{Path, PathBuf};

/// An operation on the store that failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "cannot use the store's directory {path}; give the web process's user read, write and search permission on \
         it, or point --data elsewhere"
    )]
    Directory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "cannot open the store {path}; it and its directory must be readable and writable by the web process's user"
    )]
    Opening {
        path: PathBuf,
        #[source]
        source: sqlx::Error,
    },
    #[error("the store {path} is not one of ours, or is damaged; move it away to begin anew, or restore a copy")]
    Foreign {
        path: PathBuf,
        #[source]
        source: sqlx::Error,
    },
    #[error("the store {path} was written by a newer version; start that version, or restore an older copy")]
    Newer { path: PathBuf },
    #[error("cannot bring the store {path} up to date; nothing of it was changed by the step that failed")]
    Migrating {
        path: PathBuf,
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    #[error("the disk that holds the store {path} is full; free some space, and what failed can be tried again")]
    Full { path: PathBuf },
    #[error("cannot write the store {path}: it is read-only; remount it writable or restore its permissions")]
    ReadOnly { path: PathBuf },
    #[error("a row of the store changed meanwhile; read it again")]
    Stale,
    #[error("a statement on the store {path} failed")]
    Statement {
        path: PathBuf,
        #[source]
        source: sqlx::Error,
    },
}

impl StoreError {
    pub(super) fn directory(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::StorageFull {
            return Self::Full { path: path.into() };
        }
        Self::Directory { path: path.into(), source }
    }

    pub(super) fn opening(path: &Path, source: sqlx::Error) -> Self {
        match primary_code(&source) {
            Some(SQLITE_NOTADB | SQLITE_CORRUPT) => Self::Foreign { path: path.into(), source },
            Some(SQLITE_FULL) => Self::Full { path: path.into() },
            _ => Self::Opening { path: path.into(), source },
        }
    }

    pub(super) fn migrating(path: &Path, source: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError;
        match source {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => Self::Newer { path: path.into() },
            MigrateError::Execute(source) => match Self::statement(path, source) {
                Self::Statement { source, .. } => Self::opening(path, source),
                known => known,
            },
            source => Self::Migrating { path: path.into(), source },
        }
    }

    pub(super) fn statement(path: &Path, source: sqlx::Error) -> Self {
        match primary_code(&source) {
            Some(SQLITE_FULL) => Self::Full { path: path.into() },
            Some(SQLITE_READONLY) => Self::ReadOnly { path: path.into() },
            _ => Self::Statement { path: path.into(), source },
        }
    }
}

// <https://www.sqlite.org/rescode.html>
const SQLITE_READONLY: u32 = 8;
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_FULL: u32 = 13;
const SQLITE_NOTADB: u32 = 26;

/// The low byte of SQLite's result code; the others say more about the same trouble.
fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
