//! Every system call that no safe wrapper covers, and nothing else: the only folder with `unsafe`.
//!
//! One small function for each call, named after it, with the man page it comes from.
//! Calls that rustix or nix wrap safely are used directly where they are needed.
//! Namespaces are only ever changed by a fresh single-threaded process (user_namespaces(7):
//! `unshare` of a threaded process fails, or changes one thread).

#![allow(unsafe_code)]

pub mod process;
pub mod mount;
pub mod seccomp;
pub mod loop_device;
pub mod message;
pub mod memfd;

/// Columns and rows of a terminal (TIOCGWINSZ, ioctl_tty(2)); `None` where it has none.
pub fn window_size(terminal: std::os::fd::BorrowedFd) -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}
