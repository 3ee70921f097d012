//! The line of learners who wait for a place.
//!
//! ```text
//!   asked while full ──► waiting ──► offered ──► claimed: a machine is started
//!                          │  │         │
//!              left, or ───┘  │         └─ nobody of theirs is there within 60 s: passed on
//!              away 15 min    └─ in the order of asking
//! ```
//!
//! Who is in line, in which order and who is offered a place is in the store. One task ([`Roster::keep_line`](super::Roster::keep_line))
//! hands places out and works out what everybody in line is told; a session's own task claims what it is offered
//! or lets it go.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use quayside_runtime::spec::Limits;
use tokio::sync::{Notify, watch};

use super::view::{Place, Wait};
use crate::config::SessionLimits;
use crate::sandbox::HostInfo;
use crate::store::{Pace, SessionId, Store, StoreError, UnixMs};

/// How often the line is looked at while somebody waits: ends come nearer without a sign.
const TICK: Duration = Duration::from_secs(5);
/// Places that were freed in this time tell how fast that goes.
const LATELY: Duration = Duration::from_secs(30 * 60);
/// Fewer than this many tell nothing.
const FREED_MIN: u32 = 3;

/// What everybody in line is told.
pub type Places = HashMap<SessionId, Place>;

/// A handle; clones share the line.
#[derive(Debug, Clone)]
pub struct Line {
    store: Store,
    limits: Arc<SessionLimits>,
    /// What each sandbox is allowed.
    sandbox: Arc<Limits>,
    host: watch::Receiver<Option<HostInfo>>,
    places: watch::Sender<Arc<Places>>,
    stirred: Arc<Notify>,
}

impl Line {
    pub fn new(store: Store, limits: SessionLimits, sandbox: Limits, host: watch::Receiver<Option<HostInfo>>) -> Self {
        let (places, _) = watch::channel(Arc::default());
        let (limits, sandbox) = (Arc::new(limits), Arc::new(sandbox));
        Self { store, limits, sandbox, host, places, stirred: Arc::default() }
    }

    /// How many sessions there may be at once; `None` until the keeper has said what the host has.
    pub fn capacity(&self) -> Option<u32> {
        self.host.borrow().map(|host| self.limits.capacity(host.memory_bytes, &self.sandbox))
    }

    /// As [`Line::capacity`], and waits for it; 0 when the keeper does not come.
    pub async fn capacity_soon(&self, patience: Duration) -> u32 {
        let mut host = self.host.clone();
        let _ = tokio::time::timeout(patience, host.wait_for(Option::is_some)).await;
        self.capacity().unwrap_or(0)
    }

    pub fn places(&self) -> watch::Receiver<Arc<Places>> {
        self.places.subscribe()
    }

    /// Somebody came, went, or left a place behind.
    pub fn stir(&self) {
        self.stirred.notify_one();
    }

    /// Until there is something to look at.
    pub async fn rest(&self) {
        let _ = tokio::time::timeout(TICK, self.stirred.notified()).await;
    }

    /// Hands out the places that are free, and tells everybody in line where they stand. These are in line: each
    /// needs a task that takes what it is offered.
    pub async fn look(&self) -> Result<Vec<SessionId>, StoreError> {
        let waiting = self.store.line().await?;
        if waiting.is_empty() {
            self.tell(Places::new());
            return Ok(waiting);
        }
        let capacity = self.capacity();
        while let Some(capacity) = capacity
            && let Some(id) = self.store.offer_place(capacity, UnixMs::now()).await?
        {
            tracing::info!(session = %id, "a place is offered");
        }
        let (now, mut places) = (UnixMs::now(), Places::new());
        let pace = self.store.pace(LATELY, now).await?;
        let of = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
        for (place, &id) in (1..).zip(&waiting) {
            let offered = self.store.session(id).await?.is_some_and(|row| row.offered.is_some());
            let wait = estimate(&pace, place, now);
            let (kept, held) = (self.limits.away_max(), self.limits.offer_max());
            places.insert(id, Place { place, of, capacity: capacity.unwrap_or(0), wait, offered, kept, held });
        }
        self.tell(places);
        Ok(waiting)
    }

    fn tell(&self, places: Places) {
        self.places.send_if_modified(|known| {
            let changed = **known != places;
            if changed {
                *known = Arc::new(places);
            }
            changed
        });
    }
}

/// How long the learner at `place` (from 1) will wait.
///
/// The session that ends as the `place`th from now frees that place at the latest, unless somebody extends. How
/// many left lately tells how much sooner it may be, or how much later because people do extend. Without that
/// the one number is all that is known; without enough ends nothing is.
pub fn estimate(pace: &Pace, place: u32, now: UnixMs) -> Wait {
    let mut ends: Vec<UnixMs> = pace.ends.iter().copied().flatten().collect();
    ends.sort_unstable();
    let by_ends = ends.get(place as usize - 1).map(|ends| ends.since(now));
    let by_pace = (pace.freed >= FREED_MIN).then(|| LATELY * place / pace.freed);
    match (by_ends, by_pace) {
        (None, None) => Wait::Unknown,
        (Some(ends), None) => Wait::Within { minutes: minutes_up(ends) },
        (None, Some(pace)) => range(pace, pace),
        (Some(ends), Some(pace)) => range(ends.min(pace), ends.max(pace)),
    }
}

/// Rounded outwards to whole minutes, and never as exact as one minute.
fn range(from: Duration, to: Duration) -> Wait {
    let from_minutes = u32::try_from(from.as_secs() / 60).unwrap_or(u32::MAX);
    Wait::Between { from_minutes, to_minutes: minutes_up(to).max(from_minutes + 1) }
}

fn minutes_up(time: Duration) -> u32 {
    u32::try_from(time.as_secs().div_ceil(60)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_000_000_000);

    fn pace(ends_in_minutes: &[i64], freed: u32) -> Pace {
        Pace { ends: ends_in_minutes.iter().map(|minutes| Some(UnixMs(NOW.0 + minutes * 60_000))).collect(), freed }
    }

    #[test]
    fn the_third_in_line_waits_for_the_third_end() {
        let pace = pace(&[40, 8, 2, 5], 0);
        let waits: Vec<Wait> = (1..=5).map(|place| estimate(&pace, place, NOW)).collect();
        let within = |minutes| Wait::Within { minutes };
        assert_eq!(waits, [within(2), within(5), within(8), within(40), Wait::Unknown]);
    }

    #[test]
    fn what_was_freed_lately_makes_a_range_of_it() {
        // Fifteen in half an hour is one in two minutes.
        assert_eq!(estimate(&pace(&[1, 7, 8], 15), 3, NOW), Wait::Between { from_minutes: 6, to_minutes: 8 });
        assert_eq!(
            estimate(&pace(&[1, 2, 3], 15), 3, NOW),
            Wait::Between { from_minutes: 3, to_minutes: 6 },
            "people extend"
        );
        assert_eq!(estimate(&pace(&[], 15), 3, NOW), Wait::Between { from_minutes: 6, to_minutes: 7 });
        assert_eq!(estimate(&pace(&[8], 2), 1, NOW), Wait::Within { minutes: 8 }, "two tell nothing");
    }

    #[test]
    fn a_machine_that_is_not_there_yet_has_no_end_and_one_that_is_over_ends_now() {
        let starting = Pace { ends: vec![None, None], freed: 0 };
        assert_eq!(estimate(&starting, 1, NOW), Wait::Unknown);
        assert_eq!(estimate(&pace(&[-3], 0), 1, NOW), Wait::Within { minutes: 1 });
    }
}
