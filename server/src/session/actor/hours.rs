//! The session's time, and what happens when nobody uses it.

use std::time::Duration;

use tokio::time::Instant;

use super::{Actor, Aside, IDLE_TICK_MIN, Next, Report};
use crate::session::clock::{Quiet, in_words, left, quiet};
use crate::session::handle::Refusal;
use crate::session::view::{NoticeLevel, Stage};
use crate::store::{Clock, SessionState, UnixMs};

/// How exactly the store knows when a session was used last.
const NOTE_EVERY: Duration = Duration::from_secs(60);
/// The furthest that the task sleeps: a clock that is set meanwhile is noticed then.
const SLEEP_MAX: Duration = Duration::from_secs(60);

impl Actor {
    /// When [`Actor::time_is_up`] has to look again.
    pub(super) fn due(&self) -> Instant {
        let now = Instant::now();
        if self.waits() {
            return match self.held_since {
                Some(since) => since + self.seed.offer_max,
                None => (self.seen_at + self.seed.away_max).max(now + IDLE_TICK_MIN),
            };
        }
        let left = self.view.borrow().time.map_or(SLEEP_MAX, |time| left(time.ends, UnixMs::now()));
        now + left.min(SLEEP_MAX)
    }

    pub(super) async fn time_is_up(&mut self) -> Next {
        if self.waits() {
            return self.give_up_place().await;
        }
        let Some(time) = self.view.borrow().time else { return Next::On };
        if !left(time.ends, UnixMs::now()).is_zero() {
            return Next::On;
        }
        let message = "Your time with this machine is over. Its files and terminals went with it; your progress stays.";
        self.end(SessionState::Ended, message, None).await;
        Next::Stop
    }

    /// A machine is there. The time of the first counts for all that follow.
    pub(super) async fn start_clock(&mut self) {
        if self.view.borrow().time.is_some() {
            return;
        }
        match self.seed.store.begin_clock(self.seed.row.id, UnixMs::now(), self.seed.time.first).await {
            Ok(clock) => self.show_clock(clock),
            Err(error) => self.store_trouble(&error),
        }
    }

    pub(super) fn show_clock(&self, clock: Clock) {
        let time = self.seed.time.time(clock);
        self.change(|view| view.time = Some(time));
    }

    pub(super) async fn extend(&mut self) -> Result<(), Refusal> {
        if self.view.borrow().time.is_none() {
            return Err(Refusal::NotReady);
        }
        let limits = self.seed.time;
        match self.seed.store.extend(self.seed.row.id, limits.extend, limits.most).await {
            Ok(Some(clock)) => {
                self.show_clock(clock);
                self.seed.line.stir();
                Ok(())
            }
            Ok(None) => Err(Refusal::NoMoreTime),
            Err(error) => Err(self.refused(&error)),
        }
    }

    /// The learner did something that no terminal sees.
    pub(super) fn touched(&mut self) {
        self.seen_at = Instant::now();
        self.touched_at = Instant::now();
    }

    pub(super) async fn look_around(&mut self) -> Next {
        if self.connections.is_anybody_there() {
            self.seen_at = Instant::now();
        }
        if self.waits() {
            return Next::On;
        }
        self.spawn_asking();
        self.note_use().await;
        // Without a machine all that it has is a place, which others may wait for.
        let is_lost = self.stage() == Stage::Lost;
        let max = if is_lost { self.seed.idle_max.min(self.seed.offer_max) } else { self.seed.idle_max };
        let max = max.max(IDLE_TICK_MIN);
        match quiet(self.seen_at.elapsed(), self.touched_at.elapsed(), max) {
            Quiet::No => self.warned = false,
            Quiet::Soon(left) => self.warn(left),
            Quiet::TooLong => {
                let went = if is_lost { "whose machine had ended by itself" } else { "so its machine was ended" };
                let message =
                    format!("Nobody looked at this session for {}, {went}. Your progress stays.", in_words(max));
                self.end(SessionState::Ended, &message, None).await;
                return Next::Stop;
            }
        }
        Next::On
    }

    /// The shim alone sees every key, whoever brought it.
    fn spawn_asking(&mut self) {
        let Some(sandbox) = self.sandbox() else { return };
        self.spawn(|reports| async move {
            // A shim that does not answer has nothing to say about keys; others notice that it is gone.
            if let Ok(state) = sandbox.state().await
                && let Some(ago) = state.input_ms_ago
            {
                let _ = reports.send(Report::Touched(Duration::from_millis(ago))).await;
            }
        });
    }

    async fn note_use(&mut self) {
        let ago = self.seen_at.elapsed().min(self.touched_at.elapsed());
        let used = UnixMs(UnixMs::now().0 - i64::try_from(ago.as_millis()).unwrap_or(i64::MAX));
        if used.since(self.noted) < NOTE_EVERY {
            return;
        }
        match self.seed.store.used(self.seed.row.id, used).await {
            Ok(()) => self.noted = used,
            Err(error) => self.store_trouble(&error),
        }
    }

    /// Nobody looks at this session, but its learner may be in another one.
    fn warn(&mut self, left: Duration) {
        if self.warned || !matches!(self.stage(), Stage::Preparing | Stage::Ready) {
            return;
        }
        self.warned = true;
        let title = self.seed.scenario.as_ref().map_or(self.seed.row.scenario.as_str(), |scenario| &scenario.title);
        let text = format!(
            "Nobody looks at your machine of “{title}”: it will be ended in {}. Open that lesson to keep it.",
            in_words(left.max(Duration::from_secs(1)))
        );
        let aside = Aside { learner: self.seed.row.learner, about: self.seed.row.id, text };
        // Nobody else may be there to hear it.
        let _ = self.seed.asides.send(aside);
    }

    pub(super) fn overhear(&mut self, aside: Aside) -> Next {
        if aside.learner == self.seed.row.learner && aside.about != self.seed.row.id {
            self.remark(NoticeLevel::Warn, aside.text);
        }
        Next::On
    }
}
