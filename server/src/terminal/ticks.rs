//! A tick of our own, while a key is on its way.
//!
//! A key passes several processes, each for some microseconds: web, the shim, the kernel's worker of ptys, the shell,
//! and back. Beside programs that take all processors one of them may be found to have had its share and be left to
//! wait, be it for a microsecond's worth of debt; and nobody looks again before the kernel's tick, which is every 4 ms at
//! 250 Hz ([decision 19](../../../docs/decisions/0019-a-tick-of-our-own.md)). A process that wakes makes the scheduler
//! look. So while a key has no echo yet, a thread on each processor wakes a few times, does nothing, and sleeps again.
//!
//! On a machine with room the echo is there before that, or after a tick or two that nobody misses.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// From then on a key may be waiting: it takes less where all its stations are found awake.
const LATE: Duration = Duration::from_micros(250);
/// Between two of our ticks: a twenty-sixth of the kernel's. One costs some microseconds.
const EVERY: Duration = Duration::from_micros(150);
/// A program may answer a key with nothing. After this the kernel's own ticks have come at least twice.
const WAY_MAX: Duration = Duration::from_millis(10);
/// Threads that tick. With more processors, one of them is soon free.
const THREADS_MAX: usize = 16;
/// They call nothing that needs more.
const STACK_BYTES: usize = 64 * 1024;

/// The threads that tick, for all terminals of this process.
#[derive(Debug, Clone)]
pub struct Ticks(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    plan: Mutex<Plan>,
    wanted: Condvar,
}

impl Ticks {
    /// A thread for each processor that this process may use. They sleep until [`Way::key`], and live as long as
    /// the process.
    pub fn start() -> io::Result<Self> {
        let ticks = Self(Arc::new(Shared { plan: Mutex::new(Plan::new(Instant::now())), wanted: Condvar::new() }));
        let ours = sched_getaffinity(Pid::from_raw(0))?;
        let ours = (0..CpuSet::count()).filter(|number| ours.is_set(*number).unwrap_or(false));
        for number in ours.take(THREADS_MAX) {
            let shared = ticks.0.clone();
            let thread = std::thread::Builder::new().name(format!("tick/{number}")).stack_size(STACK_BYTES);
            thread.spawn(move || {
                // Where it is not allowed, the scheduler chooses where we wake, which is better than nothing.
                let _ = stay_on(number);
                shared.tick();
            })?;
        }
        Ok(ticks)
    }

    /// What one terminal's connection tells of its keys.
    pub fn way(&self) -> Way {
        Way { ticks: self.clone(), waits: AtomicBool::new(false) }
    }
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self) -> ! {
        let mut plan = self.plan();
        loop {
            match plan.next(Instant::now()) {
                Next::Wait => plan = self.wanted.wait(plan).unwrap_or_else(PoisonError::into_inner),
                Next::Sleep { time, call } => {
                    drop(plan);
                    if call {
                        self.wanted.notify_all();
                    }
                    std::thread::sleep(time);
                    plan = self.plan();
                }
            }
        }
    }
}

fn stay_on(processor: usize) -> nix::Result<()> {
    let mut set = CpuSet::new();
    set.set(processor)?;
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// One connection's key that has no echo yet. Dropped, it has none.
#[derive(Debug)]
pub struct Way {
    ticks: Ticks,
    waits: AtomicBool,
}

impl Way {
    /// A key goes to the machine.
    pub fn key(&self) {
        let first = !self.waits.swap(true, Ordering::Relaxed);
        if self.ticks.0.plan().key(first, Instant::now()) {
            self.ticks.0.wanted.notify_one();
        }
    }

    /// Something came back.
    pub fn echo(&self) {
        if self.waits.swap(false, Ordering::Relaxed) {
            self.ticks.0.plan().echo();
        }
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.echo();
    }
}

/// Who waits, and when the next tick is.
#[derive(Debug)]
struct Plan {
    /// Connections whose key has no echo yet.
    waiting: usize,
    /// When the first of their keys is late.
    late: Instant,
    /// When we no longer wait for the last of them.
    until: Instant,
    /// One thread is awake from the first key on; whether it has called the others.
    called: bool,
}

/// What a thread does now.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// It waits for a key.
    Wait,
    /// It sleeps for `time`; before that, it wakes the others if `call` says so.
    Sleep { time: Duration, call: bool },
}

