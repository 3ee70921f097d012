//! A session's time: how much of it is left, how much more can be had, and when nobody needs it any more.
//!
//! Everything here is decided from numbers alone. The end is a moment in the store, so that a restarted process
//! keeps it; pages are told how much is left, as their clocks may say anything.

use std::time::Duration;

use super::view::Time;
use crate::store::{Clock, UnixMs};

/// How long before an unused machine is ended its learner is warned.
const WARNING: Duration = Duration::from_secs(2 * 60);

/// How long a machine has.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimits {
    /// From its start.
    pub first: Duration,
    /// What one Extend adds.
    pub extend: Duration,
    /// In all.
    pub most: Duration,
}

impl TimeLimits {
    /// A clock as it is shown.
    pub fn time(&self, clock: Clock) -> Time {
        let last = clock.begun.plus(self.most);
        Time { ends: clock.ends, more: last.since(clock.ends).min(self.extend), most: self.most }
    }
}

/// What is left until `ends`.
pub fn left(ends: UnixMs, now: UnixMs) -> Duration {
    ends.since(now)
}

/// How little a session is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quiet {
    No,
    /// So much longer, and its machine is ended.
    Soon(Duration),
    TooLong,
}

/// `unseen`: since when nobody has looked; `untouched`: since when nothing was typed. A machine that is either
/// looked at or typed into is used.
pub fn quiet(unseen: Duration, untouched: Duration, max: Duration) -> Quiet {
    let quiet = unseen.min(untouched);
    let left = max.saturating_sub(quiet);
    match left {
        Duration::ZERO => Quiet::TooLong,
        left if left <= WARNING.min(max / 4) => Quiet::Soon(left),
        _ => Quiet::No,
    }
}

/// A length of time in words: whole minutes from two minutes on, and whole hours where it is so many.
pub fn in_words(time: Duration) -> String {
    match time.as_secs() {
        1 => "1 second".into(),
        seconds @ ..120 => format!("{seconds} seconds"),
        3600 => "1 hour".into(),
        seconds if seconds % 3600 == 0 => format!("{} hours", seconds / 3600),
        seconds => format!("{} minutes", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const LIMITS: TimeLimits = TimeLimits {
        first: Duration::from_secs(3600),
        extend: Duration::from_secs(1800),
        most: Duration::from_secs(4 * 3600),
    };

    fn more(had: Duration) -> Duration {
        let begun = UnixMs(1_000_000);
        LIMITS.time(Clock { begun, ends: begun.plus(had) }).more
    }

    #[test]
    fn an_extend_adds_half_an_hour_until_four_hours_are_full() {
        assert_eq!(more(LIMITS.first), 30 * MINUTE);
        assert_eq!(more(210 * MINUTE), 30 * MINUTE);
        assert_eq!(more(220 * MINUTE), 20 * MINUTE, "the last one adds what is left");
        assert_eq!(more(240 * MINUTE), Duration::ZERO);
        assert_eq!(more(300 * MINUTE), Duration::ZERO, "a limit that was lowered takes nothing away");
    }

    #[test]
    fn what_is_left_is_never_less_than_nothing() {
        assert_eq!(left(UnixMs(5_000), UnixMs(2_000)), Duration::from_secs(3));
        assert_eq!(left(UnixMs(2_000), UnixMs(5_000)), Duration::ZERO);
    }

    #[test]
    fn a_machine_that_is_looked_at_or_typed_into_is_used() {
        let max = 30 * MINUTE;
        assert_eq!(quiet(Duration::ZERO, 90 * MINUTE, max), Quiet::No, "a tab stands open");
        assert_eq!(quiet(90 * MINUTE, Duration::ZERO, max), Quiet::No, "something types");
        assert_eq!(quiet(27 * MINUTE, 40 * MINUTE, max), Quiet::No);
        assert_eq!(quiet(29 * MINUTE, 40 * MINUTE, max), Quiet::Soon(MINUTE));
        assert_eq!(quiet(30 * MINUTE, 40 * MINUTE, max), Quiet::TooLong);
        assert_eq!(quiet(Duration::from_secs(3), MINUTE, Duration::from_secs(4)), Quiet::Soon(Duration::from_secs(1)));
    }

    #[test]
    fn times_are_said_in_their_largest_whole_unit() {
        for (seconds, words) in [
            (1, "1 second"),
            (90, "90 seconds"),
            (120, "2 minutes"),
            (1800, "30 minutes"),
            (3600, "1 hour"),
            (5400, "90 minutes"),
            (14400, "4 hours"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }
}
