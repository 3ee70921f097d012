//! For whoever watches the service: whether it lives, and whether sessions can be started.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::Mutex;

use super::app::App;
use crate::store::Store;
use crate::telemetry::chain;

/// How long an answer holds: anybody may ask, and each look writes to the store.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Room below which a disk counts as full: a session's disk and what is written in it would not fit.
const ROOM_MIN_BYTES: u64 = 64 * 1024 * 1024;

/// What new sessions need of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    pub writable: bool,
    pub room: bool,
}

/// Looks at the store and its disk, and remembers for a moment.
#[derive(Debug)]
pub struct Lookout {
    store: Store,
    directory: PathBuf,
    last: Mutex<Option<(Instant, Disk)>>,
}

impl Lookout {
    pub fn new(store: Store, directory: PathBuf) -> Self {
        Self { store, directory, last: Mutex::new(None) }
    }

    pub async fn look(&self) -> Disk {
        // Who comes while somebody looks waits for the same answer.
        let mut last = self.last.lock().await;
        if let Some((at, disk)) = *last
            && at.elapsed() < LOOK_EVERY
        {
            return disk;
        }
        let written = self.store.try_write().await;
        if let Err(error) = &written {
            tracing::warn!(error = chain(error), "the store cannot be written");
        }
        let disk = Disk { writable: written.is_ok(), room: self.room() };
        *last = Some((Instant::now(), disk));
        disk
    }

    fn room(&self) -> bool {
        match nix::sys::statvfs::statvfs(&self.directory) {
            Ok(found) => found.blocks_available() * found.fragment_size() >= ROOM_MIN_BYTES,
            Err(error) => {
                tracing::warn!(%error, "cannot ask how full the store's disk is");
                false
            }
        }
    }
}

/// The process answers.
pub async fn live() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// Sessions can be started: the store can be written, there is room, and the keeper is there.
pub async fn ready(State(app): State<App>) -> Response {
    let (disk, keeper) = (app.lookout().look().await, app.sandboxes().reachable());
    let fine = disk.writable && disk.room && keeper;
    let status = if fine { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = |fine, otherwise| if fine { "ok" } else { otherwise };
    let body = json!({
        "status": word(fine, "not ready"),
        "store": word(disk.writable, "not writable"),
        "disk": word(disk.room, "full"),
        "keeper": word(keeper, "unreachable"),
    });
    (status, Json(body)).into_response()
}
