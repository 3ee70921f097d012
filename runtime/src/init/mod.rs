//! PID 1 of a sandbox: reaps what nobody waits for, and ends everything when told to.
//!
//! The kernel gives every orphan of a pid namespace to its first process, and sends that process no
//! signal it has not asked for (pid_namespaces(7)). So PID 1 asks for SIGCHLD, to reap, and for
//! SIGTERM, to end the sandbox in order. The lesson on PID 1 shows both.

use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// How long processes may take to end after SIGTERM before they get SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

const EVERYBODY: Pid = Pid::from_raw(-1);

/// Runs until SIGTERM. Returns when nobody else is left.
pub fn run() -> io::Result<()> {
    let mut asked_for = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGPWR] {
        asked_for.add(signal);
    }
    asked_for.thread_block()?;
    loop {
        match asked_for.wait()? {
            Signal::SIGCHLD => reap(),
            _ => return end(),
        }
    }
}

/// Every child that has ended: one SIGCHLD may stand for several.
fn reap() {
    while let Ok(status) = waitpid(EVERYBODY, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            return;
        }
    }
}

fn end() -> io::Result<()> {
    signal_everybody(Signal::SIGTERM)?;
    // An interactive shell ignores SIGTERM, and ends as it would if its terminal hung up (bash(1), SIGNALS).
    signal_everybody(Signal::SIGHUP)?;
    let deadline = Instant::now() + GRACE;
    while anybody_left() && Instant::now() < deadline {
        reap();
        std::thread::sleep(Duration::from_millis(10));
    }
    signal_everybody(Signal::SIGKILL)?;
    reap();
    Ok(())
}

/// kill(2) with -1: everybody in the namespace but the caller.
fn signal_everybody(signal: Signal) -> io::Result<()> {
    match kill(EVERYBODY, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn anybody_left() -> bool {
    kill(EVERYBODY, None).is_ok()
}
