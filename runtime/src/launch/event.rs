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
            errno: result.as_ref().err().map(|error| error.raw_os_error().unwrap_or(libc::EIO)),
        };
        (event, result)
    }
}

/// CLOCK_REALTIME: the one clock that no time namespace shifts (time_namespaces(7)), so that all
/// processes of a launch share it. A step of it spoils one launch's figures and nothing else.
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn us(duration: Duration) -> u64 {
    duration.as_micros() as u64
}
