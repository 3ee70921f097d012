//! Threads that stand for other machines: they take no turns here, and none is taken from them.

use std::process::Command;

/// The calling thread goes before everybody at once, and is no part of what the scheduler shares out among the others
/// (sched(7), SCHED_FIFO): who types. Its children are not.
pub fn go_first() {
    change(&["--fifo", "--reset-on-fork"], "1");
}

/// The calling thread has what the others leave (sched(7), SCHED_IDLE): who draws a flood.
pub fn go_last() {
    change(&["--idle"], "0");
}

fn change(policy: &[&str], priority: &str) {
    let me = nix::unistd::gettid().to_string();
    let changed = Command::new("chrt").args(policy).args(["--pid", priority, &me]).status();
    assert!(changed.is_ok_and(|status| status.success()), "chrt (util-linux) changes how this thread takes turns");
}
