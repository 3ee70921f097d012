//! Whether sandboxes go before the host's own programs, looked at anew a few times a second (see
//! [`crate::cgroup::turns`]).

use std::io;

use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::Keeper;
use crate::cgroup::tree::take_turns;
use crate::cgroup::turns::{Governor, LOOK, Together, Used};

/// What was seen the last time.
pub(super) struct Processors {
    /// Readable when it is time to look.
    pub timer: TimerFd,
    governor: Governor,
    used: Option<Used>,
}

impl Processors {
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        timer.set(Expiration::Interval(LOOK.into()), TimerSetTimeFlags::empty())?;
        Ok(Self { timer, governor: Governor::default(), used: None })
    }
}

impl Keeper<'_> {
    /// What cannot be written is not said each time: the next launch meets the same files, and fails in words.
    pub(super) fn look_who_uses_the_processors(&mut self) {
        let processors = &mut self.processors;
        let _ = processors.timer.wait(); // takes what has expired: it does not block
        let host = &mut self.launcher.host;
        let used = Used::read(&host.cgroups, &host.cgroup_parent);
        let before = std::mem::replace(&mut processors.used, used);
        let (Some(before), Some(used)) = (before, used) else { return };
        host.turns = processors.governor.look(used.since(&before));
        if let Some(together) = Together::new(&host.cgroups, &host.cgroup_parent, host.turns) {
            // Each time, as `quayside run` may have said something else.
            let _ = take_turns(&together);
        }
    }
}
