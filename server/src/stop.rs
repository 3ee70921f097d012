//! How a process hears that it is to stop: one switch for every task that lasts, and the signals of a command.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tokio::sync::watch;

/// How often [`Signals::come`] looks: nobody notices, and it costs one system call.
const SIGNALS_EVERY: Duration = Duration::from_millis(100);

/// Held by whoever may stop the process.
#[derive(Debug)]
pub struct Switch(watch::Sender<bool>);

/// Held by every task that lasts; clones hear the same.
#[derive(Debug, Clone)]
pub struct Stopping(watch::Receiver<bool>);

/// A switch that was not used yet.
pub fn switch() -> (Switch, Stopping) {
    let (sender, receiver) = watch::channel(false);
    (Switch(sender), Stopping(receiver))
}

impl Switch {
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stopping {
    /// When the process is to stop; also when nobody could tell any more.
    pub async fn asked(&mut self) {
        let _ = self.0.wait_for(|&stopping| stopping).await;
    }
}

/// For a command that has one thread and must clean up behind itself: SIGINT, SIGTERM and SIGHUP, taken from a
/// descriptor, so that one that comes at any time is heard at the next look.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
    heard: Cell<bool>,
}

impl Signals {
    /// Blocks the signals, for this process and for what it starts unless that unblocks them.
    pub fn take() -> io::Result<Self> {
        let mut wanted = SigSet::empty();
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().for_each(|signal| wanted.add(signal));
        wanted.thread_block()?;
        let fd = SignalFd::with_flags(&wanted, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { fd, heard: Cell::new(false) })
    }

    /// Whether one has come by now.
    pub fn heard(&self) -> bool {
        if let Ok(Some(_)) = self.fd.read_signal() {
            self.heard.set(true);
        }
        self.heard.get()
    }

    /// When one comes, or soon after.
    pub async fn come(&self) {
        while !self.heard() {
            tokio::time::sleep(SIGNALS_EVERY).await;
        }
    }
}
