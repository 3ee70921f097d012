//! Flags of mounts that the sandbox's root cannot take off.
//!
//! `ro`, `nodev` and `nosuid` are flags of a mount, and `mount -o remount,bind,rw` changes them for whoever rules the
//! mount namespace that it is in. The kernel locks them where a mount comes into a namespace of fewer rights as a part
//! of the copy of a whole one (mount_namespaces(7), "Restrictions on mount namespaces"). A mount that is passed as a
//! descriptor never comes that way, whoever made it: the root of a sandbox could write into the store of images, as
//! the host's root. So a child of the parent's makes such a copy, and does nothing else:
//!
//! ```text
//! parent (root) ── fork ──▶ a mount namespace of its own, and the mounts attached in it
//!                           join the sandbox's user namespace, and copy that namespace: all flags are locked
//!               ◀────────── clones of the mounts in the copy, which keep the locks; exit
//! ```

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::wait::waitpid;

use crate::sys::message;
use crate::sys::mount::{attach, clone_tree};
use crate::sys::process::{Fork, ForkOptions, exit_now, fork};

/// Detached copies of detached mounts, with all their flags locked for the root of `user_namespace`. The caller has one
/// thread. `staging` is any directory that exists.
pub fn lock(mounts: &[BorrowedFd], user_namespace: BorrowedFd, staging: &Path) -> io::Result<Vec<OwnedFd>> {
    let (ours, theirs) = message::pair()?;
    let Fork::Parent(child) = fork(ForkOptions::default())? else {
        let sent = copy(mounts, user_namespace, staging).and_then(|locked| {
            let fds: Vec<BorrowedFd> = locked.iter().map(AsFd::as_fd).collect();
            message::send(theirs.as_fd(), b"locked", &fds)
        });
        if let Err(error) = &sent {
            let _ = message::send(theirs.as_fd(), error.to_string().as_bytes(), &[]);
        }
        exit_now(i32::from(sent.is_err()))
    };
    drop(theirs);
    let answer = message::receive(ours.as_fd());
    waitpid(child.pid, None)?;
    match answer? {
        Some((_, locked)) if locked.len() == mounts.len() => Ok(locked),
        Some((why, _)) => Err(io::Error::other(String::from_utf8_lossy(&why).into_owned())),
        None => Err(io::Error::other("the child that locks mounts ended without a word")),
    }
}

/// In the child: its namespaces and everything in them end with it.
fn copy(mounts: &[BorrowedFd], user_namespace: BorrowedFd, staging: &Path) -> io::Result<Vec<OwnedFd>> {
    // 1. Where nobody sees what is attached next.
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    mount(Some("tmpfs"), staging, Some("tmpfs"), MsFlags::empty(), Some("mode=700,size=64k"))?;
    let places: Vec<PathBuf> = (0..mounts.len()).map(|number| staging.join(number.to_string())).collect();
    for (mount, place) in mounts.iter().zip(&places) {
        match rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(mount)?.st_mode) {
            rustix::fs::FileType::Directory => fs::create_dir(place)?,
            _ => drop(fs::File::create_new(place)?),
        }
        attach(*mount, place)?;
    }
    // 2. The rights of the sandbox's root and no others: the copy is made by them, and so it is locked.
    setns(user_namespace, CloneFlags::CLONE_NEWUSER)?;
    unshare(CloneFlags::CLONE_NEWNS)?;
    // 3. A clone has the locks of what it is a clone of.
    places.iter().map(|place| clone_tree(place)).collect()
}
