//! One attempt, in a child of its own, with the rights that a launch has at that point.
//!
//! ```text
//! parent (root)             child
//!                           an owner's id, unshare(USER)
//!   ◀────────────────────── user namespace
//!   writes the maps
//!   outside(namespace)
//!   ──────────────────────▶ becomes its root
//!                           inside()
//!   ◀────────────────────── how it went; ends, and everything it made is gone
//! ```

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::launch::lease::{Ids, RANGE, SLOTS_MAX};
use crate::sys::message;
use crate::sys::process::{Child, Fork, ForkOptions, become_id, exit_now, fork};

/// An attempt is a few system calls; one that is silent for this long hangs.
const PATIENCE_S: i64 = 5;

/// How far an attempt came, and the error number that ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    pub at: Stage,
    /// `None`: no answer, or an error that is no system call's.
    pub errno: Option<i32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// clone3(2) with a pidfd.
    Fork,
    /// The user namespace, its maps, and becoming its root.
    UserNamespace,
    /// What the parent does with the namespace.
    Outside,
    /// What was to be tried inside.
    Inside,
}

fn failed(at: Stage) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure { at, errno: error.raw_os_error() }
}

/// Tries `outside` with the namespace, then `inside` as its root. The caller is root and has one thread.
pub fn attempt(
    outside: impl FnOnce(BorrowedFd) -> io::Result<()>,
    inside: impl FnOnce() -> io::Result<()>,
) -> Result<(), Failure> {
    let (ours, theirs) = message::pair().map_err(failed(Stage::Fork))?;
    match fork(ForkOptions::default()).map_err(failed(Stage::Fork))? {
        Fork::Child => {
            drop(ours);
            let told = child(theirs.as_fd(), inside);
            exit_now(i32::from(told.is_err()))
        }
        Fork::Parent(child) => {
            drop(theirs);
            let result = parent(&ours, &child, outside);
            // Whatever it did, it ends here, and its namespaces with it.
            let _ = rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL);
            let _ = nix::sys::wait::waitpid(child.pid, None);
            result
        }
    }
}

fn parent(socket: &OwnedFd, child: &Child, outside: impl FnOnce(BorrowedFd) -> io::Result<()>) -> Result<(), Failure> {
    setsockopt(socket, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE_S))
        .map_err(|errno| Failure { at: Stage::Fork, errno: Some(errno as i32) })?;
    let namespace = answer(socket, Stage::UserNamespace)?;
    let namespace = namespace.ok_or(Failure { at: Stage::UserNamespace, errno: None })?;
    let map = format!("0 {} {RANGE}\n", ids().base);
    for file in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{file}", child.pid), &map).map_err(failed(Stage::UserNamespace))?;
    }
    outside(namespace.as_fd()).map_err(failed(Stage::Outside))?;
    message::send(socket.as_fd(), b"go", &[]).map_err(failed(Stage::Inside))?;
    answer(socket, Stage::UserNamespace)?;
    answer(socket, Stage::Inside).map(drop)
}

/// The child's next word: the error number of what it just did, 0 for none.
fn answer(socket: &OwnedFd, at: Stage) -> Result<Option<OwnedFd>, Failure> {
    let Ok(Some((bytes, fds))) = message::receive(socket.as_fd()) else { return Err(Failure { at, errno: None }) };
    match std::str::from_utf8(&bytes).ok().and_then(|text| text.parse::<i32>().ok()) {
        Some(0) => Ok(fds.into_iter().next()),
        Some(errno) if errno > 0 => Err(Failure { at, errno: Some(errno) }),
        _ => Err(Failure { at, errno: None }),
    }
}

fn child(socket: BorrowedFd, inside: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let tell = |result: &io::Result<()>, fds: &[BorrowedFd]| {
        let errno = result.as_ref().err().map_or(0, |error| error.raw_os_error().unwrap_or(-1));
        message::send(socket, errno.to_string().as_bytes(), fds)
    };
    // 1. Nobody on this host, as a shim is: what forbids namespaces to ordinary processes forbids it here.
    let made = become_id(ids().owner, ids().owner).and_then(|()| Ok(unshare(CloneFlags::CLONE_NEWUSER)?));
    if made.is_err() {
        return tell(&made, &[]);
    }
    tell(&Ok(()), &[fs::File::open("/proc/self/ns/user")?.as_fd()])?;
    // 2. Until the parent has written the maps there is no root to become.
    if message::receive(socket)?.is_none() {
        return Err(io::Error::from(Errno::EPIPE));
    }
    let root = become_id(0, 0);
    tell(&root, &[])?;
    root?;
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable)?;
    // 3. What it is all about.
    tell(&inside(), &[])
}

/// Of the last slot, which is the last to be used.
fn ids() -> Ids {
    Ids::of(SLOTS_MAX - 1)
}
