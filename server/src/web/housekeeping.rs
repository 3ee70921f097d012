//! The sweep of what the store need not keep any longer.

use std::time::Duration;

use crate::config::KeepDays;
use crate::store::{Keep, Store, UnixMs};
use crate::telemetry::chain;

/// The first sweep waits until a restarted service has found its sessions again.
const FIRST_AFTER: Duration = Duration::from_secs(60);
/// What is kept is counted in days.
const EVERY: Duration = Duration::from_secs(6 * 60 * 60);

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl From<&KeepDays> for Keep {
    fn from(days: &KeepDays) -> Self {
        Self { learners_ms: i64::from(days.learners) * DAY_MS, sessions_ms: i64::from(days.sessions) * DAY_MS }
    }
}

/// Sweeps until its task is ended. A sweep that fails is tried again at its next time.
pub async fn sweep_now_and_then(store: Store, days: KeepDays) {
    let keep = Keep::from(&days);
    let mut wait = FIRST_AFTER;
    loop {
        tokio::time::sleep(wait).await;
        wait = EVERY;
        match store.sweep(keep, UnixMs::now()).await {
            Ok(swept) => {
                let (sessions, learners, codes) = (swept.sessions, swept.learners, swept.codes);
                tracing::info!(sessions, learners, codes, "what is no longer kept was deleted");
            }
            Err(error) => tracing::warn!(error = %chain(&error), "cannot delete what is no longer kept"),
        }
    }
}