impl Plan {
    fn new(now: Instant) -> Self {
        Self { waiting: 0, late: now, until: now, called: false }
    }

    fn ticks(&self, now: Instant) -> bool {
        self.waiting > 0 && now < self.until
    }

    /// `first`: its connection did not wait for one yet. True if a thread has to be woken.
    fn key(&mut self, first: bool, now: Instant) -> bool {
        let begins = !self.ticks(now);
        if begins {
            self.late = now + LATE;
            self.called = false;
        }
        self.waiting += usize::from(first);
        self.until = now + WAY_MAX;
        begins
    }

    fn echo(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    fn next(&mut self, now: Instant) -> Next {
        if !self.ticks(now) {
            return Next::Wait;
        }
        match self.late.checked_duration_since(now) {
            Some(time) if !time.is_zero() => Next::Sleep { time, call: false },
            _ => Next::Sleep { time: EVERY, call: !std::mem::replace(&mut self.called, true) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_micros(1);

    #[test]
    fn an_echo_in_time_costs_no_tick() {
        let begin = Instant::now();
        let mut plan = Plan::new(begin);
        assert_eq!(plan.next(begin), Next::Wait);
        assert!(plan.key(true, begin), "somebody has to look when it is late");
        assert_eq!(plan.next(begin), Next::Sleep { time: LATE, call: false });
        plan.echo();
        assert_eq!(plan.next(begin + LATE), Next::Wait);
    }

    #[test]
    fn a_late_key_calls_the_others_once_and_ticks_until_its_echo() {
        let begin = Instant::now();
        let mut plan = Plan::new(begin);
        plan.key(true, begin);
        assert_eq!(plan.next(begin + LATE), Next::Sleep { time: EVERY, call: true });
        assert_eq!(plan.next(begin + LATE), Next::Sleep { time: EVERY, call: false }, "the second thread");
        assert_eq!(plan.next(begin + LATE + EVERY), Next::Sleep { time: EVERY, call: false });
        plan.echo();
        assert_eq!(plan.next(begin + LATE + 2 * EVERY), Next::Wait);
        assert!(plan.key(true, begin + 3 * LATE), "all wait again");
        assert_eq!(plan.next(begin + 4 * LATE), Next::Sleep { time: EVERY, call: true });
    }

    #[test]
    fn a_key_that_nothing_answers_is_given_up_and_the_next_one_is_not() {
        let begin = Instant::now();
        let mut plan = Plan::new(begin);
        plan.key(true, begin);
        assert_eq!(plan.next(begin + WAY_MAX - MOMENT), Next::Sleep { time: EVERY, call: true });
        assert_eq!(plan.next(begin + WAY_MAX), Next::Wait);
        // The same connection's next key.
        let later = begin + 3 * WAY_MAX;
        assert!(plan.key(false, later));
        assert_eq!(plan.next(later), Next::Sleep { time: LATE, call: false });
        plan.echo();
        assert_eq!(plan.next(later), Next::Wait);
    }

    #[test]
    fn a_connection_that_ends_waits_for_nothing() {
        let ticks = Ticks::start().expect("threads");
        let (gone, other) = (ticks.way(), ticks.way());
        gone.key();
        gone.key();
        other.key();
        assert_eq!(ticks.0.plan().waiting, 2);
        drop(gone);
        assert_eq!(ticks.0.plan().waiting, 1);
        other.echo();
        other.echo();
        assert_eq!(ticks.0.plan().waiting, 0);
    }
}
