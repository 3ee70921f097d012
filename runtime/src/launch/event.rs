//! What happened in a launch, step by step.

use std::fmt;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// One step: who, which system call, on what, how long, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// `parent`, `launcher`, `pid 1`.
    pub who: String,
    /// The system call, or the file that stands for one.
    pub call: String,
    pub what: String,
    /// Since the launch began.
    pub at_us: u64,
    pub took_us: u64,
    /// The error number, where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
}

impl fmt::Display for Event {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(
            out,
            "{:>9.3} ms {:>8.3} ms  {:<8} {:<14} {}",
            ms(self.at_us),
            ms(self.took_us),
            self.who,
            self.call,
            self.what
        )?;
        match self.errno {
            Some(errno) => write!(out, " = {}", io::Error::from_raw_os_error(errno)),
            None => Ok(()),
        }
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

/// Takes the time of steps against one start.
#[derive(Debug, Clone)]
pub struct Clock {
    who: &'static str,
    start: Duration,
}

impl Clock {
    /// `start` is a reading of [`now`], passed between processes.
    pub fn new(who: &'static str, start: Duration) -> Self {
        Self { who, start }
    }

    /// Runs one step and tells what happened, failed or not.
    pub fn time<T>(
        &self,
        call: &str,
        what: impl Into<String>,
        step: impl FnOnce() -> io::Result<T>,
    ) -> (Event, io::Result<T>) {
        let begin = now();
        let result = step();
        let event = Event {
            who: self.who.into(),
            call: call.into(),
            what: what.into(),
            at_us: us(begin.saturating_sub(self.start)),
            took_us: us(now().saturating_sub(begin)),
            errno: result.as_ref().err().map(errno_of),
        };
        (event, result)
    }
}

/// The kernel's number, which may be the cause of an error in words.
fn errno_of(error: &io::Error) -> i32 {
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = next {
        if let Some(errno) = cause.downcast_ref().and_then(io::Error::raw_os_error) {
            return errno;
        }
        next = cause.source();
    }
    libc::EIO
}

/// CLOCK_REALTIME: the one clock that no time namespace shifts (time_namespaces(7)), so that all
/// processes of a launch share it. A step of it spoils one launch's figures and nothing else.
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn us(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot write a file")]
    struct InWords(#[source] io::Error);

    #[test]
    fn an_event_shows_the_kernels_error_below_the_words_about_it() {
        let check = |error: io::Error, errno| {
            let (event, _) = Clock::new("parent", now()).time::<()>("write", "", || Err(error));
            assert_eq!(event.errno, Some(errno));
        };
        check(io::Error::from_raw_os_error(libc::ENOENT), libc::ENOENT);
        check(io::Error::other(InWords(io::Error::from_raw_os_error(libc::EBUSY))), libc::EBUSY);
        check(io::Error::other("no number"), libc::EIO);
    }
}
